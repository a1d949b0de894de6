//! The answer, as its caller reads it and as it is recorded: built once, kept as text, given again word for word.

use crate::vocabulary::{AdmissionId, Amount, Balance, BudgetId, HoldId, Reason, Unit, Warning};
use serde::{Deserialize, Serialize};

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go ahead.
    Allow,
    /// Do not. A normal answer, never an error.
    Deny,
}

/// One budget's share of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBudget {
    /// The budget.
    pub id: BudgetId,
    /// What it counts.
    pub unit: Unit,
    /// What was set aside.
    pub held: Amount,
    /// What is left behind it.
    pub remaining: Balance,
    /// When its window ends, in its own zone; `null` where it does not.
    pub resets_at: Option<String>,
}

/// The hold of an allowed admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldAnswer {
    /// Its id: settle or release it by this.
    pub id: HoldId,
    /// When it expires (RFC 3339).
    pub expires_at: String,
    /// The budgets that it counts against.
    pub budgets: Vec<HeldBudget>,
}

/// The answer to one admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmissionAnswer {
    /// The recorded decision's id; `null` for a dry run.
    pub id: Option<AdmissionId>,
    /// Yes or no.
    pub decision: Decision,
    /// All of them, not just the first. Empty when allowed.
    pub reasons: Vec<Reason>,
    /// What did not deny and should be known.
    pub warnings: Vec<Warning>,
    /// What an observed agent would have been denied for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_deny: Vec<Reason>,
    /// `null` when denied, for retries, and for dry runs.
    pub hold: Option<HoldAnswer>,
    /// When asking again may be of use (under a new key); `null` if some reason does not pass by itself.
    pub retry_at: Option<String>,
    /// The policy set that judged it.
    pub policy_set: String,
    /// The batch's time.
    pub decided_at: String,
    /// Nothing was held or recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}
