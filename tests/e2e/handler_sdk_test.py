"""The helpers of sdk/: the same handler in Python, plain and async, and in Node.

By themselves, with requests through a pipe; and in a run. Without `node` its part is skipped.
"""
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import brigade_e2e
from brigade_e2e import HERE, BrigadeTest

SDK = Path(os.environ.get("BRIGADE_SDK", HERE.parent.parent / "sdk")).resolve()

PYTHON = """
import os, subprocess, sys, time
from brigade_handler import Fatal, Permanent, RetryLater, handle

class Odd(Exception):
    def __str__(self):
        raise ValueError

def work(item, key, attempt):
    do = item.get("do")
    if do == "print":
        print("looking")
        subprocess.run(["echo", "from a child"])
    if do == "read":
        return {"read": sys.stdin.read()}
    if do == "later":
        raise RetryLater("busy", seconds=1.5)
    if do == "soon":
        raise RetryLater("busy")
    if do == "never":
        raise Permanent("no such customer")
    if do == "named":
        raise KeyError("customer")
    if do == "stop":
        raise Fatal("no licence")
    if do == "raise":
        raise ValueError("boom\\nand more")
    if do == "no_json":
        return float("nan")
    if do == "half":
        return {"text": "a \\ud83d"}
    if do == "half_error":
        raise ValueError("a \\ud83d")
    if do == "odd_error":
        raise Odd()
    if do == "odd_seconds":
        raise RetryLater("busy", seconds=float("nan"))
    if do == "cancelled":
        raise asyncio.CancelledError()
    if do == "wait":
        time.sleep(item["seconds"])
    if do == "exit":
        os._exit(0)
    return {"n": item["n"], "key": key, "attempt": attempt}

handle(work, permanent=[KeyError])
"""
ASYNC = (PYTHON.replace("def work", "import asyncio\nasync def work")
         .replace("time.sleep", "await asyncio.sleep"))
NODE = """
const { handle, RetryLater, Permanent, Fatal } = require('./brigade_handler.js');
const fs = require('fs');
handle(async (item, { key, attempt }) => {
  switch (item.do) {
    case 'print': console.log('looking'); console.log('from a child'); break;
    case 'later': throw new RetryLater('busy', 1.5);
    case 'soon': throw new RetryLater('busy');
    case 'never': throw new Permanent('no such customer');
    case 'named': throw new RangeError('customer');
    case 'stop': throw new Fatal('no licence');
    case 'raise': throw new TypeError('boom\\nand more');
    case 'no_json': return undefined;
    case 'half': return { text: '\\ud83d\\ude00'.slice(0, 1) };
    case 'half_error': throw new TypeError('a \\ud83d');
    case 'odd_error': throw Object.create(null);
    case 'odd_seconds': throw new RetryLater('busy', NaN);
    case 'wait': await new Promise((done) => setTimeout(done, item.seconds * 1000)); break;
    case 'exit': process.exit(0);
  }
  return { n: item.n, key, attempt };
}, { permanent: [RangeError] });
"""


