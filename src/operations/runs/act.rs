//! A run's end, asked for or forced.

use super::show::visible;
use crate::decide::{Answer, Command, RunAnswer, RunCommand};
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::runs::{CancelCategory, Run};
use crate::vocabulary::RunId;
use std::sync::Arc;

/// Asks for a run's end. Nothing more of it is admitted from the next commit on.
pub async fn cancel_run(
    app: &App,
    principal: &Principal,
    run: RunId,
    category: CancelCategory,
    reason: String,
) -> Result<Arc<Run>, OperationError> {
    visible(app, principal, Operation::CancelRun, &run)?;
    changed(app, principal, RunCommand::Cancel { run, category, reason, seen: None }).await
}

/// Ends a run's attempt without its runtime's proof. Its holds are left to expire.
pub async fn force_stop(
    app: &App,
    principal: &Principal,
    run: RunId,
    reason: String,
) -> Result<Arc<Run>, OperationError> {
    visible(app, principal, Operation::ForceStop, &run)?;
    changed(app, principal, RunCommand::ForceStop { run, reason, seen: None }).await
}

async fn changed(app: &App, principal: &Principal, command: RunCommand) -> Result<Arc<Run>, OperationError> {
    match commit(app, principal, command).await? {
        RunAnswer::Run(run) => Ok(run),
        other => Err(unexpected(&other)),
    }
}

/// Commits a command on runs.
pub(super) async fn commit(app: &App, principal: &Principal, command: RunCommand) -> Result<RunAnswer, OperationError> {
    of_run(app.commit(principal, Command::Run(command)).await?)
}

/// The answer to a command on runs.
pub(in crate::operations) fn of_run(answer: Answer) -> Result<RunAnswer, OperationError> {
    match answer {
        Answer::Run(answer) => Ok(*answer),
        other => Err(OperationError::Internal(format!("a command on runs was answered by {other:?}"))),
    }
}

pub(super) fn unexpected(answer: &RunAnswer) -> OperationError {
    OperationError::Internal(format!("a command on runs was answered by {answer:?}"))
}
