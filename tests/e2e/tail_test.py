"""mode: tail, with the real program: a sink that is down, and rotation as fast as it goes.

TAIL_SECONDS says how long a rotation torture lasts (3), BRIGADE_E2E_SEED which moments.
"""
import collections
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import threading
import time

import brigade_e2e
from brigade_e2e import glimpse, query, seeded, wait_until

SECONDS = float(os.environ.get("TAIL_SECONDS", "3"))
LINES = 20_000
ROTATIONS_A_SECOND = 10


class Writer(threading.Thread):
    """Writes numbered lines to logs/app.log, and rotates it, until told to stop."""

    def __init__(self, folder, rotate, chance):
        super().__init__(daemon=True)
        self.folder, self.rotate, self.chance = folder, rotate, chance
        self.path = folder / "app.log"
        self.written = self.rotations = 0
        self.over = threading.Event()
        self.lost_by_copying = set()
        self.failed = None
        self.file = open(self.path, "ab", buffering=0)

    def run(self):
        try:
            next_rotation = time.monotonic() + 1 / ROTATIONS_A_SECOND
            while not self.over.is_set():
                self.write_some()
                if time.monotonic() >= next_rotation:
                    next_rotation += 1 / ROTATIONS_A_SECOND
                    self.rotations += 1
                    self.rotate(self)
                time.sleep(0.001)
        except Exception as error:  # shown by the test
            self.failed = error
        finally:
            self.file.close()

    def write_some(self):
        for _ in range(self.chance.randrange(1, 8)):
            self.written += 1
            line = f'{{"n": {self.written}}}\n'.encode()
            at = self.chance.randrange(len(line))  # in two pieces, as some writers do
            if at % 4 == 0:
                self.file.write(line[:at])
                line = line[at:]
            self.file.write(line)

    def by_name(self):
        """The next file is made behind the name of the last; none is deleted."""
        os.rename(self.path, f"{self.path}.{self.rotations}")
        old = self.file
        self.file = open(self.path, "ab", buffering=0)
        self.written += 1
        old.write(f'{{"n": {self.written}}}\n'.encode())  # late, into what was renamed
        old.close()

    def by_copy(self):
        """cp and truncate, with a line in between: its own race."""
        with open(self.path, "rb") as source, open(f"{self.path}.{self.rotations}", "wb") as copy:
            copy.write(source.read())
        self.written += 1
        self.lost_by_copying.add(self.written)
        self.file.write(f'{{"n": {self.written}}}\n'.encode())
        os.truncate(self.path, 0)

    def stop(self):
        self.over.set()
        self.join()
        if self.failed:
            raise self.failed


