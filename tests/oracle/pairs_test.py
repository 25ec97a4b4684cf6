"""Each source with each sink: killed, stopped, and out of room. The rows of docs/guarantees.md.

A new source or sink is a class, and a line for each pair it makes. PAIRS_KILLS says how often each
pair is killed (2).
"""
import collections
import json
import os
import signal
import unittest

from life import FULL, brigade_e2e
from brigade_e2e import glimpse, query, wait_until
from small_disk import SmallDisk, Unmounting, can_mount

KILLS = int(os.environ.get("PAIRS_KILLS", "2"))
COUNT = 400
TEXT = "x" * 1000


def lines(numbers):
    return "".join(json.dumps({"n": n, "text": TEXT}) + "\n" for n in numbers)


class Source:
    """`again`: what was not finished comes again. `ends`: by itself."""
    again = ends = True

    def prepare(self, test):
        test.write("in.ndjson", lines(range(1, COUNT + 1)))

    def options(self, test, run):
        """How the program is started for this run, the first being 0."""
        return {}

    def numbers(self, runs):
        """What so many runs are given, in all."""
        return range(1, COUNT + 1)


class File(Source):
    FIELDS = {"file": {"path": "in.ndjson", "format": "ndjson"}}


class Tail(Source):
    FIELDS = {"file": {"path": "in.ndjson", "format": "ndjson", "mode": "tail"}}
    ends = False


class Generate(Source):
    FIELDS = {"generate": {"json": '{"n": {n}, "text": "' + TEXT + '"}', "count": COUNT}}


class Stdin(Source):
    """Each run has an input of its own, since nothing of the one before can be had again."""
    FIELDS = {"stdin": {"format": "ndjson"}}
    again = False

    def options(self, test, run):
        first = 1 + run * COUNT
        test.write(f"in.{run}", lines(range(first, first + COUNT)))
        return {"stdin": (test.folder / f"in.{run}").open("rb")}

    def numbers(self, runs):
        return range(1, 1 + runs * COUNT)


class Sink:
    """`once`: no row is there twice, when a run has come to its end. `keeps`: there are rows.
    `cut`: none but those the ledger knows."""
    once = keeps = True
    cut = False

    def rows(self, test):
        raise NotImplementedError


class Sqlite(Sink):
    FIELDS = {"sqlite": {"file": "out/out.db", "table": "t"}}

    def rows(self, test):
        return [n for n, in query(test.folder / "out/out.db", "select n from t")]


class OutFile(Sink):
    FIELDS = {"file": {"path": "out/out.ndjson"}}
    cut = True

    def rows(self, test):
        text = (test.folder / "out/out.ndjson").read_text()
        return [json.loads(line)["n"] for line in text.splitlines()]


class Stdout(Sink):
    FIELDS = {"stdout": {}}
    once = False

    def rows(self, test):
        text = "".join(running.out() for running in test.started)
        return [json.loads(line)["n"] for line in text.splitlines()]


class Null(Sink):
    FIELDS = {"null": {}}
    keeps = False


