"""kill -9 at any instant: every item exactly once in the table, and the ledger agrees.

A kill counts only if the run had written rows since it began, the run was not over, and the
program died of it. A run that finishes first is checked, and a fresh one begun, until enough
kills are counted. BRIGADE_E2E_KILLS says how many (20), BRIGADE_E2E_SEED which moments.
"""
import os
import signal
import sys
import time

import brigade_e2e
from brigade_e2e import HANDLERS, glimpse, numbers, python, query, seeded, wait_until

ITEMS = 10_000
ITEMS_AT_A_POINT = 600
WINDOW = 1000  # items that may be worked on again after a kill
MANY_ITEMS = 20_000  # more than the window, twice


class Killing(brigade_e2e.BrigadeTest):
    """A pipeline that is killed again and again; `kill_file_test.py` has another sink."""
    KILLS = int(os.environ.get("BRIGADE_E2E_KILLS", "20"))
    SINK = {"sqlite": {"file": "out.db", "table": "numbers"}}

    def begin(self, name, items):
        """A pipeline in a folder of its own, with nothing done yet."""
        self.place = self.folder / name
        self.items = items
        self.write(f"{name}/numbers.ndjson", numbers(items))
        self.write_pipeline(
            f"{name}/pipeline.yaml", name="killed", ledger={"mode": "full"},
            window={"items": WINDOW},
            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
            stages=[{"exec": {"command": python(HANDLERS / "charging.py", self.place / "charges"),
                              "in_flight": 64}, "name": "charge", "workers": 2}],
            sink={**self.SINK, "batch": {"count": 100}})

    def run_again(self, die_at=None):
        environment = {"BRIGADE_DIE_AT": die_at} if die_at else {}
        return self.start("run", self.place / "pipeline.yaml", env=environment)

    def rows_so_far(self):
        return glimpse(self.place / "out.db", "select count(*) from numbers")

    def finish(self):
        """The last run of this folder must go to the end."""
        self.assert_exit(self.run_again().wait(60), 0)

    def keys_of_rows(self):
        """The key under which each came."""
        self.assert_rows_exactly_once(self.place / "out.db", "numbers", range(1, self.items + 1))
        return dict(query(self.place / "out.db", "select n, key from numbers"))

    def assert_nothing_lost_nothing_twice(self, killed_at_least, killed_at_most):
        everyone = range(1, self.items + 1)
        self.assert_rows_exactly_once(self.place / "charges", "charges", everyone)
        self.assertEqual(self.keys_of_rows(),
                         dict(query(self.place / "charges", "select n, key from charges")),
                         "each row came under the key it was charged under")

        ledger = self.place / "state" / "killed.ledger.db"
        self.assertEqual(query(ledger, "select count(*), count(distinct id) from items"
                               " where outcome = 'delivered'"), [(self.items, self.items)])
        self.assertEqual(query(ledger, "select count(*) from items where outcome not in"
                               " ('delivered', 'returned')"), [(0,)])
        (closed,), = query(ledger, "select count(*) from runs where ended = 'killed'")
        self.assertGreaterEqual(closed, killed_at_least)
        self.assertLessEqual(closed, killed_at_most)
        self.assert_no_process_is_left()

    def kill_until_done(self, chance, wanted):
        """Kills and restarts one pipeline until it is through, or `wanted` kills were counted."""
        counted = others = 0
        while counted < wanted:
            before = self.rows_so_far()
            running = self.run_again()
            if chance.random() < 0.15:  # as it starts, at a moment that need not count
                time.sleep(chance.random() * 0.15)
                others += running.kill()
                continue
            target = before + chance.randrange(1, 900)
            wait_until(lambda: not running.is_running() or self.rows_so_far() >= target, 60,
                       f"{target} rows")
            time.sleep(chance.random() * 0.02)  # the moment, anywhere between two commits
            if not running.kill():
                break  # it was through before
            if self.rows_so_far() < self.items:
                counted += 1
            else:
                others += 1
        return counted, others

    def kill_and_judge(self, name):
        chance = seeded(name)
        total = rounds = 0
        while total < self.KILLS:
            rounds += 1
            self.begin(f"round{rounds}", ITEMS)
            counted, others = self.kill_until_done(chance, self.KILLS - total)
            self.finish()
            self.assert_nothing_lost_nothing_twice(counted, counted + others)
            total += counted
            (again, most), = query(self.place / "charges", "select sum(asked - 1), max(asked)"
                                   " from charges")
            self.assertLessEqual(most, counted + others + 1, "asked for more than once a run")
            self.assertLessEqual(again, (counted + others) * WINDOW, "more than the window again")
            print(f"round {rounds}: {counted} kills counted, {others} more; no row lost or twice;"
                  f" asked again {again} times, for one item {most - 1} times", file=sys.stderr,
                  flush=True)

    def dies_at(self, point):
        running = self.run_again(die_at=point)
        result = running.wait(60)
        self.assertEqual(result.exit, -signal.SIGKILL,
                         f"it should have ended itself at {point}:\n{result.err}")


