#!/bin/sh
# A runtime's loop around one action, with curl: ask, act, settle.
#   TOLLGATE_URL=http://127.0.0.1:8181 TOLLGATE_KEY=tg_... sh runtime_loop.sh
# Exit codes: 0 done and settled, 1 denied, 2 no answer (so nothing was done), 3 done and not settled (settle it later).
set -eu
url="${TOLLGATE_URL:-http://127.0.0.1:8181}"
key="${TOLLGATE_IDEMPOTENCY_KEY:-run-17/price-lookup/$(date +%s)-$$}"

# --retry repeats on 408, 429 and 5xx, honours Retry-After, and with --retry-connrefused on no connection: the
# idempotency key makes that safe. --fail: anything but 200 is no answer. The key comes from standard input, so that it
# is not in the process list.
post() {
    printf 'header = "Authorization: Bearer %s"\n' "$TOLLGATE_KEY" |
        curl --config - --silent --show-error --fail --max-time 10 --retry 4 --retry-connrefused \
            --header 'Content-Type: application/json' --data "$2" "$url$1"
}

answer=$(post /api/v1/admissions '{
  "idempotency_key": "'"$key"'",
  "agent": {"id": "rfq-draft"},
  "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
  "entity": {"type": "rfq", "id": "RFQ-1042",
             "properties": {"customer_id": "metro-equipment", "due_date": "2099-12-01"}},
  "run": {"id": "run-17", "attempt": 1, "step": "price-lookup"},
  "estimate": [{"unit": "usd", "amount": "'"${ESTIMATE_USD:-0.42}"'"}]
}') || { echo "no answer, so nothing was done" >&2; exit 2; }

case "$answer" in
    *'"decision":"allow"'*) ;;
    *'"decision":"deny"'*) echo "denied: $answer"; exit 1 ;;
    *) echo "the answer is no decision, so nothing was done: $answer" >&2; exit 2 ;;
esac
hold=$(printf '%s' "$answer" | sed -n 's/.*"hold":{"id":"\([a-z0-9_]*\)".*/\1/p')

echo "... the action happens here ..."

if [ -n "$hold" ]; then
    post "/api/v1/holds/$hold/settle" '{"actual": [{"unit": "usd", "amount": "0.39"}]}' > /dev/null ||
        { echo "done, but not settled: settle $hold later" >&2; exit 3; }
fi
echo "allowed and settled"
