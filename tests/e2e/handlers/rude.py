"""A handler that misbehaves at item 3: rude.py MODE FOLDER [once]

MODE is one of: rubbish, two_answers, unknown_id, silent, long_answer, declines, fatal.
With `once` it does so only as long as FOLDER/was_rude does not exist, which it then touches.
"""
import json
import sys
import time
from pathlib import Path

mode, marker, once = sys.argv[1], Path(sys.argv[2], "was_rude"), "once" in sys.argv[3:]


def say(answer):
    print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)


for line in sys.stdin:
    request = json.loads(line)
    number, identity = request["item"]["n"], request["id"]
    good = {"id": identity, "ok": {"n": number}}
    if number != 3 or (once and marker.exists()):
        say(good)
        continue
    marker.touch()
    if mode == "rubbish":
        say("Loading the model, please wait ...")
    elif mode == "two_answers":
        print(json.dumps(good) + "\n" + json.dumps(good), flush=True)
    elif mode == "unknown_id":
        say({"id": 4711, "ok": {"n": number}})
    elif mode == "long_answer":
        say({"id": identity, "ok": {"n": number, "text": "x" * (2 << 20)}})
    elif mode == "silent":
        time.sleep(3600)
    elif mode == "declines":
        say({"id": identity, "error": "the oven is cold", "retry": False})
    elif mode == "fatal":
        say({"id": identity, "error": "the kitchen is on fire", "fatal": True})
