"""Charges each item once per key into the database named first, and answers at once.

The table counts how often a key was asked for: after a crash that is more than once.
"""
import json
import sqlite3
import sys

table = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
table.execute("pragma synchronous = off")  # the machine stays up: only processes are killed
table.execute("create table if not exists charges (key text primary key, n int, asked int)")
for line in sys.stdin:
    request = json.loads(line)
    number = request["item"]["n"]
    table.execute("insert into charges values (?, ?, 1)"
                  " on conflict (key) do update set asked = asked + 1", (request["key"], number))
    ok = {"n": number, "key": request["key"]}
    sys.stdout.write(json.dumps({"id": request["id"], "ok": ok}) + "\n")
    sys.stdout.flush()
