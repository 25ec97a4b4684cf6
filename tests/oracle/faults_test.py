"""A disk that is full, read-only, broken or gone, under each file that brigade relies on.

Whatever happens: the message names the file, a full disk is waited out, anything else ends the run
with 1, and a next run, with everything mended, brings each item to its one outcome.

FAULTS_LIBRARY is `faults.cpp`, which makes calls fail. Small and read-only disks need root.
"""
import json
import os
import resource
import shutil
import subprocess
import time
import unittest

from life import FULL, brigade_e2e
from brigade_e2e import query, wait_until
from small_disk import SmallDisk, Unmounting, can_mount

LIBRARY = os.environ.get("FAULTS_LIBRARY", "")
needs_root = unittest.skipUnless(can_mount(), "only root can mount a disk")
EIO, ENOSPC, EROFS = 5, 28, 30
FILE = {"file": {"path": "out/out.ndjson"}}
ROTATED = {"file": {"path": "out/out.ndjson", "rotate_size": "20KB"}}
TABLE = {"sqlite": {"file": "out/out.db", "table": "t"}}


class Place:
    """A file that brigade relies on: its folder, a part of its path, and the sink of the run."""

    def __init__(self, folder, part, sink=FILE):
        self.folder, self.part, self.sink = folder, part, sink


PLACES = {
    "file": Place("out", "out/out.ndjson"),
    "rotated file": Place("out", "out/out.1.ndjson", ROTATED),
    "list of files": Place("out", "out/.brigade-", ROTATED),
    "table": Place("out", "out/out.db", TABLE),
    "ledger": Place("state", "state/faults.ledger.db"),
    "dead letters": Place("letters", "letters/dead.ndjson"),
}
REPORT = Place("reports", "reports/report.json")


