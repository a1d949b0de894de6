# What the airline's layers share: the words of its rules, the shapes of its records, and how a reason is written.
#
# Every predicate here is total: on any value, of any type, it holds or it does not, and never fails. The layers ask
# them before they count or calculate, so that a malformed request is a denial that names the field.
package tollgate.lib.airline

cabins := {"basic_economy", "economy", "business"}

trip_types := {"one_way", "round_trip"}

# A flight in one of these states has left the ground: its seats were used.
flown := {"flying", "landed"}

extra_bag_usd := 50

insurance_usd := 30

# Free checked bags for each passenger, by the booking user's membership and the cabin.
free_bags_each := {
	"regular": {"basic_economy": 0, "economy": 1, "business": 2},
	"silver": {"basic_economy": 1, "economy": 2, "business": 3},
	"gold": {"basic_economy": 2, "economy": 3, "business": 3},
}

# --- shapes

text(value) if {
	is_string(value)
	trim_space(value) != ""
}

quantity(value) if {
	is_number(value)
	value >= 0
}

whole(value) if {
	quantity(value)
	value == floor(value)
}

# Year, month and day in digits. Whether such a day exists matters only where it is calculated with: see the clock.
date(value) if {
	is_string(value)
	regex.match(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, value)
}

segments(value) if {
	is_array(value)
	count(value) > 0
	every flight in value {
		text(flight.flight_number)
		date(flight.date)
	}
}

passengers(value) if {
	is_array(value)
	count(value) > 0
	every passenger in value {
		text(passenger.first_name)
		text(passenger.last_name)
		date(passenger.dob)
	}
}

payments(value) if {
	is_array(value)
	every payment in value {
		text(payment.payment_id)
		quantity(payment.amount)
	}
}

wallet(value) if {
	is_object(value)
	every method in value {
		text(method.source)
	}
}

# --- flights: a timetable holds a record for each flight and date, under "HAT001 2024-05-16"

flight_key(flight) := sprintf("%s %s", [flight.flight_number, flight.date])

flight_keys(flights) := [sprintf("%s %s", [flight.flight_number, flight.date]) | some flight in flights]

# Those of them that the timetable does not know.
unknown(keys, timetable) := {key | some key in keys; not known(timetable[key])}

known(flight) if {
	is_string(flight.status)
	is_string(flight.origin)
	is_string(flight.destination)
}

# An available flight lists the seats and prices of every cabin; without them it cannot be sold.
listed(flight) if {
	flight.status == "available"
	every cabin in cabins {
		whole(flight.available_seats[cabin])
		quantity(flight.prices[cabin])
	}
}

# The unlisted among the available ones: a gap of the record, not a state of the flight.
unlisted(flight) if {
	flight.status == "available"
	not listed(flight)
}

free_bags(membership, cabin, passenger_count) := free_bags_each[membership][cabin] * passenger_count

# --- reasons

malformed(field, message) := {
	"code": "malformed_input",
	"message": message,
	"remedy": "correct_input",
	"field": field,
}

missing(field, message) := {
	"code": "missing_data",
	"message": message,
	"remedy": "supply_data",
	"field": field,
}

# Against the rules as asked; asked with other arguments it may pass.
correctable(code, field, message, details) := {
	"code": code,
	"message": message,
	"remedy": "correct_input",
	"field": field,
	"details": details,
}

# Against the rules, whatever the arguments.
forbidden(code, message, details) := {
	"code": code,
	"message": message,
	"remedy": "review_policy",
	"details": details,
}