class Pair(Unmounting, brigade_e2e.BrigadeTest):
    FROM = TO = None

    def setUp(self):
        super().setUp()
        self.source, self.sink, self.runs = self.FROM(), self.TO(), 0
        (self.folder / "out").mkdir()
        self.source.prepare(self)
        self.pipeline(rate="800/s")

    def pipeline(self, **sink):
        self.write_pipeline(name="pair", ledger={"mode": "full"}, stop_timeout="5s",
                            source=self.source.FIELDS, window={"items": 60},
                            sink={**self.sink.FIELDS, "batch": {"count": 20}, **sink})

    def go(self, command=None):
        options = self.source.options(self, self.runs)
        self.runs += 1
        try:
            if command:
                return self.start("-c", command, brigade_e2e.program(), command="/bin/sh",
                                  **options)
            return self.start("run", "pipeline.yaml", **options)
        finally:
            if "stdin" in options:
                options["stdin"].close()

    def delivered(self):
        return glimpse(self.ledger("pair"), "select count(*) from items where outcome='delivered'")

    def wait_for_some(self, running, before):
        wait_until(lambda: self.delivered() >= before + 40 or not running.is_running(), 30,
                   "some items to be delivered")

    def come_to_the_end(self):
        """A run in peace, in which all that is left is delivered."""
        self.pipeline()
        before = self.delivered()
        running = self.go()
        if not self.source.ends:
            wait_until(lambda: self.delivered() == COUNT, 30, "all items to be delivered")
            running.signal(signal.SIGTERM)
        self.assert_exit(running.wait(60), 0)
        if not self.source.again:
            self.assertEqual(self.delivered(), before + COUNT)

    def judge(self, killed):
        """What the row of this pair promises."""
        outcomes = query(self.ledger("pair"), "select id, count(*) from items where outcome ="
                         " 'delivered' group by 1")
        self.assertEqual([id for id, count in outcomes if count != 1], [])
        if self.source.again:
            self.assertEqual(len(outcomes), COUNT)
        if not self.sink.keeps:
            return
        counts = collections.Counter(self.sink.rows(self))
        self.assertEqual(sorted(set(counts) - set(self.source.numbers(self.runs))), [])
        if self.source.again:
            self.assertEqual(sorted(counts), list(self.source.numbers(self.runs)))
        else:
            self.assertGreaterEqual(len(counts), len(outcomes))
        if self.sink.cut:
            self.assertEqual(len(counts), len(outcomes))
        if self.sink.once or not killed:
            self.assertEqual([n for n, count in counts.items() if count != 1], [])

    def test_killed(self):
        for _ in range(KILLS):
            before = self.delivered()
            running = self.go()
            self.wait_for_some(running, before)
            self.assertTrue(running.kill(), running.err())
        self.come_to_the_end()
        self.judge(killed=True)

    def test_stopped(self):
        running = self.go()
        self.wait_for_some(running, 0)
        running.signal(signal.SIGTERM)
        self.assertIn(running.wait(30).exit, (0, 5), running.err())
        self.assertLess(self.delivered(), COUNT)
        self.come_to_the_end()
        self.judge(killed=False)


class OutOfRoom:
    """Of a Pair whose sink is on a disk: it waits, and nothing is blamed or lost."""

    @unittest.skipUnless(can_mount(), "only root can mount a disk")
    def test_full_disk(self):
        disk = SmallDisk(self.folder / "out", left=60 << 10)
        self.pipeline()
        running = self.go()
        running.wait_for_words(FULL, 30, "a full disk")
        disk.make_room()
        if not self.source.ends:
            wait_until(lambda: self.delivered() == COUNT, 30, "all items to be delivered")
            running.signal(signal.SIGTERM)
        self.assert_exit(running.wait(60), 0)
        disk.unmount()
        self.assertEqual(self.delivered(), COUNT)
        self.judge(killed=False)


class OutOfOutput:
    """Of a Pair that writes to standard output: the run ends, and returns what it has."""

    def test_full_disk(self):
        self.pipeline()
        result = self.go('exec "$0" run pipeline.yaml > /dev/full').wait(30)
        self.assert_exit(result, 1)
        self.assertRegex(result.err, "standard output.*No space left")
        said = result.last_line()
        self.assertEqual((said["delivered"], said["returned"]), (0, said["taken"]))
        self.come_to_the_end()
        self.judge(killed=False)


class FileToSqlite(OutOfRoom, Pair):
    FROM, TO = File, Sqlite


class FileToFile(OutOfRoom, Pair):
    FROM, TO = File, OutFile


class FileToStdout(OutOfOutput, Pair):
    FROM, TO = File, Stdout


class FileToNull(Pair):
    FROM, TO = File, Null


class TailToSqlite(OutOfRoom, Pair):
    FROM, TO = Tail, Sqlite


class TailToFile(OutOfRoom, Pair):
    FROM, TO = Tail, OutFile


class TailToStdout(OutOfOutput, Pair):
    FROM, TO = Tail, Stdout


class TailToNull(Pair):
    FROM, TO = Tail, Null


class GenerateToSqlite(OutOfRoom, Pair):
    FROM, TO = Generate, Sqlite


class GenerateToFile(OutOfRoom, Pair):
    FROM, TO = Generate, OutFile


class GenerateToStdout(OutOfOutput, Pair):
    FROM, TO = Generate, Stdout


class GenerateToNull(Pair):
    FROM, TO = Generate, Null


class StdinToSqlite(OutOfRoom, Pair):
    FROM, TO = Stdin, Sqlite


class StdinToFile(OutOfRoom, Pair):
    FROM, TO = Stdin, OutFile


class StdinToStdout(OutOfOutput, Pair):
    FROM, TO = Stdin, Stdout


class StdinToNull(Pair):
    FROM, TO = Stdin, Null


del Pair  # it is none by itself

if __name__ == "__main__":
    brigade_e2e.main()
