#!/usr/bin/env python3
"""Writes the orders that examples/orders.yaml works on: make_orders.py FILE [COUNT].

One JSON object a line, the same ones every time. Line 612 was cut off by a writer that died.
"""
import json
import random
import sys

CUT_OFF = 612


def orders(count):
    chance = random.Random(2)
    for number in range(1, count + 1):
        yield {
            "order": number,
            "customer": f"c{chance.randrange(1, 200):03}",
            "total": chance.randrange(250, 50_000) / 100,
        }


def main(path, count="1000"):
    with open(path, "w", encoding="utf-8") as file:
        for order in orders(int(count)):
            line = json.dumps(order)
            file.write((line[:25] if order["order"] == CUT_OFF else line) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
