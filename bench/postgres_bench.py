"""Times rows into PostgreSQL: python3 bench/postgres_bench.py BRIGADE FOLDER [ROWS] [BATCH]

copy      NDJSON -> sink postgres, and `psql \\copy` of the same rows, in turns; at most 1.3x
insert    the same with `method: insert`
upsert    the same by COPY with a `key`, into an empty table and over what is there

The server is started here, with the settings Debian gives it (each commit is synced). Every row has
a number, and each must be there once. A peer that is psql has its rows as CSV, in one transaction.
"""
import json
import pathlib
import resource
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
from servers import POSTGRES, Postgres  # noqa: E402

ROUNDS = 5
TABLE = ("create table rows (id bigint, customer text, city text, total numeric, paid boolean, "
         "placed timestamptz)")
CITIES = ("Berlin", "México D.F.", "Luleå", "Strasbourg", "Bern")


def row(n):
    return {"id": n, "customer": f"C{n % 9973:05d}", "city": CITIES[n % 5],
            "total": (n % 100_000) / 100, "paid": n % 3 == 0,
            "placed": f"2024-05-{n % 28 + 1:02d}T10:{n % 60:02d}:00Z"}


def write_rows(folder, rows):
    with open(folder / "rows.ndjson", "w", encoding="utf-8", buffering=1 << 20) as lines, \
            open(folder / "rows.csv", "w", encoding="utf-8", buffering=1 << 20) as table:
        for n in range(rows):
            each = row(n)
            lines.write(json.dumps(each, ensure_ascii=False) + "\n")
            table.write(",".join(str(value) for value in each.values()) + "\n")


def measured(command, folder):
    """Wall and CPU seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stderr}")
    return wall, (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


class Bench:
    def __init__(self, brigade, folder, rows, batch):
        self.brigade, self.folder, self.rows, self.batch = brigade, folder, rows, batch
        self.server = Postgres()

    def make_table(self):
        self.server.ask("drop table if exists rows, _brigade_marks")
        self.server.ask(TABLE)
        self.server.ask("checkpoint")

    def check(self, name):
        found = self.server.ask("select count(*), count(distinct id) from rows")
        if found != [(str(self.rows), str(self.rows))]:
            sys.exit(f"{name}: {found} of {self.rows} rows")

    def by_brigade(self, empty=True, **options):
        if empty:
            self.make_table()
        else:
            self.server.ask("drop table _brigade_marks; checkpoint")
        for left in self.folder.glob("rows.ledger.db*"):
            left.unlink()
        (self.folder / "rows.yaml").write_text(json.dumps({
            "name": "rows", "state": ".", "window": {"items": 8 * self.batch},
            "source": {"file": {"path": "rows.ndjson", "format": "ndjson"}},
            "sink": {"postgres": {"connection": self.server.conninfo(), "table": "rows", **options},
                     "batch": {"count": self.batch}}}))
        times = measured([self.brigade, "run", "rows.yaml", "--progress", "none"], self.folder)
        self.check("brigade")
        return times

    def by_psql(self):
        self.make_table()
        times = measured([POSTGRES / "psql", "-Xq", self.server.conninfo(), "-c",
                          "\\copy rows from rows.csv csv"], self.folder)
        self.check("psql")
        return times

    def tell(self, name, times, peer=None):
        wall, cpu = sorted(times)[len(times) // 2]
        line = f"{name:24} {wall:6.2f} s ({self.rows / wall:8.0f} rows/s), {cpu:5.2f} s of CPU"
        if peer:
            ratios = sorted(ours[0] / theirs[0] for ours, theirs in zip(times, peer))
            line += f", {ratios[len(ratios) // 2]:.2f}x psql ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(line, flush=True)

    def run(self):
        peer, copied, inserted, upserted, again = [], [], [], [], []
        for _ in range(ROUNDS):
            peer.append(self.by_psql())
            copied.append(self.by_brigade())
        self.tell("psql \\copy", peer)
        self.tell("copy", copied, peer)
        for _ in range(max(1, ROUNDS // 2)):
            inserted.append(self.by_brigade(method="insert"))
            upserted.append(self.by_brigade(key="id"))
            again.append(self.by_brigade(empty=False, key="id"))
        self.tell("insert", inserted)
        self.tell("upsert, new rows", upserted)
        self.tell("upsert, rows replaced", again)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[2]).resolve()
    rows = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
    batch = int(sys.argv[4]) if len(sys.argv) > 4 else 20_000
    write_rows(folder, rows)
    bench = Bench(str(pathlib.Path(sys.argv[1]).resolve()), folder, rows, batch)
    try:
        bench.run()
    finally:
        bench.server.remove()


if __name__ == "__main__":
    main()
