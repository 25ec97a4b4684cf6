"""Handlers that misbehave, one way each and all at once; hostile.c does what its item says.

Whatever a handler does, the run ends by itself, every item has exactly one outcome, the items it
was good to are delivered, and the others are dead letters that say what happened. Nothing is left
over: no descriptor, no zombie, no process but one that left its group on purpose.

HOSTILE_ITEMS: how many items the mixed runs take (600; scripts/soak takes 10000).
HOSTILE_HANDLER: the compiled handler; without it, `cc` makes one.
"""
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brigade_e2e
from brigade_e2e import HANDLERS, BrigadeTest, query, seeded, wait_until

ITEMS = int(os.environ.get("HOSTILE_ITEMS", "600"))
STEADY = 40  # looks in a row, 5 ms apart, that see the same
MEMORY_MAX = 200 << 10  # KiB; a flood is 100 MiB
POISON = "poison: ended its handler 3 times, last: handler ended "

# What it does to one item, and what its dead letter says; None: the item is delivered.
PERSISTENT = {
    "rubbish": "not a JSON object: 'Loading the model, please wait ...'; stdout is for answers",
    "unknown_id": "an answer with the unknown id 4711000",
    "id_of_another": "(a second answer for id|an answer with the unknown id)",
    "twice": None,
    "late": "timed out: no answer within",
    "hang": "timed out: no answer within",
    "stop": "timed out: no answer within",
    "huge": "an answer longer than 1048576 bytes",
    "without_newline": "timed out: .*end each answer with a newline",
    "close_stdout": POISON + r"\(closed its stdout and lived on, killed by SIGTERM\)",
    "close_stdin": "(timed out: no answer|closed its stdin and lived on)",
    "close_both": POISON + r"\(closed its stdout and lived on, killed by SIGTERM\)",
    "exit": POISON + r"\(exit code 0\) before it answered",
    "crash": POISON + r"\(killed by SIGSEGV\) before it answered",
    "half": POISON + r"\(exit code 0, in the middle of an answer\)",
    "grandchild": POISON + r"\(exit code 0\)",
    "daemon": POISON + r"\(exit code 0\)",
    "stderr_flood": None,
    "stderr_without_newline": None,
    "bad_utf8": "not a JSON object .byte 18: invalid UTF-8",
    "nul": "not a JSON object .byte 8: ",
    "member_twice": "a member given twice in one answer",
    "deep": None,
    "answer_unasked": "an answer with the unknown id 4711000",
}
ONCE = {
    "exit": "^exit code 1$",
    "later": "^exit code 75$",
    "crash": "poison: ended its handler 3 times, last: handler ended: killed by SIGSEGV",
    "hang": "^the command did not end within",
    "stop": "^the command did not end within",
    "close_both": "^the command did not end within",
    "huge": "^the command printed more than 1048576 bytes",
    "nothing": "printed no result",
    "half": "several lines that are not one JSON value: 'one line'",
    "grandchild": "printed no result",
    "daemon": "printed no result",
    "grandchild_answers": None,
    "daemon_answers": None,
    "stderr_flood": None,
    "stderr_without_newline": None,
}
# What a mixed run would only repeat at length: a timeout takes its time, a flood its bytes.
SLOW = {"late", "hang", "stop", "without_newline", "close_stdin", "close_stdout", "close_both",
        "stderr_flood", "stderr_without_newline", "huge", "daemon", "daemon_answers"}


def compiled_handler():
    given = os.environ.get("HOSTILE_HANDLER")
    if given:
        return given
    made = Path(tempfile.mkdtemp(prefix="brigade-hostile-"), "hostile")
    subprocess.run(["cc", "-O1", "-o", made, HANDLERS / "hostile.c"], check=True)
    return str(made)


HANDLER = compiled_handler()


def peak_memory(pid):
    """In KiB; 0 when it is gone."""
    try:
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
    except (OSError, TypeError):
        return 0


