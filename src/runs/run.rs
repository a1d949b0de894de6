//! A run: a piece of an agent's work, and every attempt at it. Its size is bounded: what grows with it (events, states,
//! inputs) is in its events.

use super::attempt::{Attempt, AttemptState};
use super::parts::{Artifact, Checkpoint, InputRef, RunEntity, Supplied};
use crate::registry::Actor;
use crate::vocabulary::{AgentId, RunId, ScheduleId, StepName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many checkpoints a run keeps at hand; older ones are in its events.
pub const CHECKPOINTS_KEPT: usize = 20;
/// How many artifacts it keeps at hand.
pub const ARTIFACTS_KEPT: usize = 100;
/// How many attempts a run has at most.
pub const MOST_ATTEMPTS: usize = 100;
/// The highest number that an attempt may be given by whoever reports it first.
pub const HIGHEST_ATTEMPT: u32 = 1_000_000;

/// Who brings an attempt to where it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dispatch {
    /// Workers claim it from Tollgate.
    Claim,
    /// Somebody else; Tollgate hears of it.
    #[default]
    External,
}

/// Why a run was cancelled, as a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelCategory {
    /// Nobody needs it any more.
    NoLongerNeeded,
    /// It is about the wrong record.
    WrongRecord,
    /// It should never have been made.
    Noise,
    /// What it was denied was denied rightly.
    DenialWasRight,
}

impl CancelCategory {
    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoLongerNeeded => "no_longer_needed",
            Self::WrongRecord => "wrong_record",
            Self::Noise => "noise",
            Self::DenialWasRight => "denial_was_right",
        }
    }
}

/// A request that a run end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Why, by category.
    pub category: CancelCategory,
    /// Why, in words.
    pub reason: String,
    /// Who asked.
    pub by: Actor,
    /// When.
    pub requested_at: Timestamp,
    /// When it took effect: at once where no attempt was alive, else with the runtime's proof or a force-stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// The attempt was completed before it could take effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub too_late: bool,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Whose it is, for ever.
    pub agent: AgentId,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The record that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<RunEntity>,
    /// The schedule that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleId>,
    /// Who brings it to where it runs.
    #[serde(default)]
    pub dispatch: Dispatch,
    /// What it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<InputRef>,
    /// What people supplied for the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplied: Option<Supplied>,
    /// Every attempt, by number.
    pub attempts: Vec<Attempt>,
    /// Its last checkpoints, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<Checkpoint>,
    /// Its last artifacts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// How many events it has; the last one's number.
    pub events: u64,
    /// That somebody cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
    /// When Tollgate first heard of it.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When the next of its clocks rings, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}

impl Run {
    /// The latest attempt. A run always has one.
    pub fn latest(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The latest attempt's number.
    pub fn latest_number(&self) -> u32 {
        self.latest().map_or(0, |attempt| attempt.number)
    }

    /// The attempt of that number.
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }

    pub(super) fn latest_mut(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut()
    }

    /// Its latest attempt's state, unless the run itself was cancelled.
    pub fn status(&self) -> AttemptState {
        if self.cancel.as_ref().is_some_and(|cancel| cancel.effective_at.is_some() && !cancel.too_late) {
            return AttemptState::Cancelled;
        }
        self.latest().map_or(AttemptState::Queued, |attempt| attempt.state)
    }

    /// Whether it came to its end: it is completed or cancelled, and no attempt is alive. What failed or is blocked waits
    /// for somebody.
    pub fn is_over(&self) -> bool {
        matches!(self.status(), AttemptState::Completed | AttemptState::Cancelled) && !self.is_alive()
    }

    /// Whether an attempt is alive.
    pub fn is_alive(&self) -> bool {
        self.latest().is_some_and(Attempt::is_alive)
    }

    /// Whether nothing of it is admitted any more because somebody cancelled it.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(|cancel| !cancel.too_late)
    }

    /// How many attempts failed at this step.
    pub fn same_step_failures(&self, step: Option<&StepName>) -> u32 {
        let failed = |attempt: &&Attempt| {
            attempt.state == AttemptState::Failed && step.is_some() && attempt.failed_step.as_ref() == step
        };
        u32::try_from(self.attempts.iter().filter(failed).count()).unwrap_or(u32::MAX)
    }

    /// How often the step at which the latest attempt failed has failed in all, and which it is.
    pub fn failing_step(&self) -> Option<(&StepName, u32)> {
        let latest = self.latest().filter(|attempt| attempt.state == AttemptState::Failed)?;
        let step = latest.failed_step.as_ref()?;
        Some((step, self.same_step_failures(Some(step))))
    }

    /// The last checkpoint.
    pub fn last_checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoints.last()
    }
}
