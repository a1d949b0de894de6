package tollgate.entities.rfq

allow if input.action.name in {"read_rfq", "price_lookup", "draft_quote", "update_quote", "send_quote_packet"}

deny contains {
	"code": "missing_data",
	"message": "The due date is missing.",
	"remedy": "supply_data",
	"field": "/entity/properties/due_date",
} if {
	not input.entity.properties.due_date
}
