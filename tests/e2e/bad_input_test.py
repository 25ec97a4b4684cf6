"""Bad input of every kind: a message that says where and what, the exit code, nothing lost."""
import json
import os
import re
import shutil
import sqlite3

import brigade_e2e
from brigade_e2e import HANDLERS, glimpse, numbers, program, python, wait_until

HANDLER_ITEMS = 8
FILE_OF_NUMBERS = {"file": {"path": "numbers.ndjson", "format": "ndjson"}}

GOOD_FILE = """\
name: bad
state: state
source: { file: { path: numbers.ndjson, format: ndjson } }
stages:
  - name: charge
    exec: [python3, charge.py]
    workers: 2
    timeout: 5s
sink: { sqlite: { file: out.db, table: numbers } }
"""

# (what is wrong, text of GOOD_FILE, what stands there instead, line, column or None, the message)
PIPELINE_FAULTS = [
    ("a misspelt key of a stage", "    workers: 2", "    worker: 2", 7, 5,
     r"unknown key 'worker' in stage 'charge'; did you mean 'workers'\?"),
    ("a misspelt key of the file", "stages:", "stagse:", 4, 1,
     r"unknown key 'stagse'.*did you mean 'stages'\?"),
    ("a misspelt field of a component", "format: ndjson", "fromat: ndjson", 3, 41,
     r"unknown key 'fromat' .*did you mean 'format'\?"),
    ("a key like no other", "    workers: 2", "    quorum: 2", 7, 5,
     r"unknown key 'quorum' in stage 'charge'(?!.*did you mean)"),
    ("a key given twice", "    timeout: 5s", "    workers: 3", 8, 5,
     r"duplicate key 'workers'"),
    ("a component given twice", "sink:", "source: { stdin: {} }\nsink:", 9, 1,
     r"duplicate key 'source'"),
    ("a text for a number", "workers: 2", "workers: many", 7, 14, r"workers.*'many'"),
    ("a number for a mapping", "sink: { sqlite: { file: out.db, table: numbers } }", "sink: 7", 9,
     7, r"sink"),
    ("a mapping for a text", "file: out.db", "file: { a: b }", 9, 25, r"'file'.*mapping"),
    ("a duration without its unit", "timeout: 5s", "timeout: 5", 8, 14,
     r"timeout.*unit.*\b\d+(ms|s|m)\b"),
    ("a size without its unit", "format: ndjson }", "format: ndjson, max_line: 1024 }", 3, 67,
     r"max_line.*unit.*\d+[KM]i?B"),
    ("a word that is no choice", "format: ndjson", "format: parquet", 3, 49,
     r"format.*ndjson.*'parquet'|'parquet'.*ndjson"),
    ("an unset variable", "out.db", '"${BRIGADE_E2E_UNSET}.db"', 9, 25, r"BRIGADE_E2E_UNSET"),
    ("an alias within itself", "stages:\n", "give_up_after: &a [ *a ]\nstages:\n", 4, None,
     r"alias"),
    ("a component that is none", "    exec: [python3, charge.py]", "    exce: [python3, charge.py]",
     6, None, r"exce.*did you mean 'exec'\?"),
    ("no YAML at all", "stages:\n", "stages: ]\n", 4, None, r"YAML"),
]


