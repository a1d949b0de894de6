//! The store as its callers see it.

use super::batch::{Batches, preview};
use super::blobs::{BlobError, Blobs};
use super::history::History;
use super::index::Index;
use super::lock::Lock;
use super::writer::{Moment, Queue, Shared};
use crate::admission::DecisionRecord;
use crate::audit::{Digest, WriterId};
use crate::clock::ClockGuard;
use crate::decide::{Answer, Envelope, Limits, Refusal};
use crate::state::State;
use crate::store::{
    AuditEntry, AuditFilter, CommitError, DecisionFilter, Page, Position, Reply, Store, StoreError, StoreStatus,
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
            let _ = reply.send(Err(CommitError::Busy));
            return receiver;
        }
        self.0.queue.submit(envelope)
    }

    fn preview(&self, envelope: &Envelope, now: Timestamp) -> Result<Answer, Refusal> {
        let chain = self.0.shared.chain();
        let last = Timestamp::from_nanosecond(i128::from(chain.time_ns)).unwrap_or(Timestamp::MIN);
        let moment = Moment { now: now.max(last), seq: chain.seq + 1, writer: self.0.writer_id };
        preview(&self.0.state.read(), envelope, &moment, &self.0.limits)
    }

    fn read(&self, reader: &mut dyn FnMut(&State)) {
        reader(&self.0.state.read());
    }

    fn decision(&self, id: &AdmissionId) -> Result<Option<Arc<DecisionRecord>>, StoreError> {
        self.0.history.decision(id)
    }

    fn decisions(
        &self,
        filter: &DecisionFilter,
        cursor: Option<Position>,
        limit: usize,
    ) -> Result<Page<Arc<DecisionRecord>>, StoreError> {
        self.0.history.decisions(filter, cursor, limit)
    }

    fn last_admission(
        &self,
        run: &RunId,
        step: Option<&StepName>,
    ) -> Result<Option<Arc<DecisionRecord>>, StoreError> {
        self.0.history.last_admission(run, step)
    }

    fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<Position>,
        limit: usize,
    ) -> Result<Page<AuditEntry>, StoreError> {
        self.0.history.audit(filter, cursor, limit)
    }

    fn put_policy_set(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.blobs.put(digest, bytes).map_err(|error: BlobError| StoreError::Failed(error.to_string()))
    }

    fn policy_set(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.blobs.get(digest).map_err(|error| StoreError::Failed(error.to_string()))
    }

    fn status(&self) -> StoreStatus {
        let parts = &self.0;
        let chain = parts.shared.chain();
        let (segments, bytes) = parts.shared.journal_size();
        let last_time = Timestamp::from_nanosecond(i128::from(chain.time_ns)).ok().filter(|_| chain.seq > 0);
        StoreStatus {
            last_seq: chain.seq,
            head: chain.head,
            last_time,
            segments,
            bytes,
            index_lag: chain.seq.saturating_sub(parts.history.indexed()),
            rebuilding: parts.history.is_rebuilding(),
            queue_depth: parts.queue.depth(),
            failed: parts.shared.failure(),
        }
    }

    fn shutdown(&self) {
        self.0.queue.close();
        self.0.indexer.stop();
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        self.shutdown();
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
