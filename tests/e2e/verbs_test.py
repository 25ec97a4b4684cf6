"""`then`, `test`, `graph` and `dlq drop`, seen from outside."""
import json
import re
import signal
import sys
import xml.etree.ElementTree

import brigade_e2e
from brigade_e2e import glimpse, numbers, python, query, wait_until

SHELL = "#!/bin/sh\n"


class ThenTest(brigade_e2e.BrigadeTest):
    """The last step of a run."""

    def setUp(self):
        super().setUp()
        self.write("numbers.ndjson", numbers(4))

    def script(self, name, text):
        self.write(name, SHELL + text).chmod(0o755)

    def pipeline(self, when, command, **keys):
        self.write_pipeline(
            **{"name": "last", "source": {"file": {"path": "numbers.ndjson", "format": "ndjson"}},
               "sink": {"file": {"path": "out.ndjson"}},
               "then": {"if": when, "exec": command}, **keys})

    def test_it_runs_when_all_went_well_with_what_it_needs_to_know(self):
        self.script("publish", 'cat "$BRIGADE_REPORT" > published\n'
                               'echo "$BRIGADE_PIPELINE $BRIGADE_RUN $BRIGADE_EXIT $1" >> asked\n'
                               'test -f "$BRIGADE_LEDGER" && echo out && echo log >&2\n')
        self.pipeline("success", ["./publish", "two words"])
        result, report = self.run_pipeline(expect=0)
        self.assertEqual(json.loads((self.folder / "published").read_text())["delivered"], 4)
        self.assertEqual((self.folder / "asked").read_text(), "last 1 0 two words\n")
        self.assertEqual(result.out, "out\n")
        self.assertIn("then: log\n", result.err)
        self.assertEqual(report["exit"], 0)

    def test_success_failure_and_always_mean_the_runs_exit_code(self):
        fails = [{"jq": 'if .n == 2 then error("two") else . end'}]
        for when, stages, expected in (("success", fails, False), ("failure", fails, True),
                                       ("always", fails, True), ("failure", [], False)):
            with self.subTest(when=when, stages=stages):
                self.pipeline(when, ["touch", "touched"], stages=stages)
                self.run_pipeline(expect=3 if stages else 0, arguments=["--fresh"])
                self.assertEqual((self.folder / "touched").exists(), expected)
                (self.folder / "touched").unlink(missing_ok=True)

    def test_a_failing_one_makes_the_run_exit_1_in_every_account_of_it(self):
        self.script("publish", "echo the site is down >&2; exit 7\n")
        self.pipeline("success", ["./publish"])
        result, report = self.run_pipeline(expect=1)
        self.assertEqual(report["delivered"], 4)
        self.assertIn("then: './publish' exit code 7: the site is down\n", result.err)
        told = self.brigade("report", self.ledger("last"))
        self.assertIn("exit 1", told.out)
        self.assertIn("exit code 7", told.out)

    def test_one_that_is_not_there_is_found_by_check_and_fails_the_run(self):
        self.pipeline("always", ["./nowhere"])
        checked = self.brigade("check", "pipeline.yaml")
        self.assert_exit(checked, 78)
        self.assertRegex(checked.err, r"pipeline\.yaml:\d+:\d+: there is no program .*/nowhere")
        result, report = self.run_pipeline(expect=1)
        self.assertEqual(report["delivered"], 4)
        self.assertIn("nowhere", result.err)

    def test_a_second_signal_ends_it(self):
        self.script("slow", "trap 'exit 9' TERM; echo begun >&2; sleep 60 & wait\n")
        self.pipeline("always", ["./slow"])
        running = self.start("run", "pipeline.yaml")
        running.wait_for_words("then: begun", 20, "the last step to begin")
        running.signal(signal.SIGTERM)
        running.wait_for_words("stopping:", 20, "the first signal to be seen")
        self.assertTrue(running.is_running())
        running.signal(signal.SIGINT)
        result = running.wait(within=10)
        self.assert_exit(result, 1)
        self.assertIn("then: './slow' ended by the stop, exit code 9", result.err)

    def test_one_that_ignores_the_stop_is_killed(self):
        self.script("stubborn", "trap '' TERM; echo begun >&2; sleep 60 & wait; sleep 60\n")
        self.pipeline("always", ["./stubborn"], stop_timeout="100ms")
        running = self.start("run", "pipeline.yaml")
        running.wait_for_words("then: begun", 20, "the last step to begin")
        running.signal(signal.SIGTERM)
        result = running.wait(within=10)
        self.assert_exit(result, 1)
        self.assertIn("killed by SIGKILL", result.err)


