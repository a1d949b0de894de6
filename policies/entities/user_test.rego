# Tests of the user layer, on a made-up profile. Each rule is seen to deny, and beside it to let pass.
package tollgate.entities.user_test

import data.tollgate.entities.user

passenger := {"first_name": "Ada", "last_name": "Park", "dob": "1980-02-03"}

crowd(size) := [passenger | some _ in numbers_to(size)]

numbers_to(size) := array.slice([1, 2, 3, 4, 5, 6, 7], 0, size)

on_sale := {
	"origin": "AAA", "destination": "BBB", "status": "available",
	"available_seats": {"basic_economy": 9, "economy": 9, "business": 1},
	"prices": {"basic_economy": 50, "economy": 100, "business": 300},
}

profile := {
	"membership": "regular",
	"payment_methods": {
		"card-1": {"source": "credit_card"}, "card-2": {"source": "credit_card"},
		"gift-1": {"source": "gift_card", "amount": 40}, "gift-2": {"source": "gift_card", "amount": 40},
		"gift-3": {"source": "gift_card", "amount": 40}, "gift-4": {"source": "gift_card", "amount": 40},
		"cert-1": {"source": "certificate", "amount": 100}, "cert-2": {"source": "certificate", "amount": 100},
	},
	"reservations": [],
	"timetable": {"T1 2030-03-10": on_sale},
}

request(name, arguments, properties) := {
	"action": {"name": name, "properties": object.union({"user_id": "u"}, arguments)},
	"entity": {"type": "user", "id": "u", "properties": properties},
}

book(arguments, changes) := request("book_reservation", object.union(
	{
		"origin": "AAA", "destination": "BBB", "flight_type": "one_way", "cabin": "economy",
		"flights": [{"flight_number": "T1", "date": "2030-03-10"}], "passengers": [passenger],
		"payment_methods": [{"payment_id": "card-1", "amount": 100}],
		"total_baggages": 0, "nonfree_baggages": 0, "insurance": "no",
	},
	arguments,
), object.union(profile, changes))

codes(call) := {denial.code | some denial in denials} if denials := user.deny with input as call

warnings(call) := {warning.code | some warning in found} if found := user.warn with input as call

allowed(call) if {
	user.allow with input as call
	codes(call) == set()
}

test_reading_needs_nothing if allowed(request("get_user_details", {}, {}))

test_an_unknown_action_is_not_allowed if not user.allow with input as request("erase", {}, {})

# --- booking

test_a_booking if {
	allowed(book({}, {}))
	warnings(book({}, {})) == set()
}

test_at_most_five_passengers if {
	allowed(book({"passengers": crowd(5)}, {}))
	codes(book({"passengers": crowd(6)}, {})) == {"too_many_passengers"}
}

test_only_available_flights_are_sold if {
	every status in ["delayed", "on time", "flying", "landed", "cancelled"] {
		closed := {"timetable": {"T1 2030-03-10": {"origin": "AAA", "destination": "BBB", "status": status}}}
		codes(book({}, closed)) == {"flight_not_bookable"}
	}
}

test_a_seat_for_everyone if {
	codes(book({"cabin": "business", "passengers": crowd(2)}, {})) == {"no_seats"}
	allowed(book({"cabin": "business"}, {}))
}

test_a_flight_without_a_record if codes(book({"flights": [{"flight_number": "X9", "date": "2030-03-10"}]}, {})) == {"missing_data"}

test_a_flight_without_seats_and_prices if {
	unlisted := {"T2 2030-03-10": {"origin": "AAA", "destination": "BBB", "status": "available"}}
	codes(book({"flights": [{"flight_number": "T2", "date": "2030-03-10"}]}, {"timetable": unlisted})) == {"missing_data"}
}

pay(ids) := book({"payment_methods": [{"payment_id": id, "amount": 1} | some id in ids]}, {})

test_payment_methods_are_in_the_profile if codes(pay(["card-9"])) == {"payment_not_in_profile"}

test_so_many_payment_methods_of_a_kind if {
	allowed(pay(["cert-1", "card-1", "gift-1", "gift-2", "gift-3"]))
	codes(pay(["cert-1", "cert-2"])) == {"too_many_payment_methods"}
	codes(pay(["card-1", "card-2"])) == {"too_many_payment_methods"}
	codes(pay(["gift-1", "gift-2", "gift-3", "gift-4"])) == {"too_many_payment_methods"}
	allowed(pay(["card-1", "card-1"]))
}

carry(total, nonfree, cabin, membership) := book(
	{"total_baggages": total, "nonfree_baggages": nonfree, "cabin": cabin},
	{"membership": membership},
)

