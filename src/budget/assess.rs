//! Does it fit? [`assess`] looks at every matching budget and changes nothing; [`place`] sets aside what it found to fit,
//! on all of them.

use super::account::{Account, AccountKey, Accounts, Alert, Change, Figures, each_label};
use super::definition::{Budget, Enforcement};
use super::edit::BudgetError;
use super::hold::{Hold, HoldLine, HoldState};
use super::raise::limit_in_force;
use super::scope::{Dimension, Facts};
use super::window::Window;
use crate::vocabulary::{AdmissionId, AgentId, Amount, Balance, BudgetId, Code, HoldId, Reason, Source, Unit, Warning};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the matching budgets say of one estimate.
#[derive(Debug, Default)]
pub struct Assessment {
    /// Every budget that denies, not just the first.
    pub reasons: Vec<Reason>,
    /// Soft budgets that would be passed.
    pub warnings: Vec<Warning>,
    demands: Vec<Demand>,
}

/// What is asked of one account.
#[derive(Debug)]
struct Demand {
    budget: Arc<Budget>,
    account: Account,
    asked: Amount,
    limit: Amount,
}

/// One budget's share of a hold that was placed.
#[derive(Debug)]
pub struct Held {
    /// The budget.
    pub budget: BudgetId,
    /// What it counts.
    pub unit: Unit,
    /// What was set aside.
    pub held: Amount,
    /// What is left behind it.
    pub remaining: Balance,
    /// When its window ends, in its own zone.
    pub resets_at: Option<String>,
}

/// A hold that was placed.
#[derive(Debug)]
pub struct Placed {
    /// The hold.
    pub hold: Hold,
    /// By budget.
    pub held: Vec<Held>,
    /// Thresholds that it crossed.
    pub alerts: Vec<Alert>,
    /// The same, for the caller.
    pub warnings: Vec<Warning>,
}

/// Looks at every matching budget of every unit.
pub fn assess(
    now: Timestamp,
    facts: &Facts<'_>,
    estimate: &BTreeMap<Unit, Amount>,
    budgets: &[Arc<Budget>],
    accounts: &dyn Accounts,
) -> Assessment {
    let mut assessment = Assessment::default();
    for budget in budgets {
        match demand(now, facts, estimate, budget, accounts) {
            Ok(demand) => {
                judge(now, &demand, &mut assessment);
                assessment.demands.push(demand);
            }
            Err(reason) => assessment.reasons.push(reason),
        }
    }
    assessment
}

/// What is left of one budget for an admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    /// The limit in force.
    pub limit: Amount,
    /// What is left of it.
    pub remaining: Balance,
    /// When its window ends, in its own zone.
    pub resets_at: Option<String>,
}

/// What a matching budget has left; `None` where the request lacks a dimension that it counts by.
pub fn available(
    now: Timestamp,
    facts: &Facts<'_>,
    budget: &Arc<Budget>,
    accounts: &dyn Accounts,
) -> Option<Available> {
    let each = each_label(&budget.spec.each, facts).ok()?;
    let (account, limit) = standing(now, budget, each, accounts);
    let figures = account.figures(&budget.spec.window, now);
    Some(Available { limit, remaining: remaining(budget, limit, &figures), resets_at: resets_at(budget, &account) })
}

/// What `calls` counts by itself: one, unless the estimate names more.
fn asked(budget: &Budget, estimate: &BTreeMap<Unit, Amount>) -> Option<Amount> {
    let named = estimate.get(&budget.spec.unit).copied();
    if budget.spec.unit.as_str() == "calls" { Some(named.unwrap_or(Amount::ONE).max(Amount::ONE)) } else { named }
}

fn demand(
    now: Timestamp,
    facts: &Facts<'_>,
    estimate: &BTreeMap<Unit, Amount>,
    budget: &Arc<Budget>,
    accounts: &dyn Accounts,
) -> Result<Demand, Reason> {
    let each = each_label(&budget.spec.each, facts).map_err(|lacking| dimension_missing(budget, &lacking))?;
    let asked = asked(budget, estimate);
    if asked.is_none() && budget.spec.require_estimate {
        return Err(estimate_missing(budget));
    }
    let (account, limit) = standing(now, budget, each, accounts);
    Ok(Demand { budget: Arc::clone(budget), account, asked: asked.unwrap_or(Amount::ZERO), limit })
}

