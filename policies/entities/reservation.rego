# The airline's rules of changing and cancelling a reservation.
#
# The entity's properties are the reservation's record, with two things beside it that the system of record knows:
# `user`, the owner's `membership` and `payment_methods`, and `timetable`, a record for each flight that the
# reservation has or the call names.
package tollgate.entities.reservation

import data.tollgate.lib.airline
import data.tollgate.lib.airline_clock as clock

# Each action, and what of the record its rules need.
needs := {
	"get_reservation_details": set(),
	"cancel_reservation": {"cabin", "created_at", "flights", "insurance", "timetable"},
	"update_reservation_flights": {
		"cabin", "destination", "flight_type", "flights", "insurance",
		"origin", "passengers", "timetable", "user",
	},
	"update_reservation_baggages": {
		"cabin", "insurance", "nonfree_baggages",
		"passengers", "total_baggages", "user",
	},
	"update_reservation_passengers": {"insurance", "passengers"},
}

takes := {
	"get_reservation_details": set(),
	"cancel_reservation": set(),
	"update_reservation_flights": {"cabin", "flights", "payment_id"},
	"update_reservation_baggages": {"nonfree_baggages", "payment_id", "total_baggages"},
	"update_reservation_passengers": {"passengers"},
}

allow if needs[input.action.name]

record := input.entity.properties

arguments := input.action.properties

cancelling if input.action.name == "cancel_reservation"

changing_flights if input.action.name == "update_reservation_flights"

changing_bags if input.action.name == "update_reservation_baggages"

changing_passengers if input.action.name == "update_reservation_passengers"

needed := needs[input.action.name]

taken := takes[input.action.name]

# --- shapes: what a rule would need and cannot read is a denial, and the rules below then stay silent

bad_record contains field if {
	some field in needed
	not record_has(field)
}

record_has("cabin") if record.cabin in airline.cabins

record_has("created_at") if clock.local_moment(record.created_at)

record_has("destination") if airline.text(record.destination)

record_has("flight_type") if record.flight_type in airline.trip_types

record_has("flights") if airline.segments(record.flights)

record_has("insurance") if record.insurance in {"yes", "no"}

record_has("nonfree_baggages") if airline.whole(record.nonfree_baggages)

record_has("origin") if airline.text(record.origin)

record_has("passengers") if airline.passengers(record.passengers)

record_has("timetable") if is_object(record.timetable)

record_has("total_baggages") if airline.whole(record.total_baggages)

record_has("user") if known_owner

known_owner if {
	airline.free_bags_each[record.user.membership]
	airline.wallet(record.user.payment_methods)
}

bad_argument contains field if {
	some field in taken
	not argument_given(field)
}

argument_given("cabin") if arguments.cabin in airline.cabins

argument_given("flights") if airline.segments(arguments.flights)

argument_given("nonfree_baggages") if airline.whole(arguments.nonfree_baggages)

argument_given("passengers") if airline.passengers(arguments.passengers)

argument_given("payment_id") if airline.text(arguments.payment_id)

argument_given("total_baggages") if airline.whole(arguments.total_baggages)

deny contains airline.missing(
	sprintf("/entity/properties/%s", [field]),
	sprintf("The reservation's %s is missing or unreadable, and the rules of this action need it.", [field]),
) if {
	some field in bad_record
}

deny contains airline.malformed(
	sprintf("/action/properties/%s", [field]),
	sprintf("The argument %s is missing or malformed.", [field]),
) if {
	some field in bad_argument
}

deny contains airline.malformed(
	"/context/present",
	"The present moment must be an RFC 3339 time with its offset, and not later than the gate's clock.",
) if {
	cancelling
	clock.named
	not clock.named_well
}

readable if {
	needed
	count(bad_record) == 0
	count(bad_argument) == 0
}

# The flights that the reservation has and those that the call asks for, by their keys in the timetable. Like every rule
# below that counts or calculates, these ask first whether they may, so that they are total by themselves, in whatever
# order an engine evaluates.
held := airline.flight_keys(record.flights) if {
	readable
	"flights" in needed
}

asked := airline.flight_keys(arguments.flights) if asking_flights

unknown_flights := airline.unknown(held, record.timetable) if cancelling

unknown_flights := airline.unknown(asked, record.timetable) if changing_flights

deny contains airline.missing(
	"/entity/properties/timetable",
	sprintf("The timetable has no record of %s.", [key]),
) if {
	some key in unknown_flights
}

