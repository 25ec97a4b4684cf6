"""The stop protocol, row by row: it drains, it ends in time, and nothing is lost.

Every test ends with a second run that must deliver exactly what the first one did not.
Seconds are counted from the signal; the program is allowed GRACE more, for slow machines.
"""
import os
import signal
import subprocess
import time

import brigade_e2e
from brigade_e2e import HANDLERS, PATIENCE, glimpse, numbers, python, query, wait_until

ITEMS, WINDOW, WORKERS = 300, 20, 2
KILL_AFTER, RETURNED_AFTER, WATCHDOG_AFTER = 2, 3, 4  # seconds behind the deadline
GRACE = 1.0 * PATIENCE
STOPPING = r"(?i)stopping|draining|\bstops?\b|\bdrains?\b"


class StopTest(brigade_e2e.BrigadeTest):
    def setUp(self):
        super().setUp()
        self.write("numbers.ndjson", numbers(ITEMS))

    def pipeline(self, *told, stop_timeout="20s"):
        self.write_pipeline(
            name="service", ledger={"mode": "full"}, stop_timeout=stop_timeout,
            window={"items": WINDOW},
            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
            stages=[{"exec": python(HANDLERS / "slow.py", self.folder, *told), "name": "cook",
                     "workers": WORKERS, "queue": {"size": 4}}],
            sink={"sqlite": {"file": "out.db", "table": "numbers"}})

    def start_with_all_hands_busy(self, *told, **options):
        """A run, once every worker has an item in hand."""
        self.pipeline(*told, **options)
        running = self.start("run", "pipeline.yaml", "--report", self.folder / "stopped.json")
        wait_until(lambda: len(self.in_hand()) >= WORKERS or not running.is_running(), 20,
                   "every worker to have an item")
        self.assertTrue(running.is_running(), running.err())
        return running

    def in_hand(self):
        """The items that handlers were given so far."""
        return sorted(int(path.name.split(".")[1]) for path in self.folder.glob("started.*"))

    def rows(self):
        return sorted(n for n, in query(self.folder / "out.db", "select n from numbers"))

    def stop(self, running, number=signal.SIGTERM):
        """Sends the first signal; back when the program has said that it is stopping."""
        running.signal(number)
        sent = time.monotonic()
        running.wait_for_words(STOPPING, 5, "a word on stderr that it is stopping")
        return sent

    def assert_stopped(self, running, sent, at_most, exit_code=5):
        """It ends within `at_most` seconds of `sent`; its report, when it may still write one."""
        result = running.wait(at_most + 10)
        took = time.monotonic() - sent
        self.assert_exit(result, exit_code)
        self.assertLessEqual(took, at_most + GRACE, result.err)
        self.assert_no_process_is_left()
        if exit_code != 5:
            return None
        report = self.checked_report(self.folder / "stopped.json", result)
        self.assertEqual(report["taken"], report["delivered"] + report["returned"])
        self.assertLessEqual(report["returned"], WINDOW, "no more than the window was taken")
        self.assert_returned_items_are_named(report)
        return report

    def assert_returned_items_are_named(self, report):
        named = query(self.ledger("service"), "select id from items where outcome = 'returned'")
        self.assertEqual(len(set(named)), report["returned"])
        if named:
            history = self.brigade("explain", self.ledger("service"), named[0][0])
            self.assert_exit(history, 0)
            self.assertIn("returned", history.out)

    def assert_the_next_run_delivers_the_rest(self, delivered_before=None):
        self.pipeline()
        _, report = self.run_pipeline(expect=0)
        if delivered_before is not None:
            self.assertEqual(report["delivered"], ITEMS - delivered_before)
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers", range(1, ITEMS + 1))
        self.assertEqual(
            query(self.ledger("service"), "select count(distinct id), count(*) from items"
                  " where outcome = 'delivered'"), [(ITEMS, ITEMS)])

    def test_sigterm_drains_what_is_in_hand_and_leaves_the_rest_to_the_next_run(self):
        running = self.start_with_all_hands_busy("--gate")
        in_hand = self.in_hand()
        sent = self.stop(running)
        self.write("gate", "")
        report = self.assert_stopped(running, sent, at_most=10)
        self.assertGreaterEqual(report["delivered"], WORKERS)
        self.assertLess(report["delivered"], ITEMS)
        self.assertEqual(len(self.rows()), report["delivered"])
        self.assertLessEqual(set(in_hand), set(self.rows()))
        self.assert_the_next_run_delivers_the_rest(report["delivered"])

    def test_what_is_not_done_by_the_deadline_is_returned_by_name(self):
        running = self.start_with_all_hands_busy("--seconds", 0.4, "--never", 1, stop_timeout="2s")
        sent = self.stop(running)
        report = self.assert_stopped(running, sent, at_most=2 + WATCHDOG_AFTER)
        self.assertGreaterEqual(report["delivered"], 1, "it drains until the deadline")
        self.assertGreaterEqual(report["returned"], 1, "item 1 was in hand at the deadline")
        self.assertNotIn(1, self.rows())
        self.assertEqual(len(self.rows()), report["delivered"])
        self.assert_the_next_run_delivers_the_rest(report["delivered"])

    def test_a_repeated_sigterm_changes_nothing(self):
        running = self.start_with_all_hands_busy("--gate")
        in_hand = self.in_hand()
        sent = self.stop(running)
        for _ in range(3):
            running.signal(signal.SIGTERM)
        # Nothing happens, and that can only be seen by looking for a while.
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            self.assertTrue(running.is_running(), running.err())
            time.sleep(0.02)
        self.write("gate", "")
        report = self.assert_stopped(running, sent, at_most=10)
        self.assertLessEqual(set(in_hand), set(self.rows()), "they were drained, not cancelled")
        self.assert_the_next_run_delivers_the_rest(report["delivered"])

    def test_sigusr1_tells_what_each_task_waits_on_and_changes_nothing(self):
        running = self.start_with_all_hands_busy("--gate")
        running.signal(signal.SIGUSR1)
        running.wait_for_words(r"task 'main' waits: .*\n(.*\n)*.*queue 'cook'", 5, "the tasks")
        self.write("gate", "")
        self.assert_exit(running.wait(30), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers", range(1, ITEMS + 1))

    def test_a_second_sigint_jumps_to_the_deadline(self):
        running = self.start_with_all_hands_busy("--never", stop_timeout="10m")
        self.stop(running, signal.SIGINT)
        running.signal(signal.SIGINT)
        report = self.assert_stopped(running, time.monotonic(), at_most=WATCHDOG_AFTER)
        self.assertGreaterEqual(report["returned"], WORKERS)
        self.assertEqual(report["delivered"], 0)
        self.assert_the_next_run_delivers_the_rest(0)

    def test_a_sigint_after_a_sigterm_jumps_to_the_deadline_too(self):
        running = self.start_with_all_hands_busy("--never", stop_timeout="10m")
        self.stop(running, signal.SIGTERM)
        running.signal(signal.SIGINT)
        self.assert_stopped(running, time.monotonic(), at_most=WATCHDOG_AFTER)
        self.assert_the_next_run_delivers_the_rest(0)

    def test_a_third_sigint_aborts_at_once_and_is_crash_safe(self):
        running = self.start_with_all_hands_busy("--never", "--ignore-term", stop_timeout="10m")
        self.stop(running, signal.SIGINT)
        running.signal(signal.SIGINT)
        wait_until(lambda: list(self.folder.glob("term.*")), 5, "a handler to be told to end")
        running.signal(signal.SIGINT)
        self.assert_stopped(running, time.monotonic(), at_most=0.5, exit_code=130)
        self.assert_the_next_run_delivers_the_rest()

    def test_a_third_sigint_loses_nothing_that_was_delivered(self):
        running = self.start_with_all_hands_busy("--seconds", 0.02, "--ignore-term")
        wait_until(lambda: glimpse(self.folder / "out.db", "select count(*) from numbers") > 5,
                   20, "some rows")
        for _ in range(3):  # signals of one kind merge while pending: each must have been seen
            running.signal(signal.SIGINT)
            time.sleep(0.1)
        result = running.wait(5)
        self.assertIn(result.exit, (130, 5), result.err)  # 5: the drain was quicker
        self.assert_the_next_run_delivers_the_rest()

    def test_a_child_that_ignores_sigterm_is_killed_two_seconds_later(self):
        running = self.start_with_all_hands_busy("--never", "--ignore-term", stop_timeout="2s")
        sent = self.stop(running)
        told = wait_until(lambda: list(self.folder.glob("term.*")), 10, "SIGTERM at the deadline")
        asked = time.monotonic()
        self.assertGreater(asked - sent, 1.5, "not before the deadline")
        child = int(told[0].name.split(".")[1])
        wait_until(lambda: child not in running.left_over(), 10, "the child to be killed")
        self.assertGreater(time.monotonic() - asked, KILL_AFTER - 0.5, "not before its time")
        report = self.assert_stopped(running, sent, at_most=2 + WATCHDOG_AFTER)
        self.assertGreaterEqual(report["returned"], WORKERS)
        self.assert_the_next_run_delivers_the_rest(0)

    def test_a_handler_that_never_answers_holds_nobody_up(self):
        running = self.start_with_all_hands_busy("--never", stop_timeout="2s")
        sent = self.stop(running)
        report = self.assert_stopped(running, sent, at_most=2 + RETURNED_AFTER)
        self.assertEqual((report["delivered"], report["returned"]), (0, report["taken"]))
        self.assert_the_next_run_delivers_the_rest(0)

    def test_a_log_that_nobody_reads_does_not_hold_up_a_stop(self):
        self.pipeline("--never", stop_timeout="1s")
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 512)
        except BlockingIOError:
            os.set_blocking(writer, True)
        process = subprocess.Popen([brigade_e2e.program(), "run", "pipeline.yaml"],
                                   cwd=self.folder, stdout=writer, stderr=writer)
        try:
            wait_until(lambda: len(self.in_hand()) >= WORKERS, 20, "every worker to have an item")
            process.send_signal(signal.SIGTERM)
            process.wait(1 + WATCHDOG_AFTER + GRACE)
        finally:
            process.kill()
            process.wait()
            os.close(reader)
            os.close(writer)
        self.assert_the_next_run_delivers_the_rest(0)

    def test_retries_do_not_hold_up_a_stop(self):
        self.write("declining.py", "import json, sys\n"
                   "for line in sys.stdin:\n"
                   "    request = json.loads(line)\n"
                   "    open(f'{sys.argv[1]}/started.' + str(request['item']['n']), 'w').close()\n"
                   "    print(json.dumps({'id': request['id'], 'error': 'not now', 'retry': 600}),"
                   " flush=True)\n")
        self.pipeline(stop_timeout="2s")
        pipeline = self.folder / "pipeline.yaml"
        pipeline.write_text(pipeline.read_text().replace(
            str(HANDLERS / "slow.py"), str(self.folder / "declining.py")))
        running = self.start("run", "pipeline.yaml", "--report", self.folder / "stopped.json")
        wait_until(lambda: len(self.in_hand()) >= WORKERS, 20, "some items to wait for a retry")
        sent = self.stop(running)
        # They are due long after the deadline, which there is then no reason to wait for.
        report = self.assert_stopped(running, sent, at_most=2 + WATCHDOG_AFTER)
        self.assertEqual((report["delivered"], report["dead_lettered"]), (0, 0))
        self.assert_the_next_run_delivers_the_rest(0)


if __name__ == "__main__":
    brigade_e2e.main()
