package tollgate_test.lib.dates

import data.tollgate.lib.dates

test_dates if {
	every date in ["2026-01-31", "2026-04-30", "2024-02-29", "2000-02-29", "2026-02-28"] {
		dates.is_date(date)
	}
}

test_no_dates if {
	every date in ["2026-02-29", "1900-02-29", "2026-04-31", "0000-01-01", "2026-1-1", "2026-12-01T00:00:00Z", "", null, 7] {
		not dates.is_date(date)
	}
}

test_over_at_the_end_of_the_day if {
	end := time.parse_rfc3339_ns("2026-12-02T00:00:00Z")
	dates.is_over("2026-12-01", end)
	not dates.is_over("2026-12-01", end - 1)
}
