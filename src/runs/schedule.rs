//! Schedules: when somebody outside starts runs, so that a start that never came is noticed.

use super::cron::{Cron, CronError};
use crate::vocabulary::{AgentId, RunId, ScheduleId};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A start that never came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// When the first of them was due.
    pub due: Timestamp,
    /// When the latest of them was due.
    pub latest: Timestamp,
    /// How many in a row.
    pub count: u32,
    /// When the first was noticed.
    pub noticed_at: Timestamp,
}

/// What an operator writes of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Whose runs it starts.
    pub agent: AgentId,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// The IANA time zone that it is meant in.
    pub time_zone: String,
    /// Nothing is due while it is paused.
    #[serde(default)]
    pub paused: bool,
    /// How late a start may be, in seconds.
    pub grace_s: u32,
}

/// One schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// What the operator wrote.
    #[serde(flatten)]
    pub spec: ScheduleSpec,
    /// When the next start is due; `None` while it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Timestamp>,
    /// When it last started a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fired: Option<Timestamp>,
    /// Which run that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<RunId>,
    /// Starts that never came, since the last one that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A start may come so much before it is due and still be that one.
const EARLY: SignedDuration = SignedDuration::from_secs(60);

/// Why a schedule cannot be as written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression.
    #[error("{0}")]
    Cron(#[from] CronError),
    /// The zone.
    #[error("{0:?} is no time zone that is known")]
    Zone(String),
}

impl ScheduleSpec {
    fn next_after(&self, moment: Timestamp) -> Result<Option<Timestamp>, ScheduleError> {
        let cron = Cron::parse(&self.cron)?;
        let zone = TimeZone::get(&self.time_zone).map_err(|_| ScheduleError::Zone(self.time_zone.clone()))?;
        Ok(if self.paused { None } else { cron.next_after(moment, &zone) })
    }
}

impl Schedule {
    /// A schedule as written now. What it is due for counts from now on; what it started stays known.
    pub fn put(id: ScheduleId, spec: ScheduleSpec, old: Option<&Self>, now: Timestamp) -> Result<Self, ScheduleError> {
        let next_due = spec.next_after(now)?;
        Ok(Self {
            id,
            next_due,
            last_fired: old.and_then(|old| old.last_fired),
            last_run: old.and_then(|old| old.last_run.clone()),
            missed: old.and_then(|old| old.missed.clone()).filter(|_| !spec.paused),
            spec,
            updated_at: now,
        })
    }

    /// It started a run.
    pub fn fired(&self, run: &RunId, now: Timestamp) -> Self {
        let meant = match self.next_due {
            Some(due) if due.duration_since(now) <= EARLY => due.max(now),
            _ => now,
        };
        Self {
            next_due: self.spec.next_after(meant).ok().flatten(),
            last_fired: Some(now),
            last_run: Some(run.clone()),
            missed: None,
            ..self.clone()
        }
    }

    /// When a start that does not come is missed. What was due while Tollgate could not hear is waited for anew.
    pub fn missed_at(&self, hearing_since: Timestamp) -> Option<Timestamp> {
        let due = self.next_due?.max(hearing_since);
        Some(due.checked_add(SignedDuration::from_secs(i64::from(self.spec.grace_s))).unwrap_or(Timestamp::MAX))
    }

    /// Its start did not come.
    pub fn miss(&self, now: Timestamp) -> Self {
        let Some(due) = self.next_due else { return self.clone() };
        let missed = match &self.missed {
            None => Missed { due, latest: due, count: 1, noticed_at: now },
            Some(missed) => Missed { latest: due, count: missed.count + 1, ..missed.clone() },
        };
        Self { next_due: self.spec.next_after(now.max(due)).ok().flatten(), missed: Some(missed), ..self.clone() }
    }
}
