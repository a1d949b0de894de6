//! The thread itself. Read [`Writer::commit`]: it is the one place where anything becomes durable.

use super::core::{Core, Decided, Moment, Outcome};
use super::queue::{Job, Queue};
use crate::audit::{Chain, FrameDraft};
use crate::clock::ClockGuard;
use crate::store::CommitFailure;
use crate::store::sled::journal::{Appended, Journal, JournalError};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A record's memory is kept for the next one, up to so many bytes.
const RECORD_KEPT: usize = 64 << 20;

/// So long what fell due meanwhile waits for a command to go along with.
const SOON: Duration = Duration::from_millis(2);

/// How the writer works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many commands may wait.
    pub queue: usize,
    /// How many one batch takes at most.
    pub batch: usize,
    /// How often an idle writer looks whether something is due.
    pub tick: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue: 4096, batch: 512, tick: Duration::from_millis(250) }
    }
}

/// What others may know of the writer.
#[derive(Debug)]
pub struct Shared {
    chain: Mutex<Chain>,
    /// Segments of the journal, and their bytes.
    size: Mutex<(usize, u64)>,
    failure: Mutex<Option<Arc<str>>>,
}

impl Shared {
    /// The last durable record.
    pub fn chain(&self) -> Chain {
        *self.chain.lock()
    }

    /// How many segments the journal has, and their bytes.
    pub fn journal_size(&self) -> (usize, u64) {
        *self.size.lock()
    }

    /// Why nothing can be made durable at present; `None` while it can.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.failure.lock().clone()
    }
}

/// Starts the writer behind this journal.
pub fn start<C: Core>(
    core: C,
    journal: Journal,
    clock: Arc<ClockGuard>,
    settings: Settings,
) -> io::Result<(Queue<C>, Arc<Shared>)> {
    let (writer, way_in) = Writer::new(core, journal, clock, settings);
    let shared = Arc::clone(&writer.shared);
    let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run())?;
    Ok((way_in(thread), shared))
}

struct Waiting<C: Core> {
    reply: tokio::sync::oneshot::Sender<Outcome<C::Answer, C::Refusal>>,
    queued: Duration,
}

/// What the thread works with. A simulation has it work step by step instead.
pub(in crate::store::sled) struct Writer<C: Core> {
    core: C,
    journal: Journal,
    receiver: Receiver<Job<C>>,
    settings: Settings,
    clock: Arc<ClockGuard>,
    depth: Arc<AtomicUsize>,
    shared: Arc<Shared>,
    /// The batch: its commands, and who waits for each of them.
    commands: Vec<C::Command>,
    waiting: Vec<Waiting<C>>,
    /// The record being built; kept, so that its memory is, unless that is much.
    record: Vec<u8>,
    /// What it is packed into; kept likewise.
    room: Vec<u8>,
}

impl<C: Core> Writer<C> {
    /// A writer that does nothing yet, and what makes its way in once it has a thread.
    pub(in crate::store::sled) fn new(
        core: C,
        journal: Journal,
        clock: Arc<ClockGuard>,
        settings: Settings,
    ) -> (Self, impl FnOnce(JoinHandle<()>) -> Queue<C>) {
        let (sender, receiver) = sync_channel(settings.queue);
        let depth = Arc::new(AtomicUsize::new(0));
        let shared = Arc::new(Shared {
            chain: Mutex::new(*journal.chain()),
            size: Mutex::new(journal.size()),
            failure: Mutex::new(None),
        });
        let (own_depth, own_clock) = (Arc::clone(&depth), Arc::clone(clock.clock()));
        let writer = Self {
            core,
            journal,
            receiver,
            settings,
            clock,
            depth,
            shared,
            commands: Vec::with_capacity(settings.batch),
            waiting: Vec::with_capacity(settings.batch),
            record: Vec::new(),
            room: Vec::new(),
        };
        (writer, move |thread| Queue::new(sender, thread, own_depth, own_clock))
    }

