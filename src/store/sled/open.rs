//! The start: the lock, the last good checkpoint and the journal behind it, the state made from both, and the writer and the
//! keeper started. The database behind is opened, checked and filled by the keeper, while admissions are answered already.

use super::batch::Batches;
use super::blobs::Blobs;
use super::checkpoint::BadCheckpoint;
use super::findings::Findings;
use super::history::{History, PutAside};
use super::journal::{Disk, Journal, OsDisk, ReadError, Torn, Walk, cut_torn_end};
use super::keeper::{Keeper, Keeping, Work};
use super::lock::{Lock, LockError};
use super::recover::{Recovered, recover};
use super::scrub::{Scrub, Scrubber, Scrubbing};
use super::store::{Parts, Sled};
use super::used_keys::UsedKeys;
use super::writer;
use crate::audit::WriterId;
use crate::clock::{Clock, ClockGuard};
use crate::decide::Limits;
use crate::store::Feed;
use jiff::Timestamp;
use parking_lot::RwLock;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A journal of so many bytes is in the database behind soon, and the start waits for it; with a longer one the daemon
/// answers first.
const WAITED_FOR_BYTES: u64 = 16 << 20;

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
    /// Checkpoints, and what is dropped behind them.
    pub keeping: Keeping,
    /// How long the start waits for the database behind a short journal.
    pub wait_for_database: Duration,
    /// How fast and how often everything is read and checked.
    pub scrubbing: Scrubbing,
}

impl Settings {
    /// The usual ones for this state directory.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            segment_bytes: 16 << 20,
            writer: writer::Settings::default(),
            limits: Limits::default(),
            keeping: Keeping::default(),
            wait_for_database: Duration::from_secs(5),
            scrubbing: Scrubbing::default(),
        }
    }
}

/// What the start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The last record.
    pub records: u64,
    /// The last record of the checkpoint that the state was made from; those behind it were read from the journal.
    pub checkpoint: Option<u64>,
    /// Newer checkpoints that are no good, which were put aside, or that could not be read, which were not.
    pub bad_checkpoints: Vec<BadCheckpoint>,
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
    Journal(ReadError),
    /// The journal begins behind segments that were dropped, and no good checkpoint covers those.
    #[error(
        "the journal begins with record {first}, and no checkpoint covers those before it ({})",
        if bad.is_empty() { "there is none".to_owned() } else { bad.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ") }
    )]
    NoCheckpoint {
        /// The first record that is there.
        first: u64,
        /// Checkpoints that are no good.
        bad: Vec<BadCheckpoint>,
    },
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

// its text is in ours already: as a source it would be told twice
impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        Self::Journal(error)
    }
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
        let (journal_dir, checkpoints) = (state_dir.join("journal"), state_dir.join("checkpoints"));
        make_directory(state_dir)?;
        let lock = Lock::take(state_dir)?;
        for folder in [&journal_dir, &checkpoints] {
            make_directory(folder)?;
            remove_unfinished(folder)?;
        }
        let disk: Arc<dyn Disk> = Arc::from(disk);
        let findings = Arc::new(Findings::default());

        let Recovered { state, copy, keys, checkpoint, bad_checkpoints, recent, walked, sealed_json } =
            recover(&journal_dir, &checkpoints, &findings)?;
        if let Some(torn) = &walked.torn {
            tracing::warn!(file = %torn.path.display(), offset = torn.offset, bytes = torn.bytes,
                "the journal's end was torn by a crash and is cut off; nothing in it was ever answered");
            cut_torn_end(torn).map_err(|error| OpenError::Io { path: torn.path.clone(), error })?;
        }
        let base = copy.chain.seq;
        let history = History::new(journal_dir.clone(), state_dir.join("db"), UsedKeys::new(keys), base);
        for (seq, time, entries) in recent {
            history.add(seq, time, entries.into_iter().map(Arc::new).collect(), None);
        }

        let io = |error| OpenError::Io { path: journal_dir.clone(), error };
        let journal = Journal::open(Arc::clone(&disk), &journal_dir, &walked, random_writer()?, settings.segment_bytes)
            .map_err(io)?;
        let guard = Arc::new(ClockGuard::new(clock, last_time(&walked)));
        let named = checkpoint.clone().filter(|note| state.checkpoints().contains(note));
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
        let (_, journal_bytes) = journal.size();
        let (queue, shared) = writer::start(batches, journal, Arc::clone(&guard), settings.writer).map_err(io)?;
        let queue = Arc::new(queue);
        let work = Work {
            history: Arc::clone(&history),
            disk,
            checkpoints,
            keeping: settings.keeping,
            copy: super::keeper::Copy { writer: writer_id, ..copy },
            since: sealed_json,
            good: named.iter().cloned().collect(),
            unnamed: checkpoint.clone().filter(|_| named.is_none()),
            queue: Arc::clone(&queue),
            guard: Arc::clone(&guard),
            findings: Arc::clone(&findings),
            rows: super::index::Rows::default(),
            buffer: super::keeper::Buffer::default(),
            room: Vec::new(),
        };
        let (keeper, in_step) = Keeper::start(work).map_err(io)?;
        if journal_bytes <= WAITED_FOR_BYTES {
            // it goes on without: what needs the database behind says so until it is there
            let _ = in_step.recv_timeout(settings.wait_for_database);
        }
        let recovery = Recovery {
            records: walked.chain.seq,
            checkpoint: checkpoint.map(|note| note.seq),
            bad_checkpoints,
            torn: walked.torn.clone(),
            put_aside: history.progress.was_put_aside(),
        };
        let scrubber = Scrubber::start(Scrub {
            directory: state_dir.clone(),
            state: Arc::clone(&state),
            history: Arc::clone(&history),
            findings: Arc::clone(&findings),
            guard: Arc::clone(&guard),
            scrubbing: settings.scrubbing,
        })
        .map_err(io)?;
        let blobs = Blobs::new(state_dir.join("blobs"));
        if let Err(error) = blobs.remove_unfinished() {
            tracing::warn!(%error, "what was left of an unfinished file could not be taken away");
        }
        let parts = Parts {
            queue,
            keeper,
            scrubber,
            findings,
            state,
            history,
            shared,
            guard,
            writer_id,
            blobs,
            limits,
            feed,
            most_keys: settings.keeping.keys,
            lock,
        };
        Ok((Self::new(parts), recovery))
    }
}

fn last_time(walked: &Walk) -> Option<Timestamp> {
    (walked.chain.seq > 0).then(|| Timestamp::from_nanosecond(i128::from(walked.chain.time_ns)).ok()).flatten()
}

/// A file that never got its name holds nothing.
fn remove_unfinished(folder: &Path) -> Result<(), OpenError> {
    let io = |error| OpenError::Io { path: folder.to_owned(), error };
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "new") {
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
