//! The part of the configuration that is about budgets.

use serde::Deserialize;

/// How many accounts memory holds. One of a budget without `each` is always made.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetsConfig {
    /// Accounts in all, beyond which `each` makes no more.
    pub max_accounts: usize,
    /// And of one budget.
    pub max_accounts_per_budget: usize,
}

impl Default for BudgetsConfig {
    fn default() -> Self {
        Self { max_accounts: 4_000_000, max_accounts_per_budget: 2_000_000 }
    }
}
