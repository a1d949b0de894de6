//! What another Command Center is told: reading the record of it, and noting what became of each try.

use crate::attention::Delivery;
use crate::decide::Command;
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use std::sync::Arc;

/// The deliveries that are still tried, and the last ones that are over.
pub fn deliveries(app: &App, principal: &Principal, limit: usize) -> Result<Vec<Arc<Delivery>>, OperationError> {
    principal.may(Operation::ReadAttention)?;
    Ok(app.read(|state| state.attention().deliveries().all().take(limit).cloned().collect()))
}

/// What is to be sent now, earliest first.
pub fn due_deliveries(app: &App, limit: usize) -> Vec<Arc<Delivery>> {
    let now = app.now();
    app.read(|state| state.attention().deliveries().due(now).take(limit).cloned().collect())
}

/// Notes what became of a try.
pub async fn note_delivery(app: &App, id: String, outcome: Result<(), String>) -> Result<(), OperationError> {
    app.commit(&Principal::tollgate(), Command::Delivered { id, outcome }).await.map(|_| ())
}
