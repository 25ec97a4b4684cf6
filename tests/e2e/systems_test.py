"""The systems that examples/*.yaml show, as shipped: what comes out is what their heads promise."""
import json
import shutil

import brigade_e2e
from brigade_e2e import EXAMPLES, query


class RequestsTest(brigade_e2e.BrigadeTest):
    def run_requests(self, gone_from, expect):
        for name in ("requests.yaml", "service.py"):
            shutil.copy(EXAMPLES / name, self.folder)
        return self.run_pipeline("requests.yaml", expect, env={"GONE_FROM": str(gone_from)})

    def test_a_service_that_goes_ends_the_run_and_nothing_is_published(self):
        result, report = self.run_requests(300, expect=4)
        self.assertIn("503: the service is gone", result.err)
        self.assertEqual(report["dead_lettered"], 1)
        self.assertFalse((self.folder / "published.ndjson").exists())

    def test_what_was_not_finished_is_taken_again_and_then_published(self):
        self.run_requests(300, expect=4)
        _, report = self.run_requests(10_000, expect=0)
        published = (self.folder / "published.ndjson").read_text().splitlines()
        requests = sorted(json.loads(line)["request"] for line in published)
        self.assertEqual(requests, [n for n in range(1, 1001) if n != self.dead_request()])
        self.assertEqual(report["delivered"], report["taken"])

    def dead_request(self):
        payload, = query(self.ledger("requests"), "select payload from dead_letters")[0]
        return json.loads(payload)["request"]


class LibraryTest(brigade_e2e.BrigadeTest):
    def test_one_book_in_five_is_damaged_and_is_named(self):
        shutil.copy(EXAMPLES / "library.yaml", self.folder)
        shutil.copytree(EXAMPLES / "shelves", self.folder / "shelves")
        _, report = self.run_pipeline("library.yaml", expect=3)
        self.assertEqual([report[key] for key in ("taken", "delivered", "dead_lettered")],
                         [30, 24, 6])
        self.assertEqual({letter["error"] for letter in report["dead_letters"]},
                         {"a page is missing"})
        self.assertEqual(sum(worker["items"] for worker in report["stages"][0]["workers"]), 30)
        self.assertEqual(len(report["stages"][0]["workers"]), 3)
        labels = {json.loads(line)["label"]
                  for line in (self.folder / "returned.ndjson").read_text().splitlines()}
        self.assertIn("THE ILIAD (checked)", labels)
        self.assertEqual(len(labels), 24)
        damaged = self.brigade("dlq", "ls", self.ledger("library"))
        self.assertIn("Parallel Lives", damaged.out)


class InvoicesTest(brigade_e2e.BrigadeTest):
    def test_a_function_in_python_makes_the_invoices(self):
        for name in ("invoices.yaml", "invoices.py"):
            shutil.copy(EXAMPLES / name, self.folder)
        sdk = str(EXAMPLES.parent / "sdk" / "python")
        result, report = self.run_pipeline("invoices.yaml", expect=3, env={"BRIGADE_SDK": sdk})
        self.assertEqual([report[key] for key in ("taken", "delivered", "dead_lettered")],
                         [100, 75, 25])
        self.assertEqual({letter["error"] for letter in report["dead_letters"]},
                         {"no VAT rate for XX"})
        self.assertIn("invoicing 12\n", result.err)
        invoices = {one["order"]: one for one in map(
            json.loads, (self.folder / "invoices.ndjson").read_text().splitlines())}
        self.assertEqual(invoices[20], {"order": 20, "invoice": "invoices:generate:20",
                                        "cents": 2380, "vat": 380})
        self.assertEqual(sorted(invoices), [n for n in range(1, 101) if n % 20 < 15])


if __name__ == "__main__":
    brigade_e2e.main()
