//! What an item waits on, so that a change re-checks the items that it could free, and no others.

use super::item::{Check, Item};
use super::kinds::ItemState;
use crate::vocabulary::{ItemId, Reason, RemedyKind, Source};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What could lift a reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Another policy set, or another record of an agent or an entity type.
    Policy,
    /// A raise, an edit, holds settled, released or expired on this budget.
    Budget(String),
    /// This connector's return.
    Connector(String),
    /// The end of a pause, whichever.
    Pause,
    /// Fewer open holds.
    Holds,
    /// Data supplied to this item.
    Supplied(ItemId),
}

/// The causes that an item waits on; empty while it waits on nothing.
pub fn waits_on(item: &Item) -> BTreeSet<Cause> {
    if !is_waiting(item) {
        return BTreeSet::new();
    }
    // what freed a ready item can be taken from it again
    let counts = |check: &&Check| check.is_open() || item.state == ItemState::ReadyToRetry;
    item.checks.iter().filter(counts).filter_map(|check| cause_of(item, &check.reason)).collect()
}

/// When time itself may lift one of its reasons: the earliest `retry_at` that lies ahead.
pub fn wakes_at(item: &Item) -> Option<Timestamp> {
    if !is_waiting(item) {
        return None;
    }
    item.open_reasons().filter_map(|reason| reason.retry_at.as_ref()?.parse().ok()).min()
}

fn is_waiting(item: &Item) -> bool {
    matches!(item.state, ItemState::WaitingOnSetup | ItemState::ReadyToRetry)
}

fn cause_of(item: &Item, reason: &Reason) -> Option<Cause> {
    let target = reason.remedy.target.as_deref();
    let named = |kind: &str| target.and_then(|target| target.strip_prefix(kind)).map(str::to_owned);
    match reason.remedy.kind {
        RemedyKind::ReviewBudget => named("budget:").map(Cause::Budget),
        RemedyKind::RestoreConnector => named("connector:").map(Cause::Connector),
        RemedyKind::Resume => Some(Cause::Pause),
        RemedyKind::SupplyData | RemedyKind::CorrectInput if named("field:").is_some() => {
            Some(Cause::Supplied(item.id.clone()))
        }
        RemedyKind::Repair if reason.code == "too_many_holds" => Some(Cause::Holds),
        // what another system rejected, none of our policies lifts
        _ if reason.source == Source::Run => None,
        RemedyKind::ReviewPolicy
        | RemedyKind::RequestApproval
        | RemedyKind::Repair
        | RemedyKind::SupplyData
        | RemedyKind::CorrectInput => Some(Cause::Policy),
        RemedyKind::Wait | RemedyKind::Escalate => None,
    }
}
