//! Alerts: thresholds that were reached, hard limits that a settlement passed, and holds that expired without a word.

use super::account::{Account, AccountKey};
use super::assess::remaining;
use super::definition::{Budget, Enforcement};
use super::raise::limit_in_force;
use super::window::Window;
use crate::vocabulary::{Balance, BudgetId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What an alert is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// What is spent and held reached a threshold.
    #[default]
    Threshold,
    /// More was booked than a hard limit allows: the money is spent, and someone should know.
    LimitPassed,
    /// A hold expired without a word: its action may well have happened.
    Unsettled,
}

/// Something about an account that its admin should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What about.
    #[serde(default)]
    pub kind: AlertKind,
    /// The budget.
    pub budget: BudgetId,
    /// The account, in its text form.
    pub account: String,
    /// The threshold, in percent of the limit in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// Spent and held by then; of an expired hold, what it had set aside.
    #[serde(default)]
    pub amount: Balance,
    /// The limit in force.
    #[serde(default)]
    pub limit: Balance,
    /// When.
    pub at: Timestamp,
}

impl Alert {
    fn new(
        kind: AlertKind,
        budget: &Budget,
        key: &AccountKey,
        percent: Option<u32>,
        amount: Balance,
        at: Timestamp,
    ) -> Self {
        Self {
            kind,
            budget: budget.id().clone(),
            account: key.to_string(),
            percent,
            amount,
            limit: limit_in_force(budget, key, at),
            at,
        }
    }
}

/// A threshold that an account was alerted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// In percent.
    pub percent: u32,
    /// When.
    pub at: Timestamp,
}

/// Marks the thresholds that what is spent and held has reached, each once per account, and tells the new ones. A rolling
/// window never ends, so there a threshold is armed again one length after it was alerted on.
pub fn check_alerts(budget: &Budget, account: &mut Account, now: Timestamp) -> Vec<Alert> {
    if budget.spec.alert_at_percent.is_empty() || budget.deleted_at.is_some() {
        return Vec::new();
    }
    if let Window::Rolling { length_s } = budget.spec.window {
        let length = SignedDuration::from_secs(i64::from(length_s));
        account.alerts.retain(|fired| now.duration_since(fired.at) < length);
    }
    let figures = account.figures(&budget.spec.window, now);
    let used = figures.spent.checked_add(figures.held).unwrap_or(Balance::from_nanos(i128::MAX));
    let limit = limit_in_force(budget, &account.key, now);
    let mut alerts = Vec::new();
    for percent in &budget.spec.alert_at_percent {
        if reached(used, limit, *percent) && !account.alerts.iter().any(|fired| fired.percent == *percent) {
            account.alerts.push(Fired { percent: *percent, at: now });
            alerts.push(Alert::new(AlertKind::Threshold, budget, &account.key, Some(*percent), used, now));
        }
    }
    alerts
}

/// Whether something is used, and as much as so many percent of the limit.
fn reached(used: Balance, limit: Balance, percent: u32) -> bool {
    let hundredfold = used.nanos().saturating_mul(100);
    used > Balance::ZERO && hundredfold >= limit.nanos().saturating_mul(i128::from(percent))
}

/// Tells of a hard limit that a change passed, or passed by more.
pub(super) fn limit_passed(budget: &Budget, before: &Account, after: &Account, now: Timestamp) -> Option<Alert> {
    if budget.spec.enforcement != Enforcement::Hard || budget.deleted_at.is_some() {
        return None;
    }
    let limit = limit_in_force(budget, &after.key, now);
    let left = |account: &Account| remaining(budget, limit, &account.figures(&budget.spec.window, now));
    let figures = after.figures(&budget.spec.window, now);
    let used = figures.spent.checked_add(figures.held).unwrap_or(Balance::from_nanos(i128::MAX));
    let passed = left(after) < Balance::ZERO && left(after) < left(before);
    passed.then(|| Alert::new(AlertKind::LimitPassed, budget, &after.key, None, used, now))
}

/// Tells of what an expired hold had set aside.
pub(super) fn unsettled(budget: &Budget, key: &AccountKey, held: Balance, now: Timestamp) -> Option<Alert> {
    let counts = held > Balance::ZERO && budget.deleted_at.is_none();
    counts.then(|| Alert::new(AlertKind::Unsettled, budget, key, None, held, now))
}
