//! The store as its callers see it.

use super::batch::{Batches, preview, rehearsal};
use super::blobs::Blobs;
use super::findings::Findings;
use super::history::History;
use super::index::Index;
use super::keeper::Keeper;
use super::list::Operation;
use super::lock::Lock;
use super::position::Position;
use super::scrub::Scrubber;
use super::writer::{Moment, Queue, Shared};
use crate::admission::{AdmissionAnswer, DecisionRecord};
use crate::audit::{Digest, WriterId};
use crate::budget::{Account, Accounts as _, Hold};
use crate::clock::ClockGuard;
use crate::decide::{Answer, Command, Envelope, Limits, Refusal, Rehearsed, Taken};
use crate::runs::RunEvent;
use crate::state::State;
use crate::store::{
    AuditFilter, AuditRecord, CommitFailure, DecisionFilter, Feed, Following, Page, ReadError, Reply, Store,
    StoreStatus,
};
use crate::vocabulary::{AdmissionId, BudgetId, HoldId, RunId, StepName};
use jiff::Timestamp;
use parking_lot::RwLock;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The embedded store.
pub struct Sled(Parts);

/// What it is made of.
pub(super) struct Parts {
    pub(super) queue: Arc<Queue<Batches>>,
    pub(super) keeper: Keeper,
    pub(super) scrubber: Scrubber,
    pub(super) findings: Arc<Findings>,
    pub(super) state: Arc<RwLock<State>>,
    pub(super) history: Arc<History>,
    pub(super) shared: Arc<Shared>,
    pub(super) guard: Arc<ClockGuard>,
    pub(super) writer_id: WriterId,
    pub(super) blobs: Blobs,
    pub(super) limits: Limits,
    pub(super) feed: Feed,
    pub(super) most_keys: usize,
    /// Let go of last.
    #[expect(dead_code, reason = "held, not read")]
    pub(super) lock: Lock,
}

impl fmt::Debug for Sled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sled").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Sled {
    pub(super) fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// When and where the next batch would be decided.
    fn next_moment(&self, now: Timestamp) -> Moment {
        let chain = self.0.shared.chain();
        let last = Timestamp::from_nanosecond(i128::from(chain.time_ns)).unwrap_or(Timestamp::MIN);
        Moment { now: now.max(last), seq: chain.seq + 1, writer: self.0.writer_id }
    }

    /// The clock that its batches go by.
    pub fn clock(&self) -> &Arc<ClockGuard> {
        &self.0.guard
    }

    /// The database behind, for checks; `None` until it is open.
    pub fn index(&self) -> Option<Arc<Index>> {
        self.0.history.index()
    }
}

impl Store for Sled {
    fn submit_until(&self, envelope: Envelope, until: Option<Duration>) -> Reply {
        let full = matches!(envelope.command, Command::Admit(_)) && self.0.history.keys.len() >= self.0.most_keys;
        if full || self.0.history.lags_too_far() {
            let why = self.0.history.failure().map_or(CommitFailure::Busy, CommitFailure::NotDurable);
            let (reply, receiver) = tokio::sync::oneshot::channel();
            // its receiver is in our hands, so it cannot be gone
            let _ = reply.send(Err(why));
            return receiver;
        }
        self.0.queue.submit_until(envelope, until)
    }

    fn preview(&self, envelope: &Envelope, now: Timestamp) -> Result<Answer, Refusal> {
        preview(&self.0.state.read(), envelope, &self.next_moment(now), &self.0.limits)
    }

    fn rehearse(&self, asks: &[Rehearsed], taken: &mut Taken, now: Timestamp) -> Vec<Result<AdmissionAnswer, Refusal>> {
        rehearsal(&self.0.state.read(), asks, taken, &self.next_moment(now), &self.0.limits)
    }

    fn follow(&self) -> Following {
        self.0.feed.follow()
    }

    fn read_state(&self, reader: &mut dyn FnMut(&State)) {
        reader(&self.0.state.read());
    }

    fn hold(&self, id: &HoldId) -> Result<Option<Arc<Hold>>, ReadError> {
        // it leaves memory when the database behind has it: in this order it is seen
        let in_memory = self.0.state.read().hold(id).cloned();
        match in_memory {
            Some(hold) => Ok(Some(hold)),
            None => Ok(self.0.history.hold(id)?),
        }
    }

