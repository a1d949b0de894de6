# Tests of the reservation layer, on a made-up reservation. Each rule is seen to deny, and beside it to let pass.
package tollgate.entities.reservation_test

import data.tollgate.entities.reservation

passenger := {"first_name": "Ada", "last_name": "Park", "dob": "1980-02-03"}

timetable := {
	"T1 2030-03-10": {"origin": "AAA", "destination": "BBB", "status": "available", "available_seats": seats, "prices": prices},
	"T2 2030-03-12": {"origin": "BBB", "destination": "AAA", "status": "available", "available_seats": seats, "prices": prices},
	"T3 2030-03-10": {"origin": "AAA", "destination": "CCC", "status": "available", "available_seats": seats, "prices": prices},
	"T4 2030-03-11": {"origin": "AAA", "destination": "BBB", "status": "delayed"},
	"T5 2030-03-11": {"origin": "AAA", "destination": "BBB", "status": "available", "available_seats": seats, "prices": prices},
}

seats := {"basic_economy": 9, "economy": 2, "business": 1}

prices := {"basic_economy": 50, "economy": 100, "business": 300}

out := {"flight_number": "T1", "date": "2030-03-10"}

back := {"flight_number": "T2", "date": "2030-03-12"}

other := {"flight_number": "T5", "date": "2030-03-11"}

delayed := {"flight_number": "T4", "date": "2030-03-11"}

elsewhere := {"flight_number": "T3", "date": "2030-03-10"}

base := {
	"reservation_id": "R1", "user_id": "u", "origin": "AAA", "destination": "BBB", "flight_type": "round_trip",
	"cabin": "economy", "flights": [out, back], "passengers": [passenger, passenger],
	"created_at": "2030-03-01T10:00:00", "total_baggages": 2, "nonfree_baggages": 0, "insurance": "no",
	"user": {"membership": "regular", "payment_methods": {
		"card": {"source": "credit_card"},
		"gift": {"source": "gift_card", "amount": 10},
		"cert": {"source": "certificate", "amount": 100},
	}},
	"timetable": timetable,
}

call(name, arguments, changes) := {
	"action": {"name": name, "properties": object.union({"reservation_id": "R1"}, arguments)},
	"entity": {"type": "reservation", "id": "R1", "properties": object.union(base, changes)},
	"context": {"present": "2030-03-05T12:00:00-05:00"},
	"now": {"ns": 2000000000000000000},
}

codes(request) := {denial.code | some denial in denials} if denials := reservation.deny with input as request

warnings(request) := {warning.code | some warning in found} if found := reservation.warn with input as request

allowed(request) if {
	reservation.allow with input as request
	codes(request) == set()
}

# --- reading

test_reading_needs_nothing if {
	reservation.allow with input as {"action": {"name": "get_reservation_details"}, "entity": {"properties": {}}}
	count(reservation.deny) == 0 with input as {"action": {"name": "get_reservation_details"}, "entity": {"properties": {}}}
}

test_an_unknown_action_is_not_allowed if not reservation.allow with input as call("erase", {}, {})

# --- cancelling

cancel(changes) := call("cancel_reservation", {}, changes)

status_of_out(status) := {"timetable": {"T1 2030-03-10": {"origin": "AAA", "destination": "BBB", "status": status}}}

test_cancel_without_a_ground if codes(cancel({})) == {"not_cancellable"}

test_cancel_within_a_day if {
	allowed(cancel({"created_at": "2030-03-04T12:00:00"}))
	codes(cancel({"created_at": "2030-03-04T11:59:59"})) == {"not_cancellable"}
}

test_cancel_what_was_booked_in_the_future if codes(cancel({"created_at": "2030-03-05T12:00:01"})) == {"not_cancellable"}

test_cancel_business if allowed(cancel({"cabin": "business"}))

test_cancel_what_the_airline_cancelled if allowed(cancel(status_of_out("cancelled")))

test_cancel_insured_with_a_warning if {
	allowed(cancel({"insurance": "yes"}))
	warnings(cancel({"insurance": "yes"})) == {"reason_unchecked"}
	warnings(cancel({"cabin": "business", "insurance": "yes"})) == set()
}

