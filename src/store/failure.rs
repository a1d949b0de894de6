//! Why a command was not carried out.

use std::sync::Arc;

/// A command was not carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CommitFailure<R> {
    /// The core refused it: it is at fault, or must be judged again.
    #[error("{0}")]
    Refused(R),
    /// The queue is full: ask again in a moment.
    #[error("too many commands are waiting to be written")]
    Busy,
    /// It waited until its deadline, and was not decided.
    #[error("it was not decided by its deadline")]
    Late,
    /// The daemon is going down.
    #[error("the daemon is going down")]
    Closing,
    /// It could not be made durable. Nothing of it is seen while this process runs. Whether the disk has it is unknown: a
    /// start that finds it whole lets it count, and who asks under the same key again hears which.
    #[error("it could not be made durable: {0}")]
    NotDurable(Arc<str>),
    /// What it names could not be read at present: nothing was decided.
    #[error("what it names cannot be read at present: {0}")]
    Unread(Arc<str>),
    /// Deciding it failed inside Tollgate; its effects were dropped.
    #[error("it could not be decided: an internal error, which the log tells")]
    Internal,
}

impl<R> CommitFailure<R> {
    /// The same for another command. A refusal is about one command only, and becomes an internal error.
    pub fn without_refusal(&self) -> Self {
        match self {
            Self::Busy => Self::Busy,
            Self::Late => Self::Late,
            Self::Closing => Self::Closing,
            Self::NotDurable(why) => Self::NotDurable(Arc::clone(why)),
            Self::Refused(_) | Self::Unread(_) | Self::Internal => Self::Internal,
        }
    }
}
