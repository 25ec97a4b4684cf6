"""The source `http` with `reply: accepted`: whoever got a 202 has his order in the database, once.

BRIGADE_E2E_KILLS says how many counted kills (3): one counts if requests had been answered since
the start and others waited for their commit, or for their turn.
"""
import http.client
import os
import signal
import sqlite3
import sys
import threading
import time
import unittest
from pathlib import Path

import brigade_e2e
from brigade_e2e import query, seeded, wait_until
from http_posting import PostingTest, sending

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracle"))
from small_disk import SmallDisk, Unmounting, can_mount  # noqa: E402

KILLS = int(os.environ.get("BRIGADE_E2E_KILLS", "3"))
SLOW = [{"filter": "true", "name": "slow", "rate": "2/s"}]
# Without `dedupe`: that nothing is there twice is the doing of the marks beside the rows.
TABLE = {"sqlite": {"file": "out.db", "table": "orders"}}


class HttpAcceptedTest(Unmounting, PostingTest):
    def accept(self, source=None, **keys):
        self.pipeline({"reply": "accepted", "journal": "in/orders.db", **(source or {})},
                      sink=TABLE, **keys)
        (self.folder / "in").mkdir(exist_ok=True)
        return self.serve()

    def stop_for_now(self, running):
        """With 0, whatever is left for the next run; how many there are."""
        self.stop(running, 0)
        found = [line for line in running.err().splitlines() if " stay in the journal" in line]
        return int(found[0].split(": ")[1].split()[0]) if found else 0

    def work_off(self):
        """Runs until nothing is left in the journal."""
        running = self.accept(stages=[])
        wait_until(lambda: self.left() == 0, 60, "the journal to be worked off")
        self.assertEqual(self.stop_for_now(running), 0)

    def left(self):
        """What the journal has behind what the sink's marks call finished."""
        journal = self.folder / "in" / "orders.db"
        last = query(journal, "select coalesce(max(position), 0) from items")[0][0]
        low = query(self.folder / "out.db", "select coalesce(max(low), 0) from _brigade_marks")
        return max(0, last + 1 - low[0][0])

    def test_what_was_accepted_is_worked_off_by_the_next_run_and_the_stop_is_no_failure(self):
        running = self.accept(stages=SLOW, window={"items": 2})
        status, said, _ = self.post([{"n": number} for number in range(1, 41)])
        self.assertEqual((status, {each["outcome"] for each in said}), (202, {"accepted"}))
        status, said, _ = self.post({"n": 41}, Idempotency_Key="late")
        self.assertEqual((status, said["id"]), (202, "http:key-late"))
        running.signal(signal.SIGTERM)
        running.wait_for_words("stopping", 10, "the stop to be seen")
        left = self.stop_for_now(running)
        self.assertEqual(left, 41 - len(self.in_table()))
        self.assertGreater(left, 20)
        running = self.accept(stages=[])
        self.assertEqual(self.post({"n": 41}, Idempotency_Key="late")[0], 202)
        wait_until(lambda: len(self.in_table()) == 41, 20, "all orders")
        wait_until(lambda: self.post({"n": 41}, Idempotency_Key="late")[0] == 200, 20,
                   "the recorded outcome")
        self.assertEqual(self.stop_for_now(running), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", range(1, 42))

    def test_an_item_is_known_by_its_own_id_and_by_what_the_ledger_says_of_it(self):
        running = self.accept(id=".n", stages=[])
        self.assertEqual(self.post([{"n": 1}, {"n": 2}, {"n": 1}])[0], 202)
        wait_until(lambda: self.post({"n": 2})[0] == 200, 20, "the recorded outcome")
        self.stop_for_now(running)
        (self.folder / "in" / "orders.db").unlink()
        running = self.accept(id=".n", stages=[])
        status, said, _ = self.post([{"n": 2}, {"n": 3}])
        self.assertEqual((status, [each["status"] for each in said]), (207, [200, 202]))
        self.assertEqual([each["id"] for each in said], ["http:id-2", "http:id-3"])
        wait_until(lambda: len(self.in_table()) == 3, 20, "the new order")
        self.stop_for_now(running)
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", (1, 2, 3))

    def test_a_full_journal_takes_nothing_and_goes_on_when_there_is_room(self):
        running = self.accept({"journal_max": "4KiB", "max_body": "2KiB"}, window={"items": 1},
                              stages=[{"filter": "true", "rate": "20/s"}])
        kept, refused = [], 0
        for number in range(1, 61):
            status, said, headers = self.post({"n": number, "text": "x" * 400})
            if status == 202:
                kept.append(number)
                continue
            self.assertEqual((status, headers["Retry-After"]), (429, "1"), said)
            refused += 1
            time.sleep(0.02)
        self.assertTrue(kept and refused, (kept, refused))
        self.assertGreater(kept[-1], len(kept), "it went on after it had been full")
        self.assertIn("requests are refused until there is room", running.err())
        wait_until(lambda: len(self.in_table()) == len(kept), 20, "all that was kept")
        self.assertEqual(self.stop_for_now(running), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", kept)

    @unittest.skipUnless(can_mount(), "only root can mount a disk")
    def test_a_full_disk_is_told_and_costs_nothing_that_was_accepted(self):
        disk = SmallDisk(self.folder / "in", left=400 << 10)
        running = self.accept(stages=SLOW)
        kept, number = set(), 0

        def next_one():
            nonlocal number
            number += 1
            status, said, _ = self.post({"n": number, "text": "x" * 5000},
                                        Idempotency_Key=f"k{number}")
            if status == 202:
                kept.add(number)
            return status, said
        status, said = wait_until(lambda: (lambda got: got if got[0] != 202 else None)(next_one()),
                                  30, "a full disk")
        self.assertEqual((status, said["error"]),
                         (503, "the disk of the journal is full; nothing was taken"))
        self.assertGreater(len(kept), 10)
        running.wait_for_words(r"in/orders\.db: the journal's disk is full: requests are refused",
                               10, "what is wrong, and where")
        self.assertTrue(running.is_running())
        disk.make_room()
        wait_until(lambda: next_one()[0] == 202, 30, "room in the journal")
        self.assertIn("there is room in the journal again", running.err())
        self.assertTrue(running.kill())
        self.work_off()
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", kept)
        disk.unmount()

    def fill_and_work_off(self, left, size, more):
        disk = SmallDisk(self.folder / "in", left=left)
        running = self.accept()
        kept = set()
        lock = sqlite3.connect(self.folder / "out.db", isolation_level=None)
        lock.execute("begin immediate")
        for number in range(1, 4000):
            status, _, _ = self.post({"n": number, "text": "x" * size},
                                     Idempotency_Key=f"k{number}")
            if status != 202:
                self.assertEqual(status, 503)
                break
            kept.add(number)
        self.assertGreater(len(kept) * size, left // 2)
        lock.execute("rollback")
        lock.close()
        for number in range(5001, 5001 + more):  # more than the disk has, one after the other
            wait_until(lambda: self.post({"n": number, "text": "x" * size},
                                         Idempotency_Key=f"k{number}")[0] == 202, 30, "room")
            kept.add(number)
        running.signal(signal.SIGTERM)
        self.assertEqual(running.wait(30).exit, 0)
        self.work_off()
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", kept)
        disk.unmount()

    # Guard: entries leave the room that moving the log and trimming take. Without it nothing that
    # is worked off gives any room, not even to the next run.
    @unittest.skipUnless(can_mount(), "only root can mount a disk")
    def test_a_journal_that_fills_its_disk_goes_on_when_it_is_worked_off(self):
        self.fill_and_work_off(3 << 20, 5000, 400)

    # Guard: trimming writes little of what it gives back. With `secure_delete` of SQLite, which
    # some systems have by default, it fills the rest of the disk, and is stuck.
    @unittest.skipUnless(can_mount(), "only root can mount a disk")
    def test_so_does_one_that_is_full_of_large_items(self):
        self.fill_and_work_off(6 << 20, 200_000, 60)

    # As the ledger may, which lies beside it by default.
    @unittest.skipUnless(can_mount(), "only root can mount a disk")
    def test_what_was_trimmed_goes_back_to_the_disk_when_others_take_the_rest(self):
        disk = SmallDisk(self.folder / "in", left=3 << 20)
        running = self.accept(stages=[])
        lock = sqlite3.connect(self.folder / "out.db", isolation_level=None)
        lock.execute("begin immediate")
        kept, numbers = set(), iter(range(1, 1000))

        def send():
            number = next(numbers)
            if self.post({"n": number, "text": "x" * 20_000})[0] == 202:
                kept.add(number)
            return number in kept
        while send():
            pass
        lock.execute("rollback")
        lock.close()
        wait_until(send, 30, "room")
        wait_until(lambda: self.left() == 0, 30, "the journal to be worked off")
        space = os.statvfs(self.folder / "in")
        others = self.folder / "in" / "others"
        others.write_bytes(bytes(space.f_bavail * space.f_frsize - (100 << 10)))
        for _ in range(20):
            wait_until(send, 30, "room again")
        self.stop_for_now(running)
        others.unlink()
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", kept)
        disk.unmount()

    @unittest.skipUnless(can_mount(), "only root can mount a disk")
    def test_what_is_too_large_for_the_disk_is_refused_alone(self):
        disk = SmallDisk(self.folder / "in", left=6 << 20)
        running = self.accept(stages=[])
        for number in range(1, 6):
            status, said, _ = self.post({"n": 0, "text": "x" * (4 << 20)})
            self.assertEqual((status, said["error"]),
                             (503, "the disk of the journal is full; nothing was taken"))
            self.assertEqual(self.post({"n": number})[0], 202)
        wait_until(lambda: len(self.in_table()) == 5, 20, "all that was taken")
        self.stop_for_now(running)
        self.assertNotIn("full", running.err())
        disk.unmount()

    # All of a commit have no room together, but one after the other.
    @unittest.skipUnless(can_mount(), "only root can mount a disk")
    def test_many_who_send_at_once_to_a_small_disk_all_get_their_turn(self):
        disk = SmallDisk(self.folder / "in", left=6 << 20)
        running = self.accept(stages=[])
        kept, failed = set(), []

        def send(numbers):
            try:
                for number in numbers:
                    order = {"n": number, "text": "x" * (300 << 10)}
                    wait_until(lambda: self.post(order)[0] == 202, 60, f"room for {number}")
                    kept.add(number)
            except AssertionError as late:
                failed.append(late)
        senders = [threading.Thread(target=send, args=(range(n * 10, n * 10 + 3),))
                   for n in range(24)]
        for each in senders:
            each.start()
        for each in senders:
            each.join()
        self.assertEqual(failed, [])
        wait_until(lambda: len(self.in_table()) == len(kept), 20, "all that was taken")
        self.stop_for_now(running)
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", kept)
        disk.unmount()

    def test_row_08_who_got_a_202_has_his_order_there_once_whatever_is_killed(self):
        chance = seeded("accepted and killed")
        stages = [{"filter": "true", "rate": "300/s"}]  # so that much is left to the next run
        answered, unknown = set(), set()

        def send(batch, thread):
            self.send(batch, thread % 2 == 0, answered, unknown)
        running = self.accept(stages=stages)
        counted = 0
        with sending(chance, send):
            while counted < KILLS:
                before = len(answered)
                wait_until(lambda: len(answered) > before + 300, 60, "answers")
                time.sleep(chance.random() * 0.02)
                counted += len(answered) > len(self.in_table())
                self.assertTrue(running.kill())
                running = self.accept(stages=stages)
        self.assertTrue(running.kill())
        self.work_off()
        there = self.in_table()
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", there)
        self.assertEqual(answered - there, set(), "every 202 is in the table")
        self.assertLessEqual(there - answered, unknown, "nothing else is, but what nobody told")

    def send(self, batch, with_key, answered, unknown):
        """Until it is answered, with a key; without one only once."""
        body = [{"n": number} for number in batch]
        key = {"Idempotency_Key": f"order-{batch[0]}"} if with_key else {}
        while True:
            try:
                status, _, _ = self.post(body if len(batch) > 1 else body[0], **key)
            except (OSError, http.client.HTTPException, ValueError) as lost:
                if isinstance(lost, ConnectionRefusedError) or with_key:
                    time.sleep(0.02)
                    continue
                unknown.update(batch)
                return
            if status in (200, 202):
                answered.update(batch)
                return
            self.assertIn(status, (429, 503))


if __name__ == "__main__":
    brigade_e2e.main()
