//! Why an attempt that waits was not picked up.

use super::run::{Dispatch, Run};
use super::schedule::Schedule;
use super::worker::Worker;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why nobody has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NotPickedUp {
    /// Its schedule is paused.
    SchedulePaused {
        /// Which.
        schedule: String,
    },
    /// Its schedule did not start what was due.
    ScheduleOverdue {
        /// Which.
        schedule: String,
        /// Since when.
        due: Timestamp,
    },
    /// Its own runtime must pick it up, and none has.
    ExternalRuntime,
    /// No worker ever asked for this agent's attempts.
    NoWorkerEver,
    /// Those that did are gone.
    WorkersGone {
        /// How many.
        workers: usize,
        /// When the last of them was seen.
        last_seen: Timestamp,
    },
    /// All of them are busy.
    AllBusy {
        /// How many attempts they hold.
        held: usize,
        /// How many they take.
        capacity: u64,
    },
    /// A worker is there and free: it will come.
    WorkerFree,
}

impl NotPickedUp {
    /// A sentence that an operator understands.
    pub fn sentence(&self) -> String {
        match self {
            Self::SchedulePaused { schedule } => format!("Its schedule {schedule} is paused."),
            Self::ScheduleOverdue { schedule, due } => {
                format!("Its schedule {schedule} is overdue since {due}.")
            }
            Self::ExternalRuntime => "It is dispatched outside, and no runtime has picked it up.".to_owned(),
            Self::NoWorkerEver => "No worker has ever asked for attempts of this agent.".to_owned(),
            Self::WorkersGone { workers, last_seen } => {
                format!("Its {workers} workers are gone; the last was seen at {last_seen}.")
            }
            Self::AllBusy { held, capacity } => format!("All workers are busy: they hold {held} of {capacity}."),
            Self::WorkerFree => "A worker is there and free.".to_owned(),
        }
    }
}

/// Why a queued run has not been picked up. `workers` come with how many attempts each holds.
pub fn not_picked_up<'a>(
    run: &Run,
    schedule: Option<&Schedule>,
    workers: impl IntoIterator<Item = (&'a Worker, usize)>,
    gone_after_s: u32,
    now: Timestamp,
) -> NotPickedUp {
    if let Some(schedule) = schedule {
        if schedule.spec.paused {
            return NotPickedUp::SchedulePaused { schedule: schedule.id.to_string() };
        }
        if let Some(missed) = &schedule.missed {
            return NotPickedUp::ScheduleOverdue { schedule: schedule.id.to_string(), due: missed.due };
        }
    }
    if run.dispatch == Dispatch::External {
        return NotPickedUp::ExternalRuntime;
    }
    let (mut known, mut last_seen, mut there, mut busy, mut capacity) = (0, None, 0, 0, 0);
    for (worker, held) in workers.into_iter().filter(|(worker, _)| worker.agents.contains(&run.agent)) {
        known += 1;
        last_seen = last_seen.max(Some(worker.last_seen));
        if !worker.is_gone(now, gone_after_s) {
            there += 1;
            busy += held;
            capacity += u64::from(worker.capacity);
        }
    }
    match last_seen {
        None => NotPickedUp::NoWorkerEver,
        Some(last_seen) if there == 0 => NotPickedUp::WorkersGone { workers: known, last_seen },
        Some(_) if u64::try_from(busy).unwrap_or(u64::MAX) >= capacity => NotPickedUp::AllBusy { held: busy, capacity },
        Some(_) => NotPickedUp::WorkerFree,
    }
}
