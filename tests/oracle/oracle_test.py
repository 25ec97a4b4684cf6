"""The oracle judges a good life well, and sees whatever is done to its traces afterwards."""
import contextlib
import json
import sqlite3

from life import Life, brigade_e2e
from oracle import Oracle, Violation


class OracleTest(brigade_e2e.BrigadeTest):
    def a_life(self, sink, wanted=lambda model: True, lived=lambda life: True, order=None):
        """The first seed with such a pipeline, lived without a fault."""
        for seed in range(10_000):
            life = Life(self, seed)
            model = life.model
            if model.sink == sink and model.order == order and model.ledger == "full" and (
                    model.stages and not model.holds_keys and wanted(model)):
                life.append(model.make(60))
                life.in_peace()
                if lived(life):
                    return life
        raise AssertionError("no such pipeline")

    def sees(self, kind, life):
        with self.assertRaises(Violation) as caught:
            Oracle(life.model, life.folder, life.outputs).judge()
        self.assertIn(kind, str(caught.exception))

    @contextlib.contextmanager
    def tampered(self, path):
        """The file may be changed; afterwards it is as it was."""
        wal = path.with_name(path.name + "-wal")
        self.assertFalse(wal.exists() and wal.stat().st_size, "all is in the file itself")
        before = path.read_bytes()
        try:
            yield
        finally:
            path.write_bytes(before)

    def sees_after(self, life, database, sql, kind):
        with self.subTest(sql=sql), self.tampered(database):
            connection = sqlite3.connect(database)
            connection.executescript(f"pragma journal_mode = delete; {sql}")
            connection.close()
            self.sees(kind, life)

    def test_it_sees_what_happens_to_rows_of_a_table(self):
        life = self.a_life("sqlite")
        table = life.folder / "out" / "out.db"
        one = "(select min(rowid) from items where length(text) > 5)"
        for sql, kind in (
                (f"delete from items where rowid = {one}", "lost"),
                (f"insert into items select * from items where rowid = {one}", "twice"),
                (f"update items set text = upper(text) || 'x' where rowid = {one}", "changed"),
                (f"update items set id = 'i0-4711' where rowid = {one}", "invented")):
            self.sees_after(life, table, sql, kind)

    def test_it_sees_what_happens_to_a_sink_in_a_branch(self):
        def has_rows(life):
            return [name for name, rows in Oracle(life.model, life.folder).delivered().items()
                    if len(rows) > 3 and name != life.model.SINK
                    and life.model.sinks[name] == "sqlite" and name not in life.model.may_drop]

        life = self.a_life("sqlite", lambda model: len(
            [stage for stage in model.stages if type(stage).__name__ == "Tee"]) == 1, has_rows)
        name, *_ = has_rows(life)
        one = f"(select min(rowid) from {name})"
        for sql, kind in (
                (f"delete from {name} where rowid = {one}", "lost"),
                (f"insert into {name} select * from {name} where rowid = {one}", "twice")):
            self.sees_after(life, life.folder / "out" / "out.db", sql, kind)

    def test_it_sees_what_happens_to_lines_of_a_file(self):
        life = self.a_life("file", order="source")
        path = life.folder / "out" / "items.ndjson"
        lines = path.read_text().splitlines(keepends=True)
        self.assertGreater(len(lines), 2)
        other = json.dumps({**json.loads(lines[0]), "n": 4711}) + "\n"
        for changed, kind in ((lines[1:], "lost"), (lines + lines[:1], "twice"),
                              ([other, *lines[1:]], "changed"),
                              ([lines[1], lines[0], *lines[2:]], "out of order"),
                              ([*lines, '{"id": "i'], "half a row"),
                              ([*lines, "rubbish\n"], "a row that is none")):
            with self.subTest(kind=kind), self.tampered(path):
                path.write_text("".join(changed))
                self.sees(kind, life)

    def test_it_sees_what_happens_to_the_ledger(self):
        life = self.a_life("sqlite", lambda model: any(
            type(stage).__name__ == "Refusing" for stage in model.stages))
        ledger = life.ledger()
        a_row = "(run, position) = (select run, max(position) from item_rows)"
        for sql, kind in (
                (f"delete from item_rows where {a_row}", "lost"),
                ("delete from dead_letters", "lost"),
                ("update dead_letters set payload = replace(payload, '\"n\"', '\"m\"')",
                 "changed"),
                ("update dead_letters set error = 'something'", "a wrong letter"),
                ("update marks set low = low - 1", "a mark that lags"),
                ("update runs set delivered = delivered + 1", "do not add up")):
            self.sees_after(life, ledger, sql, kind)


if __name__ == "__main__":
    brigade_e2e.main()
