# The airline's service agent: which of its tools it may use, and on what.
#
# What the airline's rules say of a reservation or of a user's account stands in the layers of these entity types.
package tollgate.agents.airline

import data.tollgate.lib.airline

on_nothing := {
	"calculate",
	"list_all_airports",
	"search_direct_flight",
	"search_onestop_flight",
	"think",
	"transfer_to_human_agents",
}

# The argument of each tool that names the record it acts on.
on_reservation := {
	"get_reservation_details": "reservation_id",
	"cancel_reservation": "reservation_id",
	"update_reservation_flights": "reservation_id",
	"update_reservation_baggages": "reservation_id",
	"update_reservation_passengers": "reservation_id",
}

on_user := {
	"get_user_details": "user_id",
	"book_reservation": "user_id",
	"send_certificate": "user_id",
}

naming_argument := on_reservation[input.action.name] if input.entity.type == "reservation"

naming_argument := on_user[input.action.name] if input.entity.type == "user"

allow_without_entity if input.action.name in on_nothing

allow if naming_argument

# Judging one record and changing another would be a way around every rule.
deny contains airline.malformed(
	sprintf("/action/properties/%s", [naming_argument]),
	sprintf("The argument %s does not name the %s that the request is about.", [naming_argument, input.entity.type]),
) if {
	naming_argument
	not names_the_entity
}

names_the_entity if input.action.properties[naming_argument] == input.entity.id