class FaultsTest(Unmounting, brigade_e2e.BrigadeTest):
    COUNT = 500

    def begin(self, place, bytes_each=200, **sink):
        """Everything as before the first run."""
        for path in list(self.folder.iterdir()):
            if path.is_dir():
                shutil.rmtree(path)
            elif not path.name.startswith("."):
                path.unlink()
        for name in ("out", "state", "letters", "reports"):
            (self.folder / name).mkdir()
        self.write("in.ndjson", "".join(
            json.dumps({"n": n, "text": "x" * bytes_each}) + "\n"
            for n in range(1, self.COUNT + 1)))
        self.place = place
        self.write_pipeline(
            name="faults", ledger={"mode": "full"}, stop_timeout="2s",
            source={"file": {"path": "in.ndjson", "format": "ndjson"}}, window={"items": 60},
            stages=[{"jq": 'if .n % 10 == 3 then error("no") else . end'}],
            dead_letters={"file": "letters/dead.ndjson"},
            sink={**place.sink, "batch": {"count": 20}, **sink})

    def go(self, **options):
        return self.start("run", "pipeline.yaml", "--report", "reports/report.json", **options)

    def rows(self):
        if self.place.sink is TABLE:
            return sorted(n for n, in query(self.folder / "out" / "out.db", "select n from t"))
        text = "".join(path.read_text() for path in (self.folder / "out").glob("*.ndjson"))
        return sorted(json.loads(line)["n"] for line in text.splitlines())

    def judge(self):
        """Each item has its one outcome, in the ledger, in the sink and among the letters."""
        good = [n for n in range(1, self.COUNT + 1) if n % 10 != 3]
        bad = [n for n in range(1, self.COUNT + 1) if n % 10 == 3]
        self.assertEqual(self.rows(), good)
        ledger = self.ledger("faults")
        self.assertEqual(
            query(ledger, "select outcome, count(*), count(distinct id) from items"
                  " where outcome <> 'returned' group by 1 order by 1"),
            [("dead_lettered", len(bad), len(bad)), ("delivered", len(good), len(good))])
        self.assertEqual(query(ledger, "select count(*), count(distinct id) from dead_letters"),
                         [(len(bad), len(bad))])
        lines = (self.folder / "letters" / "dead.ndjson").read_text().splitlines()
        self.assertEqual(sorted({json.loads(line)["item"]["n"] for line in lines}), bad)

    def fails(self, running, words):
        """It ends with 1, says so by the file's name, and nothing is lost by its account."""
        result = running.wait(30)
        self.assert_exit(result, 1)
        self.assertRegex(result.err, words)
        self.assertIn(self.place.part, result.err)
        if result.err.startswith("brigade: "):  # it could not begin
            return result
        said = result.last_line()
        self.assertEqual(said["taken"], sum(said[key] for key in brigade_e2e.OUTCOMES))
        return result

    def mended(self):
        result = self.go().wait(60)
        self.assertIn(result.exit, (0, 3), result.err)
        self.judge()

    def at_each_place(self, check, but=()):
        for name, place in PLACES.items():
            if name not in but:
                with self.subTest(name):
                    check(place)

    # Guards: what a full disk left of a batch is taken back; the ledger and its letters wait for
    # room.
    @needs_root
    def test_a_full_disk_is_waited_out(self):
        self.at_each_place(self.full_disk, but=("rotated file", "list of files"))
        self.full_disk(Place("out", "out/out.", ROTATED))

    def full_disk(self, place):
        self.begin(place, bytes_each=2000)
        disk = SmallDisk(self.folder / place.folder, left=60 << 10 if place.folder != "state"
                         else 200 << 10)
        running = self.go()
        running.wait_for_words(FULL, 30, "a full disk")
        self.assertIn(place.part, running.err())
        time.sleep(0.5)
        self.assertTrue(running.is_running())
        disk.make_room()
        self.assert_exit(running.wait(60), 3)
        self.judge()
        disk.unmount()

    @needs_root
    def test_a_full_disk_while_a_file_is_begun(self):
        """A file that is made needs no room, but its line in the list does."""
        self.begin(PLACES["list of files"])
        fault = {"LD_PRELOAD": LIBRARY, "FAULT_CALL": "write", "FAULT_PATH": "out/.brigade-",
                 "FAULT_ERRNO": str(ENOSPC), "FAULT_TIMES": "3", "FAULT_FROM": "2"}
        running = self.go(env=fault)
        self.assert_exit(running.wait(30), 3)
        self.assertRegex(running.err(), r"is down.*\.brigade-.*No space left")
        self.judge()

    def faulty(self, place, call, error, at, **more):
        return self.go(env={"LD_PRELOAD": LIBRARY, "FAULT_CALL": call, "FAULT_PATH": place.part,
                            "FAULT_ERRNO": str(error), "FAULT_FROM": str(at), **more})

    # Guards: a failed sync is no outage, of the file or of the table; after it the line of a letter
    # that the ledger may have stays.
    @unittest.skipUnless(LIBRARY, "FAULTS_LIBRARY is not set: there is none with sanitizers")
    def test_row_10_a_failed_sync_ends_the_run_and_the_next_delivers_the_rest(self):
        def check(place):
            for at in (1, 4, *((8, 12) if place.part.endswith(".db") else ())):
                self.begin(place)
                self.fails(self.faulty(place, "sync", EIO, at), "Input/output error")
                self.mended()
        self.at_each_place(check)

    @unittest.skipUnless(LIBRARY, "FAULTS_LIBRARY is not set: there is none with sanitizers")
    def test_a_failed_write_ends_the_run_and_the_next_delivers_the_rest(self):
        def check(place):
            late = 30 if place.folder == "state" else 4
            for error, at, words in ((EIO, 2, "Input/output error"),
                                     (EROFS, late, "Read-only file system")):
                self.begin(place)
                self.fails(self.faulty(place, "write", error, at), words)
                self.mended()
        self.at_each_place(check, but=("table",))

    @unittest.skipUnless(LIBRARY, "FAULTS_LIBRARY is not set: there is none with sanitizers")
    def test_a_failed_write_to_a_table_is_an_outage(self):
        self.begin(PLACES["table"])
        running = self.faulty(self.place, "write", EIO, 20, FAULT_TIMES="2")
        self.assert_exit(running.wait(30), 3)
        self.assertRegex(running.err(), r"is down.*out/out\.db: disk I/O error: Input/output error")
        self.assertIn("is back", running.err())
        self.judge()

    @unittest.skipUnless(LIBRARY, "FAULTS_LIBRARY is not set: there is none with sanitizers")
    def test_a_report_that_cannot_be_written_is_said(self):
        for call in ("sync", "write"):
            self.begin(REPORT)
            result = self.fails(self.faulty(REPORT, call, EIO, 1), "cannot be written")
            self.assertEqual(result.last_line()["returned"], 0)
            self.assertEqual(list((self.folder / "reports").iterdir()), [])
            self.judge()

    # Guard: a database that could only be opened to read is refused.
    @needs_root
    def test_a_read_only_disk_is_refused_and_costs_nothing(self):
        def check(place):
            self.begin(place, rate="1000/s")
            disk = SmallDisk(self.folder / place.folder, left=8 << 20)
            running = self.go()
            wait_until(lambda: (self.folder / "out").exists() and self.some_rows(), 20, "rows")
            self.assertTrue(running.kill())
            self.remount(place, "ro")
            try:
                result = self.go().wait(30)
            finally:
                self.remount(place, "rw")
            self.assert_exit(result, 1)
            self.assertRegex(result.err, f"/{place.folder}.*[Rr]ead-only")
            self.mended()
            disk.unmount()
        self.at_each_place(check, but=("rotated file", "list of files"))

    def some_rows(self):
        if self.place.sink is TABLE:
            table = self.folder / "out" / "out.db"
            return brigade_e2e.glimpse(table, "select count(*) from t") > 40
        path = self.folder / "out" / "out.ndjson"
        return path.exists() and path.read_bytes().count(b"\n") > 40

    def remount(self, place, how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder / place.folder)],
                       check=True)

    # Guard: SIGXFSZ is ignored.
    def test_a_limit_on_the_size_of_files_ends_the_run(self):
        for sink in (FILE, TABLE):
            self.begin(Place("", "", sink), bytes_each=2000)
            limited = self.go(preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (150_000, 150_000)))
            result = limited.wait(30)
            self.assert_exit(result, 1)
            self.assertRegex(result.err, r"(out/out|ledger)[^\n]*File too large")
            self.mended()

    # Guard: a failed write is no delivery.
    def test_a_full_disk_under_standard_output_ends_the_run(self):
        self.begin(Place("", "", {"stdout": {}}))
        running = self.start("-c", 'exec "$0" run pipeline.yaml > /dev/full',
                             brigade_e2e.program(), command="/bin/sh")
        result = running.wait(30)
        self.assert_exit(result, 1)
        self.assertRegex(result.err, "standard output.*No space left")
        said = result.last_line()
        self.assertEqual((said["delivered"], said["taken"]),
                         (0, said["returned"] + said["dead_lettered"]))
        again = self.brigade("run", "pipeline.yaml")
        self.assert_exit(again, 3)
        self.assertEqual(len(again.out.splitlines()), self.COUNT * 9 // 10)

    def test_a_limit_on_open_files_is_said(self):
        seen = set()
        for limit in range(6, 40, 2):
            self.begin(PLACES["rotated file"])
            result = self.go(preexec_fn=lambda n=limit: resource.setrlimit(
                resource.RLIMIT_NOFILE, (n, n))).wait(30)
            seen.add(result.exit)
            if result.exit == 3:
                self.judge()
                break
            self.assert_exit(result, 1)
            self.assertRegex(result.err, "Too many open files|unable to open")
            self.mended()
        self.assertEqual(seen, {1, 3})

    # Guards: the file's name is looked at before each write; the table's before each commit.
    def test_a_folder_that_vanishes_ends_the_run_and_costs_nothing(self):
        gone = self.folder / "gone"
        def check(place):
            self.begin(place, rate="400/s")
            running = self.go()
            wait_until(self.some_rows, 20, "rows")
            (self.folder / place.folder).rename(gone)
            self.fails(running, "No such file or directory|was moved away")
            gone.rename(self.folder / place.folder)
            self.mended()
        self.at_each_place(check, but=("rotated file", "list of files", "ledger"))


if __name__ == "__main__":
    brigade_e2e.main()
