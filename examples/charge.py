#!/usr/bin/env python3
"""The handler of examples/orders.yaml: charges one order a request.

brigade starts it once a worker and keeps it. Each line on stdin is a request,
    {"id": 17, "key": "orders:file:8f3a:40960", "attempt": 1, "item": {"order": 5, ...}}
and each line on stdout an answer with its id: what the item becomes, or why it failed.
"""
import json
import os
import sqlite3
import sys
import time

# This demonstration needs orders that go wrong. Put None in their place to mend the handler.
RAISES, CRASHES, HANGS_ONCE = 847, 500, 321


def charge(charges, key, order):
    """Takes the money. An order may be asked for again, and its key is then the same."""
    cents = round(order["total"] * 100)
    charges.execute(
        "insert or ignore into charges (key, order_id, cents) values (?, ?, ?)",
        (key, order["order"], cents),
    )
    return cents


def handle(charges, key, order, attempt):
    if order["order"] == RAISES:
        raise ValueError("the card issuer declined")
    if order["order"] == CRASHES:
        os._exit(1)
    cents = charge(charges, key, order)
    if order["order"] == HANGS_ONCE and attempt == 1:
        time.sleep(60)  # charged, but the answer never comes: brigade asks again
    return {"order": order["order"], "customer": order["customer"], "cents": cents, "key": key}


def main():
    # Every worker has a process of its own: they wait for each other. Each statement commits.
    charges = sqlite3.connect(os.environ.get("CHARGES", "charges.db"), timeout=30,
                              isolation_level=None)
    charges.execute("create table if not exists charges (key text primary key, order_id, cents)")
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"id": request["id"]}
        try:
            answer["ok"] = handle(charges, request["key"], request["item"], request["attempt"])
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
            answer["retry"] = False  # trying it again would not help
        print(json.dumps(answer), flush=True)


main()
