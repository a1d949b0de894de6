//! Holds on the wire.

use super::admission::{AmountBody, amounts};
use super::budget::LONGEST_TEXT;
use crate::budget::{Hold, HoldState, LONGEST_HOLD_S};
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::Problem;
use crate::vocabulary::{Amount, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What was spent in the end.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = SettleRequest, example = json!({"actual": [{"unit": "usd", "amount": "0.39"}, {"unit": "tokens", "amount": "11204"}]}))]
pub struct SettleBody {
    /// Every unit that was held, and any other that was spent.
    pub actual: Vec<AmountBody>,
}

impl RequestBody for SettleBody {}

impl SettleBody {
    /// By unit, or every field at fault.
    pub fn actual(self) -> Result<BTreeMap<Unit, Amount>, Problem> {
        let mut check = Check::new("");
        let actual = amounts(self.actual, "/actual", &mut check);
        check.finish(Some(actual))
    }
}

/// Why a hold is freed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ReleaseRequest, example = json!({"reason": "the customer withdrew the request"}))]
pub struct ReleaseBody {
    /// In a sentence.
    pub reason: String,
}

impl RequestBody for ReleaseBody {}

impl ReleaseBody {
    /// The reason, if it is one.
    pub fn reason(self) -> Result<String, Problem> {
        let mut check = Check::new("");
        check.text("/reason", &self.reason, LONGEST_TEXT);
        check.finish(Some(self.reason))
    }
}

/// For how long a hold is to stay open.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ExtendRequest, example = json!({"ttl_s": 600}))]
pub struct ExtendBody {
    /// Seconds from now; 24 hours in all at most.
    #[schema(minimum = 1, maximum = 86400)]
    pub ttl_s: u32,
}

impl RequestBody for ExtendBody {}

impl ExtendBody {
    /// In seconds, if it is within bounds.
    pub fn ttl_s(self) -> Result<u32, Problem> {
        let mut check = Check::new("");
        if !(1..=LONGEST_HOLD_S).contains(&i64::from(self.ttl_s)) {
            check.fault("/ttl_s", format_args!("must be from 1 to {LONGEST_HOLD_S} seconds"));
        }
        check.finish(Some(self.ttl_s))
    }
}

/// What a hold sets aside of one account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HoldLineAnswer {
    /// The budget.
    #[schema(example = "rfq-draft-daily")]
    pub budget: String,
    /// The account, of the window in which it was placed.
    #[schema(example = "2026-11-23@America/New_York")]
    pub account: String,
    /// What it counts.
    #[schema(example = "usd")]
    pub unit: String,
    /// What was set aside.
    #[schema(example = "0.42")]
    pub held: String,
}

/// An amount of a unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Amount)]
pub struct AmountAnswer {
    /// The unit.
    #[schema(example = "usd")]
    pub unit: String,
    /// A decimal text.
    #[schema(example = "0.39")]
    pub amount: String,
}

/// What was booked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SettlementAnswer {
    /// What was spent.
    pub actual: Vec<AmountAnswer>,
    /// When it was booked.
    pub at: String,
    /// By whom.
    pub by: String,
}

/// Why it was freed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReleaseAnswer {
    /// In a sentence.
    pub reason: String,
    /// When.
    pub at: String,
    /// By whom.
    pub by: String,
}

/// A hold.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldAnswer {
    /// Its id.
    #[schema(example = "hold_00mg9kw4a0000000000g000000")]
    pub id: String,
    /// The admission that placed it.
    pub admission: String,
    /// Whose.
    pub agent: String,
    /// `pending`, `settled`, `released` or `expired`.
    #[schema(example = "pending")]
    pub state: &'static str,
    /// When it was placed.
    pub placed_at: String,
    /// When it expires, unless something else comes first.
    pub expires_at: String,
    /// Every account that it counts against.
    pub lines: Vec<HoldLineAnswer>,
    /// What was booked, once it is settled.
    pub settlement: Option<SettlementAnswer>,
    /// Why it was freed, once it was.
    pub release: Option<ReleaseAnswer>,
}

impl From<&Hold> for HoldAnswer {
    fn from(hold: &Hold) -> Self {
        Self {
            id: hold.id.to_string(),
            admission: hold.admission.to_string(),
            agent: hold.agent.to_string(),
            state: match hold.state {
                HoldState::Pending => "pending",
                HoldState::Settled => "settled",
                HoldState::Released => "released",
                HoldState::Expired => "expired",
            },
            placed_at: hold.placed_at.to_string(),
            expires_at: hold.expires_at.to_string(),
            lines: hold
                .lines
                .iter()
                .map(|line| HoldLineAnswer {
                    budget: line.account.budget.to_string(),
                    account: line.account.to_string(),
                    unit: line.unit.to_string(),
                    held: line.held.to_string(),
                })
                .collect(),
            settlement: hold.settlement.as_ref().map(|settlement| SettlementAnswer {
                actual: settlement
                    .actual
                    .iter()
                    .map(|(unit, amount)| AmountAnswer { unit: unit.to_string(), amount: amount.to_string() })
                    .collect(),
                at: settlement.at.to_string(),
                by: settlement.by.clone(),
            }),
            release: hold.release.as_ref().map(|release| ReleaseAnswer {
                reason: release.reason.clone(),
                at: release.at.to_string(),
                by: release.by.clone(),
            }),
        }
    }
}
