#!/usr/bin/env python3
"""A runtime's loop around one action: ask, act, then settle or release. Standard library alone.

    TOLLGATE_URL=http://127.0.0.1:8181 TOLLGATE_KEY=tg_... python3 runtime_loop.py

Exit codes: 0 the action was done and settled, 1 it was denied, 2 no answer could be had (so nothing was done).
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

URL = os.environ.get("TOLLGATE_URL", "http://127.0.0.1:8181")
KEY = os.environ["TOLLGATE_KEY"]
TRIES = 5


class NoAnswer(Exception):
    """Nobody knows whether it is allowed. Do not act."""


class Refused(Exception):
    """The request itself is wrong; sending it again does not help."""


def post(path, body):
    """One request; the same one again while the trouble may pass. Safe to repeat: the idempotency key (for a hold, its
    id) makes the second time the same as the first."""
    request = urllib.request.Request(
        URL + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + KEY, "Content-Type": "application/json"},
        method="POST",
    )
    why = "not tried"
    for attempt in range(TRIES):
        pause = min(0.2 * 2**attempt, 5.0)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            try:
                problem = json.load(error)
            except ValueError:
                problem = {}
            code = problem.get("code", str(error.code))
            if error.code not in (408, 429, 500, 502, 503, 504):
                # 400, 401, 403, 404, 409, 413, 415, 422: ours to correct
                raise Refused(f"{code}: {problem.get('detail', error.reason)}") from error
            why = code
            pause = float(error.headers.get("Retry-After", pause))
        except (urllib.error.URLError, OSError, ValueError) as error:
            why = str(error)
        if attempt + 1 < TRIES:
            time.sleep(min(pause, 30.0))
    raise NoAnswer(why)


def explain(answer):
    """A denial names every reason at once, each with what would lift it."""
    for reason in answer["reasons"]:
        remedy = reason["remedy"]
        print(f"denied: {reason['code']}: {reason['message']}")
        print(f"  to lift it: {remedy['kind']} {remedy['target'] or ''} {remedy['href'] or ''}".rstrip())
    kinds = {reason["remedy"]["kind"] for reason in answer["reasons"]}
    if answer["retry_at"]:
        print(f"ask again, under a new idempotency key, after {answer['retry_at']}")
    elif kinds <= {"supply_data", "correct_input"}:
        print("complete or correct the request, then ask again under a new idempotency key")
    else:
        print("stop this step: it waits for a person")


def draft_quote():
    """The action itself. Returns what it cost."""
    return "0.39"


def run():
    key = os.environ.get("TOLLGATE_IDEMPOTENCY_KEY", f"run-17/price-lookup/{time.time_ns()}")
    answer = post("/api/v1/admissions", {
        "idempotency_key": key,
        "agent": {"id": "rfq-draft"},
        "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
        "entity": {"type": "rfq", "id": "RFQ-1042",
                   "properties": {"customer_id": "metro-equipment", "due_date": "2026-12-01"}},
        "run": {"id": "run-17", "attempt": 1, "step": "price-lookup"},
        "estimate": [{"unit": "usd", "amount": os.environ.get("ESTIMATE_USD", "0.42")}],
    })
    if answer["decision"] != "allow":
        explain(answer)
        return 1
    hold = answer["hold"]["id"] if answer["hold"] else None
    try:
        spent = draft_quote()
    except Exception as error:
        # it certainly did not happen; where that is not certain, settle what it may have cost instead
        if hold:
            post(f"/api/v1/holds/{hold}/release", {"reason": f"the action failed: {error}"})
        raise
    if hold:
        post(f"/api/v1/holds/{hold}/settle", {"actual": [{"unit": "usd", "amount": spent}]})
    print(f"allowed as {answer['id']}, spent {spent} usd")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(run())
    except NoAnswer as error:
        print(f"no answer, so nothing was done: {error}", file=sys.stderr)
        sys.exit(2)
    except Refused as error:
        print(f"the request was refused, so nothing was done: {error}", file=sys.stderr)
        sys.exit(2)
