"""The source `generate`, and the verbs that tell of components, as a newcomer meets them."""
import signal

import brigade_e2e
from brigade_e2e import glimpse, query, wait_until


class GenerateTest(brigade_e2e.BrigadeTest):
    def rows(self):
        return [row[0] for row in query(self.folder / "out.db", "select n from numbers order by n")]

    def pipeline(self, **fields):
        self.write_pipeline(name="made", source={"generate": {"json": '{"n": {n}}', **fields}},
                            sink={"sqlite": {"file": "out.db", "table": "numbers"}})

    def test_it_makes_as_many_as_it_is_told_and_no_more_in_the_next_run(self):
        self.pipeline(count=1000)
        _, report = self.run_pipeline(expect=0)
        self.assertEqual(report["delivered"], 1000)
        self.assertEqual(self.rows(), list(range(1, 1001)))
        _, report = self.run_pipeline(expect=0)
        self.assertEqual(report["taken"], 0)
        _, report = self.run_pipeline(expect=0, arguments=["--set", "source.generate.count=1010"])
        self.assertEqual(report["taken"], 10)
        self.assertEqual(self.rows(), list(range(1, 1011)))
        explained = self.brigade("explain", self.ledger("made"), "generate:1000")
        self.assertIn("delivered", explained.out)

    def test_another_text_is_another_source(self):
        self.pipeline(count=3)
        self.run_pipeline(expect=0)
        self.pipeline(count=3, json='{"n": -{n}}')
        result = self.brigade("run", "pipeline.yaml")
        self.assert_exit(result, 1)
        self.assertIn("--fresh", result.err)

    def test_an_endless_source_is_drained_by_a_signal_and_goes_on_in_the_next_run(self):
        for pace in ({"every": "2ms"}, {"every": "2ms"}, {}):  # then as fast as it can
            self.pipeline(**pace)
            before = glimpse(self.folder / "out.db", "select count(*) from numbers")
            running = self.start("run", "pipeline.yaml", "--report", "report.json")
            wait_until(lambda: glimpse(self.folder / "out.db", "select count(*) from numbers")
                       > before + 20, 20, "some rows")
            running.signal(signal.SIGTERM)
            result = running.wait(within=20)
            self.assert_exit(result, 0)
            report = self.checked_report(self.folder / "report.json", result)
            self.assertEqual(report["returned"], 0)
        rows = self.rows()
        self.assertEqual(rows, list(range(1, len(rows) + 1)))

    def test_killed_it_goes_on_without_a_hole_or_a_repetition(self):
        self.pipeline(every="1ms", count=400)
        for _ in range(3):
            before = glimpse(self.folder / "out.db", "select count(*) from numbers")
            running = self.start("run", "pipeline.yaml")
            wait_until(lambda: glimpse(self.folder / "out.db", "select count(*) from numbers")
                       > before + 20, 20, "some rows")
            running.kill()
        self.run_pipeline(expect=0)
        self.assert_rows_exactly_once(self.folder / "out.db", "numbers", range(1, 401))


class NewcomerTest(brigade_e2e.BrigadeTest):
    def test_from_the_list_to_a_pipeline_that_runs(self):
        listed = self.brigade("list")
        self.assert_exit(listed, 0)
        for name in ("file", "generate", "jq", "exec", "sqlite", "stdout"):
            self.assertRegex(listed.out, rf"(?m)^  {name} +\S")
        self.assertIn("required", self.brigade("help", "sqlite").out)

        made = self.brigade("new", "file", "jq", "sqlite")
        self.assert_exit(made, 0)
        self.write("first.yaml", made.out)
        refused = self.brigade("check", "first.yaml")
        self.assert_exit(refused, 78)
        self.assertIn("there is no file", refused.err)
        filled_in = (made.out.replace("path: input.txt", "path: in.ndjson\n    format: ndjson")
                     .replace("'.total *= 1.2'", "'.total *= 2'"))
        self.write("first.yaml", filled_in)
        self.write("in.ndjson", '{"total": 2}\n{"total": 3}\n')
        self.assert_exit(self.brigade("check", "first.yaml"), 0)
        self.assert_exit(self.brigade("run", "first.yaml"), 0)
        self.assertEqual(query(self.folder / "output.db", "select total from items order by 1"),
                         [(4,), (6,)])

    def test_an_unknown_name_is_exit_2_with_the_nearest_one(self):
        for arguments in (("help", "sqllite"), ("new", "file", "sqllite")):
            result = self.brigade(*arguments)
            self.assert_exit(result, 2)
            self.assertIn("did you mean 'sqlite'?", result.err)
            self.assertEqual(result.out, "")


if __name__ == "__main__":
    brigade_e2e.main()
