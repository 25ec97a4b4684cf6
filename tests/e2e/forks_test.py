"""Several sinks: routes, tees, batches and splits, killed and stopped.

The kills count as in kill_test.py. BRIGADE_E2E_FORK_KILLS says how many (8).
"""
import json
import os
import signal
import sys
import time

import brigade_e2e
from brigade_e2e import glimpse, numbers, python, query, seeded, wait_until

KILLS = int(os.environ.get("BRIGADE_E2E_FORK_KILLS", "8"))
ITEMS = 8_000

REFUSING = """import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    bad = any(one["n"] == 13 for one in asked["item"]) and not len(sys.argv) > 1
    answer = {"error": "refused", "retry": False} if bad else {"ok": {"all": asked["item"]}}
    print(json.dumps({"id": asked["id"], **answer}), flush=True)
"""


class ForksTest(brigade_e2e.BrigadeTest):
    def lines(self, name):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def pipeline(self, stages, items=30, **more):
        self.write("numbers.ndjson", numbers(items))
        self.write_pipeline(name="forks", stages=stages,
                            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}}, **more)

    def stage(self, report, name):
        return next(one for one in report["stages"] if one["name"] == name)

    def test_a_route_with_branches_of_every_kind(self):
        self.pipeline([{"name": "size", "route": [
            {"when": ".n > 25", "to": {"file": "big.ndjson"}},
            {"when": ".n > 20", "to": [{"jq": ".mid = true"}, {"file": "mid.ndjson"}]},
            {"when": ".n <= 10", "to": [{"jq": ".small = true"}]}], "else": []}],
            sink={"sqlite": {"file": "out.db", "table": "numbers"}})
        _, report = self.run_pipeline(expect=0)
        self.assertEqual([row["n"] for row in self.lines("big.ndjson")], list(range(26, 31)))
        self.assertEqual(self.lines("mid.ndjson")[0], {"n": 21, "mid": True})
        self.assertEqual(sorted(query(self.folder / "out.db", "select n, small from numbers")),
                         [(n, 1 if n <= 10 else None) for n in range(1, 21)])
        self.assertEqual([one["name"] for one in report["stages"]],
                         ["size", "file", "jq", "file2", "jq2", "sqlite"])
        self.assertEqual(self.brigade("graph", "pipeline.yaml").exit, 0)
        self.assertEqual(self.brigade("graph", "pipeline.yaml", "--svg").exit, 0)

    def test_what_no_branch_wants_is_filtered_and_check_says_so(self):
        self.pipeline([{"route": [{"when": ".n > 25", "to": {"file": "big.ndjson"}}]}])
        checked = self.brigade("check", "pipeline.yaml")
        self.assertIn("an item that no branch of stage 'route' wants is filtered", checked.out)
        _, report = self.run_pipeline(expect=0)
        self.assertEqual((report["delivered"], report["filtered"]), (5, 25))
        self.assertEqual(self.stage(report, "route")["filtered"], 25)

    def test_a_failed_branch_that_is_not_required_is_dropped_and_counted(self):
        self.pipeline([{"tee": [
            {"required": False, "to": [{"jq": 'if .n == 3 then error("no") else . end'},
                                       {"file": "copy.ndjson"}]}]}],
            sink={"file": "out.ndjson"}, ledger={"mode": "full"})
        result, report = self.run_pipeline(expect=0)
        self.assertRegex(result.err, "stage 'jq': .* dropped after 1 attempt: no")
        self.assertEqual((report["delivered"], report["dropped"]), (30, 0))
        self.assertEqual(self.stage(report, "jq")["dropped"], 1)
        self.assertEqual(len(self.lines("copy.ndjson")), 29)
        self.assertEqual(len(self.lines("out.ndjson")), 30)

    def test_split_and_batch_and_the_outcomes_of_their_items(self):
        self.write("numbers.ndjson", '{"all":[{"n":1},{"n":2}]}\n{"all":[]}\n{"all":7}\n')
        self.write_pipeline(
            name="forks", source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
            stages=[{"split": ".all"}, {"batch": 2}], sink={"file": "out.ndjson"})
        _, report = self.run_pipeline(expect=3)
        self.assertEqual((report["delivered"], report["filtered"], report["dead_lettered"]),
                         (1, 1, 1))
        self.assertEqual(self.lines("out.ndjson"), [[{"n": 1}, {"n": 2}]])
        self.assertIn("no array, but a number", report["dead_letters"][0]["error"])
        self.assertEqual(self.stage(report, "file")["in"], 2)

    def test_letters_of_a_batch_are_replayed_from_where_they_were_joined(self):
        self.write("handler.py", REFUSING)
        handler = python(self.folder / "handler.py")
        stages = [{"jq": ".n += 10"}, {"batch": {"count": 5}}, {"exec": handler, "name": "store"}]
        self.pipeline(stages, items=10, sink={"file": "out.ndjson"})
        _, report = self.run_pipeline(expect=3)
        self.assertEqual((report["delivered"], report["dead_lettered"]), (5, 5))
        self.assertEqual({one["stage"] for one in report["dead_letters"]}, {"batch"})
        self.assertIn("in a batch, at stage 'store': refused", report["dead_letters"][0]["error"])
        shown = self.brigade("dlq", "ls", self.ledger("forks"))
        self.assertEqual(shown.out.count("at stage 'store'"), 5, shown.out)
        stages[2]["exec"] = [*handler, "fixed"]
        self.pipeline(stages, items=10, sink={"file": "out.ndjson"})
        replayed = self.brigade("dlq", "replay", self.ledger("forks"))
        self.assert_exit(replayed, 0)
        self.assertEqual(replayed.last_line()["delivered"], 5)
        rows = sorted(one["n"] for line in self.lines("out.ndjson") for one in line["all"])
        self.assertEqual(rows, list(range(11, 21)))

    # Reliability row 5. The guard is company_may_come (see tests/pipeline/batch_test.cpp).
    def test_a_batch_that_waits_is_flushed_by_a_stop(self):
        self.write_pipeline(
            name="forks", source={"generate": {"json": '{"n": {n}}', "every": "20ms"}},
            stages=[{"batch": {"count": 1_000_000 // 200, "within": "30m"}}],
            stop_timeout="5s", sink={"file": "out.ndjson"})
        running = self.start("run", "pipeline.yaml")
        time.sleep(1)
        running.signal(signal.SIGTERM)
        result = running.wait(4)
        self.assert_exit(result, 0)
        said = result.last_line()
        self.assertGreater(said["delivered"], 5)
        self.assertEqual(said["taken"], said["delivered"])
        self.assertEqual(len(self.lines("out.ndjson")), 1)
        self.assertEqual(len(self.lines("out.ndjson")[0]), said["delivered"])

    # Reliability row 25. The guards: drop_batch, part_with (see tests/pipeline/fork_test.cpp).
    def test_a_sink_that_is_down_and_not_required_holds_up_nobody(self):
        self.pipeline([{"tee": [{"sqlite": {"file": "locked.db", "table": "t"}, "required": False},
                                {"file": "copy.ndjson"}]}], items=500, sink={"file": "out.ndjson"})
        self.assert_exit(self.brigade("run", "pipeline.yaml"), 0)
        import sqlite3
        holder = sqlite3.connect(self.folder / "locked.db", isolation_level=None)
        self.addCleanup(holder.close)
        self.write_pipeline(
            name="forks", source={"generate": {"json": '{"n": {n}}', "every": "1ms",
                                               "count": 3000}},
            stages=[{"tee": [{"sqlite": {"file": "locked.db", "table": "t"}, "required": False},
                             {"file": "copy.ndjson"}]}], sink={"file": "out.ndjson"})
        running = self.start("run", "pipeline.yaml", "--fresh")
        wait_until(lambda: len(self.lines("out.ndjson")) > 600, 20, "the first items")
        holder.execute("begin immediate")
        result = running.wait(60)
        self.assert_exit(result, 0)
        self.assertEqual(result.last_line()["delivered"], 3000)
        self.assertEqual(len(self.lines("copy.ndjson")), 3500)

    def test_kills_lose_nothing_and_repeat_nothing_in_two_sinks(self):
        chance = seeded("forks_test")
        total = rounds = 0
        while total < KILLS:
            rounds += 1
            total += self.one_round(f"round{rounds}", chance, KILLS - total)

    def one_round(self, name, chance, wanted):
        place = self.folder / name
        self.write(f"{name}/numbers.ndjson", numbers(ITEMS))
        self.write_pipeline(
            f"{name}/pipeline.yaml", name="killed", ledger={"mode": "full"},
            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
            stages=[{"route": [{"when": ".n <= 4000", "to": [
                {"tee": [{"sqlite": {"file": "out.db", "table": "copy"}, "name": "copy"},
                         {"file": "copy.ndjson", "batch": {"count": 70}}]},
                {"sqlite": {"file": "out.db", "table": "main"}, "name": "main",
                 "batch": {"count": 90}}]}],
                "else": [{"batch": 7}, {"file": "batches.ndjson", "batch": {"count": 20}}]}])
        database = place / "out.db"

        def rows():
            file = place / "batches.ndjson"
            written = file.stat().st_size // 80 if file.exists() else 0
            return glimpse(database, "select count(*) from main") + written
        counted = 0
        while counted < wanted:
            running = self.start("run", place / "pipeline.yaml")
            target = rows() + chance.randrange(1, 2500)
            wait_until(lambda: not running.is_running() or rows() >= target, 60, f"{target} rows")
            time.sleep(chance.random() * 0.02)
            if not running.kill():
                break
            counted += 1
        self.assert_exit(self.start("run", place / "pipeline.yaml").wait(60), 0)
        print(f"{name}: {counted} kills counted", file=sys.stderr, flush=True)
        self.assert_rows_exactly_once(database, "main", range(1, 4001))
        self.assert_rows_exactly_once(database, "copy", range(1, 4001))
        copies = [row["n"] for row in self.lines(f"{name}/copy.ndjson")]
        self.assertEqual(sorted(copies), list(range(1, 4001)))
        batched = [one["n"] for line in self.lines(f"{name}/batches.ndjson") for one in line]
        self.assertEqual(sorted(batched), list(range(4001, ITEMS + 1)))
        ledger = place / "state" / "killed.ledger.db"
        self.assertEqual(query(ledger, "select count(*) from items where outcome = 'delivered'"
                               " and id not like '%/%'"), [(ITEMS,)])
        return counted


if __name__ == "__main__":
    brigade_e2e.main()
