# The airline's rules of booking for a user and of sending a user a certificate.
#
# The entity's properties are the user's profile (`membership`, `payment_methods`, `reservations`), with `timetable`, a
# record for each flight that a booking names; and for a certificate `reservation_records`, the user's reservations with
# the flights they had at the start of the run and have now, and a record of each of these in the timetable.
package tollgate.entities.user

import data.tollgate.lib.airline

needs := {
	"get_user_details": set(),
	"book_reservation": {"membership", "payment_methods", "timetable"},
	"send_certificate": {"membership", "reservation_records", "reservations", "timetable"},
}

takes := {
	"get_user_details": set(),
	"book_reservation": {
		"cabin", "destination", "flight_type", "flights", "insurance", "nonfree_baggages",
		"origin", "passengers", "payment_methods", "total_baggages",
	},
	"send_certificate": {"amount"},
}

allow if needs[input.action.name]

record := input.entity.properties

arguments := input.action.properties

needed := needs[input.action.name]

taken := takes[input.action.name]

# --- shapes: what a rule would need and cannot read is a denial, and the rules below then stay silent

bad_record contains field if {
	some field in needed
	not record_has(field)
}

record_has("membership") if airline.free_bags_each[record.membership]

record_has("payment_methods") if airline.wallet(record.payment_methods)

record_has("reservations") if readable_ids

record_has("reservation_records") if readable_reservations

record_has("timetable") if is_object(record.timetable)

readable_ids if {
	is_array(record.reservations)
	every id in record.reservations {
		airline.text(id)
	}
}

readable_reservations if {
	is_array(record.reservation_records)
	every reservation in record.reservation_records {
		airline.text(reservation.reservation_id)
		reservation.cabin in airline.cabins
		reservation.insurance in {"yes", "no"}
		airline.passengers(reservation.passengers)
		airline.segments(reservation.flights)
	}
}

bad_argument contains field if {
	some field in taken
	not argument_given(field)
}

argument_given("amount") if airline.quantity(arguments.amount)

argument_given("cabin") if arguments.cabin in airline.cabins

argument_given("destination") if airline.text(arguments.destination)

argument_given("flight_type") if arguments.flight_type in airline.trip_types

argument_given("flights") if airline.segments(arguments.flights)

argument_given("insurance") if arguments.insurance in {"yes", "no"}

argument_given("nonfree_baggages") if airline.whole(arguments.nonfree_baggages)

argument_given("origin") if airline.text(arguments.origin)

argument_given("passengers") if airline.passengers(arguments.passengers)

argument_given("payment_methods") if airline.payments(arguments.payment_methods)

argument_given("total_baggages") if airline.whole(arguments.total_baggages)

deny contains airline.missing(
	sprintf("/entity/properties/%s", [field]),
	sprintf("The user's %s is missing or unreadable, and the rules of this action need it.", [field]),
) if {
	some field in bad_record
}

deny contains airline.malformed(
	sprintf("/action/properties/%s", [field]),
	sprintf("The argument %s is missing or malformed.", [field]),
) if {
	some field in bad_argument
}

readable if {
	needed
	count(bad_record) == 0
	count(bad_argument) == 0
}

booking if {
	input.action.name == "book_reservation"
	readable
}

# --- booking: passengers and flights

deny contains airline.correctable(
	"too_many_passengers", "/action/properties/passengers",
	sprintf("A reservation has at most five passengers, not %d.", [count(arguments.passengers)]),
	{"passengers": count(arguments.passengers), "most": 5},
) if {
	booking
	count(arguments.passengers) > 5
}

deny contains airline.missing(
	"/entity/properties/timetable",
	sprintf("The timetable has no record of %s.", [key]),
) if {
	booking
	some key in airline.unknown(asked, record.timetable)
}

asked := airline.flight_keys(arguments.flights) if booking

asked_flights := {key: flight |
	some key in asked
	flight := record.timetable[key]
	airline.known(flight)
} if {
	booking
}

deny contains airline.correctable(
	"flight_not_bookable", "/action/properties/flights",
	sprintf("%s is %s and cannot be booked.", [key, flight.status]),
	{"flight": key, "status": flight.status},
) if {
	booking
	some key, flight in asked_flights
	flight.status != "available"
}

deny contains airline.missing(
	"/entity/properties/timetable",
	sprintf("The timetable does not list the seats and prices of %s.", [key]),
) if {
	booking
	some key, flight in asked_flights
	airline.unlisted(flight)
}

deny contains airline.correctable(
	"no_seats", "/action/properties/flights",
	sprintf("%s has %d seats left in %s, and all %d passengers must fly in it.", [
		key, flight.available_seats[arguments.cabin],
		arguments.cabin, count(arguments.passengers),
	]),
	{"flight": key, "seats": flight.available_seats[arguments.cabin]},
) if {
	booking
	some key, flight in asked_flights
	airline.listed(flight)
	flight.available_seats[arguments.cabin] < count(arguments.passengers)
}

# --- booking: payment and bags

deny contains airline.correctable(
	"payment_not_in_profile", "/action/properties/payment_methods",
	sprintf("The user's profile has no payment method %s.", [payment.payment_id]),
	{"payment_id": payment.payment_id},
) if {
	booking
	some payment in arguments.payment_methods
	not record.payment_methods[payment.payment_id]
}

