"""CSV and compressed files through the program, killed and resumed, judged by Python's own csv.

BRIGADE_E2E_KILLS says how many kills are counted in each test (at most 10 here),
BRIGADE_E2E_SEED which moments.
"""
import csv
import gzip
import io
import os
import shutil
import time

import brigade_e2e
from brigade_e2e import EXAMPLES, glimpse, query, seeded, wait_until

KILLS = min(10, int(os.environ.get("BRIGADE_E2E_KILLS", "4")))
ROWS = 20_000
COLUMNS = ["n", "name, or title", "text"]
PIECES = ["plain", "a,b", 'say "x"', '"', "two\nlines", "\r\nend\n", "", " é ", "'", "\n\n"]


def rows_of(text):
    return list(csv.reader(io.StringIO(text, newline="")))


class FormatsTest(brigade_e2e.BrigadeTest):
    def make_rows(self, chance):
        """A CSV file of numbered rows, with whatever a field may hold."""
        rows = [[str(n), chance.choice(PIECES), "".join(chance.choices(PIECES, k=3))]
                for n in range(1, ROWS + 1)]
        text = io.StringIO(newline="")
        csv.writer(text).writerows([COLUMNS, *rows])  # with CRLF, as RFC 4180 has it
        return rows, text.getvalue()

    def kill_until_done(self, chance, done):
        """Kills runs until enough were counted, or the work is over; then lets one end."""
        counted = 0
        while counted < KILLS:
            before = done()
            running = self.start("run", "pipeline.yaml")
            target = before + chance.randrange(1, ROWS // KILLS)
            wait_until(lambda: not running.is_running() or done() >= target, 60, f"{target} done")
            time.sleep(chance.random() * 0.01)
            if not running.kill():
                break
            counted += 1
        self.assertGreater(counted, 0)
        self.assert_exit(self.brigade("run", "pipeline.yaml"), 0)

    def test_rows_of_csv_come_into_a_table_exactly_once(self):
        chance = seeded("csv into sqlite")
        rows, text = self.make_rows(chance)
        self.write("in.csv", text)
        self.write_pipeline(
            source={"file": {"path": "in.csv", "format": "csv", "types": {"n": "int"}}},
            sink={"sqlite": {"file": "out.db", "table": "t"}, "batch": {"count": 100}})
        self.kill_until_done(
            chance, lambda: glimpse(self.folder / "out.db", "select count(*) from t"))
        self.assertEqual(
            query(self.folder / "out.db", 'select n, "name, or title", text from t order by n'),
            [(int(n), name, text) for n, name, text in rows])

    def test_csv_into_csv_has_one_header_and_no_row_twice(self):
        chance = seeded("csv into csv")
        rows, text = self.make_rows(chance)
        self.write("in.csv.gz", gzip.compress(text.encode()))
        self.write_pipeline(
            source={"file": {"path": "in.csv.gz", "format": "csv"}},
            sink={"file": {"path": "out.csv", "format": "csv"}, "batch": {"count": 100}},
            ledger="failures", order="source")
        out = self.folder / "out.csv"

        def done():
            return out.read_bytes().count(b"\n") // 3 if out.exists() else 0

        self.kill_until_done(chance, done)
        self.assertEqual(rows_of(out.read_bytes().decode()), [COLUMNS, *rows])

    def test_rows_that_are_none_are_dead_letters_and_the_others_come_through(self):
        self.write("in.csv", b'\xef\xbb\xbfid,"na""me",id,\r\n1,"a\nb",x,\r\n2,short\r\n\r\n'
                             b'3,"bad"x,1,2\r\n4,caf\xe9,1,2\n5,5" pipe,6,7\n6,"never closed,\n')
        self.write_pipeline(source={"file": {"path": "in.csv", "format": "csv"}},
                            sink={"stdout": {}})
        result, report = self.run_pipeline(expect=3)
        self.assertEqual(result.out.splitlines(), [
            r'{"id":"1","na\"me":"a\nb","id_2":"x","4":""}',
            r'{"id":"5","na\"me":"5\" pipe","id_2":"6","4":"7"}'])
        self.assertEqual(
            [(letter["stage"], letter["attempts"], letter["error"])
             for letter in report["dead_letters"]],
            [("source", 1, "2 fields in a row of 4 columns"),
             ("source", 1, "field 2 goes on behind its closing quote"),
             ("source", 1, "invalid UTF-8 at byte 6 of the row"),
             ("source", 1, "the quote of field 2 is never closed")])

    def test_a_quote_never_closed_costs_no_memory_and_ends_with_its_line(self):
        filler = b"x,y\n" * 300_000
        self.write("in.csv", b'a,b\n1,"open\n' + filler + b'3,"closed"\n4,z\n')
        self.write_pipeline(source={"file": {"path": "in.csv", "format": "csv"}},
                            sink={"null": {}})
        _, report = self.run_pipeline(expect=3)
        (letter,) = report["dead_letters"]
        self.assertRegex(letter["error"], r"^line of 10485\d\d bytes is longer than max_line")
        eaten = int(letter["error"].split()[2]) // 4
        self.assertAlmostEqual(report["delivered"], 300_000 - eaten + 2, delta=5)

    def test_a_damaged_file_gives_what_stands_before_the_damage(self):
        text = "".join(f"{n}\n" for n in range(1, ROWS + 1))
        whole = gzip.compress(text.encode())
        path = self.write("in.gz", whole[:len(whole) // 2])
        self.write_pipeline(source={"file": {"path": "in.gz"}}, sink={"file": {
            "path": "out.txt", "format": "lines"}}, order="source")
        result, report = self.run_pipeline(expect=1)
        self.assertIn("its gzip data is damaged behind", result.err)
        lines = (self.folder / "out.txt").read_text()
        self.assertTrue(text.startswith(lines))
        self.assertEqual(report["delivered"], lines.count("\n"))
        self.assertGreater(report["delivered"], ROWS // 4)
        with open(path, "r+b") as mended:  # the rest arrives, in the same file
            mended.write(whole)
        self.run_pipeline(expect=0)
        self.assertEqual((self.folder / "out.txt").read_text(), text)

    def test_syslog_logfmt_and_csv_are_parsed(self):
        self.write("in.log", "<34>Oct 11 22:14:15 host su[7]: took=12 ok=true msg=\"1,'a b'\"\n"
                             "nonsense\n")
        self.write_pipeline(
            source={"file": {"path": "in.log"}},
            stages=[{"parse": "syslog"},
                    {"parse": {"format": "logfmt", "from": ".message", "keep_rest": True,
                               "types": {"took": "int", "ok": "bool"}}},
                    {"parse": {"format": "csv", "columns": ["n", "who"], "from": ".msg",
                               "types": {"n": "float"}, "keep_rest": True}},
                    {"jq": "{n, who, took, ok, appname, procid, severity}"}],
            sink={"stdout": {"format": "csv"}})
        result, report = self.run_pipeline(expect=3)
        self.assertEqual(rows_of(result.out),
                         [["n", "who", "took", "ok", "appname", "procid", "severity"],
                          ["1", "'a b'", "12", "true", "su", "7", "2"]])
        self.assertEqual(report["dead_letters"][0]["stage"], "parse")

    def test_what_does_not_fit_the_columns_is_a_dead_letter(self):
        result = self.brigade("run", "--from", "csv:-", "--to", "csv:-",
                              stdin=self.input("a,b\n1,2\n3\n4,\n"))
        self.assert_exit(result, 3)
        self.assertEqual(result.out, "a,b\n1,2\n4,\n")

    def test_the_example_does_what_its_head_says(self):
        for name in ("large_invoices.yaml", "invoices.csv"):
            shutil.copy(EXAMPLES / name, self.folder)
        result, report = self.run_pipeline("large_invoices.yaml", expect=3, env={"STATE": "state"})
        self.assertEqual(
            [letter["error"] for letter in report["dead_letters"]],
            ["'total' is not a number: 'n/a'"])
        kept = [row for row in rows_of((EXAMPLES / "invoices.csv").read_text())[1:]
                if row[2] != "n/a" and float(row[2]) > 1000]
        written = rows_of((self.folder / "large.csv").read_text())
        self.assertEqual(written[0], ["number", "customer", "total", "note"])
        self.assertEqual(written[1:], kept)
        self.assertGreater(len(kept), 2)

    def input(self, text):
        stream = open(self.write("stdin", text), "rb")
        self.addCleanup(stream.close)
        return stream


if __name__ == "__main__":
    brigade_e2e.main()
