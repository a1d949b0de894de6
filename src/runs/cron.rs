//! Cron expressions of five fields: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday). Lists,
//! ranges, steps and English names; a day fits if either day field fits, where both are given (POSIX `crontab`).
//!
//! The crates that do this bring a second jiff with them.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// The 29th of February on a given day of the week comes at least every 40 years; nothing rarer can be said.
const FARTHEST_DAYS: u32 = 366 * 41;

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("must have five fields: minute, hour, day of the month, month, day of the week")]
    Fields,
    /// A field that cannot be read.
    #[error("{0:?} is not a {1}")]
    Field(String, &'static str),
    /// It never comes.
    #[error("never comes")]
    Never,
}

impl Cron {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else { return Err(CronError::Fields) };
        let mut weekdays = field(weekday, 0, 7, &DAYS, 0).ok_or_else(|| wrong(weekday, "day of the week"))?;
        if weekdays & (1 << 7) != 0 {
            weekdays |= 1;
        }
        let cron = Self {
            minutes: field(minute, 0, 59, &[], 0).ok_or_else(|| wrong(minute, "minute"))?,
            hours: field(hour, 0, 23, &[], 0).ok_or_else(|| wrong(hour, "hour"))?,
            days: field(day, 1, 31, &[], 0).ok_or_else(|| wrong(day, "day of the month"))?,
            months: field(month, 1, 12, &MONTHS, 1).ok_or_else(|| wrong(month, "month"))?,
            weekdays,
            any_day: day.starts_with('*'),
            any_weekday: weekday.starts_with('*'),
        };
        let some_year = Timestamp::UNIX_EPOCH;
        if cron.next_after(some_year, &TimeZone::UTC).is_none() { Err(CronError::Never) } else { Ok(cron) }
    }

    /// The first moment after this one at which it is due. A civil time that a zone skips is due when the clock jumps; one
    /// that comes twice is due the first time.
    pub fn next_after(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut date = zone.to_datetime(moment).date();
        for _ in 0..FARTHEST_DAYS {
            if self.fits_day(date) {
                for time in self.times() {
                    let due = zone.to_ambiguous_timestamp(DateTime::from_parts(date, time)).compatible().ok()?;
                    if due > moment {
                        return Some(due);
                    }
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn fits_day(&self, date: Date) -> bool {
        let in_month = has(self.months, date.month());
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, weekday(date.weekday()));
        let fits = match (self.any_day, self.any_weekday) {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        in_month && fits
    }

    fn times(&self) -> impl Iterator<Item = Time> + '_ {
        let hours = (0..24i8).filter(|hour| has(self.hours, *hour));
        hours.flat_map(|hour| {
            let minutes = (0..60i8).filter(|minute| has(self.minutes, *minute));
            minutes.filter_map(move |minute| Time::new(hour, minute, 0, 0).ok())
        })
    }
}

fn weekday(day: Weekday) -> i8 {
    day.to_sunday_zero_offset()
}

fn has(set: u64, n: i8) -> bool {
    u32::try_from(n).is_ok_and(|n| set & (1 << n) != 0)
}

fn wrong(text: &str, what: &'static str) -> CronError {
    CronError::Field(text.to_owned(), what)
}

fn field(text: &str, least: u32, most: u32, names: &[&str], first_name: u32) -> Option<u64> {
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (value(from, names, first_name)?, value(to, names, first_name)?),
            None => {
                let from = value(range, names, first_name)?;
                (from, if part.contains('/') { most } else { from })
            }
        };
        if from < least || to > most || from > to {
            return None;
        }
        let steps = usize::try_from(step).ok()?;
        (from..=to).step_by(steps).for_each(|n| set |= 1 << n);
    }
    Some(set)
}

fn value(text: &str, names: &[&str], first_name: u32) -> Option<u32> {
    let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
    match named {
        Some(place) => Some(u32::try_from(place).ok()? + first_name),
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, zone: &str, after: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let due = Cron::parse(cron).unwrap().next_after(after.parse().unwrap(), &zone).unwrap();
        due.to_string()
    }

    #[test]
    fn when_it_is_due() {
        for (cron, zone, after, due) in [
            ("0 9 * * *", "UTC", "2026-11-23T08:59:59Z", "2026-11-23T09:00:00Z"),
            ("0 9 * * *", "UTC", "2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z"),
            ("0 9 * * mon-fri", "America/New_York", "2026-11-27T15:00:00Z", "2026-11-30T14:00:00Z"),
            ("*/15 * * * *", "UTC", "2026-11-23T08:50:00Z", "2026-11-23T09:00:00Z"),
            ("5/20 8-9 * * *", "UTC", "2026-11-23T08:45:00Z", "2026-11-23T09:05:00Z"),
            ("0 0 13 * fri", "UTC", "2026-11-23T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("0 0 29 feb *", "UTC", "2026-11-23T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
            ("0 12 * * 7", "UTC", "2026-11-23T00:00:00Z", "2026-11-29T12:00:00Z"),
        ] {
            assert_eq!(next(cron, zone, after), due, "{cron} in {zone} after {after}");
        }
    }

    #[test]
    fn what_is_no_cron_expression() {
        for (text, wrong) in [
            ("0 9 * *", "five fields"),
            ("60 9 * * *", "minute"),
            ("0 9-8 * * *", "hour"),
            ("0 9 0 * *", "day of the month"),
            ("0 9 * foo *", "month"),
            ("0 9 * * 8", "day of the week"),
            ("*/0 9 * * *", "minute"),
            ("0 9 30 feb *", "never"),
            ("+5 9 * * *", "minute"),
        ] {
            let error = Cron::parse(text).expect_err(text).to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}
