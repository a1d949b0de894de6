//! What a store promises. The doc comments here are the contract, and one suite (`tests/it/store_contract.rs`) runs every
//! implementation through it.
//!
//! A store keeps the [`State`], decides commands on it one batch after another, and makes each batch durable before
//! anybody hears or sees anything of it.

use crate::admission::{Decision, DecisionRecord, Kind};
use crate::audit::Digest;
use crate::decide::{Answer, Envelope, Refusal};
use crate::state::{Entry, State};
use crate::vocabulary::{ActionName, AdmissionId, AgentId, EntityId, EntityType, RunId, StepName};
use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Comes when a command is durable, or when it is certain that it will not be. One that is dropped unsent means the store
/// ended without deciding it: the same as [`CommitError::Closing`].
pub type Reply = oneshot::Receiver<Result<Answer, CommitError>>;

/// A command was not carried out, and nothing of it will ever be seen.
pub use super::failure::CommitFailure;

/// [`CommitFailure`] with the core's own refusals.
pub type CommitError = CommitFailure<Refusal>;

/// Where answers become durable.
pub trait Store: Send + Sync + fmt::Debug {
    /// Decides a command and makes it durable.
    ///
    /// Commands are decided in the order in which they are submitted, each on what those before it changed. When the
    /// reply is `Ok`, everything that the command changed is on stable storage and every later read sees it. A command
    /// that changes nothing (a repeat, a refusal) is answered after all that was submitted before it is durable. Where
    /// nothing can be made durable the reply is an error, never an answer. A full queue answers [`CommitError::Busy`] at
    /// once. A panic while deciding answers [`CommitError::Internal`] and takes nothing with it.
    fn submit(&self, envelope: Envelope) -> Reply;

    /// What a command would get at `now`, decided on the state as it is and thrown away.
    fn preview(&self, envelope: &Envelope, now: Timestamp) -> Result<Answer, Refusal>;

    /// Lets `reader` look at the state: one durable moment of it, all of a batch or nothing. It must be quick: the next
    /// batch waits for it.
    fn read(&self, reader: &mut dyn FnMut(&State));

    /// A recorded decision.
    fn decision(&self, id: &AdmissionId) -> Result<Option<Arc<DecisionRecord>>, StoreError>;

    /// Recorded decisions that fit, newest first, those before `cursor`, `limit` at most. The work of one call is bounded:
    /// a page may be short, or empty, and still have a `next`.
    fn decisions(
        &self,
        filter: &DecisionFilter,
        cursor: Option<Position>,
        limit: usize,
    ) -> Result<Page<Arc<DecisionRecord>>, StoreError>;

    /// The last admission (not a retry) of a run, or of one step of it.
    fn last_admission(&self, run: &RunId, step: Option<&StepName>)
    -> Result<Option<Arc<DecisionRecord>>, StoreError>;

    /// Operations that fit, newest first, as [`Store::decisions`] pages.
    fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<Position>,
        limit: usize,
    ) -> Result<Page<AuditEntry>, StoreError>;

    /// Keeps a policy set's bytes under their digest; durable when it returns, and to be called before a command names the
    /// digest. Putting it again does nothing.
    fn put_policy_set(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError>;

    /// A policy set's bytes, checked against their digest.
    fn policy_set(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// How it is.
    fn status(&self) -> StoreStatus;

    /// Takes no more commands, decides and answers those that wait, and returns when everything is durable.
    fn shutdown(&self);
}

/// Something stored cannot be read or written at present.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What is behind the journal is being built anew from it.
    #[error("older records are being read anew from the journal; ask again later")]
    Rebuilding,
    /// The database or a file.
    #[error("{0}")]
    Failed(String),
}

/// Where an operation stands: its record, and its place in it. Sorts by time; in text `17-3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The record's sequence number.
    pub seq: u64,
    /// The operation's place in it.
    pub index: u32,
}