    /// Ends when the queue is closed and empty.
    fn run(mut self) {
        // while more falls due than one batch takes, the next one begins at once
        let mut wait = self.settings.tick;
        loop {
            let asked = self.receiver.recv_timeout(wait);
            let idle = asked.is_err();
            match asked {
                Ok(job) => self.take_batch(job),
                Err(RecvTimeoutError::Timeout) if self.nothing_due() => {
                    wait = self.settings.tick;
                    self.mark();
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.mark(),
            }
            let before = self.journal.chain().seq;
            let committed = catch_unwind(AssertUnwindSafe(|| self.commit()));
            let moved = self.journal.chain().seq > before;
            wait = if !moved || self.nothing_due() {
                self.settings.tick
            } else if idle {
                Duration::ZERO
            } else {
                // the next command is likely to come at once: one record less, if it takes along what is due
                SOON.min(self.settings.tick)
            };
            if committed.is_err() {
                // deciding is caught where it happens; this came from between the journal and the readers, whose state
                // may be half changed: nothing is committed on top of it
                self.poison();
                return;
            }
            if idle && !moved {
                // what is due waits for something else, and so does nobody
                self.mark();
            }
        }
    }

    /// Commits what was asked, if anything was, without waiting for it: for a simulation, which has no thread.
    #[cfg(test)]
    pub(in crate::store::sled) fn asked(&mut self) -> bool {
        let Ok(job) = self.receiver.try_recv() else { return false };
        self.take_batch(job);
        self.commit();
        true
    }

    /// Does what a tick does: commits what is due, and marks what is durable where nothing was. Whether it moved.
    #[cfg(test)]
    pub(in crate::store::sled) fn ticked(&mut self) -> bool {
        let before = self.journal.chain().seq;
        if !self.nothing_due() {
            self.commit();
        }
        let moved = self.journal.chain().seq > before;
        if !moved {
            self.mark();
        }
        moved
    }

    /// Who writes.
    #[cfg(test)]
    pub(in crate::store::sled) fn id(&self) -> crate::audit::WriterId {
        self.journal.writer()
    }

    /// The last durable record.
    #[cfg(test)]
    pub(in crate::store::sled) fn chain(&self) -> Chain {
        *self.journal.chain()
    }

    /// Makes a segment where there is none.
    fn open_segment(&mut self) -> io::Result<()> {
        if self.journal.is_failed() { self.make_room() } else { Ok(()) }
    }

    /// Makes a segment where there is none with room; with that, commands can be made durable again.
    fn make_room(&mut self) -> io::Result<()> {
        self.journal.make_room()?;
        if self.shared.failure.lock().take().is_some() {
            tracing::info!("a journal segment could be made again");
        }
        Ok(())
    }

    /// Nothing waits and nothing is due: tries again what failed, so that who waits for readiness hears of it, and notes that
    /// the last record is durable, so that it is never taken for a torn one.
    fn mark(&mut self) {
        let failed = self.shared.failure.lock().is_some();
        let open = if failed { self.make_room() } else { Ok(()) };
        let marked = open.and_then(|()| self.journal.mark());
        if let Err(error) = marked
            && self.shared.failure.lock().is_none()
        {
            tracing::warn!(%error, "the mark of what is durable could not be written");
        }
    }

    fn nothing_due(&self) -> bool {
        !self.core.is_due(self.now())
    }

    fn take_batch(&mut self, first: Job<C>) {
        let now = self.clock.clock().monotonic();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(job) = next.take() {
            taken += 1;
            let mut last = false;
            if let Some(job) = still_wanted(job, now) {
                last = self.core.ends_batch(&job.command);
                self.commands.push(job.command);
                self.waiting.push(Waiting { reply: job.reply, queued: job.queued });
            }
            if !last && self.commands.len() < self.settings.batch {
                next = self.receiver.try_recv().ok();
            }
        }
        let depth = self.depth.fetch_sub(taken, Ordering::Relaxed) - taken;
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        {
            metrics::gauge!("tollgate_commit_queue_depth").set(depth as f64);
            metrics::histogram!("tollgate_commit_batch_size").record(self.commands.len() as f64);
        }
    }

    /// Decides the batch, makes it durable, shows it, answers. In this order: nobody hears or sees anything that is not
    /// on stable storage.
    fn commit(&mut self) {
        let span = tracing::debug_span!("commit", batch = self.commands.len(), seq = self.journal.chain().seq + 1);
        let _in_span = span.enter();
        if let Err(error) = self.open_segment() {
            return self.refuse_not_durable(&JournalError::Failed(error));
        }
        let chain = *self.journal.chain();
        let moment = Moment { now: self.now(), seq: chain.seq + 1, writer: self.journal.writer() };
        let mut record = std::mem::take(&mut self.record);
        let mut frame = FrameDraft::new(&mut record);
        let Decided { changes, outcomes } = self.core.decide(&self.commands, &moment, frame.payload());
        debug_assert_eq!(outcomes.len(), self.commands.len(), "one outcome for each command");
        let durable = match changes {
            None => Ok(()),
            Some(changes) => packed(frame, &mut self.room)
                .finish(&chain, nanoseconds(moment.now))
                .map_err(JournalError::TooLong)
                .and_then(|next| self.append(&record, next))
                .map(|place| self.core.merge(changes, &moment, &place)),
        };
        if record.capacity() <= RECORD_KEPT {
            self.record = record;
        }
        if self.room.capacity() > RECORD_KEPT {
            self.room = Vec::new();
        }
        match durable {
            Ok(()) => self.answer(outcomes),
            Err(error) => self.refuse_not_durable(&error),
        }
    }

    fn append(&mut self, record: &[u8], next: Chain) -> Result<Appended, JournalError> {
        let span = tracing::debug_span!("flush", bytes = record.len());
        let place = span.in_scope(|| {
            let before = self.clock.clock().monotonic();
            let place = self.journal.append(record, next)?;
            let took = self.clock.clock().monotonic().saturating_sub(before);
            metrics::histogram!("tollgate_journal_flush_seconds").record(took.as_secs_f64());
            metrics::counter!("tollgate_journal_bytes_total").increment(record.len() as u64);
            Ok(place)
        })?;
        *self.shared.chain.lock() = next;
        *self.shared.size.lock() = self.journal.size();
        *self.shared.failure.lock() = None;
        Ok(place)
    }

    /// The batch's time. While the wall clock cannot be trusted no admission comes this far, but holds expire and are
    /// settled, by the time that the monotonic clock tells.
    pub(in crate::store::sled) fn now(&self) -> Timestamp {
        let now = self.clock.now().unwrap_or_else(|_| self.clock.steady());
        let last = Timestamp::from_nanosecond(i128::from(self.journal.chain().time_ns)).unwrap_or(Timestamp::MIN);
        now.max(last)
    }

    fn answer(&mut self, outcomes: Vec<Outcome<C::Answer, C::Refusal>>) {
        let now = self.clock.clock().monotonic();
        self.commands.clear();
        for (waiting, outcome) in self.waiting.drain(..).zip(outcomes) {
            metrics::histogram!("tollgate_commit_seconds").record(now.saturating_sub(waiting.queued).as_secs_f64());
            // who no longer waits finds the answer under the same key
            let _ = waiting.reply.send(outcome);
        }
    }

    fn refuse_not_durable(&mut self, error: &JournalError) {
        tracing::error!(%error, batch = self.commands.len(), "a batch could not be made durable; it was refused");
        metrics::counter!("tollgate_journal_failures_total").increment(1);
        let why: Arc<str> = error.to_string().into();
        // no segment is open, or the next one could not be made: the next record has nowhere to go either. One that is too
        // long is as long the next time, where it is what fell due that makes it so.
        let failed = self.journal.is_failed() || matches!(error, JournalError::Failed(_) | JournalError::TooLong(_));
        *self.shared.failure.lock() = failed.then(|| Arc::clone(&why));
        self.refuse(&CommitFailure::NotDurable(why));
    }

    /// Refuses the whole batch: also what only repeated an earlier answer, for that may have been made in this batch.
    fn refuse(&mut self, why: &CommitFailure<C::Refusal>) {
        self.commands.clear();
        for waiting in self.waiting.drain(..) {
            let _ = waiting.reply.send(Err(why.without_refusal()));
        }
    }

    fn poison(&mut self) {
        tracing::error!("the writer stopped: what it wrote could not be shown to readers; restart the daemon");
        let why: Arc<str> = "the writer stopped after an internal error; the daemon must be restarted".into();
        *self.shared.failure.lock() = Some(Arc::clone(&why));
        self.refuse(&CommitFailure::NotDurable(Arc::clone(&why)));
        while let Ok(job) = self.receiver.recv() {
            self.depth.fetch_sub(1, Ordering::Relaxed);
            let _ = job.reply.send(Err(CommitFailure::NotDurable(Arc::clone(&why))));
        }
    }
}

/// The job, unless it waited beyond its deadline or nobody waits for it any more: what nobody would hear is not decided, so
/// no hold is placed that nobody knows of.
fn still_wanted<C: Core>(job: Job<C>, now: Duration) -> Option<Job<C>> {
    if job.until.is_some_and(|until| until < now) {
        metrics::counter!("tollgate_commit_dropped_total", "why" => "late").increment(1);
        // who is gone as well does not hear it
        let _ = job.reply.send(Err(CommitFailure::Late));
        return None;
    }
    if job.reply.is_closed() {
        metrics::counter!("tollgate_commit_dropped_total", "why" => "gone").increment(1);
        return None;
    }
    Some(job)
}

fn packed<'a>(mut frame: FrameDraft<'a>, room: &mut Vec<u8>) -> FrameDraft<'a> {
    frame.pack(room);
    frame
}

/// A batch's time as the record carries it. Times beyond the year 2262 do not fit, and stay at the end.
fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}
