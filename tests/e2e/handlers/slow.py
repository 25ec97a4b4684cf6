"""A handler that takes its time.

    slow.py FOLDER [--seconds S] [--gate] [--never [N]] [--ignore-term]

Touches FOLDER/started.N when it takes item N, and answers S seconds later. With --gate it waits
until FOLDER/gate exists; with --never it does not answer at all, or not item N. With --ignore-term
it touches FOLDER/term.PID on SIGTERM and lives on.
"""
import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

EVERY_ITEM = 0

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--seconds", type=float, default=0)
parser.add_argument("--gate", action="store_true")
parser.add_argument("--never", nargs="?", type=int, const=EVERY_ITEM)
parser.add_argument("--ignore-term", action="store_true")
told = parser.parse_args()
if told.ignore_term:
    signal.signal(signal.SIGTERM, lambda *_: (told.folder / f"term.{os.getpid()}").touch())

for line in sys.stdin:
    request = json.loads(line)
    number = request["item"]["n"]
    (told.folder / f"started.{number}").touch()
    time.sleep(told.seconds)
    never = told.never in (EVERY_ITEM, number)
    while never or (told.gate and not (told.folder / "gate").exists()):
        time.sleep(0.01)
    print(json.dumps({"id": request["id"], "ok": {"n": number}}), flush=True)