most_of_a_kind := {"certificate": 1, "credit_card": 1, "gift_card": 3}

used(kind) := count({payment.payment_id |
	some payment in arguments.payment_methods
	record.payment_methods[payment.payment_id].source == kind
})

deny contains airline.correctable(
	"too_many_payment_methods", "/action/properties/payment_methods",
	sprintf("A reservation takes at most %d of the kind %s, not %d.", [most, kind, used(kind)]),
	{"kind": kind, "most": most, "used": used(kind)},
) if {
	booking
	some kind, most in most_of_a_kind
	used(kind) > most
}

free := airline.free_bags(record.membership, arguments.cabin, count(arguments.passengers)) if booking

to_pay := max([0, arguments.total_baggages - free]) if booking

deny contains airline.correctable(
	"baggage_fee", "/action/properties/nonfree_baggages",
	sprintf("%d bags are free, so %d of %d are to be paid for, not %d.", [
		free, to_pay,
		arguments.total_baggages, arguments.nonfree_baggages,
	]),
	{"free": free, "to_pay": to_pay, "asked": arguments.nonfree_baggages},
) if {
	booking
	arguments.nonfree_baggages != to_pay
}

# --- booking: what the rules price but do not forbid, and the airline's own system will refuse

price_usd := ((sum(fares) * count(arguments.passengers)) + bags) + insurance if {
	booking
	every _, flight in asked_flights {
		airline.listed(flight)
	}
	fares := [fare |
		some key in asked
		fare := record.timetable[key].prices[arguments.cabin]
	]
	count(fares) == count(arguments.flights)
	bags := airline.extra_bag_usd * arguments.nonfree_baggages
	insurance := {"yes": airline.insurance_usd, "no": 0}[arguments.insurance] * count(arguments.passengers)
}

paid_usd := sum([payment.amount | some payment in arguments.payment_methods]) if booking

warn contains {
	"code": "payment_mismatch",
	"message": sprintf("The price is %v USD, the payments come to %v.", [price_usd, paid_usd]),
} if {
	booking
	paid_usd != price_usd
}

warn contains {
	"code": "balance_short",
	"message": sprintf("%s does not hold %v USD.", [payment.payment_id, payment.amount]),
} if {
	booking
	some payment in arguments.payment_methods
	balance := record.payment_methods[payment.payment_id].amount
	is_number(balance)
	balance < payment.amount
}

# --- certificates

compensating if {
	input.action.name == "send_certificate"
	readable
}

# Leaving a record out must not hide that there is no ground: every reservation and every flight has to be at hand.
at_hand := {reservation.reservation_id | some reservation in record.reservation_records} if compensating

deny contains airline.missing(
	"/entity/properties/reservation_records",
	sprintf("The user's reservation %s is not among the records.", [id]),
) if {
	compensating
	some id in record.reservations
	not id in at_hand
}

flights_without_record contains key if {
	compensating
	some reservation in record.reservation_records
	some key in airline.unknown(airline.flight_keys(reservation.flights), record.timetable)
}

deny contains airline.missing(
	"/entity/properties/timetable",
	sprintf("The timetable has no record of %s.", [key]),
) if {
	some key in flights_without_record
}

all_known if {
	compensating
	every id in record.reservations {
		id in at_hand
	}
	count(flights_without_record) == 0
}

eligible_member if record.membership in {"silver", "gold"}

eligible(_) if eligible_member

eligible(reservation) if reservation.insurance == "yes"

eligible(reservation) if reservation.cabin == "business"

incident(reservation, usd) if {
	usd == 100
	some key in airline.flight_keys(reservation.flights)
	record.timetable[key].status == "cancelled"
}

incident(reservation, usd) if {
	usd == 50
	some flight in reservation.flights
	late(flight.date, record.timetable[airline.flight_key(flight)])
}

late(_, flight) if flight.status == "delayed"

# Left or landed: late by any minute counts, the rules name no least delay. A day in the record's clock time, and so
# a text's order is the order of the times.
late(date, flight) if {
	airline.text(flight.scheduled_departure_time_est)
	airline.text(flight.actual_departure_time_est)
	flight.actual_departure_time_est > concat("T", [date, flight.scheduled_departure_time_est])
}

deserved if {
	compensating
	some reservation in record.reservation_records
	eligible(reservation)
	some usd in {50, 100}
	incident(reservation, usd)
	arguments.amount == usd * count(reservation.passengers)
}

entitled if {
	compensating
	eligible_member
}

entitled if {
	compensating
	some reservation in record.reservation_records
	eligible(reservation)
}

deny contains airline.forbidden(
	"no_compensation",
	"A regular member without travel insurance and without a business flight gets no compensation.",
	{"membership": record.membership},
) if {
	all_known
	not entitled
}

deny contains airline.forbidden(
	"certificate_without_ground",
	"No reservation of this user has a cancelled flight at 100 USD, or a delayed one at 50 USD, a passenger that comes to this amount.",
	{"amount": arguments.amount},
) if {
	all_known
	entitled
	not deserved
}

warn contains {
	"code": "complaint_unchecked",
	"message": "The complaint, and for a delay the change or cancellation that must come first, are not in the call.",
} if compensating
