"""Ranges of workers, and items that hang, as the program has them."""
import json

import brigade_e2e

# Waits a while for each item; says when it begins and when its input has ended.
WAITING = """
import json, os, sys, time
with open("children.txt", "a") as log:
    print("begin", os.getpid(), file=log)
for line in sys.stdin:
    request = json.loads(line)
    time.sleep(0.05)
    print(json.dumps({"id": request["id"], "ok": request["item"]}), flush=True)
with open("children.txt", "a") as log:
    print("end", os.getpid(), file=log)
"""

# Takes its time for one of the items.
HANGING = """
import json, sys, time
for line in sys.stdin:
    request = json.loads(line)
    time.sleep(6 if request["item"]["n"] == 3 else 0.01)
    print(json.dumps({"id": request["id"], "ok": request["item"]}), flush=True)
"""


class WorkersTest(brigade_e2e.BrigadeTest):
    def pipeline(self, stage, **settings):
        self.write_pipeline(name="elastic",
                            source={"file": {"path": "in.ndjson", "format": "ndjson"}},
                            stages=[stage], sink={"file": {"path": "out.ndjson"}}, **settings)

    def items(self, count):
        self.write("in.ndjson", "".join(json.dumps({"n": n}) + "\n" for n in range(count)))

    def handler(self, text):
        self.write("handler.py", text)
        return ["python3", "handler.py"]

    def written(self):
        lines = (self.folder / "out.ndjson").read_text().splitlines()
        return sorted(json.loads(line)["n"] for line in lines)

    def test_a_range_climbs_and_each_child_comes_to_its_own_end(self):
        self.items(400)
        self.pipeline({"exec": self.handler(WAITING), "name": "work",
                       "workers": {"min": 1, "max": 8}})
        result, report = self.run_pipeline(expect=0)
        workers = report["stages"][0]["workers"]
        self.assertEqual(sum(worker["items"] for worker in workers), 400)
        self.assertGreaterEqual(len(workers), 4)
        # One worker alone needs 20 s.
        self.assertLess(result.seconds, 15)
        self.assertEqual(self.written(), list(range(400)))
        said = (self.folder / "children.txt").read_text().split("\n")[:-1]
        began = sorted(line.split()[1] for line in said if line.startswith("begin"))
        ended = sorted(line.split()[1] for line in said if line.startswith("end"))
        self.assertEqual(began, ended)
        shown = self.brigade("report", self.ledger("elastic"))
        self.assertIn("  ".join(str(worker["items"]) for worker in workers), shown.out)

    def test_order_holds_while_workers_come_and_go(self):
        self.items(300)
        self.pipeline({"exec": self.handler(WAITING.replace("0.05", "0.02")), "name": "work",
                       "workers": "1..6"}, order_by=".n % 4 | floor")
        self.run_pipeline(expect=0)
        lines = (self.folder / "out.ndjson").read_text().splitlines()
        for key in range(4):
            of_key = [n for n in (json.loads(line)["n"] for line in lines) if n % 4 == key]
            self.assertEqual(of_key, sorted(of_key))
        self.assertEqual(len(lines), 300)

    def test_a_hung_item_is_named_and_another_worker_takes_over(self):
        self.items(200)
        self.pipeline({"exec": self.handler(HANGING), "name": "work", "hung_after": "1s",
                       "timeout": "none"}, id=".n")
        result, report = self.run_pipeline(expect=0)
        self.assertRegex(result.err, r"stage 'work': item file:\w+:\d+ \(3\) has been in work for "
                                     r"1\.\d s, attempt 1, at work worker 0, which waits: .*; "
                                     r"another worker takes its place")
        self.assertIn("has ended after all", result.err)
        self.assertEqual(self.written(), list(range(200)))
        self.assertEqual(len(report["stages"][0]["workers"]), 2)
        # All but one were done before that one was.
        last = (self.folder / "out.ndjson").read_text().splitlines()[-1]
        self.assertEqual(json.loads(last)["n"], 3)

    def test_a_range_on_the_command_line(self):
        self.items(50)
        result = self.brigade("run", "--from", "ndjson:in.ndjson", "-j", "2..5", "--do", "jq: .",
                              "--to", "ndjson:out.ndjson")
        self.assert_exit(result, 0)
        self.assertEqual(self.written(), list(range(50)))
        wrong = self.brigade("run", "--from", "ndjson:in.ndjson", "-j", "5..2", "--do", "jq: .")
        self.assert_exit(wrong, 2)
        self.assertIn("turn it round", wrong.err)


if __name__ == "__main__":
    brigade_e2e.main()
