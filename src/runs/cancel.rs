//! A cancellation is a request, then proof. And the force-stop, for where no proof comes.

use super::attempt::AttemptState;
use super::event::{EventType, RunEvent};
use super::parts::RunError;
use super::run::{Cancel, CancelCategory, Dispatch, Run};
use super::take::{own_event, settle_cancel};
use crate::registry::Actor;
use jiff::Timestamp;
use serde_json::json;

/// What an attempt that an operator ended failed with.
pub const FORCE_STOPPED: &str = "force_stopped";

/// Why a run is not stopped so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopRefusal {
    /// Nothing to stop.
    #[error("no attempt of this run is alive: there is nothing to stop")]
    NotAlive,
}

/// Asks for a run's end. `None` where that was asked already. Where nobody works on it, it takes effect at once.
pub fn cancel(
    run: &Run,
    category: CancelCategory,
    reason: &str,
    by: &Actor,
    now: Timestamp,
) -> Option<(Run, RunEvent)> {
    if run.is_cancelled() {
        return None;
    }
    let mut run = run.clone();
    run.cancel = Some(Cancel {
        category,
        reason: reason.to_owned(),
        by: by.clone(),
        requested_at: now,
        effective_at: None,
        too_late: false,
    });
    let data = json!({"category": category, "reason": reason, "by": by.name});
    let event = own_event(&mut run, EventType::CancelRequested, data, now);
    let unclaimed = run.dispatch == Dispatch::Claim;
    match run.latest_mut() {
        Some(attempt) if unclaimed && attempt.state == AttemptState::Queued => {
            attempt.end(AttemptState::Cancelled, now);
        }
        Some(attempt) if attempt.is_alive() => attempt.state = AttemptState::Cancelling,
        _ => {}
    }
    let alive = run.is_alive();
    if let Some(cancel) = run.cancel.as_mut().filter(|_| !alive) {
        cancel.effective_at = Some(now);
    }
    Some((run, event))
}

/// Ends the attempt without its runtime's proof: `cancelled` where that was asked for, else `failed`, so that it can be
/// retried. Its holds are left to expire as unsettled.
pub fn force_stop(run: &Run, reason: &str, by: &Actor, now: Timestamp) -> Result<(Run, RunEvent), StopRefusal> {
    if !run.is_alive() {
        return Err(StopRefusal::NotAlive);
    }
    let mut run = run.clone();
    let event = own_event(&mut run, EventType::ForceStopped, json!({"reason": reason, "by": by.name}), now);
    let cancelled = run.is_cancelled();
    if let Some(attempt) = run.latest_mut() {
        attempt.forced_by = Some(by.clone());
        if cancelled {
            attempt.end(AttemptState::Cancelled, now);
        } else {
            attempt.failed_step = attempt.failed_step.take().or_else(|| attempt.current_step.take());
            attempt.error = Some(RunError {
                code: FORCE_STOPPED.to_owned(),
                message: format!("{} stopped it without its runtime's proof: {reason}", by.name),
                details: None,
            });
            attempt.end(AttemptState::Failed, now);
        }
    }
    settle_cancel(&mut run, now);
    Ok((run, event))
}
