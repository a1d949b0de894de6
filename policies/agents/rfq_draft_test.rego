package tollgate_test.agents.rfq_draft

import data.tollgate.agents["rfq-draft"] as agent

test_what_it_may_do if {
	agent.allow with input as {"action": {"name": "draft_quote"}}
	agent.allow_without_entity with input as {"action": {"name": "think"}}
}

test_leaving_the_entity_out_is_no_way_around if {
	not agent.allow_without_entity with input as {"action": {"name": "draft_quote"}}
}

test_what_it_may_not_do if {
	not agent.allow with input as {"action": {"name": "delete_rfq"}}
}

test_a_packet_needs_a_run if {
	count(agent.deny) == 1 with input as {"action": {"name": "send_quote_packet"}}
	count(agent.deny) == 0 with input as {"action": {"name": "send_quote_packet"}, "run": {"id": "run-17"}}
}
