//! What every store promises. These comments are the contract, and one suite of tests holds each implementation to it.

use super::feed::Following;
use crate::admission::{AdmissionAnswer, Decision, DecisionRecord, Kind};
use crate::budget::{Account, Hold};
use crate::decide::{Answer, Envelope, Refusal, Rehearsed, Taken};
use crate::registry::Actor;
use crate::runs::RunEvent;
use crate::state::{CheckpointNote, State};
use crate::store::sled::{Finding, IndexState, Scrubbed};
use crate::vocabulary::{ActionName, AdmissionId, AgentId, BudgetId, EntityId, EntityType, HoldId, RunId, StepName};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub use super::failure::CommitFailure;

/// What a command got. It comes when the command's batch is on stable storage, or when it is certain that it never will
/// be. A reply that is dropped unsent is a [`CommitFailure::Closing`].
pub type Reply = oneshot::Receiver<Result<Answer, CommitFailure<Refusal>>>;

/// A store could not read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// What is stored cannot be read.
    #[error("the store cannot read: {0}")]
    Failed(String),
    /// It is being made ready to be read: ask again later.
    #[error("older records are being read anew from the journal; ask again later")]
    NotYet,
    /// The reader's own fault: a cursor that no list gave.
    #[error("{0:?} is not a cursor that a list gave")]
    Cursor(String),
}

/// Decides commands durably, and remembers.
pub trait Store: Send + Sync + fmt::Debug {
    /// Hands in a command. Commands are decided one after the other, each on all that was decided before it; their
    /// effects become durable, then visible to every read below, and only then is the reply sent. A failure means that
    /// nothing of it happened or ever will. A full queue is `Busy` at once.
    fn submit(&self, envelope: Envelope) -> Reply {
        self.submit_until(envelope, None)
    }

    /// The same with a deadline, by the monotonic clock of the store: a command whose turn comes later is not decided, and
    /// neither is one whose reply nobody waits for any more.
    fn submit_until(&self, envelope: Envelope, until: Option<Duration>) -> Reply;

    /// Decides a command on the state as it stands at `now`, and throws the outcome's effects away: dry runs.
    fn preview(&self, envelope: &Envelope, now: Timestamp) -> Result<Answer, Refusal>;

    /// Decides admissions one after the other, each against what those before it would take, and throws the outcome away.
    /// `taken` carries what was taken from one call to the next, so that no call holds the next batch up for long.
    fn rehearse(&self, asks: &[Rehearsed], taken: &mut Taken, now: Timestamp) -> Vec<Result<AdmissionAnswer, Refusal>>;

    /// What becomes durable from now on, batch by batch, told when every read sees it.
    fn follow(&self) -> Following;

    /// Shows the state: everything durable and nothing else. The reader must be short, for it may hold the next batch up.
    fn read_state(&self, reader: &mut dyn FnMut(&State));

    /// A hold in whatever state: those in [`Store::read_state`] are the pending ones, and what ended lately.
    fn hold(&self, id: &HoldId) -> Result<Option<Arc<Hold>>, ReadError>;

    /// The accounts of a budget that have left the state, as they stood last, those of the latest windows at least.
    fn past_accounts(&self, budget: &BudgetId) -> Result<Vec<Account>, ReadError>;

    /// A recorded decision.
    fn decision(&self, id: &AdmissionId) -> Result<Option<Arc<DecisionRecord>>, ReadError>;

