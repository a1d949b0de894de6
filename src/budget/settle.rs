//! What becomes of a hold: settled, released, extended, expired. Each is one function from a hold and an event to the
//! hold behind it, or to a refusal; `None` where nothing changes.

use super::account::{Account, Accounts, Change};
use super::alert::{Alert, check_alerts, limit_passed, unsettled};
use super::hold::{Hold, HoldLine, HoldRefusal, HoldState, LONGEST_HOLD_S, Release, Settlement};
use crate::vocabulary::{Amount, Balance, Unit};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// A hold that changed.
#[derive(Debug)]
pub struct Changed {
    /// As it stands now.
    pub hold: Hold,
    /// What its budgets' admins should know.
    pub alerts: Vec<Alert>,
}

/// Books what was spent, the whole of it, also above the hold and above the limit: the money is gone, and hiding it would
/// be the bug. Works from every state but settled.
pub fn settle(
    hold: &Hold,
    actual: &BTreeMap<Unit, Amount>,
    by: &str,
    now: Timestamp,
    accounts: &mut dyn Accounts,
) -> Result<Option<Changed>, HoldRefusal> {
    if let Some(settlement) = &hold.settlement {
        return if settlement.actual == *actual { Ok(None) } else { Err(HoldRefusal::SettledOtherwise) };
    }
    let mut missing: Vec<Unit> = Vec::new();
    for line in &hold.lines {
        let needed = line.held > Amount::ZERO && line.unit.as_str() != "calls" && !actual.contains_key(&line.unit);
        if needed && !missing.contains(&line.unit) {
            missing.push(line.unit.clone());
        }
    }
    if !missing.is_empty() {
        return Err(HoldRefusal::UnitsMissing(missing));
    }
    let alerts = book(hold, now, accounts, |line| {
        let undo = unhold(hold.state, line);
        Change { spent: booked(line, actual).balance(), ..undo }
    })?;
    let settlement = Settlement { actual: actual.clone(), at: now, by: by.to_owned(), after: hold.state };
    let hold = Hold { state: HoldState::Settled, settlement: Some(settlement), ..hold.clone() };
    Ok(Some(Changed { hold, alerts }))
}

/// What a settlement books on one account of a hold.
pub fn booked(line: &HoldLine, actual: &BTreeMap<Unit, Amount>) -> Amount {
    match actual.get(&line.unit) {
        // A call that was admitted counts, whatever the runtime says of it; what did not happen is released.
        Some(amount) if line.unit.as_str() == "calls" => (*amount).max(Amount::ONE),
        Some(amount) => *amount,
        // Calls count by themselves: what was held is what was called, unless the runtime knows better.
        None if line.unit.as_str() == "calls" => line.held,
        None => Amount::ZERO,
    }
}

/// Frees what was set aside.
pub fn release(
    hold: &Hold,
    reason: &str,
    by: &str,
    now: Timestamp,
    accounts: &mut dyn Accounts,
) -> Result<Option<Changed>, HoldRefusal> {
    if hold.state == HoldState::Released {
        return Ok(None);
    }
    still_pending(hold, now)?;
    let alerts = book(hold, now, accounts, |line| unhold(hold.state, line))?;
    let release = Release { reason: reason.to_owned(), at: now, by: by.to_owned() };
    let hold = Hold { state: HoldState::Released, release: Some(release), ..hold.clone() };
    Ok(Some(Changed { hold, alerts }))
}

/// Lets a pending hold live until `ttl_s` from now; never shorter than it would have.
pub fn extend(hold: &Hold, ttl_s: u32, now: Timestamp) -> Result<Option<Changed>, HoldRefusal> {
    still_pending(hold, now)?;
    let later =
        |at: Timestamp, seconds: i64| at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    let latest = later(hold.placed_at, LONGEST_HOLD_S);
    let expires_at = later(now, i64::from(ttl_s));
    if expires_at > latest {
        return Err(HoldRefusal::TooLong(latest));
    }
    if expires_at <= hold.expires_at {
        return Ok(None);
    }
    Ok(Some(Changed { hold: Hold { expires_at, ..hold.clone() }, alerts: Vec::new() }))
}

/// The hold's time has come, which is final. Its amounts move from held to unsettled: its action may well have happened.
/// Call it only on a pending hold that is due.
pub fn expire(hold: &Hold, now: Timestamp, accounts: &mut dyn Accounts) -> Result<Changed, HoldRefusal> {
    assert!(hold.is_due(now), "only a pending hold whose time has come expires");
    let mut alerts = book(hold, now, accounts, |line| {
        let undo = unhold(hold.state, line);
        Change { unsettled: line.held.balance(), ..undo }
    })?;
    for line in &hold.lines {
        let budget = accounts.budget(&line.account.budget);
        alerts.extend(budget.and_then(|budget| unsettled(budget, &line.account, line.held.balance(), now)));
    }
    Ok(Changed { hold: Hold { state: HoldState::Expired, ..hold.clone() }, alerts })
}

/// Refuses what only a pending hold can do. One whose time is over has expired, be that recorded yet or not.
fn still_pending(hold: &Hold, now: Timestamp) -> Result<(), HoldRefusal> {
    match hold.state {
        HoldState::Pending if !hold.is_due(now) => Ok(()),
        HoldState::Pending | HoldState::Expired => Err(HoldRefusal::Expired(hold.expires_at)),
        HoldState::Settled => Err(HoldRefusal::Settled),
        HoldState::Released => Err(HoldRefusal::Released),
    }
}

/// Takes back what the hold's state has put into an account.
fn unhold(state: HoldState, line: &HoldLine) -> Change {
    let less = Balance::from_nanos(-line.held.balance().nanos());
    match state {
        HoldState::Pending => Change { held: less, ..Change::default() },
        HoldState::Expired => Change { unsettled: less, ..Change::default() },
        HoldState::Settled | HoldState::Released => Change::default(),
    }
}

/// Changes every account of a hold, or none.
fn book(
    hold: &Hold,
    now: Timestamp,
    accounts: &mut dyn Accounts,
    change: impl Fn(&HoldLine) -> Change,
) -> Result<Vec<Alert>, HoldRefusal> {
    let mut after: Vec<Account> = Vec::with_capacity(hold.lines.len());
    let mut alerts = Vec::new();
    for line in &hold.lines {
        // A budget that a hold counts against is never forgotten, and an account leaves memory only when nothing is set
        // aside in it; a settlement that books on one that left has it read first. Were one lost, booking on a new account
        // would free what was never freed.
        let change = change(line);
        let missing = || HoldRefusal::AccountMissing(format!("{} {}", line.account.budget, line.account));
        let budget = accounts.budget(&line.account.budget).cloned().ok_or_else(missing)?;
        let oldest = budget.spec.window.oldest_bucket(now);
        let left = line.bucket.zip(oldest).is_some_and(|(bucket, oldest)| bucket < oldest);
        if (left || change == Change::default()) && accounts.account(&line.account).is_none() {
            continue; // its window is over, or its bucket has left it, and this books nothing on it
        }
        let before = accounts.account(&line.account).ok_or_else(missing)?;
        let mut account = before.clone();
        account.change(change, line.bucket, oldest).map_err(|_| HoldRefusal::Overflow)?;
        alerts.extend(check_alerts(&budget, &mut account, now));
        alerts.extend(limit_passed(&budget, before, &account, now));
        if account != *before {
            after.push(account);
        }
    }
    after.into_iter().for_each(|account| accounts.put_account(account));
    Ok(alerts)
}
