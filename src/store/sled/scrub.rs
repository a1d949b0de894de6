//! The scrubber: reads all that is kept, over and over and slowly, and checks what a start does not read. What it finds is
//! told; damage of the database behind has it built anew.

use super::blobs::{BlobError, Blobs};
use super::checkpoint;
use super::findings::Findings;
use super::gaps::{first_gap, unexplained};
use super::history::History;
use super::journal::{ReadError, anchor, read_mark, sealed_segments, verify_sealed};
use crate::clock::ClockGuard;
use crate::state::State;
use jiff::Timestamp;
use parking_lot::{Condvar, Mutex, RwLock};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// So much is read before it rests.
const PIECE: usize = 256 * 1024;

/// How fast, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Scrubbing {
    /// Bytes a second; 0: not at all.
    pub bytes_per_s: u64,
    /// Between two passes.
    pub rest: Duration,
}

impl Default for Scrubbing {
    fn default() -> Self {
        Self { bytes_per_s: 8 << 20, rest: Duration::from_secs(60 * 60) }
    }
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scrubbed {
    /// Passes over everything since the start.
    pub passes: u64,
    /// When the last one ended.
    pub last: Option<Timestamp>,
    /// Bytes read since the start.
    pub bytes: u64,
}

/// What it works on.
pub(super) struct Scrub {
    pub(super) directory: PathBuf,
    pub(super) state: Arc<RwLock<State>>,
    pub(super) history: Arc<History>,
    pub(super) findings: Arc<Findings>,
    pub(super) guard: Arc<ClockGuard>,
    pub(super) scrubbing: Scrubbing,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: Mutex<bool>,
    stopped: Condvar,
    scrubbed: Mutex<Scrubbed>,
}

/// It is time to stop.
struct Stopping;

/// The thread, where there is one.
#[derive(Debug)]
pub(super) struct Scrubber {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Scrubber {
    pub(super) fn start(scrub: Scrub) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = if scrub.scrubbing.bytes_per_s == 0 {
            None
        } else {
            let shared = Arc::clone(&shared);
            Some(std::thread::Builder::new().name("scrubber".to_owned()).spawn(move || run(&scrub, &shared))?)
        };
        Ok(Self { shared, thread: Mutex::new(thread) })
    }

    pub(super) fn scrubbed(&self) -> Scrubbed {
        *self.shared.scrubbed.lock()
    }

    /// Ends within the piece that it reads.
    pub(super) fn stop(&self) {
        *self.shared.stopping.lock() = true;
        self.shared.stopped.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the scrubber thread ended with a panic");
        }
    }
}

fn run(scrub: &Scrub, shared: &Shared) {
    while shared.rest(Duration::ZERO) {
        if scrub.pass(shared).is_ok() {
            let mut scrubbed = shared.scrubbed.lock();
            scrubbed.passes += 1;
            scrubbed.last = scrub.guard.now().ok();
        }
        if !shared.rest(scrub.scrubbing.rest) {
            return;
        }
    }
}

impl Shared {
    /// Waits; false when it is time to stop.
    fn rest(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        if !*stopping && !time.is_zero() {
            self.stopped.wait_for(&mut stopping, time);
        }
        !*stopping
    }
}

impl Scrub {
    /// One pass over everything.
    fn pass(&self, shared: &Shared) -> Result<(), Stopping> {
        self.journal(shared)?;
        self.checkpoints(shared)?;
        self.blobs(shared)?;
        self.database(shared)
    }

    fn journal(&self, shared: &Shared) -> Result<(), Stopping> {
        if let Err(ReadError::Mark(path)) = read_mark(&self.history.journal) {
            self.findings.note(&path, "bytes of it were changed, or it is not of this version");
        }
        self.missing();
        for sealed in sealed_segments(&self.history.journal).unwrap_or_default() {
            // one that cannot be read was dropped meanwhile, or the disk says so
            let Some(bytes) = self.read(&sealed.path, shared)? else { continue };
            if let Err(damage) = verify_sealed(&sealed, &bytes) {
                self.findings.note(&sealed.path, &damage.to_string());
            }
        }
        Ok(())
    }

    /// Files that are not there any more. The chain says what is dropped before it is: so the files are looked at first.
    fn missing(&self) {
        let journal = &self.history.journal;
        let begins = anchor(journal).ok().flatten();
        let unexplained = begins.and_then(|begins| unexplained(begins, self.state.read().dropped()));
        let between = first_gap(journal).ok().flatten();
        for damage in unexplained.iter().chain(&between) {
            self.findings.note(&journal.join(&damage.file), &damage.to_string());
        }
    }

    fn checkpoints(&self, shared: &Shared) -> Result<(), Stopping> {
        for (_, path) in checkpoint::checkpoint_files(&self.directory.join("checkpoints")).unwrap_or_default() {
            let Some(bytes) = self.read(&path, shared)? else { continue };
            if let Err(fault) = checkpoint::verify_bytes(&path, &bytes) {
                self.findings.note(&path, &fault.to_string());
            }
        }
        Ok(())
    }

    fn blobs(&self, shared: &Shared) -> Result<(), Stopping> {
        let blobs = Blobs::new(self.directory.join("blobs"));
        for digest in blobs.list().unwrap_or_default() {
            match blobs.get(&digest) {
                Ok(bytes) => self.pace(bytes.map_or(0, |bytes| bytes.len()), shared)?,
                Err(BlobError::Io { .. }) => {}
                Err(error) => self.findings.note(&blobs.path(&digest), &error.to_string()),
            }
        }
        Ok(())
    }

    fn database(&self, shared: &Shared) -> Result<(), Stopping> {
        let Some(index) = self.history.index() else { return Ok(()) };
        let mut broken_off = false;
        let verified = index.verify(&mut || {
            broken_off = broken_off || self.pace(64 * 1024, shared).is_err();
            !broken_off
        });
        if let Err(error) = verified {
            self.findings.note(&self.history.database, &error.to_string());
            self.history.is_damaged(error);
        }
        if broken_off { Err(Stopping) } else { Ok(()) }
    }

    /// A whole file, read piece by piece; nothing where it cannot be read.
    fn read(&self, path: &Path, shared: &Shared) -> Result<Option<Vec<u8>>, Stopping> {
        let Ok(mut file) = File::open(path) else { return Ok(None) };
        let mut bytes = Vec::new();
        loop {
            match file.by_ref().take(PIECE as u64).read_to_end(&mut bytes) {
                Ok(0) => return Ok(Some(bytes)),
                Ok(more) => self.pace(more, shared)?,
                Err(error) => {
                    self.findings.note(path, &format!("it cannot be read: {error}"));
                    return Ok(None);
                }
            }
        }
    }

    /// Rests as long as so many bytes should take.
    fn pace(&self, bytes: usize, shared: &Shared) -> Result<(), Stopping> {
        let nanoseconds = (bytes as u64).saturating_mul(1_000_000_000) / self.scrubbing.bytes_per_s.max(1);
        shared.scrubbed.lock().bytes += bytes as u64;
        if shared.rest(Duration::from_nanos(nanoseconds)) { Ok(()) } else { Err(Stopping) }
    }
}
