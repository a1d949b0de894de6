#!/usr/bin/env python3
"""A runtime's loop around one action: ask, act, then settle or release. Standard library alone.

    TOLLGATE_URL=http://127.0.0.1:8181 TOLLGATE_KEY=tg_... python3 runtime_loop.py

Exit codes: 0 the action was done and settled, 1 it was denied, 2 no answer could be had (so nothing was done), 3 it was done
and could not be settled (settle it later), 4 the action itself failed.
"""

import email.utils
import http.client
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


def seconds(retry_after, otherwise):
    """What `Retry-After` says: seconds, or a date where a proxy wrote it."""
    try:
        return max(0.0, float(retry_after))
    except (TypeError, ValueError):
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return otherwise


def document(response):
    """A body that is one JSON object; anything else is no answer of Tollgate's."""
    body = json.load(response)
    if not isinstance(body, dict):
        raise ValueError("the answer is not a JSON object")
    return body


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
                return document(response)
        except urllib.error.HTTPError as error:
            try:
                problem = document(error)
            except (ValueError, OSError, http.client.HTTPException):
                problem = {}
            code = problem.get("code", str(error.code))
            if error.code not in (408, 429, 500, 502, 503, 504):
                # 400, 401, 403, 404, 409, 413, 415, 422: ours to correct
                raise Refused(f"{code}: {problem.get('detail', error.reason)}") from error
            why = code
            pause = seconds(error.headers.get("Retry-After"), pause)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # no connection, one that was cut, half an answer, or what is none: it may have been decided all the same
            why = f"{type(error).__name__}: {error}"
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
                   "properties": {"customer_id": "metro-equipment", "due_date": "2099-12-01"}},
        "run": {"id": "run-17", "attempt": 1, "step": "price-lookup"},
        "estimate": [{"unit": "usd", "amount": os.environ.get("ESTIMATE_USD", "0.42")}],
    })
    if answer.get("decision") not in ("allow", "deny"):
        raise NoAnswer("the answer is no decision")
    if answer["decision"] == "deny":
        explain(answer)
        return 1
    hold = answer["hold"]["id"] if answer["hold"] else None
    try:
        spent = draft_quote()
    except Exception as error:
        # it certainly did not happen; where that is not certain, settle what it may have cost instead
        print(f"the action failed: {error}", file=sys.stderr)
        if hold:
            try:
                post(f"/api/v1/holds/{hold}/release", {"reason": f"the action failed: {error}"[:500]})
            except (NoAnswer, Refused) as trouble:
                print(f"not done, and not released: release {hold} later ({trouble})", file=sys.stderr)
        return 4
    # from here on it has happened: whatever goes wrong, never say that nothing was done
    if hold:
        try:
            post(f"/api/v1/holds/{hold}/settle", {"actual": [{"unit": "usd", "amount": spent}]})
        except (NoAnswer, Refused) as trouble:
            print(f"done, but not settled: settle {hold} with {spent} usd later ({trouble})", file=sys.stderr)
            return 3
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