test_cancel_what_was_flown if {
	codes(cancel(object.union(status_of_out("landed"), {"cabin": "business"}))) == {"segment_flown"}
	codes(cancel(object.union(status_of_out("flying"), {"cabin": "business"}))) == {"segment_flown"}
	allowed(cancel(object.union(status_of_out("delayed"), {"cabin": "business"})))
}

test_cancel_with_an_unreadable_time if {
	every moment in ["yesterday", "2030-02-30T10:00:00", "2030-03-01T10:00:00Z", 7, null] {
		codes(cancel({"created_at": moment})) == {"missing_data"}
	}
}

test_cancel_with_an_unknown_flight if {
	codes(cancel({"flights": [{"flight_number": "X9", "date": "2030-03-10"}]})) == {"missing_data"}
}

present(moment) := object.union(cancel({"cabin": "business"}), {"context": {"present": moment}})

test_the_present_is_a_past_moment_with_its_offset if {
	allowed(present("2030-03-05T12:00:00Z"))
	codes(present("2030-03-05T12:00:00")) == {"malformed_input"}
	codes(present(7)) == {"malformed_input"}
	codes(present("2050-03-05T12:00:00Z")) == {"malformed_input"}
}

test_without_a_present_the_gates_clock_counts if {
	request := object.remove(cancel({"created_at": "2033-05-17T22:33:20"}), ["context"])
	allowed(request) # 2000000000 s is 2033-05-18T03:33:20Z, so 22:33:20 of the day before at -05:00
	codes(object.union(request, {"now": {"ns": 2000086401000000000}})) == {"not_cancellable"}
}

# --- flights and cabin

change(arguments, changes) := call(
	"update_reservation_flights",
	object.union({"cabin": "economy", "flights": [other, back], "payment_id": "card"}, arguments),
	changes,
)

test_change_a_flight if allowed(change({}, {}))

test_change_of_basic_economy if {
	codes(change({"cabin": "basic_economy"}, {"cabin": "basic_economy"})) == {"basic_economy_flights"}
	codes(change({}, {"cabin": "basic_economy"})) == {"basic_economy_flights"}
	allowed(change({"flights": [out, back]}, {"cabin": "basic_economy"}))
}

test_change_of_the_route if {
	codes(change({"flights": [back]}, {})) == {"origin_changed", "destination_changed"}
	codes(change({"flights": [elsewhere]}, {})) == {"destination_changed", "trip_type_changed"}
	codes(change({"flights": [other]}, {})) == {"trip_type_changed"}
	codes(change({}, {"flight_type": "one_way"})) == {"trip_type_changed"}
	allowed(change({"flights": [other]}, {"flight_type": "one_way", "flights": [out]}))
}

test_change_to_a_flight_that_is_not_on_sale if {
	codes(change({"flights": [delayed, back]}, {})) == {"flight_not_bookable"}
	allowed(change({"flights": [delayed, {"flight_number": "T2", "date": "2030-03-12"}]}, {"flights": [delayed, back]}))
	codes(change({"flights": [delayed, back], "cabin": "business"}, {})) == {"flight_not_bookable"}
}

test_change_needs_a_seat_for_everyone if {
	codes(change({"cabin": "business"}, {})) == {"no_seats"}
	allowed(change({"cabin": "business"}, {"passengers": [passenger]}))
	codes(change({}, {"passengers": [passenger, passenger, passenger]})) == {"no_seats"}
}

test_a_kept_flight_needs_no_new_seat if {
	three := [passenger, passenger, passenger]
	allowed(change({}, {"passengers": three, "flights": [other, back]}))
}

# "All reservations, including basic economy, can change cabin without changing the flights."
test_a_kept_flight_can_change_cabin_whatever_its_state if {
	full := change({"flights": [out, back], "cabin": "business"}, {})
	allowed(full)
	warnings(full) == {"cabin_not_on_sale"}
	left := change({"flights": [delayed, back], "cabin": "basic_economy"}, {"flights": [delayed, back]})
	allowed(left)
	warnings(left) == {"cabin_not_on_sale"}
	on_sale := change({"flights": [out, back], "cabin": "basic_economy"}, {})
	warnings(on_sale) == set()
}

