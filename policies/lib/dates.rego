# Calendar dates as `2026-12-01`, in UTC.
package tollgate.lib.dates

# Whether a value is a date that exists.
is_date(value) if {
	is_string(value)
	regex.match(`^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`, value)
	to_number(trim_left(substring(value, 8, 2), "0")) <= days_in_month(substring(value, 0, 4), substring(value, 5, 2))
}

days_in_month(_, month) := 31 if month in {"01", "03", "05", "07", "08", "10", "12"}

days_in_month(_, month) := 30 if month in {"04", "06", "09", "11"}

days_in_month(year, "02") := 29 if is_leap(to_number(year))

days_in_month(year, "02") := 28 if not is_leap(to_number(year))

is_leap(year) if {
	year % 4 == 0
	year % 100 != 0
}

is_leap(year) if year % 400 == 0

# Nanoseconds since the epoch at the end of a date (its first instant, and 24 hours).
end_ns(date) := time.parse_rfc3339_ns(concat("", [date, "T00:00:00Z"])) + 86400000000000

# Whether a date is over at `now_ns`.
is_over(date, now_ns) if end_ns(date) <= now_ns
