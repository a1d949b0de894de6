//! Windows: which stretch of time an amount counts in.
//!
//! Calendar windows are cut by the civil calendar of an IANA zone and named by it (`2026-11-23@America/New_York`), so a
//! window never has to be reset: tomorrow is another account. Weeks are ISO 8601 weeks, from Monday. An hour is named
//! with its offset, since the hour in which clocks go back comes twice.

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan, ZonedDateTime};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::ops::RangeInclusive;

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
        let zone = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())?;
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

    /// A moment as people in this zone write it: `2026-11-24T00:00:00-05:00`.
    fn local(&self, at: Timestamp) -> String {
        if self.zone == TimeZone::UTC {
            at.to_string()
        } else {
            at.display_with_offset(self.zone.to_offset(at)).to_string()
        }
    }

    /// The first moment of a day, be midnight missing or twice there.
    fn start_of(&self, date: Date) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0));
        let in_gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let at = ambiguous.compatible().ok()?;
        if !in_gap {
            return Some(at);
        }
        // The clock jumped over midnight: the day begins where it landed.
        let after = at.checked_add(1.nanosecond()).unwrap_or(at);
        Some(self.zone.preceding(after).next().map_or(at, |jump| jump.timestamp()))
    }

    /// The day that a moment belongs to: the latest that has begun, so that days never interleave where a clock is set
    /// back across midnight.
    fn day_of(&self, at: Timestamp) -> Date {
        let date = self.zone.to_datetime(at).date();
        if self.start_of(date).is_some_and(|start| start > at) {
            return date.yesterday().unwrap_or(date);
        }
        match date.tomorrow() {
            Ok(next) if self.start_of(next).is_some_and(|start| start <= at) => next,
            _ => date,
        }
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
    /// How many seconds a rolling window may have: a minute to 366 days.
    pub const LENGTHS_S: RangeInclusive<u32> = 60..=366 * 86_400;

    /// The word for it in messages.
    pub fn adjective(&self) -> String {
        match self {
            Self::Hour { .. } => "Hourly".to_owned(),
            Self::Day { .. } => "Daily".to_owned(),
            Self::Week { .. } => "Weekly".to_owned(),
            Self::Month { .. } => "Monthly".to_owned(),
            Self::Year { .. } => "Yearly".to_owned(),
            Self::Rolling { length_s } => {
                let (number, unit) = match length_s {
                    s if s % 86_400 == 0 => (s / 86_400, "day"),
                    s if s % 3_600 == 0 => (s / 3_600, "hour"),
                    s if s % 60 == 0 => (s / 60, "minute"),
                    s => (*s, "second"),
                };
                format!("Rolling {number}-{unit}")
            }
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
        self.zone().map_or_else(|| at.to_string(), |zone| zone.local(at))
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
    let probe = now.checked_add(1.nanosecond()).unwrap_or(now);
    // A transition may change a zone's name and leave its offset: that is no new hour.
    let offset = local.offset();
    let changed = zone.zone.preceding(probe).take_while(|change| change.timestamp() > start).find(|change| {
        let before = change.timestamp().checked_sub(1.nanosecond());
        before.is_ok_and(|before| zone.zone.to_offset(before) != offset)
    });
    let mut later = zone.zone.following(now).take_while(|change| change.timestamp() < end);
    let changes = later.find(|change| change.offset() != offset);
    Span {
        label,
        start: Some(changed.map_or(start, |change| change.timestamp())),
        end: Some(changes.map_or(end, |change| change.timestamp())),
    }
}

/// A stretch of whole civil days: both ends are first moments of days.
fn civil(zone: &ZoneName, now: Timestamp, cut: impl Fn(Date) -> (String, Option<Date>, Option<Date>)) -> Span {
    let (label, first, next) = cut(zone.day_of(now));
    let start = first.and_then(|date| zone.start_of(date));
    let end = next.and_then(|date| zone.start_of(date));
    Span { label: format!("{label}@{}", zone.name), start, end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(kind: &str, zone: &str) -> Window {
        serde_json::from_value(serde_json::json!({"kind": kind, "time_zone": zone})).unwrap()
    }

    /// zone, kind, an instant, and the label, start and end of its window.
    #[rustfmt::skip]
    const TABLE: &[(&str, &str, &str, &str, &str, &str)] = &[
        // an ordinary day, on both sides of its ends
        ("America/New_York", "day", "2026-11-23T12:00:00Z", "2026-11-23", "2026-11-23T00:00:00-05:00", "2026-11-24T00:00:00-05:00"),
        ("America/New_York", "day", "2026-11-24T04:59:59.9Z", "2026-11-23", "2026-11-23T00:00:00-05:00", "2026-11-24T00:00:00-05:00"),
        ("America/New_York", "day", "2026-11-24T05:00:00Z", "2026-11-24", "2026-11-24T00:00:00-05:00", "2026-11-25T00:00:00-05:00"),
        // 23 and 25 hours
        ("America/New_York", "day", "2026-03-08T12:00:00Z", "2026-03-08", "2026-03-08T00:00:00-05:00", "2026-03-09T00:00:00-04:00"),
        ("America/New_York", "day", "2026-11-01T12:00:00Z", "2026-11-01", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"),
        // half an hour: 23.5 and 24.5 hours
        ("Australia/Lord_Howe", "day", "2026-10-04T00:00:00Z", "2026-10-04", "2026-10-04T00:00:00+10:30", "2026-10-05T00:00:00+11:00"),
        ("Australia/Lord_Howe", "day", "2026-04-04T23:00:00Z", "2026-04-05", "2026-04-05T00:00:00+11:00", "2026-04-06T00:00:00+10:30"),
        ("Australia/Lord_Howe", "hour", "2026-04-04T14:30:00Z", "2026-04-05T01+11:00", "2026-04-05T01:00:00+11:00", "2026-04-05T01:30:00+10:30"),
        ("Australia/Lord_Howe", "hour", "2026-04-04T15:00:00Z", "2026-04-05T01+10:30", "2026-04-05T01:30:00+10:30", "2026-04-05T02:00:00+10:30"),
        ("Australia/Lord_Howe", "hour", "2026-10-03T15:30:00Z", "2026-10-04T02+11:00", "2026-10-04T02:30:00+11:00", "2026-10-04T03:00:00+11:00"),
        // midnight that does not exist, and one that comes twice
        ("America/Santiago", "day", "2026-09-06T04:00:00Z", "2026-09-06", "2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"),
        ("America/Santiago", "day", "2026-09-06T03:59:59Z", "2026-09-05", "2026-09-05T00:00:00-04:00", "2026-09-06T01:00:00-03:00"),
        ("America/Havana", "day", "2024-11-03T05:30:00Z", "2024-11-03", "2024-11-03T00:00:00-04:00", "2024-11-04T00:00:00-05:00"),
        ("Africa/Cairo", "month", "2026-04-24T00:00:00Z", "2026-04", "2026-04-01T00:00:00+02:00", "2026-05-01T00:00:00+03:00"),
        // 23:30 became 00:30 (1919), and 00:01 became 23:01 of the day before (2006): days never interleave
        ("America/Toronto", "day", "1919-03-31T04:30:00Z", "1919-03-31", "1919-03-31T00:30:00-04:00", "1919-04-01T00:00:00-04:00"),
        ("America/St_Johns", "day", "2006-10-29T02:45:00Z", "2006-10-29", "2006-10-29T00:00:00-02:30", "2006-10-30T00:00:00-03:30"),
        // a day that was skipped (Samoa)
        ("Pacific/Apia", "day", "2011-12-30T09:00:00Z", "2011-12-29", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "day", "2011-12-30T10:00:00Z", "2011-12-31", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"),
        // the hour that comes twice is two windows
        ("America/New_York", "hour", "2026-11-01T05:30:00Z", "2026-11-01T01-04:00", "2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00"),
        ("America/New_York", "hour", "2026-11-01T06:30:00Z", "2026-11-01T01-05:00", "2026-11-01T01:00:00-05:00", "2026-11-01T02:00:00-05:00"),
        ("Asia/Kolkata", "hour", "2026-11-23T12:10:00Z", "2026-11-23T17+05:30", "2026-11-23T17:00:00+05:30", "2026-11-23T18:00:00+05:30"),
        // month ends, leap days, years
        ("UTC", "month", "2028-02-29T23:59:59Z", "2028-02", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("UTC", "day", "2028-02-29T12:00:00Z", "2028-02-29", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("UTC", "month", "2027-02-28T23:59:59Z", "2027-02", "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"),
        ("Europe/Berlin", "year", "2026-12-31T22:59:59Z", "2026", "2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"),
        ("Europe/Berlin", "year", "2026-12-31T23:00:00Z", "2027", "2027-01-01T00:00:00+01:00", "2028-01-01T00:00:00+01:00"),
        // ISO weeks across years: 2026 has 53, and 2027-01-03 is the last day of its last
        ("UTC", "week", "2027-01-03T12:00:00Z", "2026-W53", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"),
        ("UTC", "week", "2024-12-30T00:00:00Z", "2025-W01", "2024-12-30T00:00:00Z", "2025-01-06T00:00:00Z"),
        ("Europe/Berlin", "week", "2026-03-29T12:00:00Z", "2026-W13", "2026-03-23T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
    ];

    #[test]
    fn the_window_of_an_instant() {
        for (zone, kind, at, label, start, end) in TABLE {
            let window = window(kind, zone);
            let span = window.span(at.parse().unwrap());
            let shown = (span.label, window.local(span.start.unwrap()), window.local(span.end.unwrap()));
            let wanted = (format!("{label}@{zone}"), (*start).to_owned(), (*end).to_owned());
            assert_eq!(shown, wanted, "{zone} {kind} {at}");
        }
    }

    #[test]
    fn windows_follow_each_other_without_gap_or_overlap() {
        for (zone, from) in [
            ("UTC", "2026-01-01T00:10:00Z"),
            ("America/New_York", "2026-01-01T00:10:00Z"),
            ("Australia/Lord_Howe", "2026-01-01T00:10:00Z"),
            ("America/Santiago", "2026-01-01T00:10:00Z"),
            ("Africa/Casablanca", "2026-01-01T00:10:00Z"),
            ("Asia/Gaza", "2026-01-01T00:10:00Z"),
            ("America/St_Johns", "2006-10-28T00:00:00Z"),
            ("America/Toronto", "1919-03-20T00:00:00Z"),
            ("Pacific/Apia", "2011-12-20T00:00:00Z"),
        ] {
            for kind in ["hour", "day", "week", "month", "year"] {
                let window = window(kind, zone);
                let mut at: Timestamp = from.parse().unwrap();
                for _ in 0..400 {
                    let span = window.span(at);
                    let (start, end) = (span.start.unwrap(), span.end.unwrap());
                    assert!(start <= at && at < end, "{kind} {zone} {at} {span:?}");
                    let last = end.checked_sub(1.nanosecond()).unwrap();
                    assert_eq!(window.span(last), span, "{kind} {zone}: the last moment");
                    assert_ne!(window.span(end).label, span.label, "{kind} {zone}");
                    assert_eq!(window.span(end).start, Some(end), "{kind} {zone}");
                    at = end;
                }
            }
        }
    }

    #[test]
    fn the_ends_of_time_are_in_windows_too() {
        for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
            for kind in ["hour", "day", "week", "month", "year"] {
                for at in [Timestamp::MIN, Timestamp::MAX] {
                    let span = window(kind, zone).span(at);
                    assert!(span.start.is_none_or(|start| start <= at), "{zone} {kind} {at}");
                    assert!(span.end.is_none_or(|end| at <= end), "{zone} {kind} {at}");
                }
            }
        }
        let rolling = Window::Rolling { length_s: 60 };
        for at in [Timestamp::MIN, Timestamp::MAX] {
            assert!(rolling.oldest_bucket(at).unwrap() <= rolling.bucket(at).unwrap());
        }
        assert_eq!(rolling.bucket_leaves(i64::MAX), None);
    }

    #[test]
    fn zones_come_from_the_bundled_database() {
        assert!(ZoneName::new("America/New_York").is_some());
        assert_eq!(ZoneName::new("america/new_york").unwrap().as_str(), "America/New_York");
        for name in ["", "Mars/Olympus", "Etc/Unknown", "+05:00", "../../etc/passwd", "EST5EDT,M3.2.0,M11.1.0"] {
            assert!(ZoneName::new(name).is_none(), "{name}");
        }
        assert!(serde_json::from_str::<Window>(r#"{"kind":"day","time_zone":"Nowhere"}"#).is_err());
        assert!(serde_json::from_str::<Window>(r#"{"kind":"rolling","length_s":60,"time_zone":"UTC"}"#).is_err());
    }

    proptest! {
        /// A bucket counts until the very nanosecond before it leaves.
        #[test]
        fn leaving_is_exact(length_s in 60_u32..31_622_400, at in -1_000_000_i64..4_000_000_000) {
            let window = Window::Rolling { length_s };
            let at = Timestamp::from_second(at).unwrap();
            let bucket = window.bucket(at).unwrap();
            let leaves = window.bucket_leaves(bucket).unwrap();
            let before = leaves.checked_sub(1.nanosecond()).unwrap();
            prop_assert!(window.oldest_bucket(before).unwrap() <= bucket);
            prop_assert!(window.oldest_bucket(leaves).unwrap() > bucket);
            let length = SignedDuration::from_secs(i64::from(length_s));
            prop_assert!(leaves > at + length, "never late");
            prop_assert!(leaves <= at + length + length / 60 + SignedDuration::from_nanos(1), "a sixtieth early at most");
        }
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
