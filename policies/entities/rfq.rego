# Requests for quotes.
package tollgate.entities.rfq

import data.tollgate.lib.dates

default allow := false

# Above this, a person agrees before a quote is written or sent.
approval_threshold_usd := 50000

reads := {"read_rfq"}

changes := {"price_lookup", "draft_quote", "update_quote", "send_quote_packet"}

allow if input.action.name in reads | changes

properties := input.entity.properties

# Whoever only reads may read an incomplete request: that is how it becomes complete.
changing if input.action.name in changes

has(name) if {
	value := properties[name]
	not value in {"", null}
}

deny contains {
	"code": "missing_data",
	"message": "The due date of the request for quote is missing.",
	"remedy": "supply_data",
	"field": "/entity/properties/due_date",
} if {
	changing
	not due_date_given
}

deny contains {
	"code": "missing_data",
	"message": "The request for quote names no customer.",
	"remedy": "supply_data",
	"field": "/entity/properties/customer_id",
} if {
	changing
	not has("customer_id")
}

deny contains {
	"code": "malformed_input",
	"message": sprintf("The due date must be a date such as 2026-12-01, and is %v.", [properties.due_date]),
	"remedy": "correct_input",
	"field": "/entity/properties/due_date",
} if {
	changing
	due_date_given
	not due_date_is_date
}

deny contains {
	"code": "due_date_passed",
	"message": sprintf("The due date %s has passed.", [properties.due_date]),
	"remedy": "correct_input",
	"field": "/entity/properties/due_date",
} if {
	changing
	due_date_is_date
	dates.is_over(properties.due_date, input.now.ns)
}

deny contains {
	"code": "malformed_input",
	"message": "amount_usd must be a number.",
	"remedy": "correct_input",
	"field": "/action/properties/amount_usd",
} if {
	changing
	amount := input.action.properties.amount_usd
	not is_number(amount)
}

deny contains {
	"code": "approval_required",
	"message": sprintf("A quote of %v USD needs approval; without it the limit is %v USD.", [amount, approval_threshold_usd]),
	"remedy": "request_approval",
	"details": {"amount_usd": amount, "threshold_usd": approval_threshold_usd},
} if {
	input.action.name in {"draft_quote", "update_quote", "send_quote_packet"}
	amount := input.action.properties.amount_usd
	is_number(amount)
	amount > approval_threshold_usd
	not approved
}

# A person's agreement is a fact of the record, set by the system of record, not by the agent.
approved if properties.approved_by

# Asked for in several rules, and found once.
due_date_given if has("due_date")

due_date_is_date if dates.is_date(properties.due_date)
