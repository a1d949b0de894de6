//! Raises: a higher limit for a while, with the reason it was worth it.

use super::account::AccountKey;
use super::definition::{Budget, FieldFault, limit_fault};
use super::edit::BudgetError;
use super::label;
use super::window::Window;
use crate::vocabulary::{Balance, RaiseId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The most raises that one budget keeps; the oldest that are over make room.
const RAISES_KEPT: usize = 100;

/// One raise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// Its id.
    pub id: RaiseId,
    /// The new limit.
    pub limit: Balance,
    /// Under `each`: which account (`agent=rfq-draft`); absent for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Why.
    pub reason: String,
    /// What shows that it is worth it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// By whom.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when; absent for a permanent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// That it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Withdrawal>,
}

/// Who withdrew a raise, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A raise as asked for.
#[derive(Clone, Debug)]
pub struct RaiseRequest<'a> {
    /// Its id to be.
    pub id: RaiseId,
    /// The new limit.
    pub limit: Balance,
    /// Under `each`: which account.
    pub account: Option<&'a str>,
    /// Under `each`: every account.
    pub all: bool,
    /// Why.
    pub reason: &'a str,
    /// What shows that it is worth it.
    pub evidence: Option<&'a str>,
    /// By whom.
    pub by: &'a str,
    /// Until when.
    pub ends_at: Option<Timestamp>,
    /// It does not end.
    pub permanent: bool,
}

impl Raise {
    /// Whether it lifts the limit at `now`.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.withdrawn.is_none() && self.at <= now && self.ends_at.is_none_or(|end| now < end)
    }

    fn lifts(&self, each: &str) -> bool {
        self.account.as_deref().is_none_or(|account| account == each)
    }
}

/// The limit in force of one account: the highest of the budget's own and its raises in force.
pub fn limit_in_force(budget: &Budget, key: &AccountKey, now: Timestamp) -> Balance {
    let raises = budget.raises.iter().filter(|raise| raise.in_force(now) && raise.lifts(&key.each));
    raises.map(|raise| raise.limit).fold(budget.spec.limit, Balance::max)
}

/// The budget with one more raise.
pub fn raise(budget: &Budget, request: &RaiseRequest<'_>, now: Timestamp) -> Result<(Budget, Raise), BudgetError> {
    if budget.deleted_at.is_some() {
        return Err(BudgetError::Deleted);
    }
    let mut faults = Vec::new();
    faults.extend(limit_fault(request.limit));
    if faults.is_empty() && request.limit <= budget.spec.limit {
        let own = budget.spec.limit;
        faults.push(FieldFault::at(
            "/limit",
            format!("must be above the budget's own limit, {own}: it is the new limit"),
        ));
    }
    if request.reason.trim().is_empty() {
        faults.push(FieldFault::at("/reason", "must say why"));
    }
    let account = account(budget, request, &mut faults);
    let ends_at = end(&budget.spec.window, request, now, &mut faults);
    if !faults.is_empty() {
        return Err(BudgetError::Fields(faults));
    }
    let raise = Raise {
        id: request.id.clone(),
        limit: request.limit,
        account,
        reason: request.reason.to_owned(),
        evidence: request.evidence.map(str::to_owned),
        by: request.by.to_owned(),
        at: now,
        ends_at,
        withdrawn: None,
    };
    let mut after = Budget { updated_at: now, revision: budget.revision + 1, ..budget.clone() };
    if after.raises.len() >= RAISES_KEPT {
        let over = after.raises.iter().position(|raise| !raise.in_force(now));
        after.raises.remove(over.ok_or(BudgetError::TooManyRaises(RAISES_KEPT))?);
    }
    after.raises.push(raise.clone());
    Ok((after, raise))
}

/// The one account that it is for, as accounts are labelled; `None` for all of them.
fn account(budget: &Budget, request: &RaiseRequest<'_>, faults: &mut Vec<FieldFault>) -> Option<String> {
    let each = &budget.spec.each;
    match (request.account, request.all) {
        (Some(_), true) => faults.push(FieldFault::at("/all", "name one account, or all of them, not both")),
        (Some(_), false) if each.is_empty() => {
            faults.push(FieldFault::at("/account", "must be absent: the budget has one account"));
        }
        (None, false) if !each.is_empty() => {
            faults.push(FieldFault::at("/account", "is required: the budget has many accounts; or set all to true"));
        }
        (Some(account), false) => {
            let label = label::canonical(account, each);
            if label.is_none() {
                let names: Vec<String> = each.iter().map(|dimension| format!("{}=…", dimension.as_str())).collect();
                faults.push(FieldFault::at("/account", format!("must be \"{}\"", names.join(","))));
            }
            return label;
        }
        (None, _) => {}
    }
    None
}

fn end(window: &Window, request: &RaiseRequest<'_>, now: Timestamp, faults: &mut Vec<FieldFault>) -> Option<Timestamp> {
    match (request.ends_at, request.permanent) {
        (Some(_), true) => faults.push(FieldFault::at("/permanent", "either it ends or it is permanent")),
        (Some(end), false) if end <= now => faults.push(FieldFault::at("/ends_at", "must be in the future")),
        (Some(end), false) => return Some(end),
        (None, true) => {}
        (None, false) => match window {
            Window::Lifetime => {
                faults.push(FieldFault::at("/ends_at", "is required: the window never ends; or set permanent to true"));
            }
            // What is used now has left the window by then.
            Window::Rolling { length_s } => {
                let length = SignedDuration::from_secs(i64::from(*length_s));
                return Some(now.checked_add(length).unwrap_or(Timestamp::MAX));
            }
            calendar => return Some(calendar.span(now).end.unwrap_or(Timestamp::MAX)),
        },
    }
    None
}

/// The budget with one raise withdrawn. Withdrawn again, it stays as it is.
pub fn withdraw(budget: &Budget, id: &RaiseId, by: &str, reason: &str, now: Timestamp) -> Result<Budget, BudgetError> {
    if budget.deleted_at.is_some() {
        return Err(BudgetError::Deleted);
    }
    let mut after = Budget { updated_at: now, revision: budget.revision + 1, ..budget.clone() };
    let found = after.raises.iter_mut().find(|raise| raise.id == *id);
    let raise = found.ok_or_else(|| BudgetError::NoSuchRaise(id.clone()))?;
    if raise.withdrawn.is_some() {
        return Ok(budget.clone());
    }
    if !raise.in_force(now) {
        return Err(BudgetError::RaiseOver(id.clone()));
    }
    raise.withdrawn = Some(Withdrawal { at: now, by: by.to_owned(), reason: reason.to_owned() });
    Ok(after)
}
