//! What every operation works on.

use super::attention::Notices;
use super::error::OperationError;
use super::policy_room::PolicyRoom;
use super::roles::Principal;
use super::schemas::Schemas;
use crate::admission::{Mask, MaskKey};
use crate::attention::{Classifier, Storms};
use crate::clock::ClockGuard;
use crate::decide::{Answer, Command, Envelope, Refusal};
use crate::runs::Clocks;
use crate::state::State;
use crate::store::{CommitFailure, Store};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use tokio::sync::Notify;

/// A running Tollgate, without its faces.
#[derive(Debug)]
pub struct App {
    /// Where answers become durable.
    pub store: Arc<dyn Store>,
    /// The clock, watched.
    pub guard: Arc<ClockGuard>,
    /// Policy sets and engines.
    pub policy: PolicyRoom,
    /// Validators of entity types.
    pub schemas: Schemas,
    /// Which values the journal must not hold, by the configuration.
    pub mask: Mask,
    /// With what they are digested; bodies behind idempotency keys too.
    pub mask_key: MaskKey,
    /// Tells waiting workers that an attempt may be queued.
    pub dispatch: Notify,
    /// The clocks of runs.
    pub clocks: Clocks,
    /// What failures are known by.
    pub classifier: Arc<Classifier>,
    /// What happens, for those who watch.
    pub notices: Arc<Notices>,
    /// Failures that come over and over.
    pub storms: Mutex<Storms>,
    /// What the watcher found last, where it could not be taken.
    pub refused: RwLock<Option<RefusedSet>>,
}

/// A policy tree that was not taken: the old set goes on serving, visibly.
#[derive(Clone, Debug)]
pub struct RefusedSet {
    /// When it was found.
    pub at: Timestamp,
    /// What is wrong with it.
    pub problems: Vec<crate::policy::Problem>,
    /// It checks, but these modules are gone: it waits for a confirmation.
    pub lost: Vec<String>,
    /// Its digest, if it checks.
    pub digest: Option<String>,
    /// The set itself, for the confirmation.
    pub set: Option<Arc<crate::policy::PolicySet>>,
}

impl App {
    /// Hands a command to the store and waits until it is durable.
    pub async fn commit(&self, principal: &Principal, command: Command) -> Result<Answer, OperationError> {
        let reply = self.store.submit(Envelope { command, actor: principal.actor() });
        durable(reply.await)
    }

    /// Reads something out of the state.
    pub fn read<R>(&self, reader: impl FnOnce(&State) -> R) -> R {
        crate::store::read(self.store.as_ref(), reader)
    }

    /// The wall clock for reads: what is shown may be a minute off while the clock is doubted, what is decided not.
    pub fn now(&self) -> Timestamp {
        self.guard.now().unwrap_or_else(|_| self.guard.steady())
    }
}

/// A reply of the store as an operation's outcome.
pub(super) fn durable<E>(reply: Result<Result<Answer, CommitFailure<Refusal>>, E>) -> Result<Answer, OperationError> {
    match reply {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(failure)) => Err(failure.into()),
        Err(_dropped_unsent) => Err(OperationError::Stopping),
    }
}

impl From<CommitFailure<Refusal>> for OperationError {
    fn from(failure: CommitFailure<Refusal>) -> Self {
        match failure {
            CommitFailure::Refused(refusal) => Self::Refused(refusal),
            CommitFailure::Busy => Self::Busy,
            CommitFailure::Closing => Self::Stopping,
            CommitFailure::NotDurable(why) => Self::Store(why.to_string()),
            CommitFailure::Unread(why) => Self::NotYet(why.to_string()),
            CommitFailure::Internal => Self::Internal("a command could not be decided".to_owned()),
        }
    }
}

impl From<crate::store::ReadError> for OperationError {
    fn from(error: crate::store::ReadError) -> Self {
        use crate::store::ReadError;
        match error {
            ReadError::Failed(why) => Self::Store(why),
            ReadError::NotYet => Self::NotYet(error.to_string()),
            ReadError::Cursor(_) => Self::Invalid { pointer: "?cursor".to_owned(), message: error.to_string() },
        }
    }
}