def children_of(pid):
    """{id: state} of its children, zombies included."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                found[int(child)] = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1][1]
            except OSError:
                continue
    return found


class HostileTest(BrigadeTest):
    def write_job(self, items, protocol="ndjson", mode=None, workers=2, in_flight=1, timeout="1s",
                  at=".", max_line="1MiB", **keys):
        """In the folder `at`, so that several can run at once."""
        self.write(f"{at}/items.ndjson", "".join(json.dumps(item) + "\n" for item in items))
        command = [HANDLER] + (["once"] if protocol == "once" else [mode] if mode else [])
        self.write_pipeline(
            f"{at}/pipeline.yaml", name="hostile", id=".n",
            source={"file": {"path": "items.ndjson", "format": "ndjson", "max_line": max_line}},
            stages=[{"exec": {"command": command, "protocol": protocol, "in_flight": in_flight},
                     "name": "work", "workers": workers, "timeout": timeout,
                     "retry": {"attempts": 2, "backoff": "1ms..2ms"}}],
            sink={"file": {"path": "out.ndjson"}}, **keys)

    def ledger_at(self, at="."):
        return self.folder / at / "state" / "hostile.ledger.db"

    def outcomes(self, at="."):
        """(delivered numbers, {number: error}) of the run that has ended."""
        text = self.folder.joinpath(at, "out.ndjson").read_text("utf-8", "replace")
        good = [int(re.search(r'"n": (\d+)', line)[1]) for line in text.splitlines()]
        letters = query(self.ledger_at(at), "select business_id, error from dead_letters")
        bad = {int(n): error for n, error in letters}
        self.assertEqual(len(bad), len(letters), "a letter an item")
        self.assertEqual(len(good + list(bad)), len(set(good) | set(bad)), "one outcome each")
        return good, bad

    def run_and_watch(self, at):
        """The result. Memory must not follow a flood."""
        running = self.start("run", f"{at}/pipeline.yaml", "--report", f"{at}/report.json")
        peak = 0
        deadline = time.monotonic() + 90 * brigade_e2e.PATIENCE
        while running.is_running() and time.monotonic() < deadline:
            peak = max(peak, peak_memory(running.pid))
            time.sleep(0.05)
        result = running.wait(1)
        self.checked_report(self.folder / at / "report.json", result)
        self.assertLess(peak, MEMORY_MAX * brigade_e2e.PATIENCE)
        return result

    def check_case(self, what, error, protocol, in_flight):
        items = [{"n": n} for n in range(1, 13)]
        items[4]["do"] = what
        self.write_job(items, protocol, in_flight=in_flight, at=what)
        result = self.run_and_watch(what)
        good, bad = self.outcomes(what)
        wanted = [] if error is None else [5]
        self.assertEqual((list(bad), len(good)), (wanted, 12 - len(wanted)), result.err)
        self.assert_exit(result, 3 if wanted else 0)
        for why in bad.values():
            self.assertRegex(why, error)
        if what == "twice":
            self.assertIn("a second answer for id", result.err)
        if what.startswith("daemon"):
            self.assertRegex(result.err, "something outside the .* process group keeps its output")

    def check_all(self, cases, protocol, in_flight):
        """They wait more than they work, so they run a few at a time."""
        with ThreadPoolExecutor(6) as pool:
            running = {what: pool.submit(self.check_case, what, error, protocol, in_flight)
                       for what, error in cases.items()}
        for what, done in running.items():
            with self.subTest(what=what, protocol=protocol, in_flight=in_flight):
                done.result()

    def test_one_item_at_a_time(self):
        self.check_all(PERSISTENT, "ndjson", 1)

    def test_several_items_at_a_time(self):
        self.check_all(PERSISTENT, "ndjson", 4)

    def test_a_process_an_item(self):
        self.check_all(ONCE, "once", 1)

    def test_a_handler_that_never_comes_to_its_first_item(self):
        for mode, error in (("exit", POISON + r"\(exit code 1\)"),
                            ("never_read", "timed out: .* its stdout may be buffered"),
                            ("answer_unasked", "an answer with the unknown id 4711000")):
            with self.subTest(mode=mode):
                items = [{"n": n} for n in range(1, 5)]
                self.write_job(items, mode=mode, timeout="300ms", at=mode)
                result = self.run_and_watch(mode)
                good, bad = self.outcomes(mode)
                self.assert_exit(result, 3)
                self.assertEqual((good, sorted(bad)), ([], [1, 2, 3, 4]))
                for why in bad.values():
                    self.assertRegex(why, error)

    def test_answers_are_as_long_as_the_source_lets_lines_be(self):
        for max_line, dead in (("190KiB", 1), ("1MiB", 0)):
            with self.subTest(max_line=max_line):
                # An answer of 200 KB, one of 40 bytes.
                self.write_job([{"n": 1}, {"n": 2, "do": "deep"}], at=max_line, max_line=max_line)
                running = self.start("run", f"{max_line}/pipeline.yaml")
                self.assertEqual(running.wait(60).last_line()["dead_lettered"], dead)
                if dead:
                    self.assertIn("an answer longer than 194560 bytes, which is max_line",
                                  running.err())

    def test_a_handler_that_reads_a_byte_at_a_time(self):
        self.write_job([{"n": n} for n in range(1, 101)], mode="slow", in_flight=8, timeout="30s")
        self.assert_exit(self.run_and_watch("."), 0)
        self.assertEqual(len(self.outcomes()[0]), 100)

    def test_one_that_ignores_the_request_to_end_is_killed_two_seconds_after_it(self):
        for protocol in ("ndjson", "once"):
            with self.subTest(protocol=protocol):
                self.write_job([{"n": n, "do": "ignore_term"} for n in (1, 2)], protocol,
                               timeout="1h", stop_timeout="500ms", at=protocol)
                running = self.start("run", f"{protocol}/pipeline.yaml")
                wait_until(lambda: len(children_of(running.pid)) == 2, 20, "both handlers")
                time.sleep(0.2)  # until they ignore it; without that the test is only weaker
                running.signal(signal.SIGTERM)
                result = running.wait(5)
                self.assert_exit(result, 5)
                self.assertEqual(result.last_line()["returned"], 2)
                self.assert_no_process_is_left()

    def mixed(self, protocol, cases, in_flight):
        """Every case at random, and then a look at what is left while the program still runs."""
        chance = seeded(self.id())
        names = sorted(set(cases) - SLOW) + ["nothing special"]
        items = [{"n": n, "do": chance.choice(names)} for n in range(2, ITEMS + 2)]
        for item, what in zip(chance.sample(items, len(SLOW)), sorted(SLOW & set(cases))):
            item["do"] = what  # these once each
        expected = {item["n"] for item in items if cases.get(item["do"]) is not None}
        self.write_job([], protocol, workers=4, in_flight=in_flight, timeout="3s")
        job = json.loads(self.folder.joinpath("pipeline.yaml").read_text())
        self.write_pipeline(**{**job, "source": {"stdin": {"format": "ndjson"}}})
        running = self.start("run", "pipeline.yaml", "--report", "report.json",
                             stdin=subprocess.PIPE)
        self.feed(running, [{"n": 1}])
        before = self.descriptors_at_rest(running, 1, 0)
        self.feed(running, items)
        try:
            after = self.descriptors_at_rest(running, len(items) + 1 - len(expected), len(expected))
        except AssertionError as error:
            bad = self.outcomes()[1]
            wrong = [(item, bad.get(item["n"])) for item in items
                     if (item["n"] in bad) != (item["n"] in expected)]
            raise AssertionError(f"{error}; not what was expected of: {wrong[:9]}") from None
        self.assertEqual(after, before, "descriptors, without those of the handlers that live")
        running.process.stdin.close()
        result = running.wait(20)
        self.assert_exit(result, 3)
        self.checked_report(self.folder / "report.json", result)
        good, bad = self.outcomes()
        self.assertEqual((set(bad), len(good)), (expected, len(items) + 1 - len(expected)))
        for item in items:
            if item["n"] in bad:
                self.assertRegex(bad[item["n"]], cases[item["do"]], item)

    def feed(self, running, items):
        running.process.stdin.write("".join(json.dumps(item) + "\n" for item in items).encode())
        running.process.stdin.flush()

    def descriptors_at_rest(self, running, delivered, dead):
        """How many there are besides the four of each handler, once every item has its outcome and
        there is nothing but handlers that wait: no zombie, no grandchild, no daemon."""
        seen, looks = [], []

        def at_rest():
            out = self.folder / "out.ndjson"
            lines = out.read_bytes().count(b"\n") if out.exists() else 0
            letters = brigade_e2e.glimpse(self.ledger_at(),
                                          "select count(*) from dead_letters")
            children = children_of(running.pid)
            strangers = set(running.left_over()) - set(children)
            seen[:] = [lines, letters, children, strangers]
            return (lines, letters) == (delivered, dead) and not strangers and \
                "Z" not in children.values() and len(children) <= 4
        try:
            wait_until(at_rest, 60 + ITEMS / 10, "every outcome, and no process left over")
        except AssertionError as error:
            raise AssertionError(f"{error}; lines, letters, children, strangers: {seen}") from None

        def steady():
            """One that is just being started has its descriptors before it is there."""
            at_rest()
            looks.append((len(os.listdir(f"/proc/{running.pid}/fd")), len(seen[2])))
            return len(looks) >= STEADY and len(set(looks[-STEADY:])) == 1
        wait_until(steady, 20, "as many handlers as descriptors")
        return looks[-1][0] - 4 * looks[-1][1]

    def test_all_of_them_in_one_run(self):
        self.mixed("ndjson", PERSISTENT, 1)

    def test_all_of_them_in_one_run_several_at_a_time(self):
        self.mixed("ndjson", PERSISTENT, 4)

    def test_all_of_them_in_one_run_a_process_an_item(self):
        self.mixed("once", ONCE, 1)

    def test_after_kill_9_the_handlers_are_gone(self):
        for protocol in ("ndjson", "once"):
            with self.subTest(protocol=protocol):
                self.write_job([{"n": n, "do": "ignore_term"} for n in (1, 2)], protocol,
                               timeout="1h", at=protocol)
                running = self.start("run", f"{protocol}/pipeline.yaml")
                wait_until(lambda: len(children_of(running.pid)) == 2, 20, "both handlers")
                self.assertTrue(running.kill())
                wait_until(lambda: not running.left_over(), 5, "the handlers to be gone")


if __name__ == "__main__":
    brigade_e2e.main()
