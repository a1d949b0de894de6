//! The words that every other room uses: amounts, ids, reasons with their remedies, and the values an admission is
//! judged by. Nothing here decides anything.

mod amount;
#[cfg(test)]
mod fuzz_tests;
mod id;
mod reason;

pub use amount::{Amount, AmountError, Balance, NANOS};
pub use id::{
    ActionName, AdmissionId, AgentId, ApiKeyId, BudgetId, CheckpointId, ConnectorId, EntityId, EntityType, HoldId,
    IdError, IdempotencyKey, ItemId, PauseId, RaiseId, RunId, ScheduleId, StepName, TeamId, Unit, WorkerId,
};
pub use reason::{CODES, Code, CodeRow, Reason, Remedy, RemedyKind, Source, Warning, href, retry_at};
