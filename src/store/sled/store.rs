//! The store as its callers see it.

use super::batch::{Batches, preview, rehearsal};
use super::blobs::Blobs;
use super::history::{History, Operation};
use super::index::Index;
use super::lock::Lock;
use super::position::Position;
use super::writer::{Moment, Queue, Shared};
use crate::admission::{AdmissionAnswer, DecisionRecord};
use crate::audit::{Digest, WriterId};
use crate::clock::ClockGuard;
use crate::decide::{Answer, Envelope, Limits, Refusal, Rehearsed, Taken};
use crate::runs::RunEvent;
use crate::state::State;
use crate::store::{
    AuditFilter, AuditRecord, CommitFailure, DecisionFilter, Feed, Following, Page, ReadError, Reply, Store,
    StoreStatus,
};
use crate::vocabulary::{AdmissionId, RunId, StepName};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

/// The embedded store.
pub struct Sled(Parts);

/// What it is made of.
pub(super) struct Parts {
    pub(super) queue: Queue<Batches>,
    pub(super) indexer: Indexer,
    pub(super) state: Arc<RwLock<State>>,
    pub(super) history: Arc<History>,
    pub(super) shared: Arc<Shared>,
    pub(super) guard: Arc<ClockGuard>,
    pub(super) writer_id: WriterId,
    pub(super) blobs: Blobs,
    pub(super) limits: Limits,
    pub(super) feed: Feed,
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

    /// The database behind, for checks.
    pub fn index(&self) -> Arc<Index> {
        self.0.history.index()
    }
}

impl Store for Sled {
    fn submit(&self, envelope: Envelope) -> Reply {
        if self.0.history.lags_too_far() {
            let (reply, receiver) = tokio::sync::oneshot::channel();
            // its receiver is in our hands, so it cannot be gone
            let _ = reply.send(Err(CommitFailure::Busy));
            return receiver;
        }
        self.0.queue.submit(envelope)
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
        StoreStatus {
            seq: chain.seq,
            head: chain.head.to_string(),
            time: Timestamp::from_nanosecond(i128::from(chain.time_ns)).ok().filter(|_| chain.seq > 0),
            segments: segments as u64,
            journal_bytes,
            index_lag: chain.seq.saturating_sub(parts.history.indexed()),
            queue_depth: parts.queue.depth(),
            failed: parts.shared.failure().map(|why| why.to_string()),
        }
    }

    fn shut_down(&self) {
        self.0.queue.close();
        self.0.indexer.stop();
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

/// The thread that gives sealed segments to the database behind.
pub(super) struct Indexer {
    history: Arc<History>,
    stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Indexer {
    pub(super) fn start(history: Arc<History>) -> io::Result<Self> {
        let (wake, woken) = channel();
        history.set_wake(Some(wake));
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = {
            let (history, stopping) = (Arc::clone(&history), Arc::clone(&stopping));
            std::thread::Builder::new().name("indexer".to_owned()).spawn(move || {
                while woken.recv().is_ok() {
                    // several seals while one was worked on are done in one go
                    while woken.try_recv().is_ok() {}
                    if let Err(error) = history.catch_up(&|| !stopping.load(Ordering::Relaxed)) {
                        tracing::error!(%error, "the database behind the journal fails; what it lacks stays in memory");
                    }
                }
            })?
        };
        Ok(Self { history, stopping, thread: Mutex::new(Some(thread)) })
    }

    /// Ends behind the segment that it works on.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.history.set_wake(None);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the indexer thread ended with a panic");
        }
    }
}
