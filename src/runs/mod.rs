//! Runs: what runtimes report of an agent's work, and what becomes of it. A state machine over plain values: every
//! function takes a run, what happened and a time, and gives the run as it stands then.
//!
//! Architecture invariant: no terminal state of an attempt ever changes, and a run's size is bounded.

mod attempt;
mod cancel;
mod claim;
mod clocks;
mod clocks_ring;
mod connector;
mod cron;
mod event;
mod fields;
mod parts;
mod pickup;
mod retry;
mod run;
mod schedule;
mod supply;
mod take;
mod usage;
mod worker;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod model_tests;

pub use attempt::{Attempt, AttemptState, Cause, Lease};
pub use cancel::{FORCE_STOPPED, StopRefusal, cancel, force_stop};
pub use claim::{claim, is_claimable};
pub use clocks::{Alarm, ClockKind, Clocks};
pub use clocks_ring::{Hearing, next_ring, ring};
pub use connector::{Connector, ConnectorStatus};
pub use cron::{Cron, CronError};
pub use event::{EventType, Opening, Report, Reported, RunEvent, Standing};
pub use fields::{EventField, event_schema, field_of};
pub use parts::{Artifact, Checkpoint, InputRef, RunEntity, RunError, Supplied};
pub use pickup::{NotPickedUp, not_picked_up};
pub use retry::{
    FAILURES_TO_ESCALATE, Plan, RetryAsked, RetryRefusal, SideEffect, check, plan, retriable, retry, same_step_failed,
};
pub use run::{
    ARTIFACTS_KEPT, CHECKPOINTS_KEPT, Cancel, CancelCategory, Dispatch, HIGHEST_ATTEMPT, MOST_ATTEMPTS, Run,
};
pub use schedule::{Missed, Schedule, ScheduleError, ScheduleSpec};
pub use supply::supply;
pub use take::{EventRefusal, OWN_SOURCE, Taken, first_admitted, holds_attempt, next_admitted, own_event, take};
pub use usage::{RunUsage, Sums, UsageKey, usage};
pub use worker::Worker;
