# What holds for every agent and every action in the organisation.
package tollgate.base

# One action may cost at most this much before a person has looked at it.
most_usd_at_once := 100

# An amount in the properties of an action is money, tokens, pieces: never below zero.
deny contains {
	"code": "malformed_input",
	"message": sprintf("%s must not be below zero, and is %v.", [name, value]),
	"remedy": "correct_input",
	"field": concat("/", ["/action/properties", name]),
} if {
	some name, value in input.action.properties
	startswith(name, "amount")
	is_number(value)
	value < 0
}

deny contains {
	"code": "estimate_too_large",
	"message": sprintf("One action may cost at most %v USD; this one is estimated at %s USD.", [most_usd_at_once, item.amount]),
	"remedy": "request_approval",
	"details": {"asked": item.amount, "most": most_usd_at_once},
} if {
	some item in input.estimate
	item.unit == "usd"
	to_number(item.amount) > most_usd_at_once
}

warn contains {
	"code": "same_step_failed_again",
	"message": sprintf("The step %s has failed %d times in this run; another try is not likely to help.", [input.run.step, input.run.same_step_failures]),
	"details": {"same_step_failures": input.run.same_step_failures},
} if {
	input.run.same_step_failures >= 2
}