class TestVerbTest(brigade_e2e.BrigadeTest):
    def test_the_tests_of_a_file_with_a_real_handler(self):
        handler = self.write("double.py", """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    n = request["item"]["n"]
    answer = {"error": "odd", "retry": False} if n % 2 else {"ok": {"n": n * 2}}
    print(json.dumps({"id": request["id"], **answer}), flush=True)
""")
        tests = [{"name": "even", "input": {"n": 2}, "expect": {"output": {"n": 4}}},
                 {"name": "odd", "input": {"n": 3},
                  "expect": {"outcome": "dead_lettered", "error": "odd"}}]
        keys = {"source": {"file": {"path": "nowhere.ndjson", "format": "ndjson"}},
                "stages": [{"name": "double", "exec": python(handler), "workers": 4}],
                "sink": {"sqlite": {"file": "out.db", "table": "t"}}}
        self.write_pipeline(**keys, tests=tests)
        good = self.brigade("test", "pipeline.yaml")
        self.assert_exit(good, 0)
        self.assertIn("2 tests, 0 failed", good.out)
        tests[0]["expect"] = {"output": {"n": 5}}
        self.write_pipeline(**keys, tests=tests)
        bad = self.brigade("test", "pipeline.yaml")
        self.assert_exit(bad, 1)
        self.assertIn("output .n: expected 5, got 4", bad.out)
        self.assertFalse((self.folder / "state").exists(), "a test writes nothing")
        self.assertFalse((self.folder / "out.db").exists(), "a test writes nothing")
        tests[0]["expect"] = {"outcom": "filtered"}
        self.write_pipeline(**keys, tests=tests)
        self.assert_exit(self.brigade("test", "pipeline.yaml"), 78)


class GraphTest(brigade_e2e.BrigadeTest):
    def test_text_and_svg_of_an_example(self):
        file = brigade_e2e.EXAMPLES / "orders.yaml"
        text = self.brigade("graph", file)
        self.assert_exit(text, 0)
        for words in ("stage charge (exec)", "workers: 2", "retry: 3 attempts, 200ms..2s",
                      "timeout: 2s", "dead letters", "ledger"):
            self.assertIn(words, text.out)
        svg = self.brigade("graph", file, "--svg")
        root = xml.etree.ElementTree.fromstring(svg.out)
        self.assertTrue(root.tag.endswith("svg"))
        self.assertNotIn("href", svg.out)
        self.assertIn("stage charge (exec)", svg.out)

    def test_a_bad_file_is_exit_78(self):
        self.write("bad.yaml", "source: { stdin: {} }\nsinc: { stdout: {} }\n")
        result = self.brigade("graph", "bad.yaml")
        self.assert_exit(result, 78)
        self.assertEqual(result.out, "")


