//! The way in: a queue with a bound, and a reply that comes when the batch is durable.

use super::core::{Core, Outcome};
use crate::clock::Clock;
use crate::store::CommitFailure;
use parking_lot::{Mutex, RwLock};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Comes when the command's batch is durable, or when it is certain that it will not be. A reply that is dropped
/// unsent means the writer ended without deciding: treat it as [`CommitFailure::Closing`].
pub type Reply<A, R> = oneshot::Receiver<Outcome<A, R>>;

/// One command on its way.
pub(super) struct Job<C: Core> {
    pub(super) command: C::Command,
    pub(super) reply: oneshot::Sender<Outcome<C::Answer, C::Refusal>>,
    /// The monotonic clock when it was queued.
    pub(super) queued: Duration,
    /// The monotonic clock after which it is not decided any more.
    pub(super) until: Option<Duration>,
}

/// Where commands are handed in, from any thread.
pub struct Queue<C: Core> {
    sender: RwLock<Option<SyncSender<Job<C>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    depth: Arc<AtomicUsize>,
    clock: Arc<dyn Clock>,
}

impl<C: Core> fmt::Debug for Queue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("depth", &self.depth()).finish_non_exhaustive()
    }
}

impl<C: Core> Queue<C> {
    pub(super) fn new(
        sender: SyncSender<Job<C>>,
        thread: JoinHandle<()>,
        depth: Arc<AtomicUsize>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { sender: RwLock::new(Some(sender)), thread: Mutex::new(Some(thread)), depth, clock }
    }

    /// Hands a command in. The reply of one that finds the queue full, or closed, is there at once.
    pub fn submit(&self, command: C::Command) -> Reply<C::Answer, C::Refusal> {
        self.submit_until(command, None)
    }

    /// The same for a command that is not decided any more when its turn comes after `until`, on the monotonic clock.
    pub fn submit_until(&self, command: C::Command, until: Option<Duration>) -> Reply<C::Answer, C::Refusal> {
        let (reply, receiver) = oneshot::channel();
        let job = Job { command, reply, queued: self.clock.monotonic(), until };
        self.depth.fetch_add(1, Ordering::Relaxed);
        let turned_away = match &*self.sender.read() {
            None => Some((job, CommitFailure::Closing)),
            Some(sender) => match sender.try_send(job) {
                Ok(()) => None,
                Err(TrySendError::Full(job)) => Some((job, CommitFailure::Busy)),
                Err(TrySendError::Disconnected(job)) => Some((job, CommitFailure::Closing)),
            },
        };
        if let Some((job, why)) = turned_away {
            self.depth.fetch_sub(1, Ordering::Relaxed);
            // its receiver is in our hands, so it cannot be gone
            let _ = job.reply.send(Err(why));
        }
        receiver
    }

    /// How many commands wait.
    pub fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
    }

    /// Takes nothing more in, has everything that waits decided and answered, and returns when the writer has ended.
    pub fn close(&self) {
        drop(self.sender.write().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread ended with a panic");
        }
    }
}

impl<C: Core> Drop for Queue<C> {
    fn drop(&mut self) {
        self.close();
    }
}
