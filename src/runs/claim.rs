//! Claiming: exactly one worker holds a queued attempt, for as long as its lease is renewed.

use super::attempt::{AttemptState, Lease};
use super::event::{EventType, RunEvent};
use super::run::{Dispatch, Run};
use super::take::{later, own_event};
use crate::vocabulary::WorkerId;
use jiff::Timestamp;
use serde_json::json;

/// Whether workers may claim it.
pub fn is_claimable(run: &Run) -> bool {
    run.dispatch == Dispatch::Claim
        && !run.is_cancelled()
        && run.latest().is_some_and(|attempt| attempt.state == AttemptState::Queued)
}

/// Hands the latest attempt to a worker; `None` where it cannot be claimed.
pub fn claim(run: &Run, worker: &WorkerId, sha256: &str, length_s: u32, now: Timestamp) -> Option<(Run, RunEvent)> {
    if !is_claimable(run) {
        return None;
    }
    let mut run = run.clone();
    let event = own_event(&mut run, EventType::Dispatched, json!({"worker": worker}), now);
    let attempt = run.latest_mut()?;
    attempt.state = AttemptState::Dispatched;
    attempt.worker = Some(worker.clone());
    attempt.dispatched_at = Some(now);
    attempt.last_seen = now;
    attempt.alarms.clear();
    attempt.lease = Some(Lease { sha256: sha256.to_owned(), expires_at: later(now, length_s), length_s });
    Some((run, event))
}
