//! Why an operation was not carried out, as its caller reads it.

use super::problem::{FieldError, Problem, ProblemCode as Code};
use crate::budget::{BudgetError, HoldRefusal};
use crate::decide::Refusal;
use crate::operations::{OperationError, Spent, Throttled};
use crate::runs::RetryRefusal;
use jiff::Timestamp;

impl From<OperationError> for Problem {
    fn from(error: OperationError) -> Self {
        let text = error.to_string();
        match error {
            OperationError::Forbidden(_) => Self::new(Code::Forbidden, text),
            OperationError::Refused(refusal) => refusal.into(),
            OperationError::NotFound { .. } => Self::new(Code::NotFound, text),
            OperationError::Invalid { pointer, message } => Self::at(Code::InvalidRequest, pointer, message),
            OperationError::Stale => Self::new(Code::StalePolicy, text),
            OperationError::NotYet(_) => {
                Self::new(Code::HistoryNotReady, "older records are being read anew from the journal")
            }
            OperationError::Busy => Self::new(Code::Busy, text),
            OperationError::Late => Self::new(Code::DeadlineExceeded, text),
            OperationError::Throttled { throttled, retry_at } => of_throttled(throttled, retry_at),
            OperationError::Store(why) => {
                tracing::error!(target: "tollgate::http", why, "the store refused");
                Self::new(
                    Code::StoreUnavailable,
                    "it could not be made durable: do not act; whether it counts is known when it is asked again under the same key",
                )
            }
            OperationError::Clock(_) => Self::new(Code::ClockJumped, text),
            OperationError::Stopping => Self::new(Code::ShuttingDown, text),
            OperationError::PolicySet(problems) => Self::fields(
                Code::Unprocessable,
                problems
                    .into_iter()
                    .map(|problem| FieldError {
                        pointer: format!("{}:{}:{}", problem.file, problem.line, problem.column),
                        message: problem.message,
                    })
                    .collect(),
            ),
            OperationError::Internal(why) => {
                tracing::error!(target: "tollgate::http", why, "an operation failed");
                Self::new(Code::Internal, "something failed; the log has the request id")
            }
        }
    }
}

fn of_throttled(throttled: Throttled, retry_at: Timestamp) -> Problem {
    let code = match throttled.spent {
        Spent::Agent | Spent::AgentWaiting => Code::RateLimited,
        Spent::Key | Spent::KeyWaiting => Code::TooManyRequests,
    };
    let after_s = throttled.wait.as_secs() + u64::from(throttled.wait.subsec_nanos() > 0);
    Problem {
        retry_after_s: Some(after_s.max(1)),
        retry_at: Some(retry_at),
        ..Problem::new(code, throttled.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::NotFound { .. } => Self::new(Code::NotFound, text),
            Refusal::Exists { .. } => Self::new(Code::AlreadyExists, text),
            Refusal::IdempotencyConflict { .. } => Self::new(Code::IdempotencyConflict, text),
            Refusal::Stale => Self::new(Code::StalePolicy, text),
            Refusal::Revision { .. } => Self::new(Code::PreconditionFailed, text),
            Refusal::Hold(refusal) => of_hold(&refusal, text),
            Refusal::Budget(error) => of_budget(error, text),
            Refusal::Retry(refusal) => of_retry(&refusal, text),
            Refusal::Stop(_) => Self::new(Code::NotAlive, text),
            Refusal::Invalid { pointer, message } => Self::at(Code::InvalidRequest, pointer, message),
            Refusal::Over(_) => Self::new(Code::Conflict, text),
        }
    }
}

fn of_retry(refusal: &RetryRefusal, text: String) -> Problem {
    let code = match refusal {
        RetryRefusal::PlanChanged => Code::PlanChanged,
        RetryRefusal::AlreadyRetried(_) => Code::AlreadyRetried,
        RetryRefusal::NotStopped { .. } => Code::NotStopped,
        RetryRefusal::Completed | RetryRefusal::TooManyAttempts => Code::NothingToRetry,
        RetryRefusal::RunCancelled => Code::RunCancelled,
        RetryRefusal::NotAcknowledged(_) => Code::NotAcknowledged,
        RetryRefusal::SameStepFailed { .. } => Code::SameStepFailed,
        RetryRefusal::SetupRequired(_) => Code::SetupRequired,
        RetryRefusal::PolicyDenied(_) => Code::PolicyDenied,
        RetryRefusal::BudgetExceeded(_) => Code::BudgetExceeded,
    };
    let errors = match refusal {
        RetryRefusal::NotAcknowledged(ids) => ids
            .iter()
            .map(|id| FieldError { pointer: "/acknowledge".to_owned(), message: format!("{id} is missing") })
            .collect(),
        _ => refusal
            .reasons()
            .iter()
            .map(|reason| FieldError {
                pointer: reason.remedy.target.clone().unwrap_or_default(),
                message: format!("{}: {}", reason.code, reason.message),
            })
            .collect(),
    };
    Problem { errors, ..Problem::new(code, text) }
}

fn of_hold(refusal: &HoldRefusal, text: String) -> Problem {
    match refusal {
        HoldRefusal::SettledOtherwise => Problem::new(Code::HoldSettled, text),
        HoldRefusal::Settled | HoldRefusal::Released => Problem::new(Code::HoldNotPending, text),
        HoldRefusal::Expired(_) => Problem::new(Code::HoldExpired, text),
        HoldRefusal::UnitsMissing(_) => Problem::at(Code::InvalidRequest, "/actual", text),
        HoldRefusal::TooLong(_) => Problem::at(Code::InvalidRequest, "/ttl_s", text),
        HoldRefusal::Overflow | HoldRefusal::AccountMissing(_) => Problem::new(Code::Unprocessable, text),
    }
}

fn of_budget(error: BudgetError, text: String) -> Problem {
    match error {
        BudgetError::Fields(faults) => Problem::fields(
            Code::InvalidRequest,
            faults.into_iter().map(|fault| FieldError { pointer: fault.pointer, message: fault.message }).collect(),
        ),
        BudgetError::Fixed(fields) => Problem::fields(
            Code::Immutable,
            fields
                .into_iter()
                .map(|field| FieldError { pointer: format!("/{field}"), message: "never changes".to_owned() })
                .collect(),
        ),
        BudgetError::NoSuchRaise(_) => Problem::new(Code::NotFound, text),
        BudgetError::Deleted | BudgetError::RaiseOver(_) | BudgetError::TooManyRaises(_) => {
            Problem::new(Code::Conflict, text)
        }
        BudgetError::Overflow => Problem::new(Code::Unprocessable, text),
    }
}
