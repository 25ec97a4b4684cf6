"""Items of a key stay in order: under retries, workers that come and go, threads, and kill -9.

KEY_ORDER_ITEMS says how many items (30,000; a night takes a million), BRIGADE_E2E_SEED which
moments. The rows of the table are in the order in which they were written.
"""
import os
import time

import brigade_e2e
from brigade_e2e import glimpse, python, query, seeded, wait_until

ITEMS = int(os.environ.get("KEY_ORDER_ITEMS", "30000"))
KEYS = 997
KILLS = 3

# Refuses one request in fifty, once; the item may be asked for again at once.
FLAKY = """import json, random, sys
chance = random.Random()
for line in sys.stdin:
    asked = json.loads(line)
    failed = asked["attempt"] == 1 and chance.random() < 0.02
    answer = {"error": "not now", "retry": 0.001} if failed else {"ok": asked["item"]}
    sys.stdout.write(json.dumps({"id": asked["id"], **answer}) + "\\n")
    sys.stdout.flush()
"""


class KeyOrderTest(brigade_e2e.BrigadeTest):
    def setUp(self):
        super().setUp()
        self.chance = seeded("key_order_test")
        self.write("flaky.py", FLAKY)
        with open(self.folder / "items.ndjson", "w", encoding="ascii") as items:
            for n in range(ITEMS):
                items.write('{"n": %d, "key": "k%d"}\n' % (n, self.chance.randrange(KEYS)))
        self.write_pipeline(
            name="ordered", order_by=".key", threads=2,
            source={"file": {"path": "items.ndjson", "format": "ndjson"}},
            stages=[{"jq": ".twice = .n * 2", "name": "compute", "workers": 6},
                    {"exec": {"command": python(self.folder / "flaky.py"), "in_flight": 32},
                     "name": "ask", "workers": {"min": 1, "max": 3},
                     "retry": {"attempts": 3, "backoff": "1ms..5ms"}}],
            sink={"sqlite": {"file": "out.db", "table": "rows"}})

    def rows(self):
        return glimpse(self.folder / "out.db", 'select count(*) from "rows"')

    def test_of_each_key_under_retries_scaling_threads_and_kills(self):
        killed = 0
        for nth in range(1, KILLS + 1):
            running = self.start("run", "pipeline.yaml")
            target = ITEMS * nth // (KILLS + 1)
            wait_until(lambda: not running.is_running() or self.rows() >= target, 600,
                       f"{target} rows")
            time.sleep(self.chance.random() * 0.05)
            killed += running.kill() and self.rows() < ITEMS
        self.assertGreater(killed, 0, "every kill came too late")
        result = self.brigade("run", "pipeline.yaml", within=900)
        self.assert_exit(result, 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(ITEMS))
        wrong = query(self.folder / "out.db", """
            select count(*) from (
              select n < lag(n) over (partition by key order by rowid) as behind from "rows")
            where behind""")
        self.assertEqual(wrong, [(0,)], "rows that stand behind a later one of their key")
        retries, = query(self.ledger("ordered"), "select sum(retries) from runs")
        self.assertGreater(retries[0], 0, "nothing was tried again")


if __name__ == "__main__":
    brigade_e2e.main()
