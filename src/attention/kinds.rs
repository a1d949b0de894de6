//! The closed lists of an item: its kinds, states, ends, and what may be suggested.

use serde::{Deserialize, Serialize};

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