/// The account that counts now, and the limit in force for it.
fn standing(now: Timestamp, budget: &Budget, each: Arc<str>, accounts: &dyn Accounts) -> (Account, Amount) {
    let span = budget.spec.window.span(now);
    let key = AccountKey { budget: budget.id().clone(), window: span.label.as_str().into(), each };
    let limit = limit_in_force(budget, &key, now);
    let account = accounts.account(&key).cloned().unwrap_or_else(|| {
        let start = if matches!(budget.spec.window, Window::Rolling { .. }) {
            None
        } else {
            Some(span.start.map_or(budget.created_at, |start| start.max(budget.created_at)))
        };
        Account::new(key, budget, start, span.end)
    });
    (account, limit)
}

fn dimension_missing(budget: &Budget, lacking: &[Dimension]) -> Reason {
    let names: Vec<&str> = lacking.iter().map(|dimension| dimension.as_str()).collect();
    let message = format!(
        "Budget {} counts for each {} by itself, and the request names none.",
        budget.id(),
        names.join(" and ").replace('_', " ")
    );
    let target = lacking.first().map_or("field:/run/id", |dimension| dimension.remedy_target());
    let mut reason = Reason::of(Code::MissingData, message, target);
    reason.details = Some(json!({"budget": budget.id(), "missing": names}));
    reason
}

fn estimate_missing(budget: &Budget) -> Reason {
    let unit = &budget.spec.unit;
    let message = format!("Budget {} wants an estimate in {unit}, and the request has none.", budget.id());
    let mut reason = Reason::of(Code::MissingData, message, "field:/estimate");
    reason.details = Some(json!({"budget": budget.id(), "unit": unit}));
    reason
}

/// What is left of a limit. What does not fit 128 bits leaves nothing.
pub(super) fn remaining(budget: &Budget, limit: Amount, figures: &Figures) -> Balance {
    let unsettled = if budget.spec.count_unsettled { figures.unsettled } else { Balance::ZERO };
    let left = |balance: Balance, less: Balance| balance.checked_sub(less);
    left(limit.balance(), figures.spent)
        .and_then(|balance| left(balance, figures.held))
        .and_then(|balance| left(balance, unsettled))
        .unwrap_or(Balance::from_nanos(i128::MIN))
}

fn judge(now: Timestamp, demand: &Demand, assessment: &mut Assessment) {
    let budget = &demand.budget;
    let figures = demand.account.figures(&budget.spec.window, now);
    let remaining = remaining(budget, demand.limit, &figures);
    // Nothing left denies also what does not name the unit: leaving the estimate out is no way around.
    if demand.asked.balance() <= remaining && remaining > Balance::ZERO {
        return;
    }
    let short_by = demand.asked.balance().checked_sub(remaining).unwrap_or(Balance::from_nanos(i128::MAX));
    let resets_at = resets_at(budget, &demand.account);
    let details = json!({
        "budget": budget.id(), "account": demand.account.key.to_string(), "unit": budget.spec.unit,
        "asked": demand.asked, "remaining": remaining, "short_by": short_by,
        "limit": demand.limit, "resets_at": resets_at,
    });
    let message = message(demand, remaining, resets_at.as_deref());
    if budget.spec.enforcement == Enforcement::Soft {
        assessment.warnings.push(Warning {
            code: Code::BudgetExceeded.as_str().to_owned(),
            source: Source::Budget,
            message,
            rule: None,
            details: Some(details),
        });
        return;
    }
    let mut reason = Reason::of(Code::BudgetExceeded, message, format!("budget:{}", budget.id()));
    reason.retry_at = passes_at(now, demand, resets_at);
    reason.details = Some(details);
    assessment.reasons.push(reason);
}

/// `USD` for usd; other units as they are.
fn shown(unit: &Unit) -> String {
    if unit.as_str() == "usd" { "USD".to_owned() } else { unit.to_string() }
}

fn message(demand: &Demand, remaining: Balance, resets_at: Option<&str>) -> String {
    let spec = &demand.budget.spec;
    let unit = shown(&spec.unit);
    let each = &demand.account.key.each;
    let whose = if each.is_empty() { spec.scope.describe() } else { format!("{} ({each})", spec.scope.describe()) };
    let kind = spec.window.adjective();
    let end = resets_at.map_or_else(String::new, |at| format!("; it resets at {at}"));
    format!("{kind} budget of {whose}: {} {unit} asked, {remaining} {unit} left{end}.", demand.asked)
}

pub(super) fn resets_at(budget: &Budget, account: &Account) -> Option<String> {
    account.end.map(|end| budget.spec.window.local(end))
}