# --- cancelling

cancelling_known if {
	cancelling
	unknown_flights == set()
	clock.present_ns
}

flown_flights := {key |
	some key in held
	record.timetable[key].status in airline.flown
} if {
	cancelling_known
}

airline_cancelled if {
	cancelling_known
	some key in held
	record.timetable[key].status == "cancelled"
}

# The three grounds that the record decides. The fourth, insurance and its condition, is asked below.
cancellable if {
	cancelling_known
	clock.within_a_day(record.created_at)
}

cancellable if airline_cancelled

cancellable if record.cabin == "business"

deny contains airline.forbidden(
	"segment_flown",
	"Only a trip of which no segment was flown can be cancelled; this one has to go to a person.",
	{"flown": sort([key | some key in flown_flights])},
) if {
	cancelling_known
	count(flown_flights) > 0
}

deny contains airline.forbidden(
	"not_cancellable",
	"Booked more than 24 hours ago, not cancelled by the airline, not business, and without travel insurance.",
	{"cabin": record.cabin, "created_at": record.created_at, "insurance": record.insurance},
) if {
	cancelling_known
	not cancellable
	record.insurance == "no"
}

warn contains {
	"code": "reason_unchecked",
	"message": "Cancellable only for reasons of health or weather, which the insurance covers; the reason is not in the call.",
} if {
	cancelling_known
	not cancellable
	record.insurance == "yes"
}

# --- changing flights or cabin

changing_flights_known if {
	asking_flights
	unknown_flights == set()
}

asking_flights if {
	changing_flights
	readable
}

flights_differ if sort(held) != sort(asked)

# The flights that the reservation does not have yet.
to_seat := {key | some key in asked; not key in held}

# The flights that it keeps in another cabin. All reservations can change cabin: whatever is asked of a flight before it
# is booked is no ground to refuse this.
to_reseat := {key | some key in asked; key in held} if arguments.cabin != record.cabin

first_origin := record.timetable[asked[0]].origin

last_destination := record.timetable[asked[count(asked) - 1]].destination

reaches_destination if {
	some key in asked
	record.timetable[key].destination == record.destination
}

deny contains airline.forbidden(
	"basic_economy_flights",
	"Flights of a basic economy reservation cannot be changed; its cabin can, on the same flights.",
	{"cabin": record.cabin},
) if {
	changing_flights_known
	record.cabin == "basic_economy"
	flights_differ
}

deny contains airline.correctable(
	"origin_changed", "/action/properties/flights",
	sprintf("The reservation starts at %s, the flights asked for start at %s.", [record.origin, first_origin]),
	{"origin": record.origin, "asked": first_origin},
) if {
	changing_flights_known
	flights_differ
	first_origin != record.origin
}

deny contains airline.correctable(
	"destination_changed", "/action/properties/flights",
	sprintf("The flights asked for do not go to %s.", [record.destination]),
	{"destination": record.destination},
) if {
	changing_flights_known
	flights_differ
	not reaches_destination
}

deny contains airline.correctable(
	"trip_type_changed", "/action/properties/flights",
	sprintf("A round trip from %s would end at %s.", [record.origin, last_destination]),
	{"flight_type": record.flight_type, "ends_at": last_destination},
) if {
	changing_flights_known
	flights_differ
	record.flight_type == "round_trip"
	last_destination != record.origin
}

deny contains airline.correctable(
	"trip_type_changed", "/action/properties/flights",
	sprintf("A one-way trip to %s would end at %s.", [record.destination, last_destination]),
	{"flight_type": record.flight_type, "ends_at": last_destination},
) if {
	changing_flights_known
	flights_differ
	record.flight_type == "one_way"
	last_destination != record.destination
	reaches_destination
}

deny contains airline.correctable(
	"flight_not_bookable", "/action/properties/flights",
	sprintf("%s is %s and cannot be booked.", [key, record.timetable[key].status]),
	{"flight": key, "status": record.timetable[key].status},
) if {
	changing_flights_known
	some key in to_seat
	record.timetable[key].status != "available"
}

deny contains airline.missing(
	"/entity/properties/timetable",
	sprintf("The timetable does not list the seats and prices of %s.", [key]),
) if {
	changing_flights_known
	some key in to_seat
	airline.unlisted(record.timetable[key])
}

