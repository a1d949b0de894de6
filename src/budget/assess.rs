//! Does it fit? [`assess`] looks at every matching budget and changes nothing; [`place`] sets aside what it found to fit,
//! on all of them.

use super::account::{Account, AccountKey, Accounts, Change, Figures};
use super::alert::{Alert, check_alerts};
use super::definition::{Budget, Enforcement};
use super::edit::BudgetError;
use super::hold::{Hold, HoldLine, HoldState};
use super::label::each_label;
use super::raise::limit_in_force;
use super::scope::{Dimension, Facts};
use super::wait::{Wait, until_it_fits};
use super::window::Window;
use super::words;
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
pub(super) struct Demand {
    pub(super) budget: Arc<Budget>,
    pub(super) account: Account,
    /// Nothing has used the account yet.
    fresh: bool,
    pub(super) asked: Amount,
    /// The limit in force.
    pub(super) limit: Balance,
    /// What was left before.
    pub(super) remaining: Balance,
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
        let spec = &budget.spec;
        let asked = asked(budget, estimate);
        if asked.is_none() && spec.require_estimate {
            assessment.reasons.push(estimate_missing(budget));
        }
        match each_label(&spec.each, facts) {
            Ok(each) => {
                let demand = demand(now, budget, each, asked.unwrap_or_default(), accounts);
                judge(now, &demand, &mut assessment);
                assessment.demands.push(demand);
            }
            Err(lacking) => assessment.reasons.push(dimension_missing(budget, &lacking, facts)),
        }
    }
    assessment
}

impl Assessment {
    /// The budgets under `each` that have no account for this admission yet.
    pub fn new_each(&self) -> impl Iterator<Item = &Budget> {
        let new = self.demands.iter().filter(|demand| demand.fresh && !demand.account.key.each.is_empty());
        new.map(|demand| &*demand.budget)
    }
}

/// What is left of one budget for an admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available {
    /// The limit in force.
    pub limit: Balance,
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
    let Demand { account, limit, remaining, .. } = demand(now, budget, each, Amount::ZERO, accounts);
    Some(Available { limit, remaining, resets_at: resets_at(budget, &account) })
}

/// What `calls` counts by itself: one, unless the estimate names more.
fn asked(budget: &Budget, estimate: &BTreeMap<Unit, Amount>) -> Option<Amount> {
    let named = estimate.get(&budget.spec.unit).copied();
    if budget.spec.unit.as_str() == "calls" { Some(named.unwrap_or(Amount::ONE).max(Amount::ONE)) } else { named }
}

/// The account that counts now, what is left of it, and what is asked of it.
fn demand(now: Timestamp, budget: &Arc<Budget>, each: Arc<str>, asked: Amount, accounts: &dyn Accounts) -> Demand {
    let span = budget.spec.window.span(now);
    let key = AccountKey { budget: budget.id().clone(), window: span.label.as_str().into(), each };
    let limit = limit_in_force(budget, &key, now);
    let found = accounts.account(&key).cloned();
    let fresh = found.is_none();
    let account = found.unwrap_or_else(|| {
        let start = if matches!(budget.spec.window, Window::Rolling { .. }) {
            None
        } else {
            Some(span.start.map_or(budget.created_at, |start| start.max(budget.created_at)))
        };
        Account::new(key, budget, start, span.end)
    });
    let remaining = remaining(budget, limit, &account.figures(&budget.spec.window, now));
    Demand { budget: Arc::clone(budget), account, fresh, asked, limit, remaining }
}

