//! What happens behind the answering path, on one thread: each sealed segment is read once, and gives the database behind
//! its rows, the used keys their places, and a copy of the state that checkpoints are made of its changes. Segments that
//! nothing needs any longer are dropped.
//!
//! The copy stands at the last sealed segment, so a checkpoint is made without stopping the writer for a moment.

use super::batch::{Batches, Record};
use super::checkpoint;
use super::findings::Findings;
use super::history::{History, failed};
use super::index::{IndexError, Rows};
use super::journal::{Disk, ReadError, Sealed, anchor, last_time, sealed_segments};
use super::position::Position;
use super::progress::{IndexState, MOST_WAITING};
use super::used_keys::Collected;
use super::writer::Queue;
use crate::audit::{Chain, CheckpointHeader, Frame, SEGMENT_HEADER, WriterId, checkpoint_name};
use crate::clock::ClockGuard;
use crate::decide::{Command, Envelope};
use crate::registry::Actor;
use crate::state::{CheckpointNote, DroppedSegment, Effect, Forget, JournalNote, State};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// How many checkpoints are kept.
const CHECKPOINTS: usize = 2;

/// How it works.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// A checkpoint is made when so many bytes of the journal were sealed since the last one, or twice its size.
    pub checkpoint_bytes: u64,
    /// Segments are dropped when all of them is so old; `None`: never.
    pub retain: Option<SignedDuration>,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { checkpoint_bytes: 128 << 20, retain: None }
    }
}

/// The state as it stands at the last sealed segment.
pub(super) struct Copy {
    pub(super) state: State,
    pub(super) chain: Chain,
    pub(super) writer: WriterId,
}

/// What the keeper works with.
pub(super) struct Work {
    pub(super) history: Arc<History>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) checkpoints: PathBuf,
    pub(super) keeping: Keeping,
    pub(super) copy: Copy,
    /// Bytes sealed since the last checkpoint.
    pub(super) since: u64,
    /// Checkpoints that were read back and that the chain names, oldest first.
    pub(super) good: Vec<CheckpointNote>,
    /// One that the chain does not name yet.
    pub(super) unnamed: Option<CheckpointNote>,
    pub(super) queue: Arc<Queue<Batches>>,
    pub(super) guard: Arc<ClockGuard>,
    pub(super) findings: Arc<Findings>,
}

/// What others may know of it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The last good checkpoint.
    pub(super) checkpoint: Mutex<Option<CheckpointNote>>,
    /// Segments dropped since the start, and their bytes.
    pub(super) dropped: Mutex<(u64, u64)>,
}

/// The thread.
pub(super) struct Keeper {
    history: Arc<History>,
    stopping: Arc<AtomicBool>,
    pub(super) kept: Arc<Kept>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Opens the database behind, catches up, then works whenever a segment is sealed. What it returns comes when it has
    /// caught up for the first time.
    pub(super) fn start(work: Work) -> io::Result<(Self, Receiver<()>)> {
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
    pub(super) fn stop(&self) {
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
        if let Err(error) = work.round(kept, stopping) {
            tracing::error!(%error, "what is kept behind the journal fails; it is tried again with the next segment");
        }
        // the start may have stopped waiting for it
        let _ = in_step.send(());
        if stopping.load(Ordering::Relaxed) || woken.recv().is_err() {
            return;
        }
    }
}

/// A round was broken off.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error("{0}: {1}")]
    Segment(PathBuf, String),
    #[error("the checkpoint could not be written: {0}")]
    Checkpoint(io::Error),
    #[error("segments could not be dropped: {0}")]
    Drop(io::Error),
}