class PipelineFileTest(brigade_e2e.BrigadeTest):
    def setUp(self):
        super().setUp()
        self.write("numbers.ndjson", numbers(3))

    def refused(self, text):
        """Standard error of `check` and of `run`, which both must refuse the file."""
        self.write("bad.yaml", text)
        for verb in (("check", "--offline"), ("run",)):
            result = self.brigade(*verb, "bad.yaml", within=10)
            self.assert_exit(result, 78)
            self.assertFalse((self.folder / "state").exists(), "nothing was opened")
            self.assertFalse((self.folder / "out.db").exists(), "nothing was opened")
        return result.err

    def test_a_sound_file_is_accepted(self):
        self.write("bad.yaml", GOOD_FILE)
        self.assert_exit(self.brigade("check", "--offline", "bad.yaml"), 0)

    def test_each_fault_is_named_with_its_place(self):
        for what, right, wrong, line, column, message in PIPELINE_FAULTS:
            with self.subTest(what):
                self.assertEqual(GOOD_FILE.count(right), 1)
                said = self.refused(GOOD_FILE.replace(right, wrong))
                place = rf"bad\.yaml:{line}:{column or '[0-9]+'}: "
                self.assertRegex(said, re.compile(f"^(.*/)?{place}.*({message})", re.MULTILINE))

    def test_all_faults_of_a_file_are_reported_at_once(self):
        said = self.refused(GOOD_FILE.replace("workers", "worker").replace("5s", "5")
                            .replace("ndjson }", "parquet }"))
        for place in ("3:49", "7:5", "8:14"):
            self.assertIn(f"bad.yaml:{place}: ", said)

    def test_an_absent_pipeline_file_is_named(self):
        for verb in ("check", "run"):
            result = self.brigade(verb, "nowhere.yaml")
            self.assert_exit(result, 78)
            self.assertIn("nowhere.yaml", result.err)

    def test_a_variable_with_a_default_may_be_unset_or_set(self):
        self.write("bad.yaml", GOOD_FILE.replace("out.db", '"${BRIGADE_E2E_UNSET:out.db}"'))
        self.assert_exit(self.brigade("check", "--offline", "bad.yaml"), 0)
        self.write("bad.yaml", GOOD_FILE.replace("workers: 2", "workers: ${BRIGADE_E2E_SET}"))
        many = self.brigade("check", "--offline", "bad.yaml", env={"BRIGADE_E2E_SET": "many"})
        self.assert_exit(many, 78)
        self.assertIn("'many'", many.err)
        two = self.brigade("check", "--offline", "bad.yaml", env={"BRIGADE_E2E_SET": "2"})
        self.assert_exit(two, 0)

    def test_wrong_usage_exits_with_2(self):
        for arguments in ((), ("rnu", "bad.yaml"), ("run",), ("run", "bad.yaml", "--no-such")):
            with self.subTest(arguments):
                result = self.brigade(*arguments)
                self.assert_exit(result, 2)
                self.assertNotEqual(result.err + result.out, "")


