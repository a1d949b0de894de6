//! The three classes of failure, and which code belongs to which.

use crate::vocabulary::Code;
use serde::{Deserialize, Serialize};

/// What kind of failure it is, and so what an operator does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It passes by itself: retry.
    Temporary,
    /// Something must be put right first: fix setup.
    Setup,
    /// Nobody knows: inspect. It never promises that a retry helps.
    Unknown,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Temporary, Self::Setup, Self::Unknown];

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Setup => "setup",
            Self::Unknown => "unknown",
        }
    }

    /// The class of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }

    /// The class that a code belongs to.
    pub const fn of(code: Code) -> Self {
        match code {
            Code::RateLimited
            | Code::ProviderUnavailable
            | Code::DependencyUnavailable
            | Code::Timeout
            | Code::DispatchFailed => Self::Temporary,
            Code::Unknown
            | Code::SameStepFailedAgain
            | Code::NotPickedUp
            | Code::NotAcknowledged
            | Code::NoFirstEvent
            | Code::Silent
            | Code::LeaseEnded
            | Code::RunsTooLong
            | Code::CancelNotConfirmed
            | Code::ScheduleMissed => Self::Unknown,
            _ => Self::Setup,
        }
    }

    /// The class of a reason's code; a rule's own code is a policy's denial, and so of setup.
    pub fn of_text(code: &str) -> Self {
        Code::parse(code).map_or(Self::Setup, Self::of)
    }
}
