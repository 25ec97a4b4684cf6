"""Times tables in and out: python3 bench/db_bench.py BRIGADE [ROWS]

copy   a table of PostgreSQL -> a table of SQLite, by cursor and exactly once, beside `psql \\copy`
       to a file and `sqlite3 .import` of that; the quotient of the two, of the best of three rounds
claim  the same by claim, with 50 000 rows at most; rows a second

The server is started for it. Every row has a number: each must be in the table once.
"""
import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
from postgres_server import POSTGRES, Postgres

ROUNDS = 3
CLAIMED_MOST = 50_000


def timed(command, folder, stdin=None):
    began = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, input=stdin, text=True, timeout=900)
    return time.monotonic() - began


def by_hand(server, folder):
    """What one would do without brigade."""
    for old in ("hand.db", "hand.csv"):
        (folder / old).unlink(missing_ok=True)
    out = timed([POSTGRES / "psql", "-Xqc", "\\copy orders to hand.csv csv", server.conninfo()],
                folder)
    script = ("create table orders(id integer primary key, customer text, total real, note text);\n"
              ".import --csv hand.csv orders\n")
    return out + timed(["sqlite3", "hand.db"], folder, script)


def by_brigade(brigade, server, folder, rows, how):
    place = folder / how
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "p.yaml").write_text(json.dumps({
        "name": "copy", "ledger": {"mode": "failures"},
        "source": {"postgres": {"connection": server.conninfo(), "table": "orders", "by": how,
                                **({"where": f"id <= {rows}"} if how == "claim" else {})}},
        "window": {"items": 40_000},
        "sink": {"sqlite": {"file": "out.db", "table": "orders"}, "batch": {"count": 5000}}}))
    seconds = timed([brigade, "run", "p.yaml"], place)
    with sqlite3.connect(place / "out.db") as base:
        found = base.execute("select count(*), count(distinct id) from orders").fetchone()
    base.close()
    if found != (rows, rows):
        sys.exit(f"{found} rows of {rows}")
    return seconds


def main():
    brigade = pathlib.Path(sys.argv[1]).resolve()
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    server = Postgres()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="brigade-db-bench-"))
    try:
        server.ask("create table orders(id integer primary key, customer text, total float8, "
                   "note text)")
        server.ask("insert into orders select i, 'customer ' || i % 1000, i / 4.0, "
                   f"md5(i::text) from generate_series(1, {rows}) i")
        server.ask("vacuum analyze orders")
        hand = []
        copied = []
        for _ in range(ROUNDS):
            hand.append(by_hand(server, folder))
            copied.append(by_brigade(brigade, server, folder, rows, "cursor"))
        print(f"copy   {rows} rows: brigade {min(copied):.2f} s, by hand {min(hand):.2f} s, "
              f"{min(copied) / min(hand):.2f} of it; all: "
              f"{[f'{each:.2f}' for each in copied]} {[f'{each:.2f}' for each in hand]}")
        claimed = min(rows, CLAIMED_MOST)
        seconds = by_brigade(brigade, server, folder, claimed, "claim")
        print(f"claim  {claimed / seconds:.0f} rows/s")
    finally:
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


main()
