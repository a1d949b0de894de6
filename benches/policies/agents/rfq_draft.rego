package tollgate.agents["rfq-draft"]

allow if input.action.name in {"read_rfq", "price_lookup", "draft_quote", "update_quote", "send_quote_packet"}

deny contains {"code": "packet_without_draft", "message": "A packet is sent from a run.", "remedy": "correct_input"} if {
	input.action.name == "send_quote_packet"
	not input.run.id
}