class SourceTest(brigade_e2e.BrigadeTest):
    def pipeline(self, path, stages=(), **fields):
        self.write_pipeline(name="bad", ledger={"mode": "full"}, stages=list(stages),
                            source={"file": {"path": path, **fields}},
                            sink={"file": {"path": "out.ndjson"}})

    def delivered(self):
        out = self.folder / "out.ndjson"
        return [json.loads(line) for line in out.read_text("utf-8").splitlines()]

    def letter_of(self, report):
        letter, = report["dead_letters"]
        shown = self.brigade("dlq", "show", self.ledger("bad"), letter["id"])
        self.assert_exit(shown, 0)
        return letter, shown.out

    def test_an_absent_file_ends_the_run_with_1(self):
        self.pipeline("nowhere.txt", format="lines")
        result = self.brigade("run", "pipeline.yaml", within=10)
        self.assert_exit(result, 1)
        self.assertIn("nowhere.txt", result.err)

    def test_an_unreadable_file_ends_the_run_with_1(self):
        (self.folder / "folder.txt").mkdir()  # permissions do not bind root; this does
        self.pipeline("folder.txt", format="lines")
        result = self.brigade("run", "pipeline.yaml", within=10)
        self.assert_exit(result, 1)
        self.assertIn("folder.txt", result.err)

    def test_the_file_may_come_later(self):
        self.pipeline("later.ndjson", format="ndjson")
        self.assert_exit(self.brigade("run", "pipeline.yaml", within=10), 1)
        self.write("later.ndjson", numbers(3))
        self.run_pipeline(expect=0)
        self.assertEqual(self.delivered(), [{"n": 1}, {"n": 2}, {"n": 3}])

    def test_a_line_that_is_not_json_is_a_dead_letter_of_the_source(self):
        self.write("in.ndjson", '{"n": 1}\n{"n": 2,\n{"n": 3}\n')
        self.pipeline("in.ndjson", format="ndjson")
        _, report = self.run_pipeline(expect=3)
        letter, shown = self.letter_of(report)
        self.assertEqual((letter["stage"], letter["attempts"]), ("source", 1))
        self.assertRegex(letter["error"], r"(?i)json")
        self.assertTrue(letter["id"].endswith(":9"), letter["id"])
        self.assertIn('{"n": 2,', shown)
        self.assertEqual(self.delivered(), [{"n": 1}, {"n": 3}])

    def test_invalid_utf8_fails_at_the_first_stage_that_needs_json(self):
        self.write("in.txt", b"one\ncaf\xe9\nthree\n")
        self.pipeline("in.txt", [{"jq": ".line |= ascii_upcase"}], format="lines")
        _, report = self.run_pipeline(expect=3)
        letter, _ = self.letter_of(report)
        self.assertEqual(letter["stage"], "jq")
        self.assertRegex(letter["error"], r"(?i)utf-?8")
        self.assertEqual(self.delivered(), [{"line": "ONE"}, {"line": "THREE"}])

    def test_invalid_utf8_in_ndjson_never_reaches_the_sink(self):
        self.write("in.ndjson", b'{"n": 1}\n{"n": "caf\xe9"}\n{"n": 3}\n')
        self.pipeline("in.ndjson", [{"jq": ".n"}], format="ndjson")
        _, report = self.run_pipeline(expect=3)
        letter, _ = self.letter_of(report)
        self.assertIn(letter["stage"], ("source", "jq"))
        self.assertRegex(letter["error"], r"(?i)utf-?8")
        self.assertEqual(self.delivered(), [1, 3])

    def test_an_over_long_line_is_cut_and_told_with_its_length_and_place(self):
        start, length, kept = "start of it ", 200 << 10, 64 << 10
        long_line = (start + "0123456789" * length)[:length]
        self.write("in.txt", f"one\n{long_line}\nthree\n")
        self.pipeline("in.txt", format="lines", max_line="100KiB")
        _, report = self.run_pipeline(expect=3)
        letter, shown = self.letter_of(report)
        self.assertEqual((letter["stage"], letter["attempts"]), ("source", 1))
        self.assertIn(str(length), letter["error"])
        self.assertTrue(letter["id"].endswith(":4"), letter["id"])
        self.assertIn(start, shown)
        self.assertIn(long_line[:kept][-100:], shown)
        self.assertNotIn(long_line[:kept + 100], shown)
        self.assertEqual(self.delivered(), [{"line": "one"}, {"line": "three"}])

    def test_a_line_of_exactly_the_limit_is_an_item(self):
        self.write("in.txt", "x" * 1024 + "\n" + "y" * 1025 + "\n" + "z" * 1024)
        self.pipeline("in.txt", format="lines", max_line="1KiB")
        _, report = self.run_pipeline(expect=3)
        self.assertEqual((report["delivered"], report["dead_lettered"]), (2, 1))

    def test_an_empty_file_is_no_item_and_no_failure(self):
        self.write("in.txt", "")
        self.pipeline("in.txt", format="lines")
        _, report = self.run_pipeline(expect=0)
        self.assertEqual(report["taken"], 0)

    def test_the_last_line_needs_no_newline(self):
        self.write("in.txt", "one\n\nthree")
        self.pipeline("in.txt", format="lines")
        _, report = self.run_pipeline(expect=0)
        self.assertEqual(report["delivered"], 3)
        self.assertEqual(self.delivered(), [{"line": "one"}, {"line": ""}, {"line": "three"}])