class TailTest(brigade_e2e.BrigadeTest):
    def rows(self):
        return glimpse(self.folder / "out.db", "select count(*) from lines")

    def write_tail(self, sink, **keys):
        self.write_pipeline(name="tail", sink=sink, **keys,
                            source={"file": {"path": "logs/app.log", "format": "ndjson",
                                             "mode": "tail"}})

    def start_tail(self):
        return self.start("run", "pipeline.yaml", "--progress", "none")

    def stop_tail(self, running, within=20, may_be_starting=False):
        running.signal(signal.SIGTERM)
        result = running.wait(within)
        # Before it listens to signals it has taken nothing, and just ends.
        may = (0, -signal.SIGTERM) if may_be_starting else (0,)
        self.assertIn(result.exit, may, result.err)
        return result

    # --- a sink that is down (RELIABILITY row 2) ---

    def experiment(self, end):
        """20,000 lines are read while the sink is down; brigade ends; the sink is up again."""
        (self.folder / "logs").mkdir()
        self.write("logs/app.log", "")
        self.write_tail({"sqlite": {"file": "out.db", "table": "lines"}}, stop_timeout="1s")
        first = self.start_tail()
        with open(self.folder / "logs/app.log", "a") as log:
            log.write('{"n": 0}\n')
        wait_until(lambda: self.rows() == 1, 20, "the first line in the table")

        lock = sqlite3.connect(self.folder / "out.db", isolation_level=None)
        lock.execute("begin immediate")
        with open(self.folder / "logs/app.log", "a") as log:
            log.writelines(f'{{"n": {n}}}\n' for n in range(1, LINES + 1))
        first.wait_for_words("sink 'sqlite' is down", 30, "the sink to be down")
        end(first)
        self.assertEqual(self.rows(), 1)
        lock.execute("rollback")
        lock.close()

        second = self.start_tail()
        wait_until(lambda: self.rows() >= LINES + 1, 60, "all lines in the table")
        self.stop_tail(second)
        self.assert_rows_exactly_once(self.folder / "out.db", "lines", range(LINES + 1))

    # Guard: nothing is acknowledged when it is read.
    def test_stopped_while_the_sink_is_down(self):
        def stop(running):
            running.signal(signal.SIGTERM)
            self.assertIn(running.wait(30).exit, (1, 5))
        self.experiment(stop)

    def test_killed_while_the_sink_is_down(self):
        self.experiment(lambda running: self.assertTrue(running.kill()))

    # --- rotation (RELIABILITY rows 3 and 4) ---

    def torture(self, rotate, sink):
        """Stops and starts the reader at random while the file is rotated."""
        chance = seeded("tail_test")
        (self.folder / "logs").mkdir()
        self.write_tail(sink)
        # What is there before the first start is not what this is about.
        first = self.start_tail()
        wait_until(lambda: (self.folder / "state").exists(), 20, "the ledger")
        time.sleep(0.3)
        writer = Writer(self.folder / "logs", rotate, chance)
        writer.start()
        running, stops, kills, said = first, 0, 0, []
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            time.sleep(chance.random() * 0.6)
            if chance.random() < 0.5:
                self.assertTrue(running.kill())
                kills += 1
            else:
                self.stop_tail(running, may_be_starting=True)
                stops += 1
            said.append(running.err())
            time.sleep(chance.random() * 0.3)
            running = self.start_tail()
        writer.stop()
        return writer, running, said, f"{stops} stops, {kills} kills"

    def finish(self, writer, running, counts_of, said, told):
        """Waits until nothing new has come for a while; says what is missing, and what twice."""
        seen = []

        def is_quiet():
            seen.append(len(counts_of()))
            return seen[-1] >= writer.written or (len(seen) > 300 and seen[-1] == seen[-300])
        wait_until(is_quiet, 60, "the reader to be through")
        said.append(self.stop_tail(running).err)
        counts = counts_of()
        everyone = set(range(1, writer.written + 1))
        missing = everyone - set(counts)
        twice = sum(count - 1 for count in counts.values())
        lost = [line for text in said for line in text.splitlines() if line.startswith("lost ")]
        self.assertEqual(set(counts) - everyone, set(), "nothing is invented")
        print(f"{told}; {writer.rotations} rotations, {writer.written} lines, "
              f"{len(missing)} missing, {twice} twice", file=sys.stderr, flush=True)
        return missing, twice, lost

    def table(self):
        try:
            return dict(query(self.folder / "out.db", "select n, count(*) from lines group by 1"))
        except sqlite3.Error:
            return {}

    def lines_of_file(self):
        found = collections.Counter()
        path = self.folder / "out.ndjson"
        if path.exists():
            for line in path.read_bytes().split(b"\n")[:-1]:
                found[json.loads(line)["n"]] += 1
        return found

    # Guards: rotated siblings are read; identities are kept before items.
    def test_row_04_ten_renames_a_second_lose_nothing_and_repeat_nothing(self):
        writer, running, said, told = self.torture(
            Writer.by_name, {"sqlite": {"file": "out.db", "table": "lines"}})
        missing, twice, lost = self.finish(writer, running, self.table, said, told)
        self.assertEqual((sorted(missing)[:9], twice, lost), ([], 0, []))

    def test_row_04_ten_renames_a_second_into_a_file(self):
        writer, running, said, told = self.torture(Writer.by_name,
                                                   {"file": {"path": "out.ndjson"}})
        missing, twice, lost = self.finish(writer, running, self.lines_of_file, said, told)
        self.assertEqual((sorted(missing)[:9], twice, lost), ([], 0, []))

    # Guard: a copy is recognised by what was read of its original.
    def test_row_03_ten_copies_and_cuts_a_second_lose_only_what_copying_loses(self):
        writer, running, said, told = self.torture(
            Writer.by_copy, {"sqlite": {"file": "out.db", "table": "lines"}})
        missing, twice, _ = self.finish(writer, running, self.table, said, told)
        print(f"{len(missing)} of {len(writer.lost_by_copying)} lines that were written between "
              "copy and cut were lost", file=sys.stderr, flush=True)
        self.assertEqual(sorted(missing - writer.lost_by_copying)[:9], [])
        # Who is killed and finds the file copied, cut and grown again may take the copy for new.
        kills = int(re.search(r"(\d+) kills", told)[1])
        self.assertLessEqual(twice, 2 * kills * writer.written // writer.rotations)

    # --- the ends ---

    def test_memory_and_marks_do_not_grow_with_rotations(self):
        (self.folder / "logs").mkdir()
        self.write_tail({"sqlite": {"file": "out.db", "table": "lines"}})
        running = self.start_tail()
        log, old = self.folder / "logs/app.log", self.folder / "logs/app.log.1"
        for n in range(60):
            log.write_text(f'{{"n": {n}}}\n')
            wait_until(lambda: self.rows() == n + 1, 20, f"line {n}")
            if n > 2:  # closed after a while, and gone then
                log.unlink()
            else:
                os.replace(log, old)
        self.stop_tail(running)
        running = self.start_tail()
        time.sleep(3.5)  # a file that is not there for two seconds was deleted
        log.write_text('{"n": 60}\n')
        wait_until(lambda: self.rows() == 61, 20, "line 60")
        self.stop_tail(running)
        (marks,), = query(self.ledger("tail"), "select count(*) from marks")
        (held,), = query(self.folder / "out.db",
                         "select count(*) from _brigade_marks where source <> ''")
        self.assertLess(max(marks, held), 6)
        self.assert_rows_exactly_once(self.folder / "out.db", "lines", range(61))

    def test_idle_it_costs_next_to_nothing(self):
        (self.folder / "logs").mkdir()
        self.write("logs/app.log", '{"n": 1}\n')
        self.write_tail({"sqlite": {"file": "out.db", "table": "lines"}})
        running = self.start_tail()
        wait_until(lambda: self.rows() == 1, 20, "the line")

        def ticks():
            with open(f"/proc/{running.pid}/stat") as stat:
                fields = stat.read().rsplit(") ", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before = ticks()
        time.sleep(2)
        self.assertLessEqual(ticks() - before, 6, "hundredths of a second in two seconds")
        self.stop_tail(running)

    def test_waits_for_its_file_and_its_folder(self):
        self.write_tail({"sqlite": {"file": "out.db", "table": "lines"}})
        checked = self.brigade("check", "pipeline.yaml")
        self.assert_exit(checked, 0)
        self.assertIn("app.log is not there yet", checked.out)
        running = self.start_tail()
        running.wait_for_words("waits for", 20, "it to say so")
        (self.folder / "logs").mkdir()
        self.write("logs/app.log", '{"n": 1}\n')
        wait_until(lambda: self.rows() == 1, 20, "the line")
        result = self.stop_tail(running)
        self.assertEqual(result.last_line()["delivered"], 1)

    def test_the_example_follows_a_log_through_its_rotation(self):
        for name in ("follow.yaml", "access.log"):
            shutil.copy(brigade_e2e.EXAMPLES / name, self.folder)
        log = self.folder / "access.log"
        lines = log.read_bytes().splitlines(True)
        log.write_bytes(b"".join(lines[:5]))
        running = self.start("run", "follow.yaml", "--progress", "none")

        def rows():
            return glimpse(self.folder / "access.db", "select count(*) from requests")
        wait_until(lambda: rows() == 5, 20, "five rows")
        log.rename(f"{log}.1")
        log.write_bytes(b"".join(lines[5:9]))
        wait_until(lambda: rows() == 9, 20, "nine rows")
        running.signal(signal.SIGINT)
        self.assert_exit(running.wait(20), 0)

    def test_dead_letters_are_replayed(self):
        (self.folder / "logs").mkdir()
        self.write("logs/app.log", '{"n": 1}\nrubbish\n')
        self.write_tail({"sqlite": {"file": "out.db", "table": "lines"}})
        running = self.start_tail()
        wait_until(lambda: glimpse(self.ledger("tail"), "select count(*) from dead_letters"), 20,
                   "the dead letter")
        running.signal(signal.SIGTERM)
        self.assertEqual(running.wait(20).exit, 3)
        self.assertEqual(self.brigade("dlq", "replay", self.ledger("tail")).exit, 3)
        (item,), = query(self.ledger("tail"), "select id from dead_letters limit 1")
        self.assertIn("rubbish", self.brigade("dlq", "show", self.ledger("tail"), item).out)
        self.assert_exit(self.brigade("explain", self.ledger("tail"), item), 0)


if __name__ == "__main__":
    brigade_e2e.main()