/// When the ask would fit by itself: at the window's end, or when enough of a rolling window has left; never where it is
/// above the budget's own limit.
fn passes_at(now: Timestamp, demand: &Demand, resets_at: Option<String>) -> Option<String> {
    let spec = &demand.budget.spec;
    if demand.asked > spec.limit || spec.limit == Amount::ZERO {
        return None;
    }
    let Some(oldest) = spec.window.oldest_bucket(now) else { return resets_at };
    let buckets: Vec<i64> = demand.account.buckets.range(oldest..).map(|(index, _)| *index).collect();
    let fits = |at: Timestamp| {
        let figures = demand.account.figures(&spec.window, at);
        let left = remaining(&demand.budget, spec.limit, &figures);
        left > Balance::ZERO && demand.asked.balance() <= left
    };
    buckets
        .into_iter()
        .filter_map(|bucket| spec.window.bucket_leaves(bucket))
        .find(|at| fits(*at))
        .map(|at| at.to_string())
}

/// Sets aside what was asked of every account. Call it only where the assessment has no reasons.
pub fn place(
    assessment: Assessment,
    id: HoldId,
    admission: AdmissionId,
    agent: AgentId,
    now: Timestamp,
    expires_at: Timestamp,
    accounts: &mut dyn Accounts,
) -> Result<Placed, BudgetError> {
    assert!(assessment.reasons.is_empty(), "a hold is placed on all matching budgets or on none");
    let mut lines = Vec::with_capacity(assessment.demands.len());
    let mut held = Vec::with_capacity(assessment.demands.len());
    let (mut after, mut alerts, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for mut demand in assessment.demands {
        let window = &demand.budget.spec.window;
        let bucket = window.bucket(now);
        let change = Change { held: demand.asked.balance(), ..Change::default() };
        demand.account.change(change, bucket, window.oldest_bucket(now)).map_err(|_| BudgetError::Overflow)?;
        for alert in crossed(&demand.budget, &mut demand.account, demand.limit, now) {
            warnings.push(alert_warning(&demand.budget, &alert));
            alerts.push(alert);
        }
        let figures = demand.account.figures(window, now);
        held.push(Held {
            budget: demand.budget.id().clone(),
            unit: demand.budget.spec.unit.clone(),
            held: demand.asked,
            remaining: remaining(&demand.budget, demand.limit, &figures),
            resets_at: resets_at(&demand.budget, &demand.account),
        });
        let unit = demand.budget.spec.unit.clone();
        lines.push(HoldLine { account: demand.account.key.clone(), unit, held: demand.asked, bucket });
        after.push(demand.account);
    }
    // Nothing is kept before everything fitted.
    after.into_iter().for_each(|account| accounts.put_account(account));
    let state = HoldState::Pending;
    let hold = Hold { id, admission, agent, state, placed_at: now, expires_at, lines, settlement: None, release: None };
    Ok(Placed { hold, held, alerts, warnings })
}

/// Thresholds that what is spent and held has reached, each once per account. A rolling window never ends, so there a
/// threshold is armed again once it is no longer reached.
pub(super) fn crossed(budget: &Budget, account: &mut Account, limit: Amount, now: Timestamp) -> Vec<Alert> {
    let figures = account.figures(&budget.spec.window, now);
    let used = figures.spent.checked_add(figures.held).unwrap_or(Balance::from_nanos(i128::MAX));
    let reached = |percent: &u32| {
        used > Balance::ZERO
            && used.nanos().saturating_mul(100) >= limit.balance().nanos().saturating_mul(i128::from(*percent))
    };
    if matches!(budget.spec.window, Window::Rolling { .. }) {
        account.alerted.retain(|percent| reached(percent));
    }
    let mut alerts = Vec::new();
    for percent in &budget.spec.alert_at_percent {
        if reached(percent) && !account.alerted.contains(percent) {
            account.alerted.push(*percent);
            let account = account.key.to_string();
            alerts.push(Alert { budget: budget.id().clone(), account, percent: *percent, at: now });
        }
    }
    alerts
}

fn alert_warning(budget: &Budget, alert: &Alert) -> Warning {
    Warning {
        code: "budget_alert".to_owned(),
        source: Source::Budget,
        message: format!("Budget {} has reached {} % of its limit.", budget.id(), alert.percent),
        rule: None,
        details: Some(json!({"budget": alert.budget, "account": alert.account, "percent": alert.percent})),
    }
}
