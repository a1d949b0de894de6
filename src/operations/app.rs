//! What every operation works on.

use super::attention::Notices;
use super::caps::Caps;
use super::error::OperationError;
use super::policy_room::PolicyRoom;
use super::roles::Principal;
use super::schemas::Schemas;
use super::throttle::{Place, Throttle, Throttled};
use crate::admission::{Mask, MaskKey};
use crate::attention::{Classifier, Storms};
use crate::clock::ClockGuard;
use crate::decide::{Answer, Command, Envelope, Refusal};
use crate::runs::Clocks;
use crate::state::State;
use crate::store::{CommitFailure, Store};
use crate::vocabulary::AgentId;
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::time::Duration;
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
    /// How much memory holds at most.
    pub caps: Caps,
    /// What failures are known by.
    pub classifier: Arc<Classifier>,
    /// What happens, for those who watch.
    pub notices: Arc<Notices>,
    /// Failures that come over and over.
    pub storms: Mutex<Storms>,
    /// How much one agent and one key may ask.
    pub throttle: Arc<Throttle>,
    /// How long a request waits to be decided at most.
    pub deadline: Duration,
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
        let _place = self.place(principal, None)?;
        let envelope = Envelope { command, actor: principal.actor() };
        durable(self.store.submit_until(envelope, principal.wait_until).await)
    }

    /// One more request of whoever asks, if its key may.
    pub fn take_request(&self, principal: &Principal) -> Result<(), OperationError> {
        self.throttle.request(principal, self.monotonic()).map_err(|throttled| self.throttled(throttled))
    }

    /// One more admission of an agent, if it may.
    pub(super) fn take_admission(&self, principal: &Principal, agent: &AgentId) -> Result<(), OperationError> {
        self.throttle.admission(principal, agent, self.monotonic()).map_err(|throttled| self.throttled(throttled))
    }

    /// A place among what waits to be decided.
    pub(super) fn place(&self, principal: &Principal, agent: Option<&AgentId>) -> Result<Place, OperationError> {
        self.throttle.place(principal, agent).map_err(|throttled| {
            let refused = self.throttle.refused(throttled, principal, agent, self.monotonic());
            self.throttled(refused)
        })
    }

    fn throttled(&self, throttled: Throttled) -> OperationError {
        let wait = SignedDuration::try_from(throttled.wait).unwrap_or(SignedDuration::MAX);
        let retry_at = self.now().saturating_add(wait).unwrap_or(Timestamp::MAX);
        OperationError::Throttled { throttled, retry_at }
    }

    /// The monotonic clock, by which rates and deadlines go.
    pub fn monotonic(&self) -> Duration {
        self.guard.clock().monotonic()
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
            CommitFailure::Late => Self::Late,
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