impl Work {
    fn round(&mut self, kept: &Kept, stopping: &AtomicBool) -> Result<(), KeepError> {
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
                    self.checkpoint_if_due(kept)?;
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

    /// Reads a segment, for the copy of the state, for the database behind, or for both.
    fn take(&mut self, sealed: &Sealed, copy: bool, mut index: bool) -> Result<(), KeepError> {
        let wrong = |what: String| KeepError::Segment(sealed.path.clone(), what);
        let bytes = std::fs::read(&sealed.path).map_err(|error| wrong(error.to_string()))?;
        let end = usize::try_from(sealed.length).ok();
        let mut rest =
            end.and_then(|end| bytes.get(SEGMENT_HEADER..end)).ok_or_else(|| wrong("cut short".to_owned()))?;
        let (mut rows, mut keys) = (Rows::default(), Collected::default());
        let mut chain = Chain { seq: sealed.first_seq - 1, ..Chain::START };
        while !rest.is_empty() {
            let Some(frame) = Frame::read(rest).filter(|frame| frame.seq == chain.seq + 1) else {
                let why = format!("record {} is damaged", chain.seq + 1);
                self.findings.note(&sealed.path, &why);
                return Err(wrong(why));
            };
            rest = &rest[frame.bytes.len()..];
            let last = rest.is_empty();
            let head = if last { frame.hash() } else { chain.head };
            chain = Chain { seq: frame.seq, head, time_ns: frame.time_ns };
            let record: Record = serde_json::from_slice(frame.payload).map_err(|error| wrong(error.to_string()))?;
            self.take_record(frame.seq, record, copy, index, &mut rows, &mut keys)
                .map_err(|error| wrong(error.to_string()))?;
            if index && rows.is_large() {
                index = self.write_shelves(&mut rows);
            }
        }
        if chain.head != sealed.head || chain.seq != sealed.last_seq {
            let why = "it does not end with the record that the next segment names".to_owned();
            self.findings.note(&sealed.path, &why);
            return Err(wrong(why));
        }
        if copy {
            let now = Timestamp::from_nanosecond(i128::from(chain.time_ns)).unwrap_or(Timestamp::MIN);
            // what a checkpoint need not have: it can be read from behind
            let all = Forget { now, holds_upto: u64::MAX, keys_upto: u64::MAX, most: usize::MAX };
            self.copy.state.forget(all);
            self.copy.chain = chain;
            self.since += sealed.file_bytes();
            self.history.keys.add(keys, chain.seq, now);
            self.history.keyed_upto(chain.seq);
        }
        if index {
            self.add_to_index(sealed, &rows);
        }
        Ok(())
    }

    fn take_record(
        &mut self,
        seq: u64,
        record: Record,
        copy: bool,
        index: bool,
        rows: &mut Rows,
        keys: &mut Collected,
    ) -> Result<(), serde_json::Error> {
        let time = record.time;
        if index {
            rows.add(seq, &record)?;
        }
        if copy {
            collect_keys(seq, &record, keys);
            self.copy.state.commit(record.into_changes(), seq, time);
        }
        Ok(())
    }

    /// A part of a segment's operations; `false` where the database behind had to be begun anew.
    fn write_shelves(&self, rows: &mut Rows) -> bool {
        let Some(index) = self.history.index() else { return false };
        let Err(error) = index.write_shelves(rows) else { return true };
        drop(index);
        self.begin_anew(&error);
        false
    }

    /// Where the database behind fails, it is put aside and begun anew; where that fails too, it is tried again later.
    fn add_to_index(&self, sealed: &Sealed, rows: &Rows) {
        let Some(index) = self.history.index() else { return };
        let Err(error) = index.add(sealed, rows) else { return };
        drop(index);
        self.begin_anew(&error);
    }

    fn begin_anew(&self, why: &IndexError) {
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

    fn checkpoint_if_due(&mut self, kept: &Kept) -> Result<(), KeepError> {
        let size = self.good.last().map_or(0, |last| last.bytes);
        let due = self.since >= self.keeping.checkpoint_bytes.max(2 * size);
        if due && self.good.last().is_none_or(|last| last.seq < self.copy.chain.seq) {
            let header = CheckpointHeader { writer: self.copy.writer, chain: self.copy.chain };
            let keys = &self.history.keys;
            let note = checkpoint::write(&*self.disk, &self.checkpoints, header, &self.copy.state, keys);
            let note = note.map_err(KeepError::Checkpoint)?;
            tracing::info!(seq = note.seq, bytes = note.bytes, keys = keys.len(), "checkpoint made");
            self.since = 0;
            self.unnamed = Some(note);
        }
        let Some(note) = self.unnamed.take() else { return Ok(()) };
        if !self.journalled(JournalNote::Checkpoint(note.clone())) {
            self.unnamed = Some(note);
            return Ok(());
        }
        *kept.checkpoint.lock() = Some(note.clone());
        self.good.retain(|good| good.seq != note.seq);
        self.good.push(note);
        self.good.sort_unstable_by_key(|note| note.seq);
        self.drop_checkpoints();
        Ok(())
    }

    /// Has the chain say it; durable when true.
    fn journalled(&self, note: JournalNote) -> bool {
        let envelope = Envelope { command: Command::NoteJournal(note), actor: Actor::tollgate() };
        matches!(self.queue.submit(envelope).blocking_recv(), Ok(Ok(_)))
    }

    /// Takes away all but the last good ones.
    fn drop_checkpoints(&mut self) {
        if self.good.len() <= CHECKPOINTS {
            return;
        }
        let keep_from = self.good[self.good.len() - CHECKPOINTS].seq;
        self.good.retain(|note| note.seq >= keep_from);
        let Ok(files) = checkpoint::checkpoint_files(&self.checkpoints) else { return };
        for (_, path) in files.iter().filter(|(seq, _)| *seq < keep_from) {
            if let Err(error) = self.disk.remove(path) {
                tracing::warn!(%error, path = %path.display(), "an old checkpoint could not be taken away");
            }
        }
    }

    /// Drops segments that are behind the last two good checkpoints, that the database behind has durably, and that are
    /// old enough. The chain says so before the first file goes, so that a journal that begins behind them verifies.
    fn drop_segments(&mut self, kept: &Kept) -> Result<(), KeepError> {
        let (Some(retain), [.., before, _last]) = (self.keeping.retain, self.good.as_slice()) else { return Ok(()) };
        let Some(index) = self.history.index() else { return Ok(()) };
        let until = self.guard.now().ok().and_then(|now| now.checked_sub(retain).ok());
        let Some(until) = until.and_then(|until| i64::try_from(until.as_nanosecond()).ok()) else { return Ok(()) };
        let upto = before.seq.min(index.last_seq());
        let sealed = sealed_segments(&self.history.journal)?;
        let old = |segment: &&Sealed| segment.last_seq <= upto && last_time(segment).is_ok_and(|time| time <= until);
        let old: Vec<&Sealed> = sealed.iter().take_while(old).collect();
        if old.is_empty() {
            return Ok(());
        }
        index.make_durable().map_err(KeepError::Drop)?;
        self.checkpoints_are_there()?;
        let note = |segment: &&Sealed| DroppedSegment {
            first_seq: segment.first_seq,
            last_seq: segment.last_seq,
            head: segment.head.to_string(),
        };
        if !self.journalled(JournalNote::Dropped(old.iter().map(note).collect())) {
            return Ok(());
        }
        for segment in old {
            let bytes = segment.file_bytes();
            self.disk.remove(&segment.path).map_err(KeepError::Drop)?;
            // one after the other, oldest first: what is left has no gap
            self.disk.sync_dir(&self.history.journal).map_err(KeepError::Drop)?;
            let mut dropped = kept.dropped.lock();
            *dropped = (dropped.0 + 1, dropped.1 + bytes);
            tracing::info!(first = segment.first_seq, last = segment.last_seq, "journal segment dropped");
        }
        Ok(())
    }

    /// Both checkpoints are read once more before anything goes that only they replace.
    fn checkpoints_are_there(&self) -> Result<(), KeepError> {
        for note in &self.good {
            let path = self.checkpoints.join(checkpoint_name(note.seq));
            let found = checkpoint::verify(&path);
            let right = found.as_ref().is_ok_and(|(_, found)| found == note);
            if !right {
                let why =
                    found.err().map_or_else(|| "it is not the one that was written".to_owned(), |e| e.to_string());
                self.findings.note(&path, &why);
                return Err(KeepError::Drop(io::Error::other(format!("{}: {why}", path.display()))));
            }
        }
        Ok(())
    }
}

/// Opens the database behind; what comes in its way is told, and it is tried again later.
pub(super) fn open_index(history: &History) {
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

/// Where the keys of a record were used.
pub(super) fn collect_keys(seq: u64, record: &Record, keys: &mut Collected) {
    for (index, entry) in (0u32..).zip(&record.entries) {
        for effect in &entry.effects {
            if let Effect::Key(key) = effect {
                keys.add(Position { seq, index }, key);
            }
        }
    }
}
