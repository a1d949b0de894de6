//! One line of Command Center, as plain values. How it changes is in `trouble.rs` (what happens to it) and `act.rs`
//! (what an operator does); what it says of itself in `words.rs`.

use super::class::Class;
use super::fingerprint::Fingerprint;
use super::kinds::{ItemKind, ItemState, ResolutionCategory, Suggestion};
use super::subject::Subject;
use crate::vocabulary::{ActionName, AgentId, Code, EntityId, EntityType, ItemId, Reason, RunId, StepName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One line of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Why it stands still, and what would lift that.
    pub reason: Reason,
    /// Since when.
    pub since: Timestamp,
    /// When it was lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_at: Option<Timestamp>,
}

impl Check {
    /// Whether it still stands in the way.
    pub fn is_open(&self) -> bool {
        self.lifted_at.is_none()
    }

    /// Whether another reason is this one, told again.
    pub fn is_same(&self, reason: &Reason) -> bool {
        self.reason.code == reason.code
            && self.reason.remedy.target == reason.remedy.target
            && self.reason.rule == reason.rule
    }
}

/// What the operators have decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decided {
    /// It was retried.
    Retried {
        /// The new attempt.
        attempt: u32,
    },
    /// It waits for a named fix.
    Waiting {
        /// The fix: a remedy's target, or a reason's code where it has none.
        fix: String,
        /// By whom.
        owner: String,
        /// Until when.
        due_at: Timestamp,
    },
}

/// How, when and by whom it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// How.
    pub category: ResolutionCategory,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Who, what, on what and where in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// What it wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionName>,
    /// On which type of entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<EntityType>,
    /// On which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<EntityId>,
    /// In which attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// At which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
}

/// One item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// What it is about.
    pub subject: Subject,
    /// What kind of trouble it is now.
    pub kind: ItemKind,
    /// Where it stands; a snooze lies over it.
    pub state: ItemState,
    /// What class of failure.
    pub class: Class,
    /// What it is called, in a few words.
    pub title: String,
    /// A sentence an operator understands: the trouble's own.
    pub message: String,
    /// Whether the failure is of a kind that a retry may help.
    pub retry_allowed: bool,
    /// The checklist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Where.
    pub place: Place,
    /// The person who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// By when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Until when nobody wants to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed_until: Option<Timestamp>,
    /// To whom it was handed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_to: Option<String>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
    /// How often the trouble was seen.
    pub count: u64,
    /// How often in a row an attempt failed at the same step.
    pub same_step_failures: u32,
    /// How often it came back after a resolution.
    #[serde(default)]
    pub came_back: u32,
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
    /// When it began, counted from the last resolution.
    pub began_at: Timestamp,
    /// Of its last trouble.
    pub fingerprint: Fingerprint,
    /// By what its last trouble is known again, so that it does not count twice.
    pub sign: String,
    /// What was supplied for the next attempt, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub supplied: BTreeMap<String, Value>,
    /// How it ended, while it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// How it ended before it came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_resolution: Option<Resolution>,
    /// Counts its changes, from 1.
    pub revision: u64,
}

impl Item {
    /// The state as shown at `now`: a snooze lies over all but the end.
    pub fn state_at(&self, now: Timestamp) -> ItemState {
        match self.snoozed_until {
            Some(until) if now < until && self.state != ItemState::Resolved => ItemState::Snoozed,
            _ => self.state,
        }
    }

    /// The run that it is about.
    pub fn run(&self) -> Option<&RunId> {
        match &self.subject {
            Subject::Run(run) => Some(run),
            _ => None,
        }
    }

    /// The reasons that still stand in the way.
    pub fn open_reasons(&self) -> impl Iterator<Item = &Reason> {
        self.checks.iter().filter(|check| check.is_open()).map(|check| &check.reason)
    }

    /// Whether the operators owe it a decision: it was neither retried nor ended, nor does it wait for a named fix with a
    /// person and a due time that has not passed. Owning, snoozing and escalating are none.
    pub fn lacks_decision(&self, now: Timestamp) -> bool {
        match (self.state, &self.decided) {
            (ItemState::Resolved | ItemState::Retrying, _) => false,
            (ItemState::ReadyToRetry, _) => true,
            (_, Some(Decided::Waiting { due_at, .. })) => now >= *due_at,
            _ => true,
        }
    }

    /// Whether something must be put right before a retry can help, and was not yet.
    pub fn needs_setup(&self) -> bool {
        self.class == Class::Setup && self.state != ItemState::ReadyToRetry
    }

    /// What is suggested.
    pub fn suggestion(&self) -> Suggestion {
        match self.state {
            ItemState::Escalated if self.same_step_failures > 1 => Suggestion::Inspect,
            _ if self.same_step_failures > 1 => Suggestion::Escalate,
            ItemState::ReadyToRetry => Suggestion::Retry,
            _ if self.open_reasons().next().is_some() => self.of_reasons(),
            _ if self.class == Class::Temporary && self.retry_allowed => Suggestion::Retry,
            _ if self.class == Class::Setup => Suggestion::FixSetup,
            _ => Suggestion::Inspect,
        }
    }

    /// By the checklist. A run that was cancelled without proof is to be ended; what passes by itself is to be retried.
    fn of_reasons(&self) -> Suggestion {
        let is = |code: &str| self.open_reasons().any(|reason| reason.code == code);
        if is(Code::CancelNotConfirmed.as_str()) {
            return Suggestion::Cancel;
        }
        if self.open_reasons().all(|reason| Class::of_text(&reason.code) == Class::Unknown) {
            return Suggestion::Inspect;
        }
        if self.open_reasons().all(|reason| Class::of_text(&reason.code) == Class::Temporary) && self.retry_allowed {
            return Suggestion::Retry;
        }
        Suggestion::FixSetup
    }
}
