//! Why an operation was not carried out. Knows nothing of HTTP; the faces translate it.

use super::roles::Forbidden;
use super::throttle::Throttled;
use crate::clock::ClockJumped;
use crate::decide::Refusal;
use crate::policy::Problem as PolicyProblem;
use jiff::Timestamp;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// This principal may not.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such thing, or this principal may not know of it.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A field is at fault.
    #[error("{pointer}: {message}")]
    Invalid {
        /// Where, as a JSON pointer.
        pointer: String,
        /// In words.
        message: String,
    },
    /// Judged twice, and twice the policy set or the registry had changed meanwhile.
    #[error("the policy set or the registry changed twice while this was judged")]
    Stale,
    /// More waits than is allowed to wait.
    #[error("too much is waiting to be decided")]
    Busy,
    /// It waited for as long as it may, and was not decided.
    #[error("it waited too long, and was not decided")]
    Late,
    /// It was asked too much: nothing was judged.
    #[error("{throttled}")]
    Throttled {
        /// Whose allowance is spent.
        throttled: Throttled,
        /// When asking again makes sense.
        retry_at: Timestamp,
    },
    /// What was decided could not be made durable: it counts as not done, until a start that may find it on the disk.
    #[error("the decision could not be made durable, so whether it was taken is unknown: {0}")]
    Store(String),
    /// What is asked for is being made ready to be read.
    #[error("older records are being read anew from the journal: {0}")]
    NotYet(String),
    /// The clock cannot be trusted.
    #[error(transparent)]
    Clock(#[from] ClockJumped),
    /// The daemon is stopping.
    #[error("Tollgate is stopping")]
    Stopping,
    /// A policy set does not check.
    #[error("the policy set does not check")]
    PolicySet(Vec<PolicyProblem>),
    /// Tollgate's own fault; the text is for the log.
    #[error("internal: {0}")]
    Internal(String),
}

impl OperationError {
    /// Whether the same may go well a little later.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Stale | Self::Busy | Self::Late | Self::Store(_) | Self::NotYet(_) | Self::Clock(_))
    }
}