    fn past_accounts(&self, budget: &BudgetId) -> Result<Vec<Account>, ReadError> {
        let mut accounts = self.0.history.past_accounts(budget)?;
        let state = self.0.state.read();
        accounts.retain(|account| state.account(&account.key).is_none());
        Ok(accounts)
    }

    fn decision(&self, id: &AdmissionId) -> Result<Option<Arc<DecisionRecord>>, ReadError> {
        Ok(self.0.history.decision(id)?)
    }

    fn decisions(
        &self,
        filter: &DecisionFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Arc<DecisionRecord>>, ReadError> {
        let part = self.0.history.decisions(filter, Position::of_cursor(cursor)?, limit)?;
        Ok(Page { items: part.items, next: part.next.map(|next| next.to_string()) })
    }

    fn last_action(&self, run: &RunId, step: Option<&StepName>) -> Result<Option<Arc<DecisionRecord>>, ReadError> {
        Ok(self.0.history.last_admission(run, step)?)
    }

    fn run_events(&self, run: &RunId, from: u64, to: u64) -> Result<Vec<Arc<RunEvent>>, ReadError> {
        Ok(self.0.history.run_events(run, from, to)?)
    }

    fn audit(&self, filter: &AuditFilter, cursor: Option<&str>, limit: usize) -> Result<Page<AuditRecord>, ReadError> {
        let part = self.0.history.audit(filter, Position::of_cursor(cursor)?, limit)?;
        let items = part.items.iter().map(audit_record).collect::<Result<_, _>>()?;
        Ok(Page { items, next: part.next.map(|next| next.to_string()) })
    }

    fn put_blob(&self, address: &str, bytes: &[u8]) -> Result<(), ReadError> {
        self.0.blobs.put(&digest(address)?, bytes).map_err(|error| ReadError::Failed(error.to_string()))
    }

    fn blob(&self, address: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.blobs.get(&digest(address)?).map_err(|error| ReadError::Failed(error.to_string()))
    }

    fn status(&self) -> StoreStatus {
        let parts = &self.0;
        let chain = parts.shared.chain();
        let (segments, journal_bytes) = parts.shared.journal_size();
        let (dropped_segments, dropped_bytes) = *parts.keeper.kept.dropped.lock();
        let checkpoint = parts.keeper.kept.checkpoint.lock().clone();
        let (index_state, step) = parts.history.progress.get();
        StoreStatus {
            seq: chain.seq,
            head: chain.head.to_string(),
            time: Timestamp::from_nanosecond(i128::from(chain.time_ns)).ok().filter(|_| chain.seq > 0),
            segments: (segments as u64).saturating_sub(dropped_segments),
            journal_bytes: journal_bytes.saturating_sub(dropped_bytes),
            dropped_segments,
            checkpoint_lag: chain.seq - checkpoint.as_ref().map_or(0, |note| note.seq).min(chain.seq),
            checkpoint,
            index_state,
            index_segments: step.done as u64,
            sealed_segments: step.of as u64,
            put_aside: parts.history.progress.was_put_aside().map(|aside| aside.to.display().to_string()),
            used_keys: parts.history.keys.len() as u64,
            findings: parts.findings.all(),
            scrubbed: parts.scrubber.scrubbed(),
            index_lag: chain.seq.saturating_sub(parts.history.indexed()),
            queue_depth: parts.queue.depth(),
            failed: parts.shared.failure().or_else(|| parts.history.failure()).map(|why| why.to_string()),
        }
    }

    fn shut_down(&self) {
        self.0.queue.close();
        self.0.keeper.stop();
        self.0.scrubber.stop();
    }
}

fn digest(address: &str) -> Result<Digest, ReadError> {
    address.parse().map_err(|error| ReadError::Failed(format!("the address {address:?} {error}")))
}

fn audit_record(operation: &Operation) -> Result<AuditRecord, ReadError> {
    let entry = &operation.entry;
    Ok(AuditRecord {
        seq: operation.position.seq,
        index: operation.position.index,
        at: operation.time,
        op: entry.op.clone(),
        actor: entry.actor.clone(),
        subject: entry.subject.clone(),
        reason: entry.reason.clone(),
        before: entry.before.clone(),
        effects: serde_json::to_value(&entry.effects).map_err(|error| ReadError::Failed(error.to_string()))?,
    })
}

impl Drop for Sled {
    fn drop(&mut self) {
        self.shut_down();
    }
}
