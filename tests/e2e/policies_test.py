"""Queues, rates, error budgets and order, as somebody uses them who has only read the manual."""
import json
import os
import random
import re
import time

import brigade_e2e
from brigade_e2e import python, query

REFUSING = """import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    bad = asked["item"].get("bad")
    answer = {"error": "refused", "retry": False} if bad else {"ok": asked["item"]}
    print(json.dumps({"id": asked["id"], **answer}), flush=True)
"""

FLAKY = """import json, random, sys, time
random.seed(7)
for line in sys.stdin:
    asked = json.loads(line)
    time.sleep(random.random() * 0.004)
    failed = random.random() < 0.2
    answer = {"error": "not now", "retry": 0.005} if failed else {"ok": asked["item"]}
    print(json.dumps({"id": asked["id"], **answer}), flush=True)
"""


class PoliciesTest(brigade_e2e.BrigadeTest):
    def items(self, rows):
        self.write("in.ndjson", "".join(json.dumps(row) + "\n" for row in rows))

    def pipeline(self, stages, **more):
        self.write_pipeline(
            name="policies", source={"file": {"path": "in.ndjson", "format": "ndjson"}},
            stages=stages, **{"sink": {"file": {"path": "out.ndjson"}}, **more})

    def written(self):
        return [json.loads(line) for line in (self.folder / "out.ndjson").read_text().splitlines()]

    def handler(self, text):
        self.write("handler.py", text)
        return python(self.folder / "handler.py")

    def test_the_most_urgent_first(self):
        rows = [{"n": n, "urgency": n % 5} for n in range(60)]
        self.items(rows)
        self.pipeline([{"exec": self.handler(FLAKY.replace("0.2", "0")), "name": "work",
                        "queue": {"size": 100, "kind": {"priority": ".urgency"}}}])
        self.run_pipeline(expect=0)
        urgencies = [row["urgency"] for row in self.written()]
        # The first may be taken before the others are there.
        self.assertEqual(urgencies[1:], sorted(urgencies[1:], reverse=True))

    def test_dropped_items_are_told_of(self):
        self.items({"n": n} for n in range(300))
        self.pipeline([{"exec": self.handler(FLAKY), "name": "work",
                        "queue": {"size": 10, "when_full": "drop_oldest"}}],
                      ledger={"mode": "full"})
        _, report = self.run_pipeline(expect=3)
        self.assertGreater(report["dropped"], 0)
        self.assertEqual(report["dropped"] + report["delivered"], 300)
        self.assertEqual(report["stages"][0]["dropped"], report["dropped"])
        rows = query(self.ledger("policies"),
                     "select count(*) from items where outcome = 'dropped'")
        self.assertEqual(rows, [(report["dropped"],)])
        self.assertIn({"n": 299}, self.written())

    def test_threads_change_nothing_but_who_computes(self):
        self.items({"n": n, "key": n % 7} for n in range(2000))
        self.pipeline([{"jq": 'if .n % 100 == 99 then error("bad") else .twice = .n * 2 end',
                        "workers": 8}], threads=3, order_by=".key")
        _, report = self.run_pipeline(expect=3)
        self.assertEqual((report["delivered"], report["dead_lettered"]), (1980, 20))
        written = self.written()
        self.assertTrue(all(row["twice"] == 2 * row["n"] for row in written))
        for key in range(7):
            numbers = [row["n"] for row in written if row["key"] == key]
            self.assertEqual(numbers, sorted(numbers))

    def test_a_rate_is_kept(self):
        self.items({"n": n} for n in range(31))
        self.pipeline([{"jq": ".", "rate": "20/s", "workers": 4}])
        result, _ = self.run_pipeline(expect=0)
        self.assertGreater(result.seconds, 1.4)

    def test_dead_letters_stand_in_a_file_too(self):
        self.items({"n": n, "bad": n % 10 == 9} for n in range(100))
        stage = {"exec": self.handler(REFUSING), "name": "work"}
        self.pipeline([stage], dead_letters={"file": "dead.ndjson"})
        self.run_pipeline(expect=3)
        lines = (self.folder / "dead.ndjson").read_text().splitlines()
        letters = [json.loads(line) for line in lines]
        self.assertEqual(sorted(letter["item"]["n"] for letter in letters), list(range(9, 100, 10)))
        self.assertEqual({letter["error"] for letter in letters}, {"refused"})
        ids = query(self.ledger("policies"), "select id from dead_letters")
        self.assertEqual(sorted(letter["id"] for letter in letters), sorted(id for id, in ids))

    def test_a_file_of_dead_letters_that_is_somebody_elses_is_refused(self):
        self.items({"n": n} for n in range(10))
        os.mkfifo(self.folder / "pipe")
        stage = {"exec": self.handler(REFUSING), "name": "work"}
        for name, code, why in (("out.ndjson", 78, "is the file of a sink, too"),
                                (str(self.ledger("policies")), 78, "is the ledger's, too"),
                                ("pipe", 1, "is no regular file")):
            self.pipeline([stage], dead_letters={"file": name})
            result = self.brigade("run", "pipeline.yaml")
            self.assert_exit(result, code)
            self.assertIn(why, result.err)
            self.assertFalse((self.folder / "out.ndjson").exists())

    def test_a_full_file_of_dead_letters_holds_the_run_up_until_it_is_moved_away(self):
        self.items({"n": n, "bad": n % 10 == 9} for n in range(100))
        stage = {"exec": self.handler(REFUSING), "name": "work"}
        self.pipeline([stage], dead_letters={"file": "dead.ndjson", "max": "500B"},
                      window={"items": 20})
        running = self.start("run", "pipeline.yaml")
        moved = 0
        while running.is_running() and moved < 20:
            said = len(re.findall("reached its limit", running.err()))
            if said > moved:
                (self.folder / "dead.ndjson").rename(self.folder / f"dead.{moved}.ndjson")
                moved += 1
            time.sleep(0.01)
        self.assert_exit(running.wait(60), 3)
        self.assertGreater(moved, 1)
        letters = [json.loads(line) for file in self.folder.glob("dead*.ndjson")
                   for line in file.read_text().splitlines()]
        self.assertEqual(sorted(letter["item"]["n"] for letter in letters), list(range(9, 100, 10)))

    def test_an_error_budget_that_is_used_up_stops_the_run(self):
        self.items({"n": n, "bad": n % 10 == 9} for n in range(1000))
        stage = {"exec": self.handler(REFUSING), "name": "work"}
        self.pipeline([{**stage, "on_error": {"tolerate": "5%"}}])
        result, report = self.run_pipeline(expect=4)
        self.assertEqual(report["dead_lettered"], 10)
        self.assertIn("stage 'work': 10 of the last 100 items failed, and 5% are tolerated",
                      result.err)
        # The rest is still in the source.
        self.pipeline([{**stage, "on_error": {"tolerate": 100}}])
        _, rest = self.run_pipeline(expect=3)
        self.assertEqual(rest["taken"], 1000 - report["taken"] + report["returned"])
        self.assertEqual(report["dead_lettered"] + rest["dead_lettered"], 100)

    def test_each_key_keeps_its_order(self):
        chance = random.Random(3)
        self.items({"n": n, "customer": chance.randrange(20)} for n in range(600))
        flaky = self.handler(FLAKY)
        stages = [{"exec": flaky, "name": name, "workers": 4, "retry": {"attempts": 50}}
                  for name in ("first", "second")]
        self.pipeline(stages, order_by=".customer",
                      sink={"sqlite": {"file": "out.db", "table": "rows"}})
        _, report = self.run_pipeline(expect=0)
        self.assertGreater(report["retries"], 50)
        rows = query(self.folder / "out.db", "select customer, n from rows order by rowid")
        last = {}
        for customer, n in rows:
            self.assertGreater(n, last.get(customer, -1))
            last[customer] = n
        self.assertNotEqual([n for _, n in rows], sorted(n for _, n in rows))

    def test_a_held_key_stays_held_until_its_letter_is_replayed(self):
        self.items({"n": n, "customer": n % 2, "bad": n == 3} for n in range(6))
        stage = {"exec": self.handler(REFUSING), "name": "work", "workers": 2}
        settings = {"order_by": ".customer", "after_dead_letter": "hold_key"}
        self.pipeline([stage], **settings)
        self.run_pipeline(expect=3)
        self.assertEqual(sorted(row["n"] for row in self.written()), [0, 1, 2, 4])

        with open(self.folder / "in.ndjson", "a") as more:
            more.write('{"n": 6, "customer": 0}\n{"n": 7, "customer": 1}\n')
        result, _ = self.run_pipeline(expect=3)
        self.assertIn("held", result.err)
        self.assertEqual(sorted(row["n"] for row in self.written()), [0, 1, 2, 4, 6])

        self.handler(REFUSING.replace('.get("bad")', '.get("worse")'))
        self.assert_exit(self.brigade("dlq", "replay", self.ledger("policies")), 0)
        self.assertEqual([row["n"] for row in self.written() if row["customer"] == 1], [1, 3, 5, 7])


if __name__ == "__main__":
    brigade_e2e.main()