/// A text that is no [`Position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor that a list gave")]
pub struct PositionError;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.seq, self.index)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (seq, index) = text.split_once('-').ok_or(PositionError)?;
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !digits(seq) || !digits(index) {
            return Err(PositionError);
        }
        let (Ok(seq), Ok(index)) = (seq.parse(), index.parse()) else { return Err(PositionError) };
        Ok(Self { seq, index })
    }
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// What to ask for next; `None` at the end.
    pub next: Option<Position>,
}

/// Which decisions; a field that is `None` fits all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecisionFilter {
    /// Who asked.
    pub agent: Option<AgentId>,
    /// On which type of entity.
    pub entity_type: Option<EntityType>,
    /// On which entity.
    pub entity_id: Option<EntityId>,
    /// What for.
    pub action: Option<ActionName>,
    /// Yes or no.
    pub decision: Option<Decision>,
    /// A reason's code.
    pub code: Option<String>,
    /// In which run.
    pub run: Option<RunId>,
    /// Action or retry.
    pub kind: Option<Kind>,
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
}

impl DecisionFilter {
    /// Whether a decision fits.
    pub fn fits(&self, record: &DecisionRecord) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        same(self.agent.as_ref(), Some(&record.agent))
            && same(self.entity_type.as_ref(), record.entity_type.as_ref())
            && same(self.entity_id.as_ref(), record.entity_id.as_ref())
            && same(self.action.as_ref(), Some(&record.action))
            && same(self.decision.as_ref(), Some(&record.decision))
            && same(self.run.as_ref(), record.run.as_ref())
            && same(self.kind.as_ref(), Some(&record.kind))
            && self.code.as_ref().is_none_or(|code| record.codes.contains(code))
            && self.since.is_none_or(|since| since <= record.decided_at)
            && self.until.is_none_or(|until| record.decided_at < until)
    }
}

/// One operation as recorded: who did what to what, when, and what changed.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Where it stands.
    pub position: Position,
    /// Its batch's time.
    pub time: Timestamp,
    /// The operation.
    pub entry: Arc<Entry>,
}

/// Which operations; a field that is `None` fits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The name of who did it.
    pub actor: Option<String>,
    /// What was done, e.g. `budget.raise`; or all of a group, e.g. `budget`.
    pub op: Option<String>,
    /// What it was done to, e.g. `budget:rfq-draft-daily`.
    pub subject: Option<String>,
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// Also what runtimes did: admissions and holds.
    pub include_admissions: bool,
}

impl AuditFilter {
    /// Whether an operation fits, apart from whether it is an admission's or a hold's.
    pub fn fits(&self, time: Timestamp, entry: &Entry) -> bool {
        let group = |op: &String| {
            entry.op == *op || entry.op.strip_prefix(op.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        self.actor.as_ref().is_none_or(|actor| entry.actor.name == *actor)
            && self.op.as_ref().is_none_or(group)
            && self.subject.as_ref().is_none_or(|subject| entry.subject == *subject)
            && self.since.is_none_or(|since| since <= time)
            && self.until.is_none_or(|until| time < until)
    }
}

/// How a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// The last durable record.
    pub last_seq: u64,
    /// Its hash. Noted elsewhere, it shows later that no end was cut off.
    pub head: Digest,
    /// Its batch's time.
    pub last_time: Option<Timestamp>,
    /// Journal files.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Records that the database behind does not have yet.
    pub index_lag: u64,
    /// Whether the database behind is being built anew.
    pub rebuilding: bool,
    /// Commands that wait.
    pub queue_depth: usize,
    /// Why nothing can be made durable; `None` while it can.
    pub failed: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back() {
        let position = Position { seq: 17, index: 3 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "17", "-3", "17-", "+1-2", "17-3-1", "99999999999999999999-1"] {
            assert_eq!(bad.parse::<Position>(), Err(PositionError), "{bad}");
        }
    }
}
