package tollgate_test.base

import data.tollgate.base

test_amounts_below_zero if {
	found := base.deny with input as {"action": {"properties": {"amount_usd": -1, "amount_tokens": 2, "note": -3}}}
	{reason.field | some reason in found} == {"/action/properties/amount_usd"}
}

test_a_large_estimate_needs_approval if {
	found := base.deny with input as {"estimate": [{"unit": "usd", "amount": "100.01"}, {"unit": "tokens", "amount": "1000000"}]}
	{reason.code | some reason in found} == {"estimate_too_large"}
	count(base.deny) == 0 with input as {"estimate": [{"unit": "usd", "amount": "100"}]}
}

test_a_step_that_fails_again_and_again if {
	count(base.warn) == 1 with input as {"run": {"step": "price-lookup", "same_step_failures": 2}}
	count(base.warn) == 0 with input as {"run": {"step": "price-lookup", "same_step_failures": 1}}
}
