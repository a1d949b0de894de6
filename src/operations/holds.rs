//! What a runtime does with a hold once it has acted.

use super::app::App;
use super::error::OperationError;
use super::roles::{Operation, Principal};
use crate::budget::Hold;
use crate::decide::{Answer, Command, HoldCommand};
use crate::vocabulary::{Amount, HoldId, Unit};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Books what was spent.
pub async fn settle_hold(
    app: &App,
    principal: &Principal,
    id: HoldId,
    actual: BTreeMap<Unit, Amount>,
) -> Result<Arc<Hold>, OperationError> {
    change(app, principal, Operation::SettleHold, id, HoldCommand::Settle(actual)).await
}

/// Frees what was set aside.
pub async fn release_hold(
    app: &App,
    principal: &Principal,
    id: HoldId,
    reason: String,
) -> Result<Arc<Hold>, OperationError> {
    change(app, principal, Operation::ReleaseHold, id, HoldCommand::Release(reason)).await
}

/// Keeps it for so many seconds from now.
pub async fn extend_hold(
    app: &App,
    principal: &Principal,
    id: HoldId,
    ttl_s: u32,
) -> Result<Arc<Hold>, OperationError> {
    change(app, principal, Operation::ExtendHold, id, HoldCommand::Extend(ttl_s)).await
}

/// Shows it.
pub fn hold(app: &App, principal: &Principal, id: &HoldId) -> Result<Arc<Hold>, OperationError> {
    visible(app, principal, Operation::ReadHold, id)
}

/// A hold of an agent that the principal is not bound to is one that it does not see.
fn visible(app: &App, principal: &Principal, operation: Operation, id: &HoldId) -> Result<Arc<Hold>, OperationError> {
    principal.may(operation)?;
    let hold = app.store.hold(id)?;
    let seen = hold.filter(|hold| principal.may_for(operation, &hold.agent).is_ok());
    seen.ok_or_else(|| OperationError::NotFound { what: "hold", id: id.to_string() })
}

async fn change(
    app: &App,
    principal: &Principal,
    operation: Operation,
    id: HoldId,
    command: HoldCommand,
) -> Result<Arc<Hold>, OperationError> {
    visible(app, principal, operation, &id)?;
    match app.commit(principal, Command::Hold(id, command)).await? {
        Answer::Hold(hold) => Ok(hold),
        other => Err(OperationError::Internal(format!("a hold was answered by {other:?}"))),
    }
}