class HandlerTest(brigade_e2e.BrigadeTest):
    def run_rude(self, *told, expect, **keys):
        self.write("numbers.ndjson", numbers(HANDLER_ITEMS))
        stage = {"exec": python(HANDLERS / "rude.py", told[0], self.folder, *told[1:]),
                 "name": "ask", "retry": {"attempts": 2, "backoff": "1ms..2ms"}, **keys}
        self.write_pipeline(name="bad", ledger={"mode": "full"}, stages=[stage],
                            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
                            sink={"sqlite": {"file": "out.db", "table": "numbers"}})
        return self.run_pipeline(expect=expect, within=30)

    def assert_delivered(self, items):
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers", items)

    def all_but_the_third(self):
        return set(range(1, HANDLER_ITEMS + 1)) - {3}

    def test_rubbish_makes_the_child_be_replaced_and_says_so(self):
        for mode, shown in (("rubbish", "Loading the model"), ("unknown_id", "4711")):
            with self.subTest(mode):
                result, _ = self.run_rude(mode, "once", expect=0)
                self.assertIn(shown, result.err)
                self.assert_delivered(range(1, HANDLER_ITEMS + 1))
                self.tidy_up()

    def tidy_up(self):
        for name in ("out.db", "was_rude"):
            (self.folder / name).unlink()
        shutil.rmtree(self.folder / "state")

    def test_an_item_that_always_gets_rubbish_is_a_dead_letter(self):
        for mode in ("rubbish", "unknown_id", "long_answer"):
            with self.subTest(mode):
                _, report = self.run_rude(mode, expect=3)
                letter, = report["dead_letters"]
                self.assertEqual(letter["stage"], "ask")
                self.assertNotEqual(letter["error"], "")
                self.assert_delivered(self.all_but_the_third())
                self.tidy_up()

    def test_a_second_answer_is_never_taken_for_another_items(self):
        result, report = self.run_rude("two_answers", expect=0)
        self.assertRegex(result.err, r"(?i)second answer|answered twice|unknown id|two answers")
        self.assertEqual(report["delivered"], HANDLER_ITEMS)
        self.assert_delivered(range(1, HANDLER_ITEMS + 1))

    def test_no_answer_is_a_timeout_of_that_item_alone(self):
        result, report = self.run_rude("silent", expect=3, timeout="500ms")
        letter, = report["dead_letters"]
        self.assertEqual((letter["stage"], letter["attempts"]), ("ask", 2))
        self.assertRegex(letter["error"], r"(?i)tim(ed|e)[ -]?out")
        self.assertEqual(report["retries"], 1)
        self.assert_delivered(self.all_but_the_third())

    def test_a_child_that_was_silent_from_the_start_is_told_of_with_a_hint(self):
        self.write("mute.py", "import time\ntime.sleep(3600)\n")
        self.write("numbers.ndjson", numbers(2))
        self.write_pipeline(name="bad", sink={"null": {}},
                            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
                            stages=[{"exec": python("mute.py"), "name": "ask", "timeout": "300ms",
                                     "retry": {"attempts": 1, "backoff": "1ms..2ms"}}])
        result, report = self.run_pipeline(expect=3)
        self.assertEqual(report["dead_lettered"], 2)
        self.assertRegex(result.err, r"(?i)buffer")

    def test_a_handler_that_floods_stderr_holds_nobody_up(self):
        self.write("flood.py", "import sys\nwhile True: sys.stderr.write('y\\n' * 32768)\n")
        self.write("numbers.ndjson", numbers(2))
        self.write_pipeline(name="bad", sink={"null": {}},
                            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
                            stages=[{"exec": python("flood.py"), "name": "ask", "timeout": "500ms",
                                     "retry": {"attempts": 1, "backoff": "1ms..2ms"}}])
        result, report = self.run_pipeline(expect=3, within=30)
        self.assertEqual(report["dead_lettered"], 2)
        self.assertRegex(report["dead_letters"][0]["error"], r"(?i)tim(ed|e)[ -]?out")

    def test_what_a_handler_declines_is_a_dead_letter_with_its_words(self):
        result, report = self.run_rude("declines", expect=3)
        letter, = report["dead_letters"]
        self.assertIn("the oven is cold", letter["error"])
        self.assertEqual((letter["attempts"], report["retries"]), (1, 0))
        self.assertIn("the oven is cold", result.err)
        self.assert_delivered(self.all_but_the_third())

    def test_a_fatal_answer_stops_the_run_and_returns_the_rest(self):
        result, report = self.run_rude("fatal", "once", expect=1)
        self.assertIn("the kitchen is on fire", result.err)
        self.assertEqual(report["taken"], report["delivered"] + report["returned"])
        self.run_pipeline(expect=0)  # `once`: it has calmed down
        self.assert_delivered(range(1, HANDLER_ITEMS + 1))