test_bags_are_free_by_membership_and_cabin if {
	every row in [
		["regular", "basic_economy", 0], ["regular", "economy", 1], ["regular", "business", 2],
		["silver", "basic_economy", 1], ["silver", "economy", 2], ["silver", "business", 3],
		["gold", "basic_economy", 2], ["gold", "economy", 3], ["gold", "business", 3],
	] {
		allowed(carry(row[2], 0, row[1], row[0]))
		allowed(carry(row[2] + 1, 1, row[1], row[0]))
		codes(carry(row[2] + 1, 0, row[1], row[0])) == {"baggage_fee"}
		codes(carry(row[2], 1, row[1], row[0])) == {"baggage_fee"}
	}
}

test_prices_are_warned_of if {
	warnings(book({"payment_methods": [{"payment_id": "card-1", "amount": 99}]}, {})) == {"payment_mismatch"}
	warnings(book({"payment_methods": [{"payment_id": "gift-1", "amount": 100}]}, {})) == {"balance_short"}
	insured := {"insurance": "yes", "total_baggages": 2, "nonfree_baggages": 1}
	warnings(book(object.union(insured, {"payment_methods": [{"payment_id": "card-1", "amount": 180}]}), {})) == set()
}

test_malformed_bookings if {
	every arguments in [
		{"passengers": []}, {"passengers": "Ada"}, {"passengers": [{"first_name": "Ada", "last_name": "Park"}]},
		{"passengers": [object.union(passenger, {"first_name": " "})]}, {"flights": {}}, {"cabin": 1},
		{"payment_methods": 5}, {"payment_methods": [{"payment_id": "card-1", "amount": "1"}]},
		{"payment_methods": [{"payment_id": "card-1", "amount": -1}]}, {"total_baggages": "0"},
		{"nonfree_baggages": -1}, {"insurance": true}, {"flight_type": "loop"}, {"origin": null},
	] {
		codes(book(arguments, {})) == {"malformed_input"}
	}
}

test_a_booking_without_a_profile if {
	codes(book({}, {"membership": "platinum"})) == {"missing_data"}
	codes(request("book_reservation", {}, {})) == {"missing_data", "malformed_input"}
}

# --- certificates

flown_late := {
	"origin": "AAA", "destination": "BBB", "status": "landed",
	"scheduled_departure_time_est": "10:00:00", "actual_departure_time_est": "2030-03-10T10:01:00",
}

held(cabin, insurance, people) := {
	"reservation_id": "R1", "cabin": cabin, "insurance": insurance, "passengers": crowd(people),
	"flights": [{"flight_number": "T1", "date": "2030-03-10"}],
}

certificate(amount, membership, reservation, flight) := request("send_certificate", {"amount": amount}, {
	"membership": membership, "reservations": ["R1"], "reservation_records": [reservation],
	"timetable": {"T1 2030-03-10": flight},
})

stopped := {"origin": "AAA", "destination": "BBB", "status": "cancelled"}

delayed := {"origin": "AAA", "destination": "BBB", "status": "delayed"}

test_a_certificate_for_a_cancelled_flight if {
	allowed(certificate(200, "gold", held("economy", "no", 2), stopped))
	codes(certificate(100, "gold", held("economy", "no", 2), stopped)) == {"certificate_without_ground"}
}

test_a_certificate_for_a_delayed_flight if {
	allowed(certificate(100, "silver", held("economy", "no", 2), delayed))
	codes(certificate(200, "silver", held("economy", "no", 2), delayed)) == {"certificate_without_ground"}
	allowed(certificate(50, "silver", held("economy", "no", 1), flown_late))
}

test_no_certificate_without_an_incident if {
	codes(certificate(100, "gold", held("economy", "no", 1), on_sale)) == {"certificate_without_ground"}
	on_time := object.union(flown_late, {"actual_departure_time_est": "2030-03-10T10:00:00"})
	codes(certificate(50, "gold", held("economy", "no", 1), on_time)) == {"certificate_without_ground"}
}

test_who_gets_a_certificate if {
	codes(certificate(100, "regular", held("economy", "no", 1), stopped)) == {"no_compensation"}
	codes(certificate(100, "regular", held("basic_economy", "no", 1), stopped)) == {"no_compensation"}
	allowed(certificate(100, "regular", held("economy", "yes", 1), stopped))
	allowed(certificate(100, "regular", held("business", "no", 1), stopped))
}

test_a_certificate_needs_every_record if {
	whole := certificate(100, "gold", held("economy", "no", 1), stopped)
	codes(object.union(whole, {"entity": {"properties": {"reservations": ["R1", "R2"]}}})) == {"missing_data"}
	codes(object.union(whole, {"entity": {"properties": {"timetable": {"T1 2030-03-10": {"status": 7}}}}})) == {"missing_data"}
}

test_a_certificate_is_always_warned_of if {
	warnings(certificate(100, "gold", held("economy", "no", 1), stopped)) == {"complaint_unchecked"}
}

test_malformed_certificates if {
	every amount in ["100", null, -100, []] {
		codes(certificate(amount, "gold", held("economy", "no", 1), stopped)) == {"malformed_input"}
	}
}
