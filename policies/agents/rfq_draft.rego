# The agent that drafts answers to requests for quotes.
package tollgate.agents["rfq-draft"]

default allow := false

default allow_without_entity := false

# What it may do to a record; which records, and in what state, is for the entity types' policies to say.
allow if input.action.name in {
	"read_rfq",
	"price_lookup",
	"draft_quote",
	"update_quote",
	"send_quote_packet",
}

# What it may do without touching a record.
allow_without_entity if input.action.name in {"think", "calculate", "search", "start_run"}

# A quote packet leaves the house: only what was drafted in the same run may be sent.
deny contains {
	"code": "packet_without_draft",
	"message": "A quote packet is sent from the run that drafted it; this request names no run.",
	"remedy": "correct_input",
	"field": "/run/id",
} if {
	input.action.name == "send_quote_packet"
	not input.run.id
}