    /// Recorded decisions that fit, newest first. The work of one call is bounded: a page may be short, or empty, and
    /// still have a `next`; no `next` means that there is nothing older.
    fn decisions(
        &self,
        filter: &DecisionFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Arc<DecisionRecord>>, ReadError>;

    /// The last recorded *action* admission of a run, or of one of its steps.
    fn last_action(&self, run: &RunId, step: Option<&StepName>) -> Result<Option<Arc<DecisionRecord>>, ReadError>;

    /// The events of a run whose numbers are from `from` to `to`, in order; one that is visible in the state may be missing
    /// at the end for a moment.
    fn run_events(&self, run: &RunId, from: u64, to: u64) -> Result<Vec<Arc<RunEvent>>, ReadError>;

    /// The audit trail, newest first, bounded like [`Store::decisions`].
    fn audit(&self, filter: &AuditFilter, cursor: Option<&str>, limit: usize) -> Result<Page<AuditRecord>, ReadError>;

    /// Keeps bytes under their content address (`sha256:…`), durably, before a command names it: the parts of policy sets.
    /// Keeping them twice is harmless.
    fn put_blob(&self, address: &str, bytes: &[u8]) -> Result<(), ReadError>;

    /// What is kept under a content address, verified against it.
    fn blob(&self, address: &str) -> Result<Option<Vec<u8>>, ReadError>;

    /// How it is.
    fn status(&self) -> StoreStatus;

    /// Decides what is queued, answers it, and ends. Later commands are `Closing`.
    fn shut_down(&self);
}

/// Reads something out of the state.
pub fn read<R>(store: &dyn Store, reader: impl FnOnce(&State) -> R) -> R {
    let mut reader = Some(reader);
    let mut out = None;
    store.read_state(&mut |state| {
        if let Some(reader) = reader.take() {
            out = Some(reader(state));
        }
    });
    match out {
        Some(out) => out,
        None => unreachable!("read_state calls its reader"),
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    /// What fits.
    pub items: Vec<T>,
    /// Where to go on; `null` at the end.
    pub next: Option<String>,
}

/// Which decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Of one of these agents.
    pub agents: Option<Vec<AgentId>>,
    /// On this type of entity.
    pub entity_type: Option<EntityType>,
    /// On this entity.
    pub entity_id: Option<EntityId>,
    /// For this action.
    pub action: Option<ActionName>,
    /// With this outcome.
    pub decision: Option<Decision>,
    /// With this code among the reasons.
    pub code: Option<String>,
    /// In this run.
    pub run: Option<RunId>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl DecisionFilter {
    /// Whether a record fits.
    pub fn fits(&self, record: &DecisionRecord) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        self.agents.as_ref().is_none_or(|agents| agents.contains(&record.agent))
            && same(self.entity_type.as_ref(), record.entity_type.as_ref())
            && same(self.entity_id.as_ref(), record.entity_id.as_ref())
            && same(self.action.as_ref(), Some(&record.action))
            && same(self.decision.as_ref(), Some(&record.decision))
            && self.code.as_ref().is_none_or(|code| record.codes.contains(code))
            && same(self.run.as_ref(), record.run.as_ref())
            && same(self.kind.as_ref(), Some(&record.kind))
            && self.since.is_none_or(|since| record.decided_at >= since)
            && self.until.is_none_or(|until| record.decided_at < until)
    }
}

/// Which entries of the audit trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By this person or service.
    pub actor: Option<String>,
    /// This operation (`budget.raise`), or all of a kind (`budget.`).
    pub op: Option<String>,
    /// Of one of these kinds (`budget.`); empty means all.
    pub kinds: Vec<String>,
    /// On this subject.
    pub subject: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Admissions and holds too, which are most of it.
    pub include_admissions: bool,
}

/// One entry of the audit trail.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRecord {
    /// The record of the journal that it stands in.
    pub seq: u64,
    /// Its place there.
    pub index: u32,
    /// The batch's time.
    pub at: Timestamp,
    /// What was done.
    pub op: String,
    /// By whom.
    pub actor: Actor,
    /// On what.
    pub subject: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What stood before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stood then.
    pub effects: Value,
}

/// How a store is.
#[derive(Clone, Debug, Serialize)]
pub struct StoreStatus {
    /// The last durable record.
    pub seq: u64,
    /// Its hash, in hex: note it elsewhere to see later that the end was not cut.
    pub head: String,
    /// The last journalled time.
    pub time: Option<Timestamp>,
    /// Segment files.
    pub segments: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Segments that were dropped since the start.
    pub dropped_segments: u64,
    /// The last checkpoint.
    pub checkpoint: Option<CheckpointNote>,
    /// Records that a start would read behind it.
    pub checkpoint_lag: u64,
    /// What the database behind is doing.
    pub index_state: IndexState,
    /// Sealed segments that it has.
    pub index_segments: u64,
    /// Of so many, when it was last looked at.
    pub sealed_segments: u64,
    /// Records that it does not have yet.
    pub index_lag: u64,
    /// Where a damaged one was put since the start.
    pub put_aside: Option<String>,
    /// Used idempotency keys of sealed segments that are remembered.
    pub used_keys: u64,
    /// How far everything was read and checked.
    pub scrubbed: Scrubbed,
    /// What was found wrong in the files since the start.
    pub findings: Vec<Finding>,
    /// Commands waiting.
    pub queue_depth: usize,
    /// Why it takes no commands, if it does not.
    pub failed: Option<String>,
}