class HandlerSdkTest:
    """What holds for each language; see the classes below."""
    concurrent = True
    boom, named = "ValueError: boom and more", "KeyError: 'customer'"

    def talk(self, items, cut=None):
        """The answers by item, and standard error. `cut`: the requests come in pieces of so many
        bytes."""
        requests = "".join(json.dumps({"id": n + 10, "key": f"k{n}", "attempt": 1, "item": item})
                           + "\n" for n, item in enumerate(items)).encode()
        with subprocess.Popen(self.command(), cwd=self.folder, env=self.environment(),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as child:
            for at in range(0, len(requests), cut or len(requests)):
                child.stdin.write(requests[at:at + (cut or len(requests))])
                child.stdin.flush()
            out, err = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 0, err)
        answers = {}
        for line in out.decode().splitlines():
            answer = json.loads(line)
            self.assertNotIn(answer["id"], answers)
            answers[answer.pop("id")] = answer
        return [answers.get(n + 10) for n in range(len(items))], err.decode()

    def test_answers_say_what_became_of_the_item(self):
        names = ("later", "soon", "never", "named", "stop", "raise")
        answers, err = self.talk([{"n": 1, "do": name} for name in names] + [{"n": 2}])
        self.assertEqual(answers, [
            {"error": "busy", "retry": 1.5}, {"error": "busy"},
            {"error": "no such customer", "retry": False}, {"error": self.named, "retry": False},
            {"error": "no licence", "fatal": True}, {"error": self.boom},
            {"ok": {"n": 2, "key": "k6", "attempt": 1}}])
        self.assertIn("boom", err)
        self.assertNotIn("no such customer", err, "what was meant needs no traceback")

    def test_what_it_prints_does_not_disturb_the_answers(self):
        answers, err = self.talk([{"n": 1, "do": "print"}])
        self.assertEqual(answers, [{"ok": {"n": 1, "key": "k0", "attempt": 1}}])
        self.assertRegex(err, "looking\n(.*\n)*from a child|from a child\n(.*\n)*looking")

    def test_a_result_that_is_no_json_is_an_error_of_that_item(self):
        answers, _ = self.talk([{"n": 1, "do": "no_json"}, {"n": 2}])
        self.assertIn("error", answers[0])
        self.assertEqual(answers[1]["ok"]["n"], 2)

    def test_half_a_surrogate_pair_is_an_error_of_that_item(self):
        answers, _ = self.talk([{"n": 1, "do": "half"}, {"n": 1, "do": "half_error"},
                                {"n": "\\ud83d \\\\ud83d"}, {"n": "😀"}])
        self.assertIn("surrogate", answers[0]["error"])
        answers[1]["error"].encode()
        self.assertEqual(answers[2]["ok"]["n"], "\\ud83d \\\\ud83d")
        self.assertEqual(answers[3]["ok"]["n"], "😀")

    def test_odd_errors_are_answers_too(self):
        answers, _ = self.talk([{"n": 1, "do": "odd_error"}, {"n": 2, "do": "odd_seconds"},
                                {"n": 3}])
        self.assertIn("error", answers[0])
        self.assertEqual(answers[1]["error"], "busy")
        self.assertIsNone(answers[1].get("retry"), "that is no number of seconds")
        self.assertEqual(answers[2]["ok"]["n"], 3)

    def test_a_long_request_is_put_together_once(self):
        began = time.monotonic()
        answers, _ = self.talk([{"n": 1, "text": "x" * (32 << 20)}])
        self.assertEqual(answers[0]["ok"]["n"], 1)
        self.assertLess(time.monotonic() - began, 4 * brigade_e2e.PATIENCE,
                        "the work grows with the square of the length")

    def test_requests_come_in_any_pieces_and_any_size(self):
        items = [{"n": 1, "text": "ä\u2028" * 50000}, {"n": 2}, {"n": 3, "text": "日本語"}]
        answers, _ = self.talk(items, cut=4097)
        self.assertEqual([answer["ok"]["n"] for answer in answers], [1, 2, 3])

    def test_an_answer_does_not_wait_for_the_next_item(self):
        with subprocess.Popen(self.command(), cwd=self.folder, env=self.environment(),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            requests = [{"n": 1}, {"n": 2, "do": "wait", "seconds": 30}]
            for n, item in enumerate(requests):
                child.stdin.write(json.dumps({"id": n, "key": "", "attempt": 1,
                                              "item": item}).encode() + b"\n")
            child.stdin.flush()
            began = time.monotonic()
            self.assertEqual(json.loads(child.stdout.readline())["id"], 0)
            self.assertLess(time.monotonic() - began, 15 * brigade_e2e.PATIENCE)
            child.kill()

    def test_items_wait_together_when_it_is_async(self):
        if not self.concurrent:
            self.skipTest("a plain function works on one after the other")
        items = [{"n": n, "do": "wait", "seconds": 0.3} for n in range(40)]
        began = time.monotonic()
        answers, _ = self.talk(items)
        self.assertEqual([answer["ok"]["n"] for answer in answers], list(range(40)))
        self.assertLess(time.monotonic() - began, 6 * brigade_e2e.PATIENCE, "12 s, one by one")

    def test_in_a_run(self):
        special = {7: "raise", 11: "never", 13: "exit", 17: "print", 19: "later"}
        self.write("items.ndjson", "".join(
            json.dumps({"n": n, "do": special.get(n)}) + "\n" for n in range(1, 301)))
        self.write_pipeline(
            name="sdk", source={"file": {"path": "items.ndjson", "format": "ndjson"}}, id=".n",
            stages=[{"exec": {"command": self.command(), "in_flight": 16,
                              "env": {"PYTHONPATH": str(SDK / "python")}},
                     "workers": 2, "retry": {"attempts": 2, "backoff": "1ms..2ms"}}],
            sink={"file": {"path": "out.ndjson"}})
        result, report = self.run_pipeline(expect=3)
        errors = {letter["id"]: letter for letter in report["dead_letters"]}
        self.assertEqual((report["delivered"], report["dead_lettered"]), (296, 4), errors)
        said = " ".join(letter["error"] for letter in errors.values())
        for part in (self.boom, "no such customer", "poison: ended its handler 3 times", "busy"):
            self.assertIn(part, said)
        self.assertIn("looking", result.err)


class PythonTest(HandlerSdkTest, BrigadeTest):
    text, concurrent = PYTHON, False

    def setUp(self):
        super().setUp()
        self.write("handler.py", self.text)

    def command(self):
        return [sys.executable, "handler.py"]

    def environment(self):
        return {**os.environ, "PYTHONPATH": str(SDK / "python")}

    def test_input_is_empty_for_the_function(self):
        answers, _ = self.talk([{"n": 1, "do": "read"}, {"n": 2}])
        self.assertEqual(answers[0], {"ok": {"read": ""}})
        self.assertEqual(answers[1]["ok"]["n"], 2)


    def test_what_python_does_not_read_is_an_error_of_that_item(self):
        deep = '{"id": 1, "key": "", "attempt": 1, "item": %s1%s}' % ("[" * 100000, "]" * 100000)
        done = subprocess.run(self.command(), cwd=self.folder, env=self.environment(),
                              input=f'{deep}\n{{"id": 2, "key": "", "attempt": 1, '
                                    '"item": {"n": 2}}\n',
                              capture_output=True, text=True, check=True, timeout=30)
        answers = {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines())}
        self.assertIn("RecursionError", answers[1]["error"])
        self.assertEqual(answers[2]["ok"]["n"], 2)


