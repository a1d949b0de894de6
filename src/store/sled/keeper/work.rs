//! The thread, and its rounds.

use super::records::Buffer;
use crate::audit::{Chain, WriterId};
use crate::clock::ClockGuard;
use crate::state::{CheckpointNote, State};
use crate::store::sled::batch::Batches;
use crate::store::sled::findings::Findings;
use crate::store::sled::history::{History, failed};
use crate::store::sled::index::{IndexError, Rows};
use crate::store::sled::journal::{Disk, ReadError, Sealed, anchor, sealed_segments};
use crate::store::sled::progress::{IndexState, MOST_WAITING};
use crate::store::sled::writer::Queue;
use jiff::SignedDuration;
use parking_lot::Mutex;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How it works.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// A checkpoint is made when so many bytes of JSON were sealed since the last one, or twice its size.
    pub checkpoint_bytes: u64,
    /// Segments are dropped when all of them is so old; `None`: never.
    pub retain: Option<SignedDuration>,
    /// Used keys that are remembered at most; beyond that admissions are refused until some are over.
    pub keys: usize,
    /// What failed is tried again after so long, also when no segment was sealed meanwhile.
    pub again_after: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { checkpoint_bytes: 128 << 20, retain: None, keys: 100_000_000, again_after: Duration::from_secs(5) }
    }
}

/// The state as it stands at the last sealed segment.
pub(in crate::store::sled) struct Copy {
    /// The state.
    pub(in crate::store::sled) state: State,
    /// Its last record.
    pub(in crate::store::sled) chain: Chain,
    /// Who writes the journal.
    pub(in crate::store::sled) writer: WriterId,
}

/// What the keeper works with.
pub(in crate::store::sled) struct Work {
    pub(in crate::store::sled) history: Arc<History>,
    pub(in crate::store::sled) disk: Arc<dyn Disk>,
    pub(in crate::store::sled) checkpoints: PathBuf,
    pub(in crate::store::sled) keeping: Keeping,
    pub(in crate::store::sled) copy: Copy,
    /// Bytes of JSON sealed since the last checkpoint: what a start would have to read.
    pub(in crate::store::sled) since: u64,
    /// Checkpoints that were read back and that the chain names, oldest first.
    pub(in crate::store::sled) good: Vec<CheckpointNote>,
    /// One that the chain does not name yet.
    pub(in crate::store::sled) unnamed: Option<CheckpointNote>,
    pub(in crate::store::sled) queue: Arc<Queue<Batches>>,
    pub(in crate::store::sled) guard: Arc<ClockGuard>,
    pub(in crate::store::sled) findings: Arc<Findings>,
    /// The rows and the bytes of the segment that is read; kept, so that their memory is.
    pub(in crate::store::sled) rows: Rows,
    pub(in crate::store::sled) buffer: Buffer,
    /// What its records are unpacked into.
    pub(in crate::store::sled) room: Vec<u8>,
}

/// What others may know of it.
#[derive(Debug, Default)]
pub(in crate::store::sled) struct Kept {
    /// The last good checkpoint.
    pub(in crate::store::sled) checkpoint: Mutex<Option<CheckpointNote>>,
    /// Segments dropped since the start, and their bytes.
    pub(in crate::store::sled) dropped: Mutex<(u64, u64)>,
}

/// The thread.
pub(in crate::store::sled) struct Keeper {
    history: Arc<History>,
    stopping: Arc<AtomicBool>,
    pub(in crate::store::sled) kept: Arc<Kept>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Opens the database behind, catches up, then works whenever a segment is sealed. What it returns comes when it has
    /// caught up for the first time.
    pub(in crate::store::sled) fn start(work: Work) -> io::Result<(Self, Receiver<()>)> {
        let history = Arc::clone(&work.history);
        let ((wake, woken), (in_step, first_round)) = (channel(), channel());
        history.set_wake(Some(wake));
        let stopping = Arc::new(AtomicBool::new(false));
        let kept = Arc::new(Kept::default());
        *kept.checkpoint.lock() = work.good.last().or(work.unnamed.as_ref()).cloned();
        let thread = {
            let (stopping, kept) = (Arc::clone(&stopping), Arc::clone(&kept));
            std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
                open_index(&work.history);
                run(work, &kept, &woken, &in_step, &stopping);
            })?
        };
        Ok((Self { history, stopping, kept, thread: Mutex::new(Some(thread)) }, first_round))
    }

    /// Ends behind the segment that it works on. The queue must be closed before: it may wait for an answer.
    pub(in crate::store::sled) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.history.set_wake(None);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper thread ended with a panic");
        }
    }
}

