//! What a budget looks like from outside: its fields, and the figures of its accounts.

use super::account::{Account, AccountKey};
use super::assess::{remaining, resets_at};
use super::definition::{Budget, BudgetSpec};
use super::raise::{Raise, limit_in_force};
use crate::vocabulary::Balance;
use jiff::Timestamp;
use serde::Serialize;

/// The window of an account, in the budget's own zone; `null` where it has no such end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowView {
    /// Its first moment.
    pub start: Option<String>,
    /// The first moment behind it.
    pub end: Option<String>,
}

/// One account's figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountUsage {
    /// Its text form: `2026-11-23@America/New_York/agent=rfq-draft`.
    pub account: String,
    /// The part of it that `each` makes; what a raise names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// Booked.
    pub spent: Balance,
    /// Set aside.
    pub held: Balance,
    /// Set aside by holds that expired without a word.
    pub unsettled: Balance,
    /// What is left of the limit in force.
    pub remaining: Balance,
    /// The highest of the budget's own limit and its raises in force.
    pub limit_in_force: Balance,
    /// The stretch of time that it counts in.
    pub window: WindowView,
    /// When that ends.
    pub resets_at: Option<String>,
}

/// A budget with its figures.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetView {
    /// What the admin wrote.
    #[serde(flatten)]
    pub spec: BudgetSpec,
    /// Counts its changes; its `ETag`.
    pub revision: u64,
    /// It counts from then on.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// That it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Its raises, oldest first.
    pub raises: Vec<Raise>,
    /// Without `each`: the figures of the current window.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub usage: Option<AccountUsage>,
    /// Under `each`: those of each account of the current window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<AccountUsage>>,
}

/// One account's figures at `now`.
pub fn usage(budget: &Budget, account: &Account, now: Timestamp) -> AccountUsage {
    let window = &budget.spec.window;
    let figures = account.figures(window, now);
    let limit = limit_in_force(budget, &account.key, now);
    let start = account.start.or_else(|| window.span(now).start);
    AccountUsage {
        account: account.key.to_string(),
        each: if account.key.each.is_empty() { None } else { Some(account.key.each.to_string()) },
        spent: figures.spent,
        held: figures.held,
        unsettled: figures.unsettled,
        remaining: remaining(budget, limit, &figures),
        limit_in_force: limit,
        window: WindowView { start: start.map(|at| window.local(at)), end: account.end.map(|at| window.local(at)) },
        resets_at: resets_at(budget, account),
    }
}

/// A budget with the figures of its current window. `accounts` are the budget's own, of whatever window.
pub fn view<'a>(budget: &Budget, accounts: impl Iterator<Item = &'a Account>, now: Timestamp) -> BudgetView {
    let span = budget.spec.window.span(now);
    let mut current: Vec<AccountUsage> = accounts
        .filter(|account| *account.key.window == *span.label)
        .map(|account| usage(budget, account, now))
        .collect();
    current.sort_by(|a, b| a.account.cmp(&b.account));
    let (usage, accounts) = if budget.spec.each.is_empty() {
        (current.pop().or_else(|| Some(unused(budget, now))), None)
    } else {
        (None, Some(current))
    };
    BudgetView {
        spec: budget.spec.clone(),
        revision: budget.revision,
        created_at: budget.created_at,
        updated_at: budget.updated_at,
        deleted_at: budget.deleted_at,
        raises: budget.raises.clone(),
        usage,
        accounts,
    }
}

/// The figures of an account that nothing has used yet.
fn unused(budget: &Budget, now: Timestamp) -> AccountUsage {
    let span = budget.spec.window.span(now);
    let key = AccountKey { budget: budget.id().clone(), window: span.label.as_str().into(), each: "".into() };
    let start = span.start.map_or(budget.created_at, |start| start.max(budget.created_at));
    usage(budget, &Account::new(key, budget, Some(start), span.end), now)
}
