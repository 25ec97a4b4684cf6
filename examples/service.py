#!/usr/bin/env python3
"""The handler of examples/requests.yaml: a service that is gone from request GONE_FROM on."""
import json
import os
import sys

GONE_FROM = int(os.environ.get("GONE_FROM", "300"))

for line in sys.stdin:
    asked = json.loads(line)
    request = asked["item"]["request"]
    if request >= GONE_FROM:
        answer = {"error": "503: the service is gone", "retry": False}
    else:
        answer = {"ok": {"request": request, "answer": request * 2}}
    print(json.dumps({"id": asked["id"], **answer}), flush=True)
