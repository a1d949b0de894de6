//! One try at a run: `queued → dispatched → running → completed | failed | blocked | cancelled`, with `stalled` and
//! `cancelling` on the way. No terminal state ever changes.

use super::clocks::Alarm;
use super::parts::RunError;
use crate::registry::Actor;
use crate::vocabulary::{CheckpointId, StepName, WorkerId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// It waits to be picked up.
    Queued,
    /// A worker or a runtime has it, and has not begun.
    Dispatched,
    /// It is being worked on.
    Running,
    /// There was no sign of life for too long.
    Stalled,
    /// Somebody asked for its end; its runtime has not proved it.
    Cancelling,
    /// Done. Final.
    Completed,
    /// Failed. Final.
    Failed,
    /// The runtime gave up on a denial. Final.
    Blocked,
    /// Stopped on purpose. Final.
    Cancelled,
}

impl AttemptState {
    /// Every state, in the order of their course.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Dispatched,
        Self::Running,
        Self::Stalled,
        Self::Cancelling,
        Self::Completed,
        Self::Failed,
        Self::Blocked,
        Self::Cancelled,
    ];

    /// Whether nothing changes it any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Blocked | Self::Cancelled)
    }

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Dispatched => "dispatched",
            Self::Running => "running",
            Self::Stalled => "stalled",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why there is this attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// It is the first that Tollgate heard of.
    First,
    /// Its runtime began it by itself.
    Reported,
    /// Somebody retried the run.
    Retry {
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
        /// The plan that they saw.
        plan_version: String,
        /// An admin let it go on although the same step had failed again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        overridden: bool,
    },
}

/// A worker's hold on an attempt. Of the token only its SHA-256 is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// SHA-256 of the token, in hex.
    pub sha256: String,
    /// Until when, unless it is renewed.
    pub expires_at: Timestamp,
    /// For how long each renewal holds, in seconds.
    pub length_s: u32,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1; nothing is overwritten.
    pub number: u32,
    /// Where it stands.
    pub state: AttemptState,
    /// Why there is one.
    pub cause: Cause,
    /// The agent's version, where its runtime said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// How firmly, for a claimed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// How often a lease ended before anybody acknowledged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requeued: u32,
    /// Where it goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_checkpoint: Option<CheckpointId>,
    /// The step that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_step: Option<StepName>,
    /// The last step that was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_step: Option<StepName>,
    /// The step that it failed or was blocked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_step: Option<StepName>,
    /// Why it failed or was blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// Which of its clocks have rung.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<Alarm>,
    /// Who ended it without its runtime's proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced_by: Option<Actor>,
    /// When it was queued, or first heard of.
    pub queued_at: Timestamp,
    /// When it was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched_at: Option<Timestamp>,
    /// When that was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<Timestamp>,
    /// When its work began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The last sign of life.
    pub last_seen: Timestamp,
    /// The latest time that its events said; what says less is out of order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_time: Option<Timestamp>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Attempt {
    /// One that begins now.
    pub fn new(number: u32, cause: Cause, now: Timestamp) -> Self {
        Self {
            number,
            state: AttemptState::Queued,
            cause,
            agent_version: None,
            worker: None,
            lease: None,
            requeued: 0,
            from_checkpoint: None,
            current_step: None,
            last_good_step: None,
            failed_step: None,
            error: None,
            alarms: Vec::new(),
            forced_by: None,
            queued_at: now,
            dispatched_at: None,
            acknowledged_at: None,
            started_at: None,
            last_seen: now,
            last_time: None,
            ended_at: None,
        }
    }

    /// Whether it has not come to its end.
    pub const fn is_alive(&self) -> bool {
        !self.state.is_terminal()
    }

    /// Whether somebody who shows this token (its SHA-256) holds it: an attempt that nobody claimed needs none.
    pub fn admits_lease(&self, sha256: Option<&str>) -> bool {
        self.lease.as_ref().is_none_or(|lease| Some(lease.sha256.as_str()) == sha256)
    }

    /// Ends it; one that has ended stays as it is.
    pub(super) fn end(&mut self, state: AttemptState, now: Timestamp) {
        if self.is_alive() {
            self.state = state;
            self.ended_at = Some(now);
        }
    }
}
