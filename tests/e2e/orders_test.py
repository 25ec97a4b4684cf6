"""The thousand orders of examples/orders.yaml, as shipped: bad ones isolated, none lost.

Order 847 makes its handler raise, 500 makes its handler's process end, line 612 is not JSON, and
321 is charged and then times out, once.
"""
import json
import os
import re
import shutil
import subprocess
import sys

import brigade_e2e
from brigade_e2e import EXAMPLES, query

RAISES, CRASHES, HANGS_ONCE, CUT_OFF = 847, 500, 321, 612
BAD = {RAISES, CRASHES, CUT_OFF}
TIMED_OUT = r"(?i)tim(ed|e)[ -]?out"


class OrdersTest(brigade_e2e.BrigadeTest):
    def setUp(self):
        super().setUp()
        for name in ("orders.yaml", "charge.py", "make_orders.py"):
            shutil.copy(EXAMPLES / name, self.folder)
        subprocess.run([sys.executable, "make_orders.py", "orders.ndjson"], cwd=self.folder,
                       check=True)
        lines = (self.folder / "orders.ndjson").read_bytes().splitlines(keepends=True)
        self.assertEqual(len(lines), 1000)
        self.offset_of = {n + 1: sum(map(len, lines[:n])) for n in range(len(lines))}
        self.lines = lines

    def in_folder(self, name):
        return self.folder / "fresh" / name

    def environment(self):
        """As scripts/run does it: whatever a run leaves behind goes to a fresh folder."""
        self.in_folder("state").mkdir(parents=True, exist_ok=True)
        places = {"STATE": "state", "RECEIPTS": "receipts.db", "CHARGES": "charges.db"}
        return {name: str(self.in_folder(place)) for name, place in places.items()}

    def ledger(self, name="orders"):
        return self.in_folder("state") / f"{name}.ledger.db"

    def run_orders(self):
        return self.run_pipeline("orders.yaml", expect=3, env=self.environment(), within=90)

    def brigade_says(self, *arguments, expect=0):
        result = self.brigade(*arguments, env=self.environment())
        self.assert_exit(result, expect)
        return result.out

    def letters(self, report):
        """The report's dead letters by order number; their ids end in the line's offset."""
        order_at = {offset: number for number, offset in self.offset_of.items()}
        return {order_at[int(letter["id"].rsplit(":", 1)[1])]: letter
                for letter in report["dead_letters"]}

    def mend_the_handler(self):
        handler = self.folder / "charge.py"
        text, count = re.subn(r"^(RAISES, CRASHES, HANGS_ONCE) = .*$", r"\1 = None, None, None",
                              handler.read_text(), flags=re.MULTILINE)
        self.assertEqual(count, 1, "charge.py names its faults in one line")
        handler.write_text(text)

    def assert_everyone_charged_once(self, orders):
        charges = self.in_folder("charges.db")
        self.assert_rows_exactly_once(charges, "charges", orders, column="order_id")
        due = sum(round(json.loads(self.lines[number - 1])["total"] * 100) for number in orders)
        self.assertEqual(query(charges, "select sum(cents) from charges"), [(due,)])

    def test_one_run_and_everything_that_can_be_asked_about_it(self):
        result, report = self.run_orders()
        for check in (self.the_last_line_adds_up, self.each_bad_order_is_named,
                      self.everyone_else_has_a_receipt_and_was_charged_once,
                      self.stages_and_workers_are_counted,
                      self.the_timed_out_order_was_tried_again_under_its_key,
                      self.the_ledger_has_a_row_for_every_order,
                      self.report_and_explain_tell_a_person_the_same,
                      self.dead_letters_can_be_listed_and_shown,
                      self.a_second_run_finds_nothing_to_do):
            with self.subTest(check.__name__):
                check(result, report)

    def the_last_line_adds_up(self, result, _):
        said = result.last_line()
        expected = {"pipeline": "orders", "taken": 1000, "delivered": 997, "filtered": 0,
                    "dead_lettered": 3, "dropped": 0, "returned": 0, "exit": 3}
        self.assertEqual({key: said[key] for key in expected}, expected)
        self.assertGreaterEqual(said["retries"], 1)

    def each_bad_order_is_named(self, _, report):
        letters = self.letters(report)
        self.assertEqual(set(letters), BAD)
        raised, crashed, cut_off = (letters[number] for number in (RAISES, CRASHES, CUT_OFF))
        self.assertEqual((raised["stage"], raised["attempts"]), ("charge", 1))
        self.assertIn("the card issuer declined", raised["error"])
        self.assertEqual((crashed["stage"], crashed["attempts"]), ("charge", 0),
                         "a child's death charges no attempt")
        self.assertRegex(crashed["error"], r"(?i)poison|killed")
        self.assertEqual((cut_off["stage"], cut_off["attempts"]), ("source", 1))
        self.assertRegex(cut_off["error"], r"(?i)json")

    def everyone_else_has_a_receipt_and_was_charged_once(self, *_):
        self.assert_rows_exactly_once(self.in_folder("receipts.db"), "receipts",
                                      set(range(1, 1001)) - BAD, column="order")
        self.assert_everyone_charged_once(set(range(1, 1001)) - BAD)

    def stages_and_workers_are_counted(self, _, report):
        stages = {stage["name"]: stage for stage in report["stages"]}
        self.assertLessEqual({"validate", "charge"}, set(stages))
        charge = stages["charge"]
        self.assertEqual((charge["in"], charge["passed"], charge["dead_lettered"]), (999, 997, 2))
        self.assertEqual(stages["validate"]["passed"], 999)
        self.assertEqual(len(charge["workers"]), 2)
        self.assertTrue(all(worker["items"] > 0 for worker in charge["workers"]), charge)
        self.assertGreaterEqual(sum(worker["items"] for worker in charge["workers"]), 997)
        self.assertGreaterEqual(sum(worker["failed"] for worker in charge["workers"]), 2)
        self.assertGreater(report["seconds"], 2, "one attempt took its whole timeout of 2 s")

    def the_timed_out_order_was_tried_again_under_its_key(self, *_):
        key, = query(self.in_folder("charges.db"),
                     "select key from charges where order_id = ?", HANGS_ONCE)
        receipt, = query(self.in_folder("receipts.db"),
                         'select key from receipts where "order" = ?', HANGS_ONCE)
        self.assertEqual(key, receipt)
        self.assertTrue(key[0].startswith("orders:"), key)
        self.assertTrue(key[0].endswith(f":{self.offset_of[HANGS_ONCE]}"), key)
        history = self.brigade_says("explain", self.ledger(), HANGS_ONCE)
        self.assertRegex(history, TIMED_OUT)
        self.assertRegex(history, r"delivered")

    def report_and_explain_tell_a_person_the_same(self, _, report):
        letters = self.letters(report)
        text = self.brigade_says("report", self.ledger())
        for word in ("orders", "1000", "997", "charge", "source", "the card issuer declined"):
            self.assertIn(word, text)
        for item in (RAISES, letters[RAISES]["id"]):
            history = self.brigade_says("explain", self.ledger(), item)
            self.assertIn(letters[RAISES]["id"], history)
            self.assertRegex(history, r"dead.letter")
            self.assertIn("the card issuer declined", history)
        self.assertRegex(self.brigade_says("explain", self.ledger(), 17), r"delivered")
        nobody = self.brigade("explain", self.ledger(), "1001")
        self.assertNotEqual(nobody.exit, 0)
        self.assertIn("1001", nobody.out + nobody.err)

    def dead_letters_can_be_listed_and_shown(self, _, report):
        letters = self.letters(report)
        everything = self.brigade_says("dlq", "ls", self.ledger())
        for letter in letters.values():
            self.assertIn(letter["id"], everything)
            self.assertIn(letter["stage"], everything)
        at_charge = self.brigade_says("dlq", "ls", self.ledger(), "--stage", "charge")
        self.assertIn(letters[RAISES]["id"], at_charge)
        self.assertNotIn(letters[CUT_OFF]["id"], at_charge)
        declined = self.brigade_says("dlq", "ls", self.ledger(), "--error", "issuer declined")
        self.assertIn(letters[RAISES]["id"], declined)
        self.assertNotIn(letters[CRASHES]["id"], declined)
        shown = self.brigade_says("dlq", "show", self.ledger(), letters[RAISES]["id"])
        self.assertIn(json.loads(self.lines[RAISES - 1])["customer"], shown)
        self.assertIn("the card issuer declined", shown)
        cut_off = self.brigade_says("dlq", "show", self.ledger(), letters[CUT_OFF]["id"])
        self.assertIn(self.lines[CUT_OFF - 1].decode().strip(), cut_off)

    def the_ledger_has_a_row_for_every_order(self, *_):
        self.assertEqual(
            query(self.ledger(), "select outcome, count(*) from items group by 1 order by 1"),
            [("dead_lettered", 3), ("delivered", 997)])
        self.assertEqual(os.stat(self.ledger()).st_mode & 0o777, 0o600)

    def a_second_run_finds_nothing_to_do(self, *_):
        _, report = self.run_pipeline("orders.yaml", expect=0, env=self.environment())
        self.assertEqual(report["taken"], 0)
        self.assertEqual(query(self.in_folder("receipts.db"), "select count(*) from receipts"),
                         [(997,)])

    def test_replay_with_a_mended_handler_delivers_under_the_same_key(self):
        _, report = self.run_orders()
        letters = self.letters(report)
        self.mend_the_handler()
        replayed = self.brigade("dlq", "replay", self.ledger(), env=self.environment())
        self.assert_exit(replayed, 3)
        said = replayed.last_line()
        self.assertEqual((said["taken"], said["delivered"], said["dead_lettered"]), (3, 2, 1))

        self.assert_rows_exactly_once(self.in_folder("receipts.db"), "receipts",
                                      set(range(1, 1001)) - {CUT_OFF}, column="order")
        self.assert_everyone_charged_once(set(range(1, 1001)) - {CUT_OFF})
        for number in (RAISES, CRASHES):
            key, = query(self.in_folder("charges.db"),
                         "select key from charges where order_id = ?", number)
            self.assertEqual(key, (f"orders:{letters[number]['id']}",))

        again = self.brigade("dlq", "replay", self.ledger(), env=self.environment())
        self.assert_exit(again, 3)
        said = again.last_line()
        self.assertEqual((said["taken"], said["delivered"], said["dead_lettered"]), (1, 0, 1),
                         "only the line that is not JSON is left to replay")

    def test_replay_can_be_told_which_letters(self):
        _, report = self.run_orders()
        letters = self.letters(report)
        self.mend_the_handler()
        one = self.brigade("dlq", "replay", self.ledger(), letters[CRASHES]["id"],
                           env=self.environment())
        self.assert_exit(one, 0)
        self.assertEqual(one.last_line()["delivered"], 1)
        rest = self.brigade("dlq", "replay", self.ledger(), "--stage", "charge",
                            env=self.environment())
        self.assert_exit(rest, 0)
        self.assertEqual(rest.last_line()["taken"], 1)
        self.assert_everyone_charged_once(set(range(1, 1001)) - {CUT_OFF})


class ExamplesTest(brigade_e2e.BrigadeTest):
    def test_hello_answers_in_capitals(self):
        shutil.copy(EXAMPLES / "hello.yaml", self.folder)
        lines = self.write("lines", "hello\nworld, all of it\n")
        with open(lines, "rb") as stdin:
            result = self.brigade("run", "hello.yaml", stdin=stdin)
        self.assert_exit(result, 0)
        self.assertEqual([json.loads(line) for line in result.out.splitlines()],
                         [{"line": "HELLO"}, {"line": "WORLD, ALL OF IT"}])

    def test_check_is_content_with_the_shipped_files(self):
        for name in ("orders.yaml", "access.yaml", "hello.yaml"):
            with self.subTest(name):
                result = self.brigade("check", EXAMPLES / name, "--offline",
                                      env={"STATE": str(self.folder / "state")})
                self.assert_exit(result, 0)


if __name__ == "__main__":
    brigade_e2e.main()
