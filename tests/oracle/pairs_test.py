"""Each source with each sink, and what happens to them. The table of docs/guarantees.md.

A source or sink is a class in sources.py or sinks.py; what can be done to a pair is a method of
Pair, and a line of `tests_of`. In every life there is a poison item.

Environment: PAIRS_ALL=1 has every test of every pair (some 600 lives); otherwise each pair has one,
by chance (BRIGADE_E2E_SEED). PAIRS_OUTAGE [0.3]: how many seconds outages last; PAIRS_JOBS [3]: how
many pairs live at a time. `pairs_test.py --table` prints the table; one test again:
`pairs_test.py HttpToPostgres.test_sink_reset`.
"""
import collections
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from life import FULL, brigade_e2e
from brigade_e2e import PATIENCE, glimpse, query, wait_until
import sinks
import sources
from sinks import SINKS
from small_disk import SmallDisk, Unmounting, can_mount
from sources import COUNT, POISON, SOURCES, item

JOBS = int(os.environ.get("PAIRS_JOBS", "3"))
GUARANTEES = Path(__file__).resolve().parent.parent.parent / "docs" / "guarantees.md"
OUTAGE = float(os.environ.get("PAIRS_OUTAGE", "0.3"))
WINDOW = 40
FINAL = "('delivered', 'dead_lettered')"
OUT_OF_ROOM = FULL + "|is full|No space left|nothing is read"


