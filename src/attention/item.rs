//! One line of Command Center, as plain values. How it changes is in `trouble.rs` (what happens to it) and `act.rs`
//! (what an operator does); what it says of itself in `words.rs`.

use super::class::Class;
use super::fingerprint::Fingerprint;
use crate::vocabulary::{
    ActionName, AgentId, BudgetId, EntityId, EntityType, IdError, ItemId, Reason, RunId, StepName,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A run's last attempt failed.
    FailedRun,
    /// A run shows no sign of life, or was never picked up.
    StuckRun,
    /// Policy or budget stopped an action.
    BlockedAction,
    /// A schedule's fire never came.
    MissedSchedule,
    /// A hard limit was passed.
    BudgetAlert,
}

impl ItemKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::FailedRun, Self::StuckRun, Self::BlockedAction, Self::MissedSchedule, Self::BudgetAlert];

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailedRun => "failed_run",
            Self::StuckRun => "stuck_run",
            Self::BlockedAction => "blocked_action",
            Self::MissedSchedule => "missed_schedule",
            Self::BudgetAlert => "budget_alert",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Somebody must look at it.
    Open,
    /// Something must be put right first.
    WaitingOnSetup,
    /// What it waited for is put right.
    ReadyToRetry,
    /// A new attempt is under way.
    Retrying,
    /// It was handed to the agent's escalation contact.
    Escalated,
    /// Nobody wants to see it for a while.
    Snoozed,
    /// It is over.
    Resolved,
}

impl ItemState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::WaitingOnSetup,
        Self::ReadyToRetry,
        Self::Retrying,
        Self::Escalated,
        Self::Snoozed,
        Self::Resolved,
    ];

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::WaitingOnSetup => "waiting_on_setup",
            Self::ReadyToRetry => "ready_to_retry",
            Self::Retrying => "retrying",
            Self::Escalated => "escalated",
            Self::Snoozed => "snoozed",
            Self::Resolved => "resolved",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What an item is about: there is one item for each of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A run, with all its attempts.
    Run(RunId),
    /// What an agent was denied outside of any run.
    Denial {
        /// Who.
        agent: AgentId,
        /// What for.
        action: ActionName,
        /// On which type of entity.
        entity_type: Option<EntityType>,
        /// On which one.
        entity_id: Option<EntityId>,
    },
    /// A schedule.
    Schedule(String),
    /// A budget's account.
    Budget {
        /// The budget.
        budget: BudgetId,
        /// The account, in its text form.
        account: String,
    },
}

impl Subject {
    /// The id of the item about this: one for each subject, for ever, so that what comes back is the same item.
    pub fn item_id(&self) -> Result<ItemId, IdError> {
        const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut hash = Sha256::new();
        // a zero ends each part: none of them holds one
        let mut part = |text: &str| {
            hash.update(text.as_bytes());
            hash.update([0]);
        };
        match self {
            Self::Run(run) => ["run", run.as_str()].into_iter().for_each(&mut part),
            Self::Denial { agent, action, entity_type, entity_id } => {
                ["denial", agent.as_str(), action.as_str()].into_iter().for_each(&mut part);
                part(entity_type.as_ref().map_or("", EntityType::as_str));
                part(entity_id.as_ref().map_or("", EntityId::as_str));
            }
            Self::Schedule(schedule) => ["schedule", schedule].into_iter().for_each(&mut part),
            Self::Budget { budget, account } => {
                ["budget", budget.as_str(), account].into_iter().for_each(&mut part);
            }
        }
        let letters = hash.finalize();
        let letters = letters.iter().take(26).map(|byte| char::from(LETTERS[usize::from(byte & 31)]));
        ItemId::new(letters.fold(String::from("item_"), |mut id, letter| {
            id.push(letter);
            id
        }))
    }
}

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

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolutionCategory {
    /// The run succeeded after a retry.
    Succeeded,
    /// It went on by itself.
    WentOn,
    /// The run was cancelled.
    Cancelled,
    /// What was wrong was put right elsewhere.
    Fixed,
    /// It is no longer needed.
    NoLongerNeeded,
    /// It was started for a wrong record.
    WrongRecord,
    /// It was noise.
    Noise,
    /// The denial was right.
    DenialWasRight,
}

impl ResolutionCategory {
    /// The category of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Succeeded, Self::WentOn, Self::Cancelled]
            .into_iter()
            .chain(Self::BY_HAND)
            .find(|category| category.as_str() == text)
    }

    /// What an operator may say.
    pub const BY_HAND: [Self; 5] =
        [Self::Fixed, Self::NoLongerNeeded, Self::WrongRecord, Self::Noise, Self::DenialWasRight];

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::WentOn => "went_on",
            Self::Cancelled => "cancelled",
            Self::Fixed => "fixed",
            Self::NoLongerNeeded => "no_longer_needed",
            Self::WrongRecord => "wrong_record",
            Self::Noise => "noise",
            Self::DenialWasRight => "denial_was_right",
        }
    }
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

/// What is suggested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suggestion {
    /// Try again.
    Retry,
    /// It cannot or need not go on.
    Cancel,
    /// Put something right first.
    FixSetup,
    /// Hand it to who knows more.
    Escalate,
    /// Look first; nothing says that a retry helps.
    Inspect,
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

    /// What is suggested.
    pub fn suggestion(&self) -> Suggestion {
        match self.state {
            _ if self.same_step_failures > 1 && self.state != ItemState::Escalated => Suggestion::Escalate,
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
        if is("run_cancelled") {
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
