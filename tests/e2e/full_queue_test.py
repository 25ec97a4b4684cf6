"""The classic: a queue that is full, and every consumer dead. It must end, and say why."""
import brigade_e2e
from brigade_e2e import HANDLERS, numbers, python, query

ITEMS = 30


class FullQueueTest(brigade_e2e.BrigadeTest):
    def pipeline(self, handler):
        self.write("numbers.ndjson", numbers(ITEMS))
        self.write_pipeline(
            name="classic", ledger={"mode": "full"},
            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
            stages=[{"exec": handler, "name": "work", "workers": 3, "on_error": "fail_fast",
                     "queue": {"size": 19}}],
            sink={"sqlite": {"file": "out.db", "table": "numbers"}})

    def test_fail_fast_ends_promptly_with_the_error_named(self):
        self.write("failing.py", "import json, sys\n"
                   "for line in sys.stdin:\n"
                   "    identity = json.loads(line)['id']\n"
                   "    print(json.dumps({'id': identity, 'error': 'out of eggs', 'retry': False}),"
                   " flush=True)\n")
        self.pipeline(python(self.folder / "failing.py"))
        result, report = self.run_pipeline(expect=4, within=15)

        self.assertIn("out of eggs", result.err)
        letter, = report["dead_letters"]
        self.assertEqual((letter["stage"], letter["attempts"]), ("work", 1))
        self.assertIn("out of eggs", letter["error"])
        self.assertEqual(report["delivered"], 0)
        self.assertEqual(report["taken"], 1 + report["returned"])

        # What was returned is still in the source: the next run delivers it, with no flag.
        self.pipeline(python(HANDLERS / "slow.py", self.folder))
        _, rest = self.run_pipeline(expect=0)
        self.assertEqual((rest["taken"], rest["delivered"]), (ITEMS - 1, ITEMS - 1))
        self.assertEqual(query(self.folder / "out.db", "select count(distinct n), count(*)"
                               " from numbers"), [(ITEMS - 1, ITEMS - 1)])


if __name__ == "__main__":
    brigade_e2e.main()
