//! The start: the lock, the journal read from its beginning, the state made from it, the database behind checked or built
//! anew, and the writer and the indexer started.

use super::batch::{Batches, Record};
use super::blobs::Blobs;
use super::history::HistoryError;
use super::history::{History, PutAside};
use super::journal::{Disk, Journal, OsDisk, Place, ReadError, Torn, Walk, cut_torn_end, walk};
use super::lock::{Lock, LockError};
use super::store::{Indexer, Parts, Sled};
use super::writer;
use crate::audit::{Frame, WriterId};
use crate::clock::{Clock, ClockGuard};
use crate::decide::Limits;
use crate::state::State;
use crate::store::Feed;
use jiff::Timestamp;
use parking_lot::RwLock;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the store works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state directory; made where it does not exist.
    pub state: PathBuf,
    /// A journal segment as long as this is sealed.
    pub segment_bytes: u64,
    /// The writer's queue, batches and tick.
    pub writer: writer::Settings,
    /// Bounds that decisions keep to.
    pub limits: Limits,
}

impl Settings {
    /// The usual ones for this state directory.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            segment_bytes: 64 << 20,
            writer: writer::Settings::default(),
            limits: Limits::default(),
        }
    }
}

/// What the start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Records that were read.
    pub records: u64,
    /// The end that a crash left, which was cut off. Nobody ever got an answer from it.
    pub torn: Option<Torn>,
    /// The database behind was damaged, and built anew.
    pub put_aside: Option<PutAside>,
}

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another daemon uses the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal is damaged, or cannot be read.
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] ReadError),
    /// The database behind cannot be made.
    #[error(transparent)]
    Database(#[from] HistoryError),
    /// A file or directory cannot be made or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The machine has no randomness to give.
    #[error("no randomness: {0}")]
    Random(String),
}

impl Sled {
    /// Opens the store of a state directory.
    pub fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(settings, clock, Box::new(OsDisk))
    }

    /// The same, with the journal on another disk: tests bring one that fails.
    pub fn open_on(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        disk: Box<dyn Disk>,
    ) -> Result<(Self, Recovery), OpenError> {
        let state_dir = &settings.state;
        let journal_dir = state_dir.join("journal");
        make_directory(state_dir)?;
        let lock = Lock::take(state_dir)?;
        make_directory(&journal_dir)?;
        remove_unfinished(&journal_dir)?;

        let (history, put_aside) = History::open(journal_dir.clone(), state_dir.join("db"))?;
        let (state, walked) = replay(&journal_dir, &history)?;
        if let Some(torn) = &walked.torn {
            tracing::warn!(file = %torn.path.display(), offset = torn.offset, bytes = torn.bytes,
                "the journal's end was torn by a crash and is cut off; nothing in it was ever answered");
            cut_torn_end(torn).map_err(|error| OpenError::Io { path: torn.path.clone(), error })?;
        }
        history.catch_up(&|| true)?;
        let recovery = Recovery { records: walked.chain.seq, torn: walked.torn.clone(), put_aside };

        let io = |error| OpenError::Io { path: journal_dir.clone(), error };
        let journal =
            Journal::open(disk, &journal_dir, &walked, random_writer()?, settings.segment_bytes).map_err(io)?;
        let last_time = last_time(&walked);
        let guard = Arc::new(ClockGuard::new(clock, last_time));
        let (state, history) = (Arc::new(RwLock::new(state)), Arc::new(history));
        // what was due while nobody could be heard is waited for anew
        let limits = Limits { up_since: Some(guard.steady()), ..settings.limits.clone() };
        let feed = Feed::default();
        let batches = Batches {
            state: Arc::clone(&state),
            history: Arc::clone(&history),
            limits: limits.clone(),
            feed: feed.clone(),
        };
        let writer_id = journal.writer();
        let indexer = Indexer::start(Arc::clone(&history)).map_err(io)?;
        let (queue, shared) = writer::start(batches, journal, Arc::clone(&guard), settings.writer).map_err(io)?;
        let parts = Parts {
            state,
            history,
            queue,
            shared,
            guard,
            writer_id,
            indexer,
            blobs: Blobs::new(state_dir.join("blobs")),
            limits,
            feed,
            lock,
        };
        Ok((Self::new(parts), recovery))
    }
}

fn last_time(walked: &Walk) -> Option<Timestamp> {
    (walked.chain.seq > 0).then(|| Timestamp::from_nanosecond(i128::from(walked.chain.time_ns)).ok()).flatten()
}

/// Makes the state from the journal. Nothing is decided again: every record says what stood after it.
fn replay(journal: &Path, history: &History) -> Result<(State, Walk), OpenError> {
    let mut state = State::default();
    let indexed = history.indexed();
    let mut segment = None;
    let mut visit = |place: Place, frame: &Frame<'_>| {
        if segment.replace(place.segment) != Some(place.segment) && frame.seq > 1 {
            tracing::info!(records = frame.seq - 1, "reading the journal");
            // what was read is sealed: let the database behind have it now, so that memory need not hold all of it
            history.catch_up_to(place.segment).map_err(|error| error.to_string())?;
        }
        crate::audit::check_version(frame.payload).map_err(|error| error.to_string())?;
        let record: Record = serde_json::from_slice(frame.payload).map_err(|error| error.to_string())?;
        let time = record.time;
        let changes = record.into_changes();
        state.apply(&changes, time);
        if frame.seq > indexed {
            history.add(frame.seq, time, changes.entries);
        }
        Ok(())
    };
    let walked = walk(journal, &mut visit)?;
    Ok((state, walked))
}

/// A segment that never got its name holds nothing.
fn remove_unfinished(journal: &Path) -> Result<(), OpenError> {
    let io = |error| OpenError::Io { path: journal.to_owned(), error };
    for entry in fs::read_dir(journal).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.to_string_lossy().ends_with(".seg.new") {
            fs::remove_file(&path).map_err(|error| OpenError::Io { path, error })?;
        }
    }
    Ok(())
}

/// Makes a directory that only its owner can read, durably.
fn make_directory(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        return Ok(());
    }
    let io = |error| OpenError::Io { path: path.to_owned(), error };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(io),
        None => Ok(()),
    }
}

fn random_writer() -> Result<WriterId, OpenError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| OpenError::Random(error.to_string()))?;
    Ok(WriterId::from_bytes(bytes))
}
