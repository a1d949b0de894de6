//! Holds: `pending → settled | released | expired`, and from released or expired once more to settled, for the money may
//! have been spent all the same.

use super::account::AccountKey;
use crate::vocabulary::{ActionName, AdmissionId, AgentId, Amount, HoldId, RunId, StepName, Unit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a hold may live in all, in seconds.
pub const LONGEST_HOLD_S: i64 = 24 * 60 * 60;

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// The money is set aside.
    Pending,
    /// What was spent is booked. Final.
    Settled,
    /// It was freed.
    Released,
    /// Its time came without a word; its action may well have happened.
    Expired,
}

/// One account that a hold counts against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLine {
    /// The account of the window in which it was placed.
    pub account: AccountKey,
    /// What it counts.
    pub unit: Unit,
    /// What was set aside; zero where the estimate did not name the unit.
    pub held: Amount,
    /// The bucket of a rolling window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<i64>,
}

/// What was spent in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// By unit.
    pub actual: BTreeMap<Unit, Amount>,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Where the hold stood before.
    pub after: HoldState,
}

/// Why it was freed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// In words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// The place in a run that a hold's admission came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRun {
    /// The run.
    pub id: RunId,
    /// The attempt.
    pub attempt: u32,
    /// The step, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// What was admitted.
    pub action: ActionName,
}

/// One hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The admission that it was placed by.
    pub admission: AdmissionId,
    /// Whose.
    pub agent: AgentId,
    /// Where it stands.
    pub state: HoldState,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it expires, unless something else comes first.
    pub expires_at: Timestamp,
    /// Every account whose budget matched, in every unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<HoldLine>,
    /// What was spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement: Option<Settlement>,
    /// Why it was freed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Where in a run it was placed, where its admission named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<HoldRun>,
}

impl Hold {
    /// Whether its time has come, and nothing else came first.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state == HoldState::Pending && self.expires_at <= now
    }
}

/// Why a hold does not change so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefusal {
    /// It was settled with other figures.
    #[error("this hold was settled already, with other amounts")]
    SettledOtherwise,
    /// It was settled.
    #[error("this hold was settled already")]
    Settled,
    /// It was released.
    #[error("this hold was released already")]
    Released,
    /// It expired.
    #[error("this hold expired at {0}; it can still be settled, never revived")]
    Expired(Timestamp),
    /// Units that were held are not named.
    #[error("every held unit must be named, and {} is not", .0.iter().map(Unit::as_str).collect::<Vec<_>>().join(", "))]
    UnitsMissing(Vec<Unit>),
    /// It would live too long.
    #[error("a hold lives 24 hours in all at most: this one until {0}")]
    TooLong(Timestamp),
    /// An account that it counts against is not there: nothing is booked.
    #[error("its account {0} is not there")]
    AccountMissing(String),
    /// A sum outgrew 128 bits.
    #[error("a sum of one of its budgets does not fit")]
    Overflow,
}
