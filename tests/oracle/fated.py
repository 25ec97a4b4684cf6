"""A handler that does with each item what its fate says: fated.py SPECIFICATION

The specification is a JSON object: name, seed, shares, folder. Of what came together the answers
go out shuffled, and whoever misbehaves has its turn last. In the folder there is a file for each
thing that is done once; when there is a file `mended`, nobody fails any more.
"""
import json
import os
import random
import sys
import time
from pathlib import Path

from fates import fate_of

told = json.loads(sys.argv[1])
folder = Path(told["folder"])
chance = random.Random(os.getpid())
BEHAVED = ("ok", "late", "fails_twice", "declines", "fails_always")


def first_time(item):
    """True once for each item of this stage, whoever asks, also after a kill."""
    parts = "-".join(map(str, item.get("parts", [])))
    try:
        os.close(os.open(folder / f"{told['name']}.{item['id']}.{parts}",
                         os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        return True
    except FileExistsError:
        return False


def say(*answers):
    data = "".join(json.dumps(answer) + "\n" for answer in answers).encode()
    while data:
        data = data[os.write(1, data):]


def worked_on(request):
    item = request["item"]
    trail = item.get("trail", []) + [told["name"]]
    return {"id": request["id"], "ok": {**item, "trail": trail, "key": request["key"]}}


def answer_to(request, fate):
    if fate == "late":
        time.sleep(chance.random() * 0.01)
    if fate == "declines":
        return {"id": request["id"], "error": "declined", "retry": False}
    if fate == "fails_always" or (fate == "fails_twice" and request["attempt"] <= 2):
        return {"id": request["id"], "error": "not now", "retry": chance.random() * 0.02}
    return worked_on(request)


def misbehave(request, fate):
    item = request["item"]
    if fate == "poison" or (fate == "crashes_once" and first_time(item)):
        os.kill(os.getpid(), 9)
    if fate == "hangs_always" or (fate == "hangs_once" and first_time(item)):
        time.sleep(3600)
    if fate == "rubbish_once" and first_time(item):
        os.write(1, b"Loading the model, please wait ...\n")
        return
    if fate == "answers_twice" and first_time(item):
        say(worked_on(request), worked_on(request))
        return
    say(worked_on(request))


def serve(requests):
    mended = (folder / "mended").exists()
    fates = [(request, "ok" if mended else fate_of(told["shares"], told["seed"], request["item"]))
             for request in requests]
    answers = [answer_to(request, fate) for request, fate in fates if fate in BEHAVED]
    chance.shuffle(answers)
    if answers:
        say(*answers)
    for request, fate in fates:
        if fate not in BEHAVED:
            misbehave(request, fate)


left = b""
while chunk := os.read(0, 1 << 16):
    *lines, left = (left + chunk).split(b"\n")
    serve([json.loads(line) for line in lines])