deny contains airline.correctable(
	"no_seats", "/action/properties/flights",
	sprintf("%s has %d seats left in %s, and all %d passengers must fly in it.", [
		key, record.timetable[key].available_seats[arguments.cabin],
		arguments.cabin, count(record.passengers),
	]),
	{"flight": key, "seats": record.timetable[key].available_seats[arguments.cabin]},
) if {
	changing_flights_known
	some key in to_seat
	airline.listed(record.timetable[key])
	record.timetable[key].available_seats[arguments.cabin] < count(record.passengers)
}

warn contains {
	"code": "cabin_not_on_sale",
	"message": sprintf("%s is %s: the airline's own system may refuse another cabin on it.", [key, record.timetable[key].status]),
} if {
	changing_flights_known
	some key in to_reseat
	record.timetable[key].status != "available"
}

warn contains {
	"code": "cabin_not_on_sale",
	"message": sprintf("%s has %d seats left in %s, for %d passengers.", [
		key, record.timetable[key].available_seats[arguments.cabin],
		arguments.cabin, count(record.passengers),
	]),
} if {
	changing_flights_known
	some key in to_reseat
	airline.listed(record.timetable[key])
	record.timetable[key].available_seats[arguments.cabin] < count(record.passengers)
}

# --- paying for a change

paying if asking_flights

paying if asking_bags

asking_bags if {
	changing_bags
	readable
}

source := record.user.payment_methods[arguments.payment_id].source

deny contains airline.correctable(
	"payment_not_in_profile", "/action/properties/payment_id",
	sprintf("The owner's profile has no payment method %s.", [arguments.payment_id]),
	{"payment_id": arguments.payment_id},
) if {
	paying
	not source
}

deny contains airline.correctable(
	"payment_kind", "/action/properties/payment_id",
	sprintf("A change of flights is paid or refunded by a gift card or a credit card, not by a %s.", [source]),
	{"payment_id": arguments.payment_id, "source": source},
) if {
	flights_differ
	not source in {"gift_card", "credit_card"}
}

# --- bags, insurance, passengers

deny contains airline.forbidden(
	"bags_removed",
	sprintf("Checked bags can be added, not removed: there are %d.", [record.total_baggages]),
	{"total_baggages": record.total_baggages, "asked": arguments.total_baggages},
) if {
	asking_bags
	arguments.total_baggages < record.total_baggages
}

free := airline.free_bags(record.user.membership, record.cabin, count(record.passengers)) if asking_bags

# The bags to pay for, counted over the whole reservation, and by the added bags alone. They differ only where the free
# allowance changed after bags were paid (another cabin); the rules do not say which counts, so both are right.
paid_bags contains max([0, arguments.total_baggages - free]) if asking_bags

paid_bags contains record.nonfree_baggages + max([0, added - free_left]) if {
	asking_bags
	added := arguments.total_baggages - record.total_baggages
	free_left := max([0, free - (record.total_baggages - record.nonfree_baggages)])
}

deny contains airline.correctable(
	"baggage_fee", "/action/properties/nonfree_baggages",
	sprintf("%d of %d bags are free, so %d are to be paid for, not %d.", [
		free, arguments.total_baggages,
		min(paid_bags), arguments.nonfree_baggages,
	]),
	{"free": free, "to_pay": min(paid_bags), "asked": arguments.nonfree_baggages},
) if {
	asking_bags
	arguments.total_baggages >= record.total_baggages
	not fair_fee
}

fair_fee if {
	asking_bags
	arguments.nonfree_baggages >= min(paid_bags)
	arguments.nonfree_baggages <= max(paid_bags)
}

deny contains airline.forbidden(
	"insurance_after_booking",
	"Travel insurance can only be bought with the booking.",
	{"insurance": record.insurance},
) if {
	readable
	arguments.insurance == "yes"
	record.insurance == "no"
	not cancelling
}

deny contains airline.forbidden(
	"passenger_count_changed",
	sprintf("The number of passengers cannot change: there are %d.", [count(record.passengers)]),
	{"passengers": count(record.passengers), "asked": count(arguments.passengers)},
) if {
	changing_passengers
	readable
	count(arguments.passengers) != count(record.passengers)
}

warn contains {
	"code": "already_cancelled",
	"message": "The reservation was cancelled before; the rules do not speak of changing it.",
} if {
	count(takes[input.action.name]) > 0
	record.status == "cancelled"
}