test_paying_for_a_change if {
	allowed(change({"payment_id": "gift"}, {}))
	codes(change({"payment_id": "cert"}, {})) == {"payment_kind"}
	codes(change({"payment_id": "stranger"}, {})) == {"payment_not_in_profile"}
	allowed(change({"flights": [out, back], "payment_id": "cert", "cabin": "basic_economy"}, {}))
}

test_malformed_changes if {
	every arguments in [
		{"flights": []}, {"flights": "T1"}, {"flights": [7]}, {"flights": [{"flight_number": "T1"}]},
		{"cabin": "first"}, {"cabin": null}, {"payment_id": ""}, {"payment_id": {}},
	] {
		codes(change(arguments, {})) == {"malformed_input"}
	}
}

test_a_change_without_its_record if {
	codes(change({"flights": [{"flight_number": "X9", "date": "2030-03-10"}]}, {})) == {"missing_data"}
	codes(change({}, {"user": null})) == {"missing_data"}
	unpriced := {"T6 2030-03-10": {"origin": "AAA", "destination": "BBB", "status": "available"}}
	to_unpriced := {"flights": [{"flight_number": "T6", "date": "2030-03-10"}, back]}
	codes(change(to_unpriced, {"timetable": unpriced})) == {"missing_data"}
}

# --- bags

bags(total, nonfree, changes) := call(
	"update_reservation_baggages",
	{"total_baggages": total, "nonfree_baggages": nonfree, "payment_id": "card"},
	changes,
)

test_bags_are_added_not_removed if {
	allowed(bags(3, 1, {}))
	codes(bags(1, 0, {})) == {"bags_removed"}
}

test_bags_are_free_by_membership_and_cabin if {
	codes(bags(3, 0, {})) == {"baggage_fee"}
	codes(bags(3, 2, {})) == {"baggage_fee"}
	allowed(bags(4, 0, {"user": {"membership": "silver"}}))
	allowed(bags(6, 0, {"user": {"membership": "gold"}}))
	codes(bags(7, 0, {"user": {"membership": "gold"}})) == {"baggage_fee"}
	allowed(bags(4, 0, {"cabin": "business"}))
}

test_bags_that_were_paid_before_the_cabin_changed if {
	paid := {"cabin": "business", "total_baggages": 4, "nonfree_baggages": 2}
	allowed(bags(5, 1, paid))
	allowed(bags(5, 2, paid))
	codes(bags(5, 3, paid)) == {"baggage_fee"}
	codes(bags(5, 0, paid)) == {"baggage_fee"}
}

test_bags_are_paid_from_the_profile if {
	codes(call("update_reservation_baggages", {"total_baggages": 2, "nonfree_baggages": 0, "payment_id": "x"}, {})) == {"payment_not_in_profile"}
}

test_malformed_bags if {
	every total in [-1, 1.5, "3", null, [], {}] {
		codes(bags(total, 0, {})) == {"malformed_input"}
	}
}

# --- passengers and insurance

people(list) := call("update_reservation_passengers", {"passengers": list}, {})

test_passengers_keep_their_number if {
	allowed(people([passenger, object.union(passenger, {"first_name": "Bo"})]))
	codes(people([passenger])) == {"passenger_count_changed"}
	codes(people([passenger, passenger, passenger])) == {"passenger_count_changed"}
}

test_malformed_passengers if {
	every list in [null, "all", [], [7], [{"first_name": "Ada"}]] {
		codes(people(list)) == {"malformed_input"}
	}
}

test_insurance_comes_with_the_booking if {
	codes(change({"insurance": "yes"}, {})) == {"insurance_after_booking"}
	allowed(change({"insurance": "yes"}, {"insurance": "yes"}))
}

test_a_change_of_what_was_cancelled_is_warned_of if warnings(change({}, {"status": "cancelled"})) == {"already_cancelled"}
