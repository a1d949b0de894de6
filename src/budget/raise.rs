//! Raises: a higher limit for a while, with the reason it was worth it.

use super::account::AccountKey;
use super::definition::Budget;
use super::edit::BudgetError;
use super::window::Window;
use crate::vocabulary::{Amount, RaiseId};
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
    pub limit: Amount,
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
    pub limit: Amount,
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
pub fn limit_in_force(budget: &Budget, key: &AccountKey, now: Timestamp) -> Amount {
    let raises = budget.raises.iter().filter(|raise| raise.in_force(now) && raise.lifts(&key.each));
    raises.map(|raise| raise.limit).fold(budget.spec.limit, Amount::max)
}

fn invalid<T>(pointer: &str, message: &str) -> Result<T, BudgetError> {
    Err(BudgetError::Invalid { pointer: pointer.to_owned(), message: message.to_owned() })
}

/// The budget with one more raise.
pub fn raise(budget: &Budget, request: &RaiseRequest<'_>, now: Timestamp) -> Result<(Budget, Raise), BudgetError> {
    if budget.deleted_at.is_some() {
        return Err(BudgetError::Deleted);
    }
    if request.limit <= budget.spec.limit {
        return invalid("/limit", "names the new limit, so it must be above the budget's own");
    }
    if request.reason.trim().is_empty() {
        return invalid("/reason", "must say why");
    }
    let account = match (budget.spec.each.is_empty(), request.account, request.all) {
        (true, None, _) | (false, None, true) => None,
        (true, Some(_), _) => return invalid("/account", "this budget has one account only: leave it out"),
        (false, Some(_), true) => return invalid("/all", "name one account, or all of them, not both"),
        (false, None, false) => {
            return invalid("/account", "name the account, such as \"agent=rfq-draft\", or say \"all\": true");
        }
        (false, Some(account), false) => Some(known_account(budget, account)?),
    };
    let ends_at = end(&budget.spec.window, request, now)?;
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
        match after.raises.iter().position(|raise| !raise.in_force(now)) {
            Some(over) => drop(after.raises.remove(over)),
            None => return invalid("", "this budget has 100 raises in force; withdraw some, or write a higher limit"),
        }
    }
    after.raises.push(raise.clone());
    Ok((after, raise))
}

/// The label must be made of the budget's own dimensions, in their order.
fn known_account(budget: &Budget, account: &str) -> Result<String, BudgetError> {
    let names: Vec<&str> = account.split(',').map(|part| part.split_once('=').map_or("", |(name, _)| name)).collect();
    let wanted: Vec<&str> = budget.spec.each.iter().map(|dimension| dimension.as_str()).collect();
    if names == wanted {
        Ok(account.to_owned())
    } else {
        let example: Vec<String> = wanted.iter().map(|name| format!("{name}=…")).collect();
        invalid("/account", &format!("must be of the form {:?}", example.join(",")))
    }
}

fn end(window: &Window, request: &RaiseRequest<'_>, now: Timestamp) -> Result<Option<Timestamp>, BudgetError> {
    match (request.ends_at, request.permanent) {
        (Some(_), true) => invalid("/permanent", "either it ends or it is permanent"),
        (Some(end), false) if end <= now => invalid("/ends_at", "is over already"),
        (Some(end), false) => Ok(Some(end)),
        (None, true) => Ok(None),
        (None, false) => match window {
            Window::Lifetime => {
                invalid("/ends_at", "a lifetime has no end of its own: name one, or say \"permanent\": true")
            }
            Window::Rolling { length_s } => {
                now.checked_add(SignedDuration::from_secs(i64::from(*length_s))).map(Some).or(Ok(Some(Timestamp::MAX)))
            }
            calendar => Ok(calendar.span(now).end),
        },
    }
}

/// The budget with one raise withdrawn.
pub fn withdraw(budget: &Budget, id: &RaiseId, by: &str, reason: &str, now: Timestamp) -> Result<Budget, BudgetError> {
    let mut after = Budget { updated_at: now, revision: budget.revision + 1, ..budget.clone() };
    let found = after.raises.iter_mut().find(|raise| raise.id == *id);
    let raise = found.ok_or_else(|| BudgetError::NoSuchRaise(id.clone()))?;
    if !raise.in_force(now) {
        return Err(BudgetError::RaiseOver(id.clone()));
    }
    raise.withdrawn = Some(Withdrawal { at: now, by: by.to_owned(), reason: reason.to_owned() });
    Ok(after)
}