class OneLinerTest(brigade_e2e.BrigadeTest):
    """A pipeline without a file."""

    def setUp(self):
        super().setUp()
        self.write("in.txt", "".join(f"{n}\n" for n in range(1, 201)))
        self.write("h", f"""#!{sys.executable}
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    n = int(request["item"]["line"])
    answer = {{"error": "seven", "retry": False}} if n == 7 else {{"ok": {{"n": n}}}}
    print(json.dumps({{"id": request["id"], **answer}}), flush=True)
""").chmod(0o755)

    def run_line(self, *more, **options):
        return self.brigade("run", "--from", "lines:in.txt", "--do", "exec:./h", "-j", "4", "--to",
                            "ndjson:out", *more, **options)

    def out(self):
        lines = (self.folder / "out").read_text().splitlines()
        return sorted(json.loads(line)["n"] for line in lines)

    def test_it_does_what_a_file_would_and_goes_on_where_it_stopped(self):
        first = self.run_line("--report", "report.json")
        self.assert_exit(first, 3)
        report = self.checked_report(self.folder / "report.json", first)
        self.assertEqual(len(report["stages"][0]["workers"]), 4)
        self.assertEqual(self.out(), [n for n in range(1, 201) if n != 7])
        ledger = re.search(r"brigade dlq ls (\S+)", first.err)[1]
        self.assertIn("seven", self.brigade("dlq", "ls", ledger).out)
        self.assertEqual(self.run_line().last_line()["taken"], 0)
        with open(self.folder / "in.txt", "a") as more:
            more.write("201\n")
        self.assertEqual(self.run_line().last_line()["delivered"], 1)
        self.assertEqual(self.run_line("--fresh").last_line()["taken"], 201)

    def test_it_is_a_filter_of_standard_input(self):
        with open(self.folder / "in.txt") as given:
            result = self.brigade("run", "--from", "-", "--do", "filter:.line|endswith(\"00\")",
                                  "--to", "lines:-", "--state", "elsewhere", stdin=given)
        self.assert_exit(result, 0)
        self.assertEqual(result.out, "100\n200\n")
        self.assertTrue((self.folder / "elsewhere").is_dir())
        self.assertFalse((self.folder / ".brigade").exists())

    def test_a_mistake_is_exit_2_and_opens_nothing(self):
        for arguments in (("--from", "lins:in.txt"), ("--from", "-", "--do", "exce:./h"),
                          ("--from", "-", "-j", "0", "--do", "jq:."), ("--do", "jq:.")):
            result = self.brigade("run", *arguments)
            self.assert_exit(result, 2)
            self.assertNotEqual(result.err, "")
        self.assertFalse((self.folder / ".brigade").exists())

    def test_the_bar_tells_when_it_will_be_over(self):
        self.write("slow.py", """
import json, sys, time
for line in sys.stdin:
    time.sleep(0.01)
    print(json.dumps({"id": json.loads(line)["id"], "ok": {}}), flush=True)
""")
        running = self.start("run", "--from", "lines:in.txt", "--do",
                             f"exec:{sys.executable} slow.py", "--to", "null", "--progress", "bar")
        result = running.wait(within=60)
        self.assert_exit(result, 0)
        self.assertRegex(result.err, r"\d+%  \d+ done  [\d.]+/s .* ETA \d:\d\d")
        shares = [int(share) for share in re.findall(r"(\d+)%", result.err)]
        self.assertEqual(shares, sorted(shares))
        self.assertLess(shares[1], 60, "what is taken is not done")


class DropTest(brigade_e2e.BrigadeTest):
    def setUp(self):
        super().setUp()
        self.write("numbers.ndjson", numbers(6))
        self.write_pipeline(name="drop", id=".n",
                            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
                            stages=[{"name": "odd", "jq": 'if .n % 2 == 1 then error("odd \\(.n)") '
                                                          'else . end'}],
                            sink={"sqlite": {"file": "out.db", "table": "t"}})
        self.run_pipeline(expect=3)

    def drop(self, *arguments):
        return self.brigade("dlq", "drop", self.ledger("drop"), *arguments)

    def test_what_is_dropped_leaves_the_list_and_stays_in_the_history(self):
        self.assertEqual(self.drop("3").out, "dropped 1 dead letter\n")
        self.assertEqual(self.drop("--error", "odd 5").out, "dropped 1 dead letter\n")
        listed = self.brigade("dlq", "ls", self.ledger("drop"))
        self.assertIn("odd 1", listed.out)
        self.assertNotIn("odd 3", listed.out)
        self.assertNotIn("odd 5", listed.out)
        told = self.brigade("explain", self.ledger("drop"), "3")
        self.assertRegex(told.out, r"dead letter \d+: .* at stage 'odd', dropped")
        shown = self.brigade("dlq", "show", self.ledger("drop"), "3")
        self.assertIn('{"n": 3}', shown.out)
        replayed = self.brigade("dlq", "replay", self.ledger("drop"))
        self.assertEqual(replayed.last_line()["taken"], 1)

    def test_nothing_is_dropped_unless_it_is_said_what(self):
        self.assert_exit(self.drop(), 2)
        self.assert_exit(self.drop("--all", "--stage", "odd"), 2)
        self.assertEqual(self.drop("--stage", "even").out, "dropped 0 dead letters\n")
        self.assert_exit(self.drop("4"), 1)
        rows = query(self.ledger("drop"), "select count(*) from dead_letters where status = 'new'")
        self.assertEqual(rows, [(3,)])
        self.assertEqual(self.drop("--all").out, "dropped 3 dead letters\n")

    def test_a_ledger_in_use_or_absent_is_refused(self):
        running = self.start("run", "pipeline.yaml", "--set",
                             'source={"generate": {"json": "{}", "every": "10ms"}}',
                             "--fresh")
        wait_until(lambda: glimpse(self.ledger("drop"), "select count(*) from runs") == 2, 20,
                   "the second run to begin")
        self.assertIn("in use by process", self.drop("3").err)
        running.kill()
        self.assert_exit(self.brigade("dlq", "drop", "nowhere.db", "--all"), 1)
        self.assertFalse((self.folder / "nowhere.db").exists())


if __name__ == "__main__":
    brigade_e2e.main()
