//! Windows: which stretch of time an amount counts in.
//!
//! Calendar windows are cut by the civil calendar of an IANA zone and named by it (`2026-11-23@America/New_York`), so a
//! window never has to be reset: tomorrow is another account. Weeks are ISO 8601 weeks, from Monday. An hour is named
//! with its offset, since the hour in which clocks go back comes twice.

use jiff::civil::Date;
use jiff::tz::{Disambiguation, TimeZone};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// How many buckets a rolling window is counted in.
pub(super) const BUCKETS: i128 = 60;

/// A zone of the bundled IANA database.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ZoneName {
    name: String,
    #[serde(skip)]
    zone: TimeZone,
}

impl fmt::Debug for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl ZoneName {
    /// The zone of that name, if the database has it.
    pub fn new(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        let name = zone.iana_name()?.to_owned();
        Some(Self { name, zone })
    }

    /// UTC.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl<'de> Deserialize<'de> for ZoneName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(&name).ok_or_else(|| de::Error::custom(format!("{name:?} is no IANA time zone")))
    }
}

/// A budget's window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Window {
    /// The civil hour.
    Hour {
        /// Whose hours.
        #[serde(default = "ZoneName::utc")]
        time_zone: ZoneName,
    },
    /// The civil day.
    Day {
        /// Whose days.
        #[serde(default = "ZoneName::utc")]
        time_zone: ZoneName,
    },
    /// The ISO week.
    Week {
        /// Whose weeks.
        #[serde(default = "ZoneName::utc")]
        time_zone: ZoneName,
    },
    /// The civil month.
    Month {
        /// Whose months.
        #[serde(default = "ZoneName::utc")]
        time_zone: ZoneName,
    },
    /// The civil year.
    Year {
        /// Whose years.
        #[serde(default = "ZoneName::utc")]
        time_zone: ZoneName,
    },
    /// The last so many seconds, counted in 60 buckets: it may refuse early, never late.
    Rolling {
        /// How many seconds.
        length_s: u32,
    },
    /// For ever.
    Lifetime,
}

/// One window of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its name in account keys.
    pub label: String,
    /// Its first moment; `None` where there is none.
    pub start: Option<Timestamp>,
    /// The first moment behind it; `None` where there is none.
    pub end: Option<Timestamp>,
}

impl Window {
    /// The word for it in messages.
    pub fn adjective(&self) -> String {
        match self {
            Self::Hour { .. } => "Hourly".to_owned(),
            Self::Day { .. } => "Daily".to_owned(),
            Self::Week { .. } => "Weekly".to_owned(),
            Self::Month { .. } => "Monthly".to_owned(),
            Self::Year { .. } => "Yearly".to_owned(),
            Self::Rolling { length_s } => format!("Rolling {length_s}-second"),
            Self::Lifetime => "Lifetime".to_owned(),
        }
    }

    /// Its zone, if it is a calendar's.
    pub fn zone(&self) -> Option<&ZoneName> {
        match self {
            Self::Hour { time_zone }
            | Self::Day { time_zone }
            | Self::Week { time_zone }
            | Self::Month { time_zone }
            | Self::Year { time_zone } => Some(time_zone),
            Self::Rolling { .. } | Self::Lifetime => None,
        }
    }

    /// The window that `now` falls into.
    pub fn span(&self, now: Timestamp) -> Span {
        match self {
            Self::Hour { time_zone } => hour(time_zone, now),
            Self::Day { time_zone } => {
                civil(time_zone, now, |date| (date.to_string(), Some(date), date.tomorrow().ok()))
            }
            Self::Week { time_zone } => civil(time_zone, now, |date| {
                let week = date.iso_week_date();
                let monday = week.first_of_week().ok().map(jiff::civil::ISOWeekDate::date);
                let next = monday.and_then(|monday| monday.checked_add(SignedDuration::from_hours(7 * 24)).ok());
                (format!("{:04}-W{:02}", week.year(), week.week()), monday, next)
            }),
            Self::Month { time_zone } => civil(time_zone, now, |date| {
                let next = date.last_of_month().tomorrow().ok();
                (format!("{:04}-{:02}", date.year(), date.month()), Some(date.first_of_month()), next)
            }),
            Self::Year { time_zone } => civil(time_zone, now, |date| {
                (format!("{:04}", date.year()), Some(date.first_of_year()), date.last_of_year().tomorrow().ok())
            }),
            Self::Rolling { length_s } => Span {
                label: "rolling".to_owned(),
                start: now.checked_sub(SignedDuration::from_secs(i64::from(*length_s))).ok(),
                end: None,
            },
            Self::Lifetime => Span { label: "lifetime".to_owned(), start: None, end: None },
        }
    }