/// A team is missing in the registry, everything else in the request.
fn dimension_missing(budget: &Budget, lacking: &[Dimension], facts: &Facts<'_>) -> Reason {
    let what = |dimension: &Dimension| match dimension {
        Dimension::Team => "the agent has no team in the registry".to_owned(),
        Dimension::EntityType => "the request names no entity".to_owned(),
        other => format!("the request names no {}", other.in_words()),
    };
    let each: Vec<&str> = budget.spec.each.iter().map(|dimension| dimension.in_words()).collect();
    let why: Vec<String> = lacking.iter().map(what).collect();
    let message = format!("Budget {} counts by {}, and {}.", budget.id(), each.join(" and "), why.join(", and "));
    let target = match lacking.first() {
        Some(Dimension::Team) => format!("agent:{}", facts.agent),
        Some(Dimension::Agent) => "field:/agent/id".to_owned(),
        Some(Dimension::EntityType) => "field:/entity/type".to_owned(),
        Some(Dimension::Action) => "field:/action/name".to_owned(),
        Some(Dimension::Run) | None => "field:/run/id".to_owned(),
    };
    let mut reason = Reason::of(Code::MissingData, message, target);
    let names: Vec<&str> = lacking.iter().map(|dimension| dimension.as_str()).collect();
    reason.details = Some(json!({"budget": budget.id(), "missing": names}));
    reason
}

fn estimate_missing(budget: &Budget) -> Reason {
    let unit = &budget.spec.unit;
    let message = format!("Budget {} requires an estimate in {unit}, and the request has none.", budget.id());
    let mut reason = Reason::of(Code::MissingData, message, "field:/estimate");
    reason.details = Some(json!({"budget": budget.id(), "unit": unit}));
    reason
}

/// What is left of a limit. What does not fit 128 bits leaves nothing.
pub(super) fn remaining(budget: &Budget, limit: Balance, figures: &Figures) -> Balance {
    let unsettled = if budget.spec.count_unsettled { figures.unsettled } else { Balance::ZERO };
    let left = |balance: Balance, less: Balance| balance.checked_sub(less);
    left(limit, figures.spent)
        .and_then(|balance| left(balance, figures.held))
        .and_then(|balance| left(balance, unsettled))
        .unwrap_or(Balance::from_nanos(i128::MIN))
}

/// A hard budget denies, a soft one warns; both with the same words and figures.
fn judge(now: Timestamp, demand: &Demand, assessment: &mut Assessment) {
    // Nothing left denies also what does not name the unit: leaving the estimate out is no way around.
    if demand.asked.balance() <= demand.remaining && demand.remaining > Balance::ZERO {
        return;
    }
    let wait: Wait = until_it_fits(demand, now);
    let (message, details) = (words::exceeded(demand, &wait), words::details(demand, &wait));
    let budget = &demand.budget;
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
    reason.retry_at = wait.retry_at.map(|at| budget.spec.window.local(at));
    reason.details = Some(details);
    assessment.reasons.push(reason);
}

/// When its window ends, in its own zone.
pub(super) fn resets_at(budget: &Budget, account: &Account) -> Option<String> {
    account.end.map(|end| budget.spec.window.local(end))
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
        for alert in check_alerts(&demand.budget, &mut demand.account, now) {
            warnings.push(alert_warning(&alert));
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
        // One that was used before and holds no more than it did needs no after-value; a new one does, since the hold may
        // yet be settled on it.
        if demand.fresh || accounts.account(&demand.account.key) != Some(&demand.account) {
            after.push(demand.account);
        }
    }
    // Nothing is kept before everything fitted.
    after.into_iter().for_each(|account| accounts.put_account(account));
    let state = HoldState::Pending;
    let (settlement, release, run) = (None, None, None);
    let hold = Hold { id, admission, agent, state, placed_at: now, expires_at, lines, settlement, release, run };
    Ok(Placed { hold, held, alerts, warnings })
}

fn alert_warning(alert: &Alert) -> Warning {
    let percent = alert.percent.unwrap_or_default();
    Warning {
        code: "budget_alert".to_owned(),
        source: Source::Budget,
        message: format!("Budget {} has reached {percent} % of its limit.", alert.budget),
        rule: None,
        details: Some(json!({"budget": alert.budget, "account": alert.account, "percent": percent})),
    }
}