fn run(mut work: Work, kept: &Kept, woken: &Receiver<()>, in_step: &Sender<()>, stopping: &AtomicBool) {
    loop {
        while woken.try_recv().is_ok() {}
        let round = work.round(kept, stopping);
        if let Err(error) = &round {
            tracing::error!(%error, "what is kept behind the journal fails; it is tried again soon");
        }
        let failed = round.is_err();
        let why = round.err().filter(KeepError::holds_up).map(|error| error.to_string());
        work.history.progress.stuck(why.as_deref());
        // the start may have stopped waiting for it
        let _ = in_step.send(());
        // where nothing can be committed for it, no segment is sealed that would wake it
        let heard =
            if failed { woken.recv_timeout(work.keeping.again_after) } else { woken.recv().map_err(Into::into) };
        if stopping.load(Ordering::Relaxed) || matches!(heard, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
    }
}

/// A round was broken off.
#[derive(Debug, thiserror::Error)]
pub(in crate::store::sled) enum KeepError {
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error("{0}: {1}")]
    Segment(PathBuf, String),
    #[error("the checkpoint could not be written: {0}")]
    Checkpoint(io::Error),
    #[error("segments could not be dropped: {0}")]
    Drop(io::Error),
}

impl KeepError {
    /// Whether sealed segments stay untaken for it.
    fn holds_up(&self) -> bool {
        matches!(self, Self::Journal(_) | Self::Segment(..))
    }
}

impl Work {
    /// Everything that there is to do, until there is nothing more.
    pub(in crate::store::sled) fn round(&mut self, kept: &Kept, stopping: &AtomicBool) -> Result<(), KeepError> {
        if self.history.progress.get().0 == IndexState::Failing && self.history.index().is_none() {
            open_index(&self.history);
        }
        if let Some(why) = self.history.damage() {
            self.begin_anew(&why);
        }
        loop {
            if stopping.load(Ordering::Relaxed) {
                return Ok(());
            }
            let sealed = sealed_segments(&self.history.journal)?;
            self.tell_progress(&sealed);
            let indexed = self.history.indexed();
            let for_copy = sealed.iter().find(|segment| segment.first_seq == self.copy.chain.seq + 1);
            let for_index = sealed.iter().find(|segment| segment.first_seq > indexed);
            let for_index = for_index.filter(|_| self.history.index().is_some());
            match (for_copy, for_index) {
                (None, None) => break,
                (Some(copy), _) => {
                    let both = for_index.is_some_and(|index| index.first_seq == copy.first_seq);
                    self.take(copy, true, both)?;
                    // one that cannot be written holds nothing else up; it is tried again below
                    if let Err(error) = self.checkpoint_if_due(kept) {
                        tracing::error!(%error, "a checkpoint failed");
                    }
                }
                (None, Some(index)) => self.take(index, false, true)?,
            }
        }
        self.checkpoint_if_due(kept)?;
        self.drop_segments(kept)
    }

    /// What the database behind lacks, and what of it memory holds.
    fn tell_progress(&self, sealed: &[Sealed]) {
        let progress = &self.history.progress;
        let step = self.history.step(sealed);
        let lacks = step.of - step.done;
        match progress.get().0 {
            IndexState::Opening if self.history.index().is_none() => {}
            _ if lacks == 0 => progress.set(IndexState::InStep, step),
            IndexState::InStep => progress.set(IndexState::InStep, step),
            state => progress.set(state, step),
        }
        progress.waiting(lacks);
        if !progress.is_behind() {
            self.history.let_go_upto(self.history.indexed());
        } else if sealed.len() > MOST_WAITING {
            // memory holds the operations of the last few segments; older ones can be read again when it has them
            self.history.let_go_upto(sealed[sealed.len() - MOST_WAITING].first_seq - 1);
        }
        if lacks > 0 {
            tracing::info!(done = step.done, of = step.of, "journal segments that the database behind has");
        }
    }

    pub(super) fn begin_anew(&self, why: &IndexError) {
        tracing::error!(%why, "the database behind the journal fails");
        let begun = sealed_segments(&self.history.journal).map_err(|error| failed(&error)).and_then(|sealed| {
            let before = anchor(&self.history.journal).map_err(|error| failed(&error))?;
            self.history.begin_anew(why, &sealed, before)
        });
        if let Err(error) = begun {
            tracing::error!(%error, "the database behind the journal cannot be begun anew");
            let (_, step) = self.history.progress.get();
            self.history.progress.set(IndexState::Failing, step);
        }
    }
}

/// Opens the database behind; what comes in its way is told, and it is tried again later.
pub(in crate::store::sled) fn open_index(history: &History) {
    let opened = sealed_segments(&history.journal).map_err(|error| failed(&error)).and_then(|sealed| {
        let before = anchor(&history.journal).map_err(|error| failed(&error))?;
        history.open_index(&sealed, before)
    });
    if let Err(error) = opened {
        tracing::error!(%error, "the database behind the journal cannot be opened");
        let (_, step) = history.progress.get();
        history.progress.set(IndexState::Failing, step);
    }
}
