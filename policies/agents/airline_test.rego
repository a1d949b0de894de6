# Tests of the airline agent's layer, on made-up calls.
package tollgate.agents.airline_test

import data.tollgate.agents.airline

on_nothing(name) := {"action": {"name": name, "properties": {}}}

on_record(name, arguments, type, id) := {
	"action": {"name": name, "properties": arguments},
	"entity": {"type": type, "id": id, "properties": {}},
}

test_thinking_needs_no_entity if airline.allow_without_entity with input as on_nothing("think")

test_handing_over_needs_no_entity if airline.allow_without_entity with input as on_nothing("transfer_to_human_agents")

test_cancelling_needs_an_entity if not airline.allow_without_entity with input as on_nothing("cancel_reservation")

test_an_unknown_tool_is_not_allowed if {
	not airline.allow_without_entity with input as on_nothing("drop_tables")
	not airline.allow with input as on_record("drop_tables", {}, "reservation", "R1")
}

test_a_tool_on_its_record_is_allowed if {
	call := on_record("cancel_reservation", {"reservation_id": "R1"}, "reservation", "R1")
	airline.allow with input as call
	count(airline.deny) == 0 with input as call
}

test_a_tool_on_another_type_is_not_allowed if {
	not airline.allow with input as on_record("cancel_reservation", {"reservation_id": "R1"}, "user", "R1")
	not airline.allow with input as on_record("book_reservation", {"user_id": "u"}, "reservation", "u")
}

test_a_thought_on_a_record_is_not_allowed if not airline.allow with input as on_record("think", {}, "user", "u")

test_an_argument_that_names_another_record_is_malformed if {
	denials := airline.deny with input as on_record("cancel_reservation", {"reservation_id": "R2"}, "reservation", "R1")
	{denial.code | some denial in denials} == {"malformed_input"}
	{denial.field | some denial in denials} == {"/action/properties/reservation_id"}
}

test_a_missing_argument_is_malformed if {
	denials := airline.deny with input as on_record("send_certificate", {"amount": 100}, "user", "u")
	{denial.code | some denial in denials} == {"malformed_input"}
}
