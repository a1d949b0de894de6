//! What the writer asks of what it drives, and the values that go between them.

use crate::audit::WriterId;
use crate::store::CommitFailure;
use crate::store::sled::journal::Appended;
use jiff::Timestamp;

/// Decides batches and shows them to readers once they are durable.
pub trait Core: Send + 'static {
    /// What is asked.
    type Command: Send + 'static;
    /// What it gets.
    type Answer: Send + 'static;
    /// Why a command is not carried out.
    type Refusal: Send + 'static;
    /// What a batch changes.
    type Changes;

    /// Whether a batch must end behind this command.
    fn ends_batch(&self, command: &Self::Command) -> bool;

    /// Whether something falls due at `now` without being asked.
    fn is_due(&self, now: Timestamp) -> bool;

    /// Decides the commands in order. What they change is written into `payload`, which is empty, as the record's JSON;
    /// nothing of it may be seen by readers yet. There is one outcome for each command.
    fn decide(
        &mut self,
        commands: &[Self::Command],
        moment: &Moment,
        payload: &mut Vec<u8>,
    ) -> Decided<Self::Changes, Self::Answer, Self::Refusal>;

    /// The batch is durable: readers see it from here on.
    fn merge(&mut self, changes: Self::Changes, moment: &Moment, place: &Appended);
}

/// What one command of a batch got.
pub type Outcome<A, R> = Result<A, CommitFailure<R>>;

/// A batch as decided.
pub struct Decided<C, A, R> {
    /// What it changes; `None` where there is nothing to make durable.
    pub changes: Option<C>,
    /// One for each command.
    pub outcomes: Vec<Outcome<A, R>>,
}

/// When and where in the journal a batch is decided.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The batch's time: the later of the last journalled time and the clock.
    pub now: Timestamp,
    /// The sequence number that its record will have.
    pub seq: u64,
    /// Who writes it.
    pub writer: WriterId,
}
