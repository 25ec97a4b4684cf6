"""How systems of this kind have lost data: each way that these layers could go has a test.

The numbers are those of README.md. Behind "Guard" is what was taken out of the program, once, to
see the test fail.
"""
import hashlib
import json
import os
import re
import signal
import subprocess
import time
import unittest
from pathlib import Path

from life import FULL, brigade_e2e
from brigade_e2e import PATIENCE, numbers, python, query, wait_until
from small_disk import SmallDisk, Unmounting, can_mount

HERE = Path(__file__).resolve().parent
needs_a_disk = unittest.skipUnless(can_mount(), "only root can mount a small disk")
WATCHDOG_AFTER = 4  # seconds behind the deadline of a stop


class RowsTest(Unmounting, brigade_e2e.BrigadeTest):
    def pipeline(self, count=0, **keys):
        """numbers.ndjson into out/out.ndjson, and what is said otherwise."""
        if count:
            self.write("numbers.ndjson", numbers(count))
        (self.folder / "out").mkdir(exist_ok=True)
        self.write_pipeline(**{
            "name": "rows", "ledger": {"mode": "full"},
            "source": {"file": {"path": "numbers.ndjson", "format": "ndjson"}},
            "sink": {"file": {"path": "out/out.ndjson"}}, **keys})

    def handler(self, body, **keys):
        """A stage whose handler has `body` for each request."""
        self.write("handler.py", "import json, os, sys, time\nfor line in sys.stdin:\n"
                   "    asked = json.loads(line)\n    item, n = asked['item'], asked['item']['n']\n"
                   "    answer = {'id': asked['id'], 'ok': item}\n"
                   + "".join(f"    {line}\n" for line in body.splitlines())
                   + "    print(json.dumps(answer), flush=True)\n")
        return {"exec": python(self.folder / "handler.py"), "name": "work", **keys}

    def small_disk(self, name, left):
        return SmallDisk(self.folder / name, left)

    def written(self):
        path = self.folder / "out" / "out.ndjson"
        if not path.exists():
            return []
        return [json.loads(line)["n"] for line in path.read_text().splitlines()]

    def letters(self):
        """The numbers of the items that are dead letters."""
        return sorted(json.loads(payload)["n"] for payload, in query(
            self.ledger("rows"), "select payload from dead_letters where status = 'new'"))

    def assert_all_written(self, count, but=()):
        self.assertEqual(sorted(self.written()), [n for n in range(1, count + 1) if n not in but])

    def start_and_wait(self, words):
        running = self.start("run", "pipeline.yaml", "--report", self.folder / "report.json")
        running.wait_for_words(words, 30, words)
        return running

    # Row 1: a mark that jumps a hole. Guard: a mark is finished up to the first hole only.
    def test_row_01_what_is_unfinished_below_what_is_finished_is_taken_again(self):
        count = 700
        rejected = [n for n in range(1, count + 1) if n % 7 == 0]
        self.pipeline(count, window={"items": 50}, stages=[self.handler(
            "if n % 7 == 0: answer = {'id': asked['id'], 'error': 'no', 'retry': False}\n"
            "if n % 50 == 20 and not os.path.exists('released'): time.sleep(0.3)", workers=4)])
        for rows in (30, 150):
            running = self.start("run", "pipeline.yaml")
            wait_until(lambda: len(self.written()) >= rows or not running.is_running(), 30, "rows")
            self.assertTrue(running.kill(), running.err())
        self.write("released", "")
        self.assertIn(self.brigade("run", "pipeline.yaml").exit, (0, 3))
        self.assert_all_written(count, but=rejected)
        self.assertEqual(self.letters(), rejected)

    # Row 2: acknowledged when read. Guard: an outage is no delivery.
    @needs_a_disk
    def test_row_02_a_sink_that_is_down_from_the_beginning_costs_nothing(self):
        self.write("numbers.ndjson", numbers(500).rstrip("\n"))  # the file ends in half a line
        self.pipeline()
        disk = self.small_disk("out", left=0)
        self.assertTrue(self.start_and_wait(FULL).kill())
        self.assertEqual(self.written(), [])
        disk.make_room()
        self.run_pipeline(expect=0)
        self.assert_all_written(500)

    # Row 5: a batch that waits for its timer. Guard: when nothing more can come in a drain, the
    # sink's queue is closed.
    def test_row_05_a_batch_that_waits_is_written_when_it_is_stopped(self):
        self.pipeline(source={"generate": {"json": '{"n": {n}}', "every": "5ms"}},
                      stop_timeout="5s",
                      sink={"file": {"path": "out/out.ndjson"},
                            "batch": {"count": 100_000, "within": "30m"}})
        running = self.start("run", "pipeline.yaml", "--report", self.folder / "report.json")
        wait_until(lambda: self.ledger("rows").exists(), 10, "the run to begin")
        time.sleep(1)  # the batch has some items then, and nothing tells of it
        self.assertEqual(self.written(), [])
        running.signal(signal.SIGTERM)
        result = running.wait(5 + WATCHDOG_AFTER)
        self.assert_exit(result, 0)
        report = self.checked_report(self.folder / "report.json", result)
        self.assertGreater(report["taken"], 20)
        self.assertEqual(report["taken"], report["delivered"])
        self.assert_all_written(report["taken"])

    # Row 6: a stop that never ends because the output is down. Guard: a write that does not end is
    # destroyed in its grace, and behind that the watchdog.
    def test_row_06_a_sink_that_never_answers_does_not_hold_up_a_stop(self):
        self.write("numbers.ndjson", "".join(
            json.dumps({"n": n, "text": "x" * 2000}) + "\n" for n in range(1, 201)))
        self.pipeline(stop_timeout="1s", sink={"stdout": {}})
        reader, writer = os.pipe()
        try:
            process = subprocess.Popen(
                [brigade_e2e.program(), "run", "pipeline.yaml"], cwd=self.folder, stdout=writer,
                stderr=subprocess.PIPE)
            os.close(writer)
            began = time.monotonic()
            time.sleep(1)  # the pipe is full, and nobody reads it
            process.send_signal(signal.SIGTERM)
            process.wait((1 + WATCHDOG_AFTER + 1) * PATIENCE)
            self.assertLess(time.monotonic() - began, (2 + WATCHDOG_AFTER + 1) * PATIENCE)
            process.stderr.close()
            heard = b"".join(iter(lambda: os.read(reader, 1 << 16), b""))
        finally:
            process.kill()
            os.close(reader)
        acknowledged = query(self.ledger("rows"), "select count(*) from items where"
                             " outcome = 'delivered'")[0][0]
        self.assertLessEqual(acknowledged, heard.count(b"\n"), "no more than was written")
        result = self.brigade("run", "pipeline.yaml")
        self.assert_exit(result, 0)
        whole = {json.loads(line)["n"] for line in result.out.splitlines()}
        before = {json.loads(line)["n"] for line in heard.split(b"\n")[:-1]}
        self.assertEqual(whole | before, set(range(1, 201)))

    # Row 7: given up because of the stop. Guards: an outage charges no attempt; an attempt that is
    # cancelled by the stop is no failure.
    @needs_a_disk
    def test_row_07_a_stop_while_the_sink_is_down_returns_the_items(self):
        self.pipeline(300, stop_timeout="1s", sink={"file": {"path": "out/out.ndjson"},
                                                    "retry": {"attempts": 1}})
        disk = self.small_disk("out", left=0)
        running = self.start_and_wait(FULL)
        running.signal(signal.SIGTERM)
        result = running.wait(1 + WATCHDOG_AFTER + 1)
        self.assert_exit(result, 5)
        said = result.last_line()
        self.assertEqual((said["delivered"], said["dead_lettered"]), (0, 0))
        disk.make_room()
        self.run_pipeline(expect=0)
        self.assert_all_written(300)

    def test_row_07_a_stop_in_the_last_attempt_returns_the_item(self):
        once = {"retry": {"attempts": 1}, "workers": 4}
        self.pipeline(40, stop_timeout="1s", stages=[self.handler(
            "open(f'started.{n}', 'w').close()\ntime.sleep(3600)", **once)])
        running = self.start("run", "pipeline.yaml")
        wait_until(lambda: len(list(self.folder.glob("started.*"))) >= 4, 20, "busy hands")
        running.signal(signal.SIGTERM)
        result = running.wait(1 + WATCHDOG_AFTER + 1)
        self.assert_exit(result, 5)
        self.assertEqual(result.last_line()["returned"], result.last_line()["taken"])
        self.pipeline(stages=[self.handler("", **once)])
        self.run_pipeline(expect=0)
        self.assert_all_written(40)

    # Row 12: one bad row fails its batch. Guard: a transactional sink's good rows are written
    # again without it.
    def test_row_12_one_bad_row_of_a_thousand_fails_alone(self):
        database = self.folder / "out.db"
        query(database, "create table t (n integer check (n <> 847))")
        self.pipeline(1000, sink={"sqlite": {"file": "out.db", "table": "t"},
                                  "batch": {"count": 1000, "within": "1s"}})
        self.run_pipeline(expect=3)
        self.assert_rows_exactly_once(database, "t", [n for n in range(1, 1001) if n != 847])
        self.assertEqual(self.letters(), [847])

    # Row 14: given up after a few attempts, and silently. Guards: an outage charges no attempt; an
    # item without attempts left is buried, not dropped.
    @needs_a_disk
    def test_row_14_an_outage_that_outlasts_the_retries_gives_nothing_up(self):
        self.pipeline(300, sink={"file": {"path": "out/out.ndjson"},
                                 "retry": {"attempts": 2, "backoff": "1ms..2ms"}})
        disk = self.small_disk("out", left=0)
        running = self.start_and_wait(FULL)
        time.sleep(1.5)  # several attempts
        disk.make_room()
        result = running.wait(60)
        self.assert_exit(result, 0)
        self.assertEqual(result.last_line()["delivered"], 300)
        self.assert_all_written(300)

    def test_row_14_what_is_given_up_after_its_retries_is_a_dead_letter(self):
        self.pipeline(50, stages=[self.handler(
            "if n % 5 == 0: answer = {'id': asked['id'], 'error': 'not now'}",
            retry={"attempts": 2, "backoff": "1ms..2ms"})])
        _, report = self.run_pipeline(expect=3)
        self.assertEqual((report["dropped"], report["dead_lettered"]), (0, 10))
        self.assertEqual(self.letters(), list(range(5, 51, 5)))

    # Row 15: a failed item goes on as if nothing was. Guard: a failed attempt has no item to pass.
    def test_row_15_what_failed_never_reaches_the_sink(self):
        bad = list(range(10, 301, 10))
        self.pipeline(300, stages=[
            self.handler("if n % 10 == 0: answer = {'id': asked['id'], 'error': 'no',"
                         " 'retry': False, 'ok ': item}", workers=2),
            {"jq": ".seen = true"}])
        self.run_pipeline(expect=3)
        self.assert_all_written(300, but=bad)
        self.assertEqual(self.letters(), bad)

    # Row 16: full dead letters lose the newest. Guard: what finds no room is written when there is.
    def test_row_16_full_dead_letters_hold_the_intake_and_no_restart_loses_one(self):
        count = 400
        self.write("numbers.ndjson", "".join(
            json.dumps({"n": n, "text": "x" * 4000}) + "\n" for n in range(1, count + 1)))
        failing = {"jq": 'error("no")', "name": "work"}
        for _ in range(10):
            self.pipeline(stages=[failing], window={"items": 20},
                          ledger={"mode": "failures", "max": "512KiB"})
            known = self.letters() if self.ledger("rows").exists() else []
            running = self.start_and_wait("disk is full: waiting for room")
            self.assertTrue(running.kill())
            self.assertLessEqual(set(known), set(self.letters()))
            self.assertLess(len(self.letters()), count)
        letters, = query(self.ledger("rows"), "select count(*), count(distinct id)"
                         " from dead_letters")
        self.assertEqual(*letters)
        self.pipeline(stages=[failing], ledger={"mode": "failures"})
        self.run_pipeline(expect=3)
        self.assertEqual(self.letters(), list(range(1, count + 1)))

    # Guard: a letter is in the ledger when it is in its file, and no sooner.
    def test_row_16_a_full_file_of_dead_letters_holds_the_intake(self):
        count = 300
        self.write("numbers.ndjson", "".join(
            json.dumps({"n": n, "text": "x" * 400}) + "\n" for n in range(1, count + 1)))
        keys = {"stages": [{"jq": 'error("no")', "name": "work"}], "window": {"items": 20}}
        path = self.folder / "dead.ndjson"
        for _ in range(3):
            self.pipeline(dead_letters={"file": "dead.ndjson", "max": "40KiB"}, **keys)
            running = self.start_and_wait("has reached its limit|is full: waiting for room")
            self.assertTrue(running.kill())
            self.assertLessEqual(path.stat().st_size, 40 << 10)
            in_file = {json.loads(line)["item"]["n"] for line in path.read_text().splitlines()}
            self.assertLessEqual(set(self.letters()), in_file)
            self.assertLess(len(in_file), count)
        self.pipeline(dead_letters={"file": "dead.ndjson"}, **keys)
        self.run_pipeline(expect=3)
        everyone = list(range(1, count + 1))
        self.assertEqual(self.letters(), everyone)
        in_file = [json.loads(line)["item"]["n"] for line in path.read_text().splitlines()]
        self.assertEqual(sorted(set(in_file)), everyone)

    # Row 17: a broken file at a restart. Guard: nothing is opened before the file is sound.
    def test_row_17_a_broken_file_opens_nothing_and_costs_nothing(self):
        self.pipeline(300, stages=[self.handler("if n > 100: time.sleep(0.2)")])
        running = self.start("run", "pipeline.yaml")
        wait_until(lambda: len(self.written()) >= 50, 30, "some rows")
        self.assertTrue(running.kill())
        before = self.state_of_everything()
        self.pipeline(stages=[{"jq": ".", "worker": 3}], nosuch=1)
        self.assert_exit(self.brigade("run", "pipeline.yaml"), 78)
        self.assert_exit(self.brigade("run", "pipeline.yaml", "--fresh"), 78)
        self.assertEqual(self.state_of_everything(), before)
        self.pipeline(stages=[{"jq": "."}])
        self.run_pipeline(expect=0)
        self.assert_all_written(300)

    def state_of_everything(self):
        return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
                for name in ("state", "out") for path in (self.folder / name).iterdir()}

    # Row 19: what is not acknowledged grows without bound. Guard: the window.
    @needs_a_disk
    def test_row_19_while_the_sink_is_down_memory_does_not_grow(self):
        self.write("numbers.ndjson", "".join(
            json.dumps({"n": n, "text": "x" * 300}) + "\n" for n in range(1, 200_001)))
        self.pipeline(window={"items": 100}, stop_timeout="1s")
        self.small_disk("out", left=0)
        running = self.start_and_wait(FULL)
        at_first = self.resident(running)
        time.sleep(1.5)
        self.assertLess(self.resident(running) - at_first, (4 << 20) * PATIENCE,
                        "of 66 MB that are there")
        running.signal(signal.SIGTERM)
        result = running.wait(1 + WATCHDOG_AFTER + 1)
        self.assert_exit(result, 5)
        self.assertLessEqual(result.last_line()["taken"], 100)

    @staticmethod
    def resident(running):
        status = Path(f"/proc/{running.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10

    # Rows 22 and 23: what was taken is gone with a crash in its middle; the crash blocks the next
    # start. Guards: a mark is finished up to the first hole only; the lock is the kernel's.
    def test_row_22_killed_in_the_middle_of_an_item_again_and_again(self):
        kills = int(os.environ.get("ORACLE_HANDLER_KILLS", "25"))
        count = kills * 4
        self.pipeline(count, stages=[self.handler(
            "if n % 4 == 2:\n"
            "    try:\n"
            "        os.close(os.open(f'killed.{n}', os.O_CREAT | os.O_EXCL))\n"
            "        os.kill(os.getppid(), 9)\n"
            "    except FileExistsError:\n"
            "        pass", workers=2)], window={"items": 7})
        seen = 0
        while (result := self.brigade("run", "pipeline.yaml")).exit != 0:
            self.assert_exit(result, -signal.SIGKILL)
            self.assert_no_process_is_left()
            seen += 1
        self.assertGreaterEqual(seen, kills // 2)  # two hands may die of two items at once
        self.assertEqual(query(self.ledger("rows"), "select count(*), count(distinct id) from"
                               " items where outcome = 'delivered'"), [(count, count)])
        self.assert_all_written(count)
        runs = query(self.ledger("rows"), "select count(*) from runs where ended = 'killed'")
        self.assertEqual(runs, [(seen,)])

    # Row 27: the answer to one item is taken for another's. Guard: an answer has the id of a
    # request that is out; a handler that says anything else is replaced.
    def test_row_27_no_answer_is_taken_for_another_items(self):
        count = 600
        (self.folder / "marks").mkdir()
        self.write("numbers.ndjson", "".join(
            json.dumps({"n": n, "id": f"i{n}"}) + "\n" for n in range(1, count + 1)))
        told = {"name": "work", "seed": 27, "folder": str(self.folder / "marks"),
                "shares": {"late": 200, "crashes_once": 20, "rubbish_once": 20,
                           "answers_twice": 20, "fails_twice": 60}}
        self.pipeline(stages=[{"exec": {"command": python(HERE / "fated.py", json.dumps(told)),
                                        "in_flight": 16}, "name": "work", "workers": 3,
                               "retry": {"attempts": 9, "backoff": "1ms..5ms"}}],
                      sink={"sqlite": {"file": "out.db", "table": "t"}})
        result, report = self.run_pipeline(expect=0)
        self.assertGreater(report["retries"], 60)
        self.assertIn("is replaced", result.err)
        self.assert_rows_exactly_once(self.folder / "out.db", "t", range(1, count + 1))
        ids = dict(query(self.ledger("rows"), "select position, id from items"))
        offset = 0
        keys = dict(query(self.folder / "out.db", "select n, key from t"))
        for n, line in enumerate((self.folder / "numbers.ndjson").read_text().splitlines(), 1):
            self.assertEqual(keys[n], f"rows:{ids[offset]}")
            offset += len(line) + 1


if __name__ == "__main__":
    brigade_e2e.main()
