"""What a ledger of every item costs: python3 bench/ledger_bench.py BRIGADE FOLDER [ITEMS]

A file of orders through two stages into SQLite, `ledger: full`, one order in a hundred refused for
good. Prints items a second, bytes of ledger an item, the memory at a tenth of the run and at its
end, how long `report` and `explain` take, how long a restart takes until its one new item is
delivered, and the same for a pipeline that begins with nothing.

Every item must have exactly one row in the ledger, and every good one exactly one in the table.
"""
import pathlib
import sqlite3
import subprocess
import sys
import time

PIPELINE = """
name: orders
source: { file: { path: orders.ndjson, format: ndjson } }
id: .order
stages:
  - { filter: '.total != null', name: validate }
  - { jq: 'if .order % 100 == 99 then error("refused") else . end', name: check, workers: 2 }
sink: { sqlite: { file: receipts.db, table: receipts } }
ledger: { mode: full }
"""


def write_orders(path, first, count):
    with open(path, "a", encoding="ascii") as orders:
        for n in range(first, first + count):
            orders.write('{"order":%d,"customer":"c%d","total":%d.5}\n' % (n, n % 1000, n % 500))


def resident_bytes(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) * 1024


def timed(arguments, folder, expect):
    began = time.monotonic()
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=3600)
    if done.returncode != expect:
        sys.exit(f"{arguments}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return time.monotonic() - began


def run_and_watch(brigade, folder, items):
    """Seconds, and the memory at a tenth and at the end, by the rows that are in the ledger."""
    began = time.monotonic()
    with open(folder / "log", "wb") as log:
        running = subprocess.Popen([brigade, "run", "orders.yaml", "--progress", "none"],
                                   cwd=folder, stderr=log, stdout=log)
    early = last = 0
    while running.poll() is None:
        time.sleep(0.1)
        last = resident_bytes(running.pid) or last
        if not early and delivered_so_far(folder) >= items / 10:
            early = last
    wall = time.monotonic() - began
    if running.returncode != 3:
        sys.exit(f"exit {running.returncode}\n{(folder / 'log').read_text()[-2000:]}")
    return wall, early, last


def delivered_so_far(folder):
    try:
        return one(folder / "orders.ledger.db", "select delivered from runs") or 0
    except (sqlite3.Error, TypeError):  # not there yet
        return 0


def one(database, sql):
    connection = sqlite3.connect(database)
    try:
        return connection.execute(sql).fetchone()[0]
    finally:
        connection.close()


def check(folder, items):
    refused = len(range(99, items, 100))
    rows = one(folder / "orders.ledger.db", "select count(*) from items")
    different = one(folder / "receipts.db", 'select count(distinct "order") from receipts')
    delivered = one(folder / "receipts.db", "select count(*) from receipts")
    if (rows, different, delivered) != (items, items - refused, items - refused):
        sys.exit(f"WRONG: {rows} rows of items, {delivered} receipts, {different} different")


def main(brigade, where, count):
    folder = pathlib.Path(where, "ledger")
    folder.mkdir()
    (folder / "orders.yaml").write_text(PIPELINE)
    write_orders(folder / "orders.ndjson", 0, count)
    wall, early, last = run_and_watch(brigade, folder, count)
    check(folder, count)
    ledger = folder / "orders.ledger.db"
    print(f"full ledger, two stages, SQLite: {count / wall:.0f} items/s ({count} items)")
    print(f"  ledger {ledger.stat().st_size / count:.0f} bytes an item; log "
          f"{(folder / 'log').stat().st_size / 1024:.0f} KiB; memory {early >> 20} MiB at a tenth, "
          f"{last >> 20} MiB at the end")
    report = timed([brigade, "report", str(ledger)], folder, 0)
    explain = min(timed([brigade, "explain", str(ledger), str(count // 2 + n)], folder, 0)
                  for n in range(3))
    empty = min(timed([brigade, "--version"], folder, 0) for _ in range(3))
    print(f"  report {report:.2f} s; explain {explain * 1e3:.1f} ms "
          f"(--version {empty * 1e3:.1f} ms)")
    write_orders(folder / "orders.ndjson", count, 1)
    again = timed([brigade, "run", "orders.yaml", "--progress", "none"], folder, 0)
    print(f"  restart with this ledger, to the end of one more item: {again * 1e3:.0f} ms")

    fresh = pathlib.Path(where, "fresh")
    fresh.mkdir()
    (fresh / "orders.yaml").write_text(PIPELINE)
    write_orders(fresh / "orders.ndjson", 0, 1)
    first = timed([brigade, "run", "orders.yaml", "--progress", "none"], fresh, 0)
    print(f"  from nothing to the end of the first item: {first * 1e3:.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000)