    /// A moment as this window's people write it: with their zone's offset, or in UTC.
    pub fn local(&self, at: Timestamp) -> String {
        match self.zone() {
            Some(zone) => at.to_zoned_datetime(zone.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            None => at.to_string(),
        }
    }

    /// The bucket that `at` falls into, of a rolling window.
    pub(super) fn bucket(&self, at: Timestamp) -> Option<i64> {
        let bucket_ns = self.bucket_ns()?;
        i64::try_from(at.as_nanosecond().div_euclid(bucket_ns)).ok()
    }

    /// The oldest bucket that may hold something of the window up to `now`.
    pub(super) fn oldest_bucket(&self, now: Timestamp) -> Option<i64> {
        let Self::Rolling { length_s } = self else { return None };
        let bucket_ns = self.bucket_ns()?;
        let since = now.as_nanosecond() - i128::from(*length_s) * 1_000_000_000;
        i64::try_from(since.div_euclid(bucket_ns)).ok()
    }

    /// When a bucket has left the window for good.
    pub(super) fn bucket_leaves(&self, bucket: i64) -> Option<Timestamp> {
        let Self::Rolling { length_s } = self else { return None };
        let bucket_ns = self.bucket_ns()?;
        let at = (i128::from(bucket) + 1) * bucket_ns + i128::from(*length_s) * 1_000_000_000;
        Timestamp::from_nanosecond(at).ok()
    }

    fn bucket_ns(&self) -> Option<i128> {
        match self {
            Self::Rolling { length_s } => Some((i128::from(*length_s) * 1_000_000_000 / BUCKETS).max(1)),
            _ => None,
        }
    }
}

/// A civil hour with one offset: cut by the clock's hour, and by a change of offset inside it.
fn hour(zone: &ZoneName, now: Timestamp) -> Span {
    let local: ZonedDateTime = now.to_zoned_datetime(zone.zone.clone());
    let label = format!("{}@{}", local.strftime("%Y-%m-%dT%H%:z"), zone.name);
    let into = i64::from(local.minute()) * 60 + i64::from(local.second());
    let start = now.checked_sub(SignedDuration::new(into, local.subsec_nanosecond())).unwrap_or(Timestamp::MIN);
    let end = start.checked_add(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MAX);
    // `preceding` is strictly before: a change at this very moment begins the window too.
    let probe = now.checked_add(SignedDuration::from_nanos(1)).unwrap_or(now);
    let changed = zone.zone.preceding(probe).next().map(|change| change.timestamp());
    let changes = zone.zone.following(now).next().map(|change| change.timestamp());
    Span {
        label,
        start: Some(changed.map_or(start, |at| at.max(start))),
        end: Some(changes.map_or(end, |at| at.min(end))),
    }
}

/// A stretch of whole civil days.
fn civil(zone: &ZoneName, now: Timestamp, cut: impl Fn(Date) -> (String, Option<Date>, Option<Date>)) -> Span {
    let date = now.to_zoned_datetime(zone.zone.clone()).date();
    let (label, first, next) = cut(date);
    let begins = |date: Date, which: Disambiguation| {
        zone.zone.to_ambiguous_zoned_datetime(date.to_datetime(jiff::civil::Time::midnight())).disambiguate(which).ok()
    };
    // Midnight may not exist (then the day begins at the gap's end) or come twice; where clocks go back across it,
    // yesterday's last half hour comes after today's first, and the later of the two midnights is the end.
    let start = first.and_then(|date| begins(date, Disambiguation::Compatible)).map(|at| at.timestamp());
    let end = next.and_then(|date| {
        let early = begins(date, Disambiguation::Compatible)?.timestamp();
        if early > now { Some(early) } else { Some(begins(date, Disambiguation::Later)?.timestamp()) }
    });
    Span { label: format!("{label}@{}", zone.name), start, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kind: &str, zone: &str) -> Window {
        serde_json::from_value(serde_json::json!({"kind": kind, "time_zone": zone})).unwrap()
    }

    #[test]
    fn windows_by_the_calendar_of_their_zone() {
        // kind, zone, now, label, start, end, hours between
        for (kind, zone, now, label, start, end) in [
            (
                "day",
                "America/New_York",
                "2026-11-23T15:00:00Z",
                "2026-11-23",
                "2026-11-23T05:00:00Z",
                "2026-11-24T05:00:00Z",
            ),
            // 23 hours: clocks go forward
            (
                "day",
                "America/New_York",
                "2026-03-08T12:00:00Z",
                "2026-03-08",
                "2026-03-08T05:00:00Z",
                "2026-03-09T04:00:00Z",
            ),
            // 25 hours: clocks go back
            (
                "day",
                "America/New_York",
                "2026-11-01T12:00:00Z",
                "2026-11-01",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
            // a shift of half an hour
            (
                "day",
                "Australia/Lord_Howe",
                "2026-10-04T12:00:00Z",
                "2026-10-04",
                "2026-10-03T13:30:00Z",
                "2026-10-04T13:00:00Z",
            ),
            // midnight that does not exist: Santiago goes from 23:59:59 to 01:00
            (
                "day",
                "America/Santiago",
                "2026-09-06T12:00:00Z",
                "2026-09-06",
                "2026-09-06T04:00:00Z",
                "2026-09-07T03:00:00Z",
            ),
            (
                "day",
                "America/Santiago",
                "2026-09-06T03:59:59Z",
                "2026-09-05",
                "2026-09-05T04:00:00Z",
                "2026-09-06T04:00:00Z",
            ),
            // a day that does not exist: Samoa skipped 2011-12-30
            (
                "day",
                "Pacific/Apia",
                "2011-12-30T09:59:59Z",
                "2011-12-29",
                "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z",
            ),
            (
                "day",
                "Pacific/Apia",
                "2011-12-30T10:00:00Z",
                "2011-12-31",
                "2011-12-30T10:00:00Z",
                "2011-12-31T10:00:00Z",
            ),
            ("month", "UTC", "2028-02-29T23:59:59.9Z", "2028-02", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (
                "month",
                "Europe/Berlin",
                "2026-10-31T23:30:00Z",
                "2026-11",
                "2026-10-31T23:00:00Z",
                "2026-11-30T23:00:00Z",
            ),
            ("week", "UTC", "2027-01-01T00:00:00Z", "2026-W53", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"),
            ("week", "UTC", "2024-12-30T00:00:00Z", "2025-W01", "2024-12-30T00:00:00Z", "2025-01-06T00:00:00Z"),
            ("year", "Asia/Kolkata", "2026-12-31T18:30:00Z", "2027", "2026-12-31T18:30:00Z", "2027-12-31T18:30:00Z"),
            // the hour that comes twice is two windows
            (
                "hour",
                "America/New_York",
                "2026-11-01T05:30:00Z",
                "2026-11-01T01-04:00",
                "2026-11-01T05:00:00Z",
                "2026-11-01T06:00:00Z",
            ),
            (
                "hour",
                "America/New_York",
                "2026-11-01T06:30:00Z",
                "2026-11-01T01-05:00",
                "2026-11-01T06:00:00Z",
                "2026-11-01T07:00:00Z",
            ),
            // an hour cut by a half-hour shift
            (
                "hour",
                "Australia/Lord_Howe",
                "2026-04-04T15:10:00Z",
                "2026-04-05T01+10:30",
                "2026-04-04T15:00:00Z",
                "2026-04-04T15:30:00Z",
            ),
            (
                "hour",
                "Australia/Lord_Howe",
                "2026-10-03T15:40:00Z",
                "2026-10-04T02+11:00",
                "2026-10-03T15:30:00Z",
                "2026-10-03T16:00:00Z",
            ),
            (
                "hour",
                "Asia/Kathmandu",
                "2026-01-01T00:20:00Z",
                "2026-01-01T06+05:45",
                "2026-01-01T00:15:00Z",
                "2026-01-01T01:15:00Z",
            ),
        ] {
            let at: Timestamp = now.parse().unwrap();
            let span = window(kind, zone).span(at);
            let wanted = Span {
                label: format!("{label}@{zone}"),
                start: Some(start.parse().unwrap()),
                end: Some(end.parse().unwrap()),
            };
            assert_eq!(span, wanted, "{kind} {zone} {now}");
        }
    }

    #[test]
    fn every_moment_is_inside_its_window_and_the_next_begins_where_it_ends() {
        for zone in
            ["UTC", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "Asia/Gaza"]
        {
            for kind in ["hour", "day", "week", "month", "year"] {
                let window = window(kind, zone);
                let mut at: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
                for _ in 0..400 {
                    let span = window.span(at);
                    let (start, end) = (span.start.unwrap(), span.end.unwrap());
                    assert!(start <= at && at < end, "{kind} {zone} {at} {span:?}");
                    assert_eq!(window.span(end).start, Some(end), "{kind} {zone}");
                    assert_ne!(window.span(end).label, span.label);
                    at = if kind == "hour" { end } else { at + SignedDuration::from_hours(23) };
                }
            }
        }
    }

    #[test]
    fn zones_come_from_the_bundled_database() {
        assert!(ZoneName::new("America/New_York").is_some());
        assert!(ZoneName::new("Mars/Olympus").is_none());
        assert!(serde_json::from_str::<Window>(r#"{"kind":"day","time_zone":"Nowhere"}"#).is_err());
        assert!(serde_json::from_str::<Window>(r#"{"kind":"rolling","length_s":60,"time_zone":"UTC"}"#).is_err());
    }

    #[test]
    fn a_bucket_stays_until_its_last_moment_has_left() {
        let window = Window::Rolling { length_s: 60 };
        let at: Timestamp = "2026-01-01T00:00:30.999Z".parse().unwrap();
        let bucket = window.bucket(at).unwrap();
        let later = at + SignedDuration::from_secs(60);
        assert!(window.oldest_bucket(later).unwrap() <= bucket, "may refuse early, never late");
        let left = window.bucket_leaves(bucket).unwrap();
        assert!(window.oldest_bucket(left).unwrap() > bucket);
        assert!(left >= later && left <= later + SignedDuration::from_secs(1));
    }
}
