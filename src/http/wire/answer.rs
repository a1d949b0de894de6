//! The answer to an admission, for `OpenAPI` and for tests: what is sent is the recorded text itself, word for word, and
//! the tests read it as this type.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionAnswer {
    /// Go ahead.
    Allow,
    /// Do not. A normal answer, never an error.
    Deny,
}

/// What would lift a reason.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Remedy)]
pub struct RemedyAnswer {
    /// `review_policy`, `review_budget`, `supply_data`, `correct_input`, `restore_connector`, `request_approval`, `wait`,
    /// `resume`, `escalate` or `repair`.
    #[schema(example = "review_budget")]
    pub kind: String,
    /// On what.
    #[schema(example = "budget:rfq-draft-daily")]
    pub target: Option<String>,
    /// The page that fixes it.
    #[schema(example = "/budgets/rfq-draft-daily")]
    pub href: Option<String>,
}

/// Why not.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reason)]
pub struct ReasonAnswer {
    /// One of Tollgate's own codes, or a rule's own.
    #[schema(example = "budget_exceeded")]
    pub code: String,
    /// `policy`, `budget`, `registry`, `pause`, `connector`, `run` or `system`.
    #[schema(example = "budget")]
    pub source: String,
    /// A sentence that an operator understands.
    #[schema(
        example = "Daily budget of rfq-draft: 0.42 USD asked, 0.10 USD left; it resets at 2026-11-24T00:00:00-05:00."
    )]
    pub message: String,
    /// The rule that gave it, by file and line.
    pub rule: Option<String>,
    /// What would lift it.
    pub remedy: RemedyAnswer,
    /// When it passes by itself, where it does.
    pub retry_at: Option<String>,
    /// The figures behind it.
    #[schema(value_type = Option<Object>)]
    pub details: Option<Value>,
}

/// What did not deny and should be known.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Warning)]
pub struct WarningAnswer {
    /// What it is.
    pub code: String,
    /// Who gave it.
    pub source: String,
    /// In a sentence.
    pub message: String,
    /// The rule that gave it.
    pub rule: Option<String>,
    /// The figures behind it.
    #[schema(value_type = Option<Object>)]
    pub details: Option<Value>,
}

/// What a budget set aside.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HeldBudget)]
pub struct HeldBudgetAnswer {
    /// The budget.
    #[schema(example = "rfq-draft-daily")]
    pub id: String,
    /// What it counts.
    #[schema(example = "usd")]
    pub unit: String,
    /// What was set aside.
    #[schema(example = "0.42")]
    pub held: String,
    /// What is left.
    #[schema(example = "4.58")]
    pub remaining: String,
    /// When its window ends.
    #[schema(example = "2026-11-24T00:00:00-05:00")]
    pub resets_at: Option<String>,
}

/// The hold of an allowed admission.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AdmissionHold)]
pub struct AdmissionHoldAnswer {
    /// Settle or release it by this.
    #[schema(example = "hold_00mg9kw4a0000000000g000000")]
    pub id: String,
    /// When it expires.
    pub expires_at: String,
    /// The budgets that it counts against.
    pub budgets: Vec<HeldBudgetAnswer>,
}

/// The answer to one admission.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdmissionAnswer {
    /// The recorded decision; `null` for a dry run.
    #[schema(example = "adm_00mg9kw4a0000000000g000000", required = true)]
    pub id: Option<String>,
    /// Yes or no.
    pub decision: DecisionAnswer,
    /// Every reason, not just the first; empty when allowed.
    pub reasons: Vec<ReasonAnswer>,
    /// What did not deny and should be known.
    pub warnings: Vec<WarningAnswer>,
    /// What an observed agent would have been denied for.
    #[serde(default)]
    pub would_deny: Vec<ReasonAnswer>,
    /// `null` when denied, for retries and for dry runs.
    #[schema(required = true)]
    pub hold: Option<AdmissionHoldAnswer>,
    /// When asking again may be of use, under a new key; `null` if some reason does not pass by itself.
    #[schema(required = true)]
    pub retry_at: Option<String>,
    /// The policy set that judged it.
    pub policy_set: String,
    /// When.
    pub decided_at: String,
    /// Nothing was held or recorded.
    #[serde(default)]
    pub dry_run: bool,
}

/// The outcome of one item of a batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BatchItem {
    /// The status that it would have had alone.
    #[schema(example = 200)]
    pub status: u16,
    /// With 200: the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AdmissionAnswer>)]
    pub answer: Option<Box<RawValue>>,
    /// Else: what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<crate::http::problem::ProblemDocument>,
}

/// The outcomes of a batch, in its order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AdmissionBatchAnswer)]
pub struct BatchAnswer {
    /// One for each item.
    pub items: Vec<BatchItem>,
}