class LedgerTest(brigade_e2e.BrigadeTest):
    def setUp(self):
        super().setUp()
        self.write("numbers.ndjson", numbers(5))
        self.pipeline()

    def pipeline(self, *told):
        self.write_pipeline(
            name="bad", ledger={"mode": "full"}, stop_timeout="1s",
            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
            stages=[{"exec": python(HANDLERS / "slow.py", self.folder, *told), "name": "cook"}],
            sink={"sqlite": {"file": "out.db", "table": "numbers"}})

    def rows(self):
        return glimpse(self.folder / "out.db", "select count(*) from numbers")

    def test_a_folder_in_place_of_the_ledger_ends_the_run_with_1(self):
        self.ledger("bad").mkdir(parents=True)
        result = self.brigade("run", "pipeline.yaml", within=10)
        self.assert_exit(result, 1)
        self.assertIn("bad.ledger.db", result.err)
        self.assertEqual(self.rows(), 0)

    def test_a_read_only_ledger_ends_the_run_with_1(self):
        options, command = {}, None
        if os.geteuid() == 0:  # permissions do not bind root: be somebody else
            nobody = 65534
            options = {"user": nobody, "group": nobody, "extra_groups": []}
            command = shutil.copy(program(), self.folder / "brigade")
            os.chown(self.folder, nobody, nobody)
            self.folder.chmod(0o755)
        pipeline = json.loads((self.folder / "pipeline.yaml").read_text())
        self.write_pipeline(**{**pipeline, "stages": [{"filter": ".n != null"}]})
        first = self.brigade("run", "pipeline.yaml", within=20, command=command, **options)
        self.assert_exit(first, 0)
        self.write("numbers.ndjson", numbers(8))
        self.ledger("bad").chmod(0o444)
        result = self.brigade("run", "pipeline.yaml", within=10, command=command, **options)
        self.assert_exit(result, 1)
        self.assertIn("bad.ledger.db", result.err)
        self.assertRegex(result.err, r"(?i)read-?only|permission|not writ(e|able)|cannot write")
        self.assertEqual(self.rows(), 5, "nothing was done that could not be accounted for")
        self.ledger("bad").chmod(0o600)
        self.assert_exit(self.brigade("run", "pipeline.yaml", command=command, **options), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers", range(1, 9))

    def test_a_ledger_of_another_version_is_refused_and_left_alone(self):
        self.run_pipeline(expect=0)
        self.write("numbers.ndjson", numbers(8))
        before = set_schema_version(self.ledger("bad"), 9999)
        for arguments in (("run", "pipeline.yaml"), ("report", self.ledger("bad")),
                          ("dlq", "ls", self.ledger("bad"))):
            with self.subTest(arguments[0]):
                result = self.brigade(*arguments, within=10)
                self.assert_exit(result, 1)
                self.assertRegex(result.err, r"(?i)version")
                self.assertIn("9999", result.err)
        self.assertEqual(self.rows(), 5)
        set_schema_version(self.ledger("bad"), before)
        self.run_pipeline(expect=0)
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers", range(1, 9))

    def test_a_file_that_is_no_ledger_is_refused_and_left_alone(self):
        self.ledger("bad").parent.mkdir()
        self.ledger("bad").write_text("these are my notes, not a database\n" * 100)
        result = self.brigade("run", "pipeline.yaml", within=10)
        self.assert_exit(result, 1)
        self.assertIn("bad.ledger.db", result.err)
        self.assertIn("these are my notes", self.ledger("bad").read_text())

    def test_a_second_brigade_on_one_ledger_is_refused_at_once(self):
        self.pipeline("--gate")
        first = self.start("run", "pipeline.yaml")
        wait_until(lambda: list(self.folder.glob("started.*")) or not first.is_running(), 20,
                   "the first to be at work")
        for arguments in (("run", "pipeline.yaml"), ("run", "pipeline.yaml", "--fresh"),
                          ("dlq", "replay", self.ledger("bad"))):
            with self.subTest(arguments):
                second = self.brigade(*arguments, within=10)
                self.assert_exit(second, 1)
                self.assertRegex(second.err, rf"\b{first.pid}\b")
                self.assertLess(second.seconds, 5 * brigade_e2e.PATIENCE)
        self.write("gate", "")
        self.assert_exit(first.wait(20), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers", range(1, 6))

    def test_a_killed_brigade_does_not_block_the_next(self):
        self.pipeline("--gate")
        first = self.start("run", "pipeline.yaml")
        wait_until(lambda: list(self.folder.glob("started.*")) or not first.is_running(), 20,
                   "the first to be at work")
        self.assertTrue(first.kill())
        self.assert_no_process_is_left()  # the handler waits at its gate, and must not outlive it
        self.write("gate", "")
        self.run_pipeline(expect=0)
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers", range(1, 6))

    def test_another_source_under_the_same_name_is_refused_naming_fresh(self):
        self.run_pipeline(expect=0)
        self.write("others.ndjson", numbers(7))
        pipeline = self.folder / "pipeline.yaml"
        pipeline.write_text(pipeline.read_text().replace("numbers.ndjson", "others.ndjson"))
        result = self.brigade("run", "pipeline.yaml", within=10)
        self.assertNotEqual(result.exit, 0)
        self.assertIn("--fresh", result.err)
        self.assertEqual(self.rows(), 5)
        self.run_pipeline(expect=0, arguments=["--fresh"])
        self.assertEqual(self.rows(), 12)

    def test_replaying_a_ledger_that_is_not_there_makes_none_for_a_named_pipeline(self):
        result = self.brigade("dlq", "replay", self.ledger("misspelt"), "--pipeline",
                              "pipeline.yaml", within=10)
        self.assert_exit(result, 1)
        self.assertIn("misspelt.ledger.db", result.err)
        self.assertFalse(self.ledger("misspelt").exists())

    def test_replaying_what_is_not_there_says_so(self):
        self.run_pipeline(expect=0)
        result = self.brigade("dlq", "replay", self.ledger("bad"), "4711", within=10)
        self.assert_exit(result, 0)
        self.assertRegex(result.err, r"no such dead letter")
        self.assertEqual(result.last_line()["taken"], 0)

    def test_reading_a_ledger_that_is_not_there_makes_none(self):
        for arguments in (("report",), ("explain", "1"), ("dlq", "ls"), ("dlq", "replay")):
            with self.subTest(arguments):
                verb, rest = ((("dlq", arguments[1]), ()) if arguments[0] == "dlq"
                              else ((arguments[0],), arguments[1:]))
                result = self.brigade(*verb, self.ledger("bad"), *rest, within=10)
                self.assert_exit(result, 1)
                self.assertIn("bad.ledger.db", result.err)
                self.assertFalse(self.ledger("bad").exists())


class StreamTest(brigade_e2e.BrigadeTest):
    """Standard streams that the caller has closed."""

    def run_without(self, closed, source, sink):
        self.write("numbers.ndjson", numbers(5))
        self.write_pipeline(name="bad", source=source, sink=sink)
        command = f'exec "$0" run pipeline.yaml --progress none {closed}'
        return self.start("-c", command, program(), command="/bin/sh").wait(15)

    def test_a_closed_standard_input_ends_the_run_with_1(self):
        result = self.run_without("<&-", {"stdin": {"format": "lines"}}, {"null": {}})
        self.assert_exit(result, 1)
        self.assertRegex(result.err, r"(?i)standard input|stdin")
        self.assertEqual(result.last_line()["taken"], 0)

    def test_a_closed_standard_output_ends_the_run_with_1(self):
        result = self.run_without(">&-", FILE_OF_NUMBERS, {"stdout": {}})
        self.assert_exit(result, 1)
        self.assertRegex(result.err, r"(?i)standard output|stdout")
        self.assertEqual(result.last_line()["returned"], 5)

    def test_an_answer_that_cannot_be_written_is_exit_1(self):
        for lost in (">&-", ">/dev/full"):
            for verb in ("new file sqlite", "list", "help sink file"):
                with self.subTest(lost, verb=verb):
                    command = f'exec "$0" {verb} {lost}'
                    result = self.start("-c", command, program(), command="/bin/sh").wait(15)
                    self.assert_exit(result, 1)
                    self.assertIn("standard output", result.err)

    def test_a_closed_standard_error_costs_only_the_messages(self):
        for lost in ("2>&-", "2>/dev/full"):
            with self.subTest(lost):
                result = self.run_without(lost, FILE_OF_NUMBERS, {"stdout": {}})
                self.assert_exit(result, 0)
                self.assertEqual([json.loads(line)["n"] for line in result.out.splitlines()],
                                 [1, 2, 3, 4, 5])
                shutil.rmtree(self.folder / "state")


class ReportTest(brigade_e2e.BrigadeTest):
    """--report to places where there is no making a file."""

    def setUp(self):
        super().setUp()
        self.write("numbers.ndjson", numbers(5))
        self.write_pipeline(name="bad", sink={"null": {}},
                            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}})

    def report_to(self, place):
        return self.brigade("run", "pipeline.yaml", "--report", place, within=30)

    def test_a_place_that_cannot_be_is_refused_before_anything_is_taken(self):
        for place in (self.folder / "nowhere" / "report.json", self.folder, ""):
            with self.subTest(place):
                result = self.report_to(place)
                self.assert_exit(result, 1)
                self.assertIn("--report", result.err)
                self.assertFalse(self.ledger("bad").exists())

    def test_a_report_that_cannot_be_written_does_not_hide_how_the_run_went(self):
        result = self.report_to("/dev/full")
        self.assert_exit(result, 1)
        self.assertIn("--report /dev/full", result.err)
        self.assertEqual((result.last_line()["delivered"], result.last_line()["exit"]), (5, 1))

    def test_a_link_is_written_through(self):
        (self.folder / "link.json").symlink_to("there.json")
        self.assert_exit(self.report_to(self.folder / "link.json"), 0)
        self.assertTrue((self.folder / "link.json").is_symlink())
        self.assertEqual(self.checked_report(self.folder / "there.json")["delivered"], 5)

    def test_a_pipe_is_written_to_and_stays(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        running = self.start("run", "pipeline.yaml", "--report", pipe)
        told = json.loads(pipe.read_text())
        self.assert_exit(running.wait(30), 0)
        self.assertEqual(told["delivered"], 5)
        self.assertTrue(pipe.is_fifo())


def set_schema_version(ledger, version):
    """Makes the ledger one of another version; gives back the version it had."""
    connection = sqlite3.connect(ledger, isolation_level=None)
    try:
        (before,), = connection.execute("select value from meta where key = 'schema'")
        connection.execute("update meta set value = ? where key = 'schema'", (version,))
        return before
    finally:
        connection.close()


if __name__ == "__main__":
    brigade_e2e.main()
