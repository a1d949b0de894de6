//! An admin's word on the clock.

use super::app::App;
use super::error::OperationError;
use super::roles::{Operation, Principal};
use crate::decide::Command;
use jiff::Timestamp;

/// Says that the wall clock is right as it is, after it has jumped.
pub async fn confirm_clock(app: &App, principal: &Principal) -> Result<Timestamp, OperationError> {
    principal.may(Operation::ConfirmClock)?;
    let wall = app.guard.clock().wall();
    app.commit(principal, Command::NoteClock { wall }).await?;
    app.guard.confirm();
    tracing::warn!(target: "tollgate::clock", by = %principal.name, %wall, "the wall clock was confirmed");
    Ok(wall)
}