class Pair(Unmounting, brigade_e2e.BrigadeTest):
    FROM = TO = VIA = None

    def setUp(self):
        super().setUp()
        self.runs = self.strikes = 0
        self.source, self.sink = self.FROM(self), self.TO(self)
        self.stage = self.VIA(self) if self.VIA else None
        for folder in ("in", "out"):
            (self.folder / folder).mkdir()
        for end in (self.sink, self.stage, self.source):
            if end:
                end.prepare()
        self.pipeline()

    def pipeline(self):
        stages = [self.stage.fields()] if self.stage else []
        if not self.stage and not self.sink.REFUSES:
            stages.append(sinks.REFUSAL)
        self.write_pipeline(
            name="pair", id=".n", ledger={"mode": "full"}, stop_timeout="2s",
            source=self.source.fields(), window={"items": WINDOW}, stages=stages,
            sink={**self.sink.fields(self.source.DEDUPE), "rate": "600/s",
                  "batch": {"count": 20, "within": "10ms"}})

    def shortDescription(self):
        return None  # its name says which pair it is

    # --- runs ---

    def report(self):
        return self.folder / f"report-{self.runs}.json"

    def go(self, to=None, **environment):
        options = self.source.options(self.runs)
        self.runs += 1
        try:
            if to:
                return self.start("-c", f'exec "$0" run pipeline.yaml > {to}',
                                  brigade_e2e.program(), command="/bin/sh", **options)
            return self.start("run", "pipeline.yaml", "--report", self.report(), env=environment,
                              **options)
        finally:
            if "stdin" in options:
                options["stdin"].close()

    def ended(self, running, *codes):
        """Its result, after all that must be true of it."""
        result = running.wait(30)
        self.assertIn(result.exit, codes, result.err)
        report = self.checked_report(self.report(), result)
        bad = report["dead_lettered"] + report["dropped"]
        if result.exit in (0, 3):
            self.assertEqual((report["returned"], bad > 0), (0, result.exit == 3), result.err)
        return result

    def kill(self, running):
        """Where it is not over."""
        self.strikes += 1
        running.process.kill()
        self.assertIn(running.process.wait(), (0, 3, -signal.SIGKILL), running.err())

    def stop(self, running, *codes):
        running.signal(signal.SIGTERM)
        return self.ended(running, *codes)

    # --- what is known of it ---

    @staticmethod
    def glimpse_rows(database, sql):
        try:
            connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.05)
            try:
                return connection.execute(sql).fetchall()
            finally:
                connection.close()
        except sqlite3.Error:
            return []

    def settled(self):
        """The numbers that the ledger calls finished."""
        return {int(n) for n, in self.glimpse_rows(
            self.ledger("pair"), f"select business_id from items where outcome in {FINAL}")}

    def has_begun(self, running):
        """From here on a signal is a wish to stop, and no end."""
        return glimpse(self.ledger("pair"), "select pid from runs order by run desc limit 1"
                       ) == running.pid

    def outcomes(self):
        return glimpse(self.ledger("pair"), f"select count(*) from items where outcome in {FINAL}")

    def is_done(self):
        return self.settled() >= self.source.obligations(self.runs)

    def wait(self, running, condition, what):
        """Until its end, at most."""
        try:
            wait_until(lambda: condition() or not running.is_running(), 30, what)
        except AssertionError as late:
            raise AssertionError(f"{late}; it says:\n{running.err()}") from None

    def wait_for_more(self, running, more=30):
        """Fewer will do where there are no more."""
        before = self.outcomes()
        self.wait(running, lambda: self.outcomes() >= before + more or self.is_done(),
                  f"{more} more outcomes")

    def come_to_the_end(self, running=None):
        """A run in peace, in which all that is left is finished."""
        running = running or self.go()
        if not self.source.ENDS:
            self.wait(running, lambda: self.has_begun(running) and self.is_done(),
                      "all items to be finished")
            self.source.close()
            self.assertTrue(running.is_running(), running.err())
            running.signal(signal.SIGTERM)
        self.ended(running, 0, 3)

    # --- judgement ---

    def judge(self):
        due, given = self.source.obligations(self.runs), self.source.given(self.runs)
        outcomes = collections.defaultdict(list)
        for n, outcome in self.final_outcomes():
            outcomes[n].append(outcome)
        self.assertEqual(sorted(due - set(outcomes)), [], "acknowledged, and without an outcome")
        self.assertEqual(sorted(set(outcomes) - set(given)), [], "nobody sent it")
        for n, found in outcomes.items():
            expected = "dead_lettered" if n == POISON else "delivered"
            self.assertEqual(set(found), {expected}, f"of {n}")
            self.assertLessEqual(len(found), given[n], f"{n} was sent so often")
        self.check_runs()
        self.source.check()
        if self.sink.KEEPS:
            self.check_rows(due, given, outcomes)

    def final_outcomes(self):
        rows = query(self.ledger("pair"), "select id, business_id, outcome from items where outcome"
                     " <> 'returned'")
        twice = [id for id, count in collections.Counter(row[0] for row in rows).items()
                 if count > 1]
        self.assertEqual(twice, [], "more than one outcome")
        return [(int(n), outcome) for _, n, outcome in rows]

    def check_runs(self):
        """The ledger's runs say what its rows say, and its letters are there."""
        said = query(self.ledger("pair"), "select sum(delivered), sum(dead_lettered), sum(filtered"
                     " + dropped) from runs")
        rows = query(self.ledger("pair"), "select sum(outcome = 'delivered'), sum(outcome ="
                     " 'dead_lettered'), sum(outcome in ('filtered', 'dropped')) from items")
        self.assertEqual(said, rows, "runs and items of the ledger differ")
        letters, = query(self.ledger("pair"), "select count(*) from dead_letters")
        self.assertEqual(letters[0], rows[0][1])

    def check_rows(self, due, given, outcomes):
        rows = self.sink.rows()
        counts = collections.Counter(n for n, _ in rows)
        self.assertEqual({n for n, text in rows if text != item(n)["text"]}, set(), "was changed")
        delivered = {n for n, found in outcomes.items() if found[0] == "delivered"}
        self.assertEqual(sorted(delivered - set(counts)), [], "delivered, and is not there")
        self.assertEqual(sorted(set(counts) - set(given)), [], "is there, and nobody sent it")
        self.assertNotIn(POISON, counts)
        if self.source.AGAIN:
            self.assertEqual(sorted(set(counts) - delivered), [], "is there without an outcome")
        twice = sum(count - (1 if self.sink.REPLACES else len(outcomes[n]))
                    for n, count in counts.items() if n in outcomes)
        if self.promises_once() or not self.strikes:
            self.assertEqual(twice, 0, "rows more than outcomes")
            self.assertEqual([n for n, count in counts.items() if count > given[n]], [])
        self.assertLessEqual(twice, WINDOW * self.strikes, "more often than it was disturbed")

    def promises_once(self):
        return self.sink.ONCE and (self.source.AGAIN or self.source.DEDUPE)

    def check_claims(self, outcomes):
        finished = outcomes.pop("delivered", 0) + outcomes.pop("finished", 0)
        self.assertLessEqual(outcomes.pop("dead_lettered", 0), 1)
        self.assertEqual((outcomes, finished in (COUNT, COUNT - 1)), ({}, True))

    # --- lives ---

    def feed_the_rest(self):
        self.source.feed(COUNT - self.source.fed)

    def begin(self):
        self.source.feed(COUNT // 2)
        running = self.go()
        self.wait_for_more(running)
        return running

    def killed(self):
        """At any moment, and where what is known of an item is in one place only."""
        self.kill(self.begin())
        for point in ("after_sink_commit:2", "after_ledger_flush:1", "in_recovery"):
            running = self.go(BRIGADE_DIE_AT=point)
            self.source.feed(COUNT // 8)
            self.wait(running, self.is_done, point)
            self.kill(running)
        self.feed_the_rest()
        self.come_to_the_end()
        self.judge()

    def stopped(self):
        running = self.begin()
        result = self.stop(running, 0, 3, 5)
        if self.source.ENDS and len(self.settled()) < COUNT:
            self.assert_exit(result, 5)
        self.feed_the_rest()
        self.come_to_the_end()
        self.judge()

    def disturbed(self, strike, end):
        """It goes on by itself; then it is killed."""
        running = self.begin()
        self.strikes += 1
        strike(end, running)
        self.feed_the_rest()
        self.wait_for_more(running)
        self.kill(running)
        self.come_to_the_end()
        self.judge()

    def restarted(self, end, _):
        end.stop_server()
        time.sleep(OUTAGE)
        end.start_server()

    def reset(self, end, _):
        for _ in range(3):
            end.wire.strike("reset")
            time.sleep(0.05)

    def closed(self, end, running):
        end.close_door()
        if end is self.sink:
            running.wait_for_words("is down", 10, "the outage")
        time.sleep(OUTAGE)
        end.open_door()

    def mixed(self):
        """One thing after another, and two at a time, while it is killed and stopped."""
        chance = brigade_e2e.seeded(type(self).__name__)
        faults = [(begins, heals, end)
                  for end in (self.source, self.sink, self.stage) if end
                  for has, begins, heals in (
                      (end.WIRE, lambda end: end.wire.strike("reset"), lambda end: None),
                      (end.WIRE, lambda end: end.wire.strike("silence"),
                       lambda end: end.wire.heal()),
                      (end.RESTARTS, lambda end: end.stop_server(), lambda end: end.start_server()),
                      (end.CLOSES, lambda end: end.close_door(), lambda end: end.open_door()))
                  if has]
        running = self.begin()
        for _ in range(4):
            self.strikes += 2
            several = chance.sample(faults, min(len(faults), chance.choice((1, 1, 2))))
            self.strike_all(several, running, chance)
            self.source.feed(COUNT // 8)
            if not running.is_running():
                self.assertIn(running.process.returncode, (0, 1, 3, 5, -signal.SIGKILL))
                running = self.go()
            self.wait_for_more(running, 10)
        running.process.kill()
        running.process.wait()
        self.feed_the_rest()
        self.come_to_the_end()
        self.judge()

    def strike_all(self, faults, running, chance):
        healing = []
        try:
            for begins, heals, end in faults:
                begins(end)
                healing.append((heals, end))
                time.sleep(chance.random() * OUTAGE)
            end = chance.choice(("live", "live", "kill", "stop"))
            if end == "kill":
                running.process.kill()
                running.process.wait()
            elif end == "stop" and self.has_begun(running):
                self.stop(running, 0, 3, 5)
        finally:
            for heals, end in healing:
                heals(end)

    def silent(self, end):
        """A peer that accepts and says nothing: for a while; and when it is to stop."""
        running = self.begin()
        self.strikes += 2
        end.wire.strike("silence")
        time.sleep(OUTAGE)
        end.wire.heal()
        self.feed_the_rest()
        self.wait_for_more(running)
        end.wire.strike("silence")
        told = time.monotonic()
        running.signal(signal.SIGTERM)
        self.ended(running, 0, 3, 5)
        self.assertLess(time.monotonic() - told, (2 + 4) * PATIENCE, "behind its stop_timeout")
        end.wire.heal()
        self.come_to_the_end()
        self.judge()

    @unittest.skipUnless(can_mount(), "only root can mount a disk")
    def full_disk(self, end):
        """It waits, and nothing is blamed or lost."""
        self.source.feed(COUNT)
        disk = SmallDisk(self.folder / end.DISK, left=60 << 10)
        running = self.go()
        running.wait_for_words(OUT_OF_ROOM, 20, "a full disk")
        time.sleep(OUTAGE)
        disk.make_room()
        self.come_to_the_end(running)
        disk.unmount()
        self.judge()

    def full_output(self):
        """The run ends, and returns what it has."""
        self.source.feed(COUNT)
        result = self.go("/dev/full").wait(30)
        self.assert_exit(result, 1)
        self.assertRegex(result.err, "standard output.*No space left")
        said = result.last_line()
        self.assertEqual((said["delivered"], said["returned"] + said["dead_lettered"]),
                         (0, said["taken"]))
        self.come_to_the_end()
        self.judge()


def at(which, does):
    def run(self):
        does(self, getattr(self, which))
    return run


def strikes(how):
    def run(self, end):
        self.disturbed(lambda *what: how(self, *what), end)
    return run


def tests_of(source, sink, via):
    """name: how."""
    found = {"test_killed": Pair.killed, "test_stopped": Pair.stopped, "test_mixed": Pair.mixed}
    ends = {"source": source, "sink": sink, **({"stage": via} if via else {})}
    for which, end in ends.items():
        for name, applies, how in (
                ("restarted", end.RESTARTS, strikes(Pair.restarted)),
                ("reset", end.WIRE, strikes(Pair.reset)),
                ("silent", end.WIRE, Pair.silent),
                ("closed", end.CLOSES, strikes(Pair.closed)),
                ("full_disk", end.DISK, Pair.full_disk)):
            if applies:
                found[f"test_{which}_{name}"] = at(which, how)
    if sink is sinks.Stdout:
        found["test_sink_full_disk"] = Pair.full_output
    return found


def pairs():
    """Each source with each sink; with the stage `http` between, two sources with each that keeps
    account of what came."""
    for source in SOURCES:
        for sink in SINKS:
            yield source, sink, None
    for source in (sources.Tail, sources.PostgresClaim):
        for sink in (sinks.Sqlite, sinks.Postgres, sinks.Http):
            yield source, sink, sinks.HttpStage


def name_of(source, sink, via):
    return f"{source.__name__}{'Asking' if via else ''}To{sink.__name__}"


def pair_class(source, sink, via):
    return type(name_of(source, sink, via), (Pair,), {
        "FROM": source, "TO": sink, "VIA": via, "__module__": __name__,
        **tests_of(source, sink, via)})


PAIRS = {name_of(*pair): pair_class(*pair) for pair in pairs()}
globals().update(PAIRS)


# --- the table of the guarantees ------------------------------------------------------------------

COLUMNS = ("killed", "stopped", "mixed", "restarted", "reset", "silent", "closed", "full_disk")
HEAD = ("| pair | an item is there | " + " | ".join(f"`{each}`" for each in COLUMNS) + " |\n"
        + "|---" * (2 + len(COLUMNS)) + "|\n")


def promise(source, sink):
    if not sink.KEEPS:
        return "one outcome each"
    if not source.AGAIN:
        return "what was under way is lost"
    if not sink.ONCE:
        return "at least once"
    return "once, with `dedupe`" if source.DEDUPE and sink.DEDUPES else "once"


def cell(names, column):
    if f"test_{column}" in names:
        return "yes"
    which = [end for end in ("source", "stage", "sink") if f"test_{end}_{column}" in names]
    return ", ".join(which) or "-"


def table():
    rows = [f"| `{name}` | {promise(pair.FROM, pair.TO)} | "
            + " | ".join(cell(dir(pair), column) for column in COLUMNS) + " |\n"
            for name, pair in PAIRS.items()]
    return HEAD + "".join(rows)


class GuaranteesTest(unittest.TestCase):
    def test_each_pair_has_its_row(self):
        self.assertIn(table(), GUARANTEES.read_text(), "docs/guarantees.md: put in what "
                      "pairs_test.py --table prints")


class JudgeTest(Pair):
    """The judge itself: whatever is tampered with behind a good life, it sees."""
    FROM, TO = sources.File, sinks.Sqlite

    def test_sees_what_is_wrong(self):
        self.source.feed(COUNT)
        self.come_to_the_end()
        self.judge()
        for database, change in (
                ("out/out.db", "delete from t where n = 7"),
                ("out/out.db", "insert into t select n, text from t where n = 7"),
                ("out/out.db", "update t set text = text || '?' where n = 7"),
                ("out/out.db", "insert into t values (1000, '')"),
                ("state/pair.ledger.db", "delete from item_rows where business_id = '7'"),
                ("state/pair.ledger.db", "delete from item_rows where outcome = 2"),
                ("state/pair.ledger.db", "delete from dead_letters"),
                ("state/pair.ledger.db",
                 "update item_rows set outcome = 3 where business_id = '7'"),
                ("state/pair.ledger.db", "insert into item_rows select partition, position, part,"
                 " run + 1, outcome, stage, attempts, error, taken_at, settled_at, business_id, id,"
                 " replay_of from item_rows where business_id = '7'"),
                ("state/pair.ledger.db", "update runs set delivered = delivered - 1")):
            path = self.folder / database
            kept = path.read_bytes()
            self.assertGreater(self.change(path, change), 0, change)
            with self.assertRaises(AssertionError, msg=change):
                self.judge()
            path.write_bytes(kept)
        self.judge()

    @staticmethod
    def change(path, sql):
        base = sqlite3.connect(path)
        count = base.execute(sql).rowcount
        base.commit()
        base.execute("pragma wal_checkpoint(truncate)")
        base.close()
        return count


def tearDownModule():
    sources.Shared.remove()


def load_tests(loader, _, __):
    chance = brigade_e2e.seeded("pairs")
    share, shares = map(int, os.environ.get("PAIRS_SHARE", "0/1").split("/"))
    lives = []
    for pair in PAIRS.values():
        names = loader.getTestCaseNames(pair)
        if names and not os.environ.get("PAIRS_ALL"):
            names = [chance.choice(names)]
        lives += map(pair, names)
    for others in (GuaranteesTest, JudgeTest):
        lives += map(others, loader.getTestCaseNames(others))
    return unittest.TestSuite(lives[share::shares])


def main():
    """They mostly wait, so several live at a time, in processes of their own."""
    if len(sys.argv) > 1 or JOBS == 1 or "PAIRS_SHARE" in os.environ:
        return brigade_e2e.main()
    seed = os.environ.get("BRIGADE_E2E_SEED", str(random.SystemRandom().randrange(2**32)))
    with contextlib.ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(JOBS)]
        children = [subprocess.Popen(
            [sys.executable, __file__], stdout=output, stderr=output,
            env={**os.environ, "BRIGADE_E2E_SEED": seed, "PAIRS_SHARE": f"{share}/{JOBS}"})
            for share, output in enumerate(outputs)]
        codes = [child.wait() for child in children]
        for output in outputs:
            output.seek(0)
            shutil.copyfileobj(output, sys.stderr)
    return sys.exit(max(codes))


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        sys.exit(print(table(), end=""))
    main()
