"""Times tables in and out: python3 bench/db_bench.py BRIGADE [ROWS]

copy   a table of PostgreSQL -> a table of SQLite, by cursor and exactly once, beside `psql \\copy`
       to a file and `sqlite3 .import` of that, in turns; the median of the rounds' quotients, and
       the CPU time of each, the server's included
claim  the same by claim, with 50 000 rows at most; rows a second

The server is started for it. By hand there is one process at a time, while brigade, its thread that
reads and the server work at once: a quotient is worth something where both processors are free.
Every row has a number: each must be in the table once.
"""
import json
import os
import pathlib
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
from postgres_server import POSTGRES, Postgres

ROUNDS = 5
CLAIMED_MOST = 50_000


def timed(command, folder, stdin=None):
    began = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, input=stdin, text=True, timeout=900)
    return time.monotonic() - began


def cpu_so_far(server):
    """Seconds, of the children of this process and of the server with its children."""
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = 0
    for pid in server.pids():
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += sum(map(int, fields[11:15]))
    return ours.ru_utime + ours.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


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
        hand, copied, cpu = [], [], []
        for _ in range(ROUNDS):
            before = cpu_so_far(server)
            hand.append(by_hand(server, folder))
            between = cpu_so_far(server)
            copied.append(by_brigade(brigade, server, folder, rows, "cursor"))
            cpu.append((cpu_so_far(server) - between, between - before))
        ratios = sorted(ours / theirs for ours, theirs in zip(copied, hand))
        ours, theirs = sorted(cpu)[ROUNDS // 2]
        print(f"copy   {rows} rows: brigade {sorted(copied)[ROUNDS // 2]:.2f} s and {ours:.2f} s "
              f"of CPU, by hand {sorted(hand)[ROUNDS // 2]:.2f} s and {theirs:.2f} s; "
              f"{ratios[ROUNDS // 2]:.2f}x ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)
        claimed = min(rows, CLAIMED_MOST)
        seconds = by_brigade(brigade, server, folder, claimed, "claim")
        print(f"claim  {claimed / seconds:.0f} rows/s")
    finally:
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


main()