class AsyncPythonTest(PythonTest):
    text, concurrent = ASYNC, True

    def test_a_cancelled_item_has_an_answer(self):
        answers, _ = self.talk([{"n": 1, "do": "cancelled"}, {"n": 2}])
        self.assertEqual(answers[0], {"error": "CancelledError"})
        self.assertEqual(answers[1]["ok"]["n"], 2)

    def test_requests_may_be_a_file(self):
        path = self.write("requests", '{"id": 1, "key": "k", "attempt": 1, "item": {"n": 1}}\n')
        with open(path, "rb") as requests:
            done = subprocess.run(self.command(), cwd=self.folder, env=self.environment(),
                                  stdin=requests, stdout=subprocess.PIPE, check=True, timeout=30)
        self.assertEqual(json.loads(done.stdout)["ok"]["n"], 1)


class NodeTest(HandlerSdkTest, BrigadeTest):
    boom, named = "TypeError: boom and more", "RangeError: customer"

    def setUp(self):
        if not shutil.which("node"):
            self.skipTest("there is no node; scripts/setup test installs it")
        super().setUp()
        shutil.copy(SDK / "node" / "brigade_handler.js", self.folder)
        self.write("handler.js", NODE)

    def command(self):
        return ["node", "handler.js"]

    def environment(self):
        return dict(os.environ)


if __name__ == "__main__":
    brigade_e2e.main()