class KillTest(Killing):
    def test_twenty_kills_lose_nothing_and_repeat_nothing(self):
        self.kill_and_judge("kill_test")

    def test_killed_between_the_sinks_commit_and_the_ledger(self):
        for nth in (1, 3):
            with self.subTest(nth=nth):
                self.begin(f"commit{nth}", ITEMS_AT_A_POINT)
                self.dies_at(f"after_sink_commit:{nth}")
                rows = self.rows_so_far()
                self.assertGreater(rows, 0, "the sink had committed")
                self.finish()
                self.assert_nothing_lost_nothing_twice(1, 1)

    def test_killed_between_the_ledgers_flush_and_the_acknowledgement(self):
        for nth in (1, 3):
            with self.subTest(nth=nth):
                self.begin(f"flush{nth}", ITEMS_AT_A_POINT)
                self.dies_at(f"after_ledger_flush:{nth}")
                self.finish()
                self.assert_nothing_lost_nothing_twice(1, 1)

    def test_killed_while_the_ledger_is_behind_by_several_batches(self):
        # A full ledger is the slowest there is. What the sink's marks forget is written twice.
        self.fill_the_ledger("behind", max="256KiB")
        self.full.wait_for_words("disk is full", 30, "the ledger to be full")
        self.rows_at_rest()
        self.assertTrue(self.full.kill())
        self.fill_the_ledger("behind")
        self.assert_exit(self.full.wait(60), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers",
                                      range(1, MANY_ITEMS + 1))

    def test_a_full_ledger_does_not_hold_up_a_stop(self):
        self.fill_the_ledger("full", max="256KiB", stop_timeout="1s")
        self.full.wait_for_words("disk is full", 30, "the ledger to be full")
        self.full.signal(signal.SIGTERM)
        result = self.full.wait(1 + 3)
        self.assert_exit(result, 1)
        self.assertRegex(result.err, r"ledger.db: the disk is full")
        said = result.last_line()
        self.assertEqual(said["taken"], said["delivered"] + said["returned"])
        self.fill_the_ledger("full")
        self.assert_exit(self.full.wait(60), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers",
                                      range(1, MANY_ITEMS + 1))

    def fill_the_ledger(self, name, stop_timeout="25s", **ledger):
        self.write("numbers.ndjson", numbers(MANY_ITEMS))
        self.write_pipeline(name=name, ledger={"mode": "full", **ledger},
                            stop_timeout=stop_timeout,
                            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
                            sink={"sqlite": {"file": "out.db", "table": "numbers"}})
        self.full = self.start("run", "pipeline.yaml")

    def rows_at_rest(self):
        """Waits until the sink gets no more rows: the window is full."""
        seen = []

        def is_at_rest():
            seen.append(glimpse(self.folder / "out.db", "select count(*) from numbers"))
            return len(seen) > 40 and len(set(seen[-40:])) == 1
        wait_until(is_at_rest, 20, "the window to be full")

    def test_killed_in_recovery_twice(self):
        self.begin("recovery", ITEMS_AT_A_POINT)
        self.dies_at("after_sink_commit")
        self.dies_at("in_recovery")
        self.dies_at("in_recovery")
        self.finish()
        self.assert_nothing_lost_nothing_twice(1, 3)

    def test_killed_in_replay(self):
        self.begin("replay", ITEMS_AT_A_POINT)
        mended = (HANDLERS / "charging.py").read_text()
        broken = mended.replace("    ok = {", "    if number % 100 == 7: raise SystemExit\n"
                                "    ok = {")
        self.assertNotEqual(broken, mended)
        handler = self.write("replay/handler.py", broken)
        pipeline = self.place / "pipeline.yaml"
        pipeline.write_text(pipeline.read_text().replace(str(HANDLERS / "charging.py"),
                                                         str(handler)))
        self.assert_exit(self.run_again().wait(60), 3)
        handler.write_text(mended)

        ledger = self.place / "state" / "killed.ledger.db"
        killed = self.start("dlq", "replay", ledger, env={"BRIGADE_DIE_AT": "in_replay"}).wait(60)
        self.assertEqual(killed.exit, -signal.SIGKILL, killed.err)
        self.assert_exit(self.brigade("dlq", "replay", ledger), 0)
        everyone = range(1, self.items + 1)
        self.assert_rows_exactly_once(self.place / "out.db", "numbers", everyone)
        self.assert_rows_exactly_once(self.place / "charges", "charges", everyone)
        nothing = self.brigade("dlq", "replay", ledger)
        self.assert_exit(nothing, 0)
        self.assertEqual(nothing.last_line()["taken"], 0)


if __name__ == "__main__":
    brigade_e2e.main()
