# The airline's present, and its local times as instants.
#
# The airline writes its times without a zone and its rules say EST: -05:00 all year. What happens now is the gate's
# clock, unless the request says in `context.present` which moment it is about: recorded work is judged as of its own
# day. Whoever may set that moment can make a booking look young, so it is never later than the gate's clock, it is
# recorded with the decision, and a runtime of today's work leaves it out.
package tollgate.lib.airline_clock

day_ns := ((24 * 60) * 60) * 1000000000

# A day that exists: long months, short months, February, and the 29th in leap years (20xx has no exception).
day := concat("|", [
	`20[0-9]{2}-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])`,
	`20[0-9]{2}-(0[469]|11)-(0[1-9]|[12][0-9]|30)`,
	`20[0-9]{2}-02-(0[1-9]|1[0-9]|2[0-8])`,
	`20([02468][048]|[13579][26])-02-29`,
])

time_of_day := `([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]`

local := concat("", ["^(", day, ")T", time_of_day, "$"])

zoned := concat("", ["^(", day, ")T", time_of_day, `(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$`])

local_moment(value) if {
	is_string(value)
	regex.match(local, value)
}

# A moment was named.
named if _ := input.context.present

named_well if {
	is_string(input.context.present)
	regex.match(zoned, input.context.present)
	time.parse_rfc3339_ns(input.context.present) <= input.now.ns
}

# Undefined when a moment was named badly.
present_ns := time.parse_rfc3339_ns(input.context.present) if named_well

present_ns := input.now.ns if not named

# Within the 24 hours after a local time. Nothing is within 24 hours of a time that has not come.
within_a_day(local_time) if {
	local_moment(local_time)
	age_ns := present_ns - time.parse_rfc3339_ns(concat("", [local_time, "-05:00"]))
	age_ns >= 0
	age_ns <= day_ns
}
