//! Attempts on the wire.

use super::registry::ActorAnswer;
use crate::runs::{Attempt, Cause, RunError};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Why an attempt failed or was blocked.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunError)]
pub struct RunErrorAnswer {
    /// What the classifier goes by.
    #[schema(example = "timeout")]
    pub code: String,
    /// In words.
    pub message: String,
    /// The figures behind it.
    pub details: Option<Value>,
}

impl From<&RunError> for RunErrorAnswer {
    fn from(error: &RunError) -> Self {
        Self { code: error.code.clone(), message: error.message.clone(), details: error.details.clone() }
    }
}

/// A clock that rang.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Alarm)]
pub struct AlarmAnswer {
    /// Which.
    #[schema(example = "silent")]
    pub clock: &'static str,
    /// Since when.
    pub since: String,
}

/// One attempt.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptAnswer {
    /// From 1.
    pub number: u32,
    /// Where it stands.
    #[schema(example = "failed")]
    pub state: &'static str,
    /// `first`, `reported` or `retry`.
    #[schema(example = "first")]
    pub cause: &'static str,
    /// Who retried.
    pub retried_by: Option<ActorAnswer>,
    /// Why.
    pub retry_reason: Option<String>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// Who has it.
    pub worker: Option<String>,
    /// Until when its worker holds it.
    pub lease_expires_at: Option<String>,
    /// How often a lease ended before anybody acknowledged.
    pub requeued: u32,
    /// Where it goes on from.
    pub from_checkpoint: Option<String>,
    /// The step that is under way.
    pub current_step: Option<String>,
    /// The last step that was completed.
    pub last_good_step: Option<String>,
    /// The step that it failed or was blocked at.
    pub failed_step: Option<String>,
    /// Why.
    pub error: Option<RunErrorAnswer>,
    /// Clocks that rang.
    pub alarms: Vec<AlarmAnswer>,
    /// Who ended it without its runtime's proof.
    pub forced_by: Option<ActorAnswer>,
    /// When it was queued, or first heard of.
    pub queued_at: String,
    /// When it was handed over.
    pub dispatched_at: Option<String>,
    /// When that was acknowledged.
    pub acknowledged_at: Option<String>,
    /// When its work began.
    pub started_at: Option<String>,
    /// The last sign of life.
    pub last_seen: String,
    /// When it came to its end.
    pub ended_at: Option<String>,
}

/// A value in its text form, if there is one.
pub(super) fn text<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

impl From<&Attempt> for AttemptAnswer {
    fn from(attempt: &Attempt) -> Self {
        let (cause, retried_by, retry_reason) = match &attempt.cause {
            Cause::First => ("first", None, None),
            Cause::Reported => ("reported", None, None),
            Cause::Retry { by, reason, .. } => ("retry", Some(by.into()), Some(reason.clone())),
        };
        let alarms = attempt.alarms.iter();
        let alarms =
            alarms.map(|alarm| AlarmAnswer { clock: alarm.clock.as_str(), since: alarm.since.to_string() }).collect();
        Self {
            number: attempt.number,
            state: attempt.state.as_str(),
            cause,
            retried_by,
            retry_reason,
            agent_version: attempt.agent_version.clone(),
            worker: text(attempt.worker.as_ref()),
            lease_expires_at: attempt.lease.as_ref().map(|lease| lease.expires_at.to_string()),
            requeued: attempt.requeued,
            from_checkpoint: text(attempt.from_checkpoint.as_ref()),
            current_step: text(attempt.current_step.as_ref()),
            last_good_step: text(attempt.last_good_step.as_ref()),
            failed_step: text(attempt.failed_step.as_ref()),
            error: attempt.error.as_ref().map(Into::into),
            alarms,
            forced_by: attempt.forced_by.as_ref().map(Into::into),
            queued_at: attempt.queued_at.to_string(),
            dispatched_at: text(attempt.dispatched_at.as_ref()),
            acknowledged_at: text(attempt.acknowledged_at.as_ref()),
            started_at: text(attempt.started_at.as_ref()),
            last_seen: attempt.last_seen.to_string(),
            ended_at: text(attempt.ended_at.as_ref()),
        }
    }
}
