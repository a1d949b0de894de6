//! What a run spent and set aside, on the wire.

use super::run_attempt::text;
use crate::operations::{BudgetLeft, RunView};
use crate::runs::{Sums, UsageKey};
use serde::Serialize;
use utoipa::ToSchema;

/// Sums of one unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunSums)]
pub struct SumsAnswer {
    /// Set aside, and not yet settled.
    #[schema(example = "0.42")]
    pub held: String,
    /// Spent.
    pub settled: String,
    /// Set aside, and expired without a word.
    pub unsettled: String,
}

impl From<&Sums> for SumsAnswer {
    fn from(sums: &Sums) -> Self {
        Self { held: sums.held.to_string(), settled: sums.settled.to_string(), unsettled: sums.unsettled.to_string() }
    }
}

/// What a run spent of one unit in all.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunSpend)]
pub struct TotalAnswer {
    /// The unit.
    pub unit: String,
    /// The sums.
    #[serde(flatten)]
    pub sums: SumsAnswer,
}

/// What one attempt and step of a run spent, in all or against one budget.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunUsageLine)]
pub struct UsageLineAnswer {
    /// The budget; `null` for all that it spent.
    pub budget: Option<String>,
    /// The window of the budget's account.
    pub window: Option<String>,
    /// The unit.
    pub unit: String,
    /// The attempt.
    pub attempt: u32,
    /// The step.
    pub step: Option<String>,
    /// The sums.
    #[serde(flatten)]
    pub sums: SumsAnswer,
}

fn usage_line((key, sums): (&UsageKey, &Sums)) -> UsageLineAnswer {
    UsageLineAnswer {
        budget: text(key.budget.as_ref()),
        window: key.window.clone(),
        unit: key.unit.to_string(),
        attempt: key.attempt,
        step: text(key.step.as_ref()),
        sums: sums.into(),
    }
}

/// What is left of a budget that a run spends from.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunBudgetLeft)]
pub struct BudgetLeftAnswer {
    /// The budget.
    pub id: String,
    /// The unit.
    pub unit: String,
    /// The limit in force.
    pub limit: String,
    /// What is left of it.
    pub remaining: String,
    /// When its window ends.
    pub resets_at: Option<String>,
    /// Where it is raised.
    pub href: Option<String>,
}

impl From<&BudgetLeft> for BudgetLeftAnswer {
    fn from(left: &BudgetLeft) -> Self {
        Self {
            id: left.budget.to_string(),
            unit: left.unit.to_string(),
            limit: left.limit.to_string(),
            remaining: left.remaining.to_string(),
            resets_at: left.resets_at.clone(),
            href: crate::vocabulary::href(&format!("budget:{}", left.budget)),
        }
    }
}

/// What a run spent and set aside.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunUsage)]
pub struct RunUsageAnswer {
    /// How many admissions set something aside.
    pub holds: usize,
    /// In all, by unit.
    pub totals: Vec<TotalAnswer>,
    /// By budget, attempt and step.
    pub lines: Vec<UsageLineAnswer>,
    /// What is left of each budget, before raising one is thought of.
    pub budgets: Vec<BudgetLeftAnswer>,
}

impl From<&RunView> for RunUsageAnswer {
    fn from(view: &RunView) -> Self {
        Self {
            holds: view.usage.holds,
            totals: view
                .usage
                .totals
                .iter()
                .map(|(unit, sums)| TotalAnswer { unit: unit.to_string(), sums: sums.into() })
                .collect(),
            lines: view.usage.lines.iter().map(usage_line).collect(),
            budgets: view.left.iter().map(Into::into).collect(),
        }
    }
}
