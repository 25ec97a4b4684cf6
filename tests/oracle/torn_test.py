"""Row 9: state that a crash has torn, at any byte. It must start, or say why not, and lose nothing.

After a kill -9 in the middle each file of the state is cut, zeroed or filled with rubbish from some
byte on. A torn log of the ledger (`-wal`) is what a power cut leaves: the next run must go on by
itself. A torn database is not; then it may refuse, in words and with exit code 1, and with the file
put back nothing is lost. A crash loop, a hang or a silent loss is a failure in each case.

TORN_POINTS says at how many bytes of each file (8), BRIGADE_E2E_SEED which.
"""
import os
import shutil
import sys

from life import brigade_e2e
from brigade_e2e import glimpse, numbers, query, seeded, wait_until

ITEMS = 400
POINTS = int(os.environ.get("TORN_POINTS", "8"))
REFUSALS = (r"damaged|no ledger at all|not a ledger|malformed|not a database|"
            r"is older than what the ledger knows of it|holds no marks of")


class TornTest(brigade_e2e.BrigadeTest):
    def begin(self, sink, count):
        """A run that was killed in its middle, and what it left."""
        self.write("numbers.ndjson", numbers(ITEMS))
        (self.folder / "out").mkdir()
        self.sink = {**sink, "batch": {"count": 10, "within": "1ms"}}
        self.pipeline(rate="500/s")
        running = self.start("run", "pipeline.yaml")
        wait_until(lambda: count() >= 120 or not running.is_running(), 30, "some rows")
        self.assertTrue(running.kill(), running.err())
        self.assertLess(count(), ITEMS)
        self.pipeline()
        self.saved = {path: path.read_bytes() for name in ("state", "out")
                      for path in sorted((self.folder / name).iterdir())}

    def pipeline(self, **stage):
        self.write_pipeline(name="torn", ledger={"mode": "full"},
                            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
                            stages=[{"jq": "if .n % 10 == 3 then error(\"no\") else . end",
                                     **stage}], sink=self.sink)

    def put_back(self, but=None, contents=b""):
        for name in ("state", "out"):
            shutil.rmtree(self.folder / name)
            (self.folder / name).mkdir()
        for path, saved in self.saved.items():
            path.write_bytes(contents if path == but else saved)

    def assert_whole(self, rows, with_all_letters=True):
        found = sorted(rows())
        if query(self.ledger("torn"), "select count(*) from runs") == [(1,)]:
            # Torn in its first transaction it knows of no run before: as good as deleted.
            found = sorted(set(found))
        self.assertEqual(found, [n for n in range(1, ITEMS + 1) if n % 10 != 3])
        self.assertEqual(query(self.ledger("torn"), "select count(*), count(distinct id)"
                               " from items where outcome <> 'returned'"), [(ITEMS, ITEMS)])
        if not with_all_letters:
            return
        counts = query(self.ledger("torn"), "select outcome, count(*) from items"
                       " where outcome <> 'returned' group by 1 order by 1")
        self.assertEqual(counts, [("dead_lettered", 40), ("delivered", 360)])
        self.assertEqual(query(self.ledger("torn"), "select count(distinct id), count(*)"
                               " from dead_letters"), [(40, 40)])

    def tears(self, chance):
        for path, saved in self.saved.items():
            points = sorted(chance.sample(range(len(saved)), min(POINTS, len(saved))))
            for at in points:
                kind = chance.choice(("cut", "zeros", "rubbish"))
                rest = {"cut": b"", "zeros": bytes(len(saved) - at),
                        "rubbish": chance.randbytes(len(saved) - at)}[kind]
                yield path, at, kind, saved[:at] + rest

    def tear_everything(self, rows, marks_are_elsewhere=False):
        """A sink with marks of its own knows that an item is finished, and not how: of a ledger
        that lost what had been synced it cannot bring back the dead letters."""
        went_on = refused = 0
        for path, at, kind, contents in self.tears(seeded("torn_test")):
            if path.name == "out.ndjson":
                continue  # what was delivered is no state: who takes it away is told so
            with self.subTest(file=path.name, at=at, kind=kind):
                self.put_back(but=path, contents=contents)
                result = self.brigade("run", "pipeline.yaml")
                if result.exit == 3:
                    went_on += 1
                    self.assert_whole(rows, not (marks_are_elsewhere and path.suffix == ".db-wal"))
                    continue
                refused += 1
                self.assertFalse(path.parent.name == "state" and path.suffix != ".db",
                                 f"it should go on:\n{result.err}")
                self.assert_exit(result, 1)
                self.assertRegex(result.err, REFUSALS)
                self.put_back()
                self.assert_exit(self.brigade("run", "pipeline.yaml"), 3)
                self.assert_whole(rows)
        print(f"{went_on} went on, {refused} were refused", file=sys.stderr, flush=True)
        self.assertGreater(went_on, POINTS)

    # Guard: the file is cut to the length that is recorded in the transaction of the outcomes.
    def test_row_09_torn_state_beside_a_file(self):
        path = self.folder / "out" / "out.ndjson"

        def rows():
            return [int(line[5:-1]) for line in path.read_text().splitlines()]
        self.begin({"file": {"path": "out/out.ndjson"}},
                   lambda: path.read_bytes().count(b"\n") if path.exists() else 0)
        self.tear_everything(rows)

    # Guard: the marks are in the transaction of the rows.
    def test_row_09_torn_state_beside_a_table(self):
        database = self.folder / "out" / "out.db"
        self.begin({"sqlite": {"file": "out/out.db", "table": "t"}},
                   lambda: glimpse(database, "select count(*) from t"))
        self.tear_everything(lambda: [n for n, in query(database, "select n from t")],
                             marks_are_elsewhere=True)


if __name__ == "__main__":
    brigade_e2e.main()
