package tollgate_test.entities.rfq

import data.tollgate.entities.rfq

# 2026-11-24T12:00:00Z
now := {"rfc3339": "2026-11-24T12:00:00Z", "ns": 1795521600000000000}

request(action, properties) := {
	"action": {"name": action, "properties": {"amount_usd": 420}},
	"entity": {"type": "rfq", "id": "RFQ-1042", "properties": properties},
	"now": now,
}

complete := {"customer_id": "metro-equipment", "due_date": "2026-12-01"}

codes(reasons) := {reason.code | some reason in reasons}

test_a_complete_request_may_be_drafted if {
	rfq.allow with input as request("draft_quote", complete)
	count(rfq.deny) == 0 with input as request("draft_quote", complete)
}

test_other_actions_are_not_allowed if {
	not rfq.allow with input as request("delete_rfq", complete)
}

test_reading_an_incomplete_request_is_fine if {
	rfq.allow with input as request("read_rfq", {})
	count(rfq.deny) == 0 with input as request("read_rfq", {})
}

test_customer_and_due_date_are_needed if {
	found := rfq.deny with input as request("draft_quote", {"due_date": ""})
	{reason.field | some reason in found} == {"/entity/properties/due_date", "/entity/properties/customer_id"}
}

test_no_entity_at_all if {
	found := rfq.deny with input as {"action": {"name": "draft_quote"}, "now": now}
	codes(found) == {"missing_data"}
}

test_malformed_due_dates if {
	every date in ["tomorrow", "2026-02-30", "2026-13-01", 20261201, ["2026-12-01"], {"day": 1}] {
		found := rfq.deny with input as request("draft_quote", object.union(complete, {"due_date": date}))
		codes(found) == {"malformed_input"}
	}
}

test_a_due_date_of_today_is_not_over if {
	count(rfq.deny) == 0 with input as request("draft_quote", object.union(complete, {"due_date": "2026-11-24"}))
	found := rfq.deny with input as request("draft_quote", object.union(complete, {"due_date": "2026-11-23"}))
	codes(found) == {"due_date_passed"}
}
