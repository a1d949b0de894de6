//! The state, made of the last good checkpoint and the journal behind it. Nothing is decided again: every record says what
//! stood after it.

use super::batch::Record;
use super::checkpoint::{BadCheckpoint, Checkpoint, checkpoint_files, read};
use super::findings::Findings;
use super::gaps::{first_gap, told_dropped, unexplained};
use super::journal::{Anchor, ReadError, Walk, anchor, read_mark, segments, walk_after};
use super::keeper::{Copy, collect_keys};
use super::open::OpenError;
use super::used_keys::{Collected, Generation, UsedKeys};
use crate::audit::{Chain, CheckpointFault, Fault, Frame, Mark, WriterId, check_version};
use crate::state::{CheckpointNote, Effect, Entry, Forget, JournalNote, State};
use jiff::Timestamp;
use std::fs;
use std::path::Path;

/// What a start makes of a state directory.
pub(super) struct Recovered {
    /// The state at the last record.
    pub(super) state: State,
    /// The state at the end of the last sealed segment.
    pub(super) copy: Copy,
    /// The used keys of the sealed segments.
    pub(super) keys: Vec<Generation>,
    /// The checkpoint that it was made from.
    pub(super) checkpoint: Option<CheckpointNote>,
    /// Newer ones that are no good.
    pub(super) bad_checkpoints: Vec<BadCheckpoint>,
    /// The operations of the open segment.
    pub(super) recent: Vec<(u64, Timestamp, Vec<Entry>)>,
    pub(super) walked: Walk,
    /// Bytes of JSON in the sealed segments behind the checkpoint.
    pub(super) sealed_json: u64,
}

/// Reads a state directory, from the last good checkpoint on.
pub(super) fn recover(journal: &Path, checkpoints: &Path, findings: &Findings) -> Result<Recovered, OpenError> {
    // what is behind a checkpoint is not read: that it is there is seen by the files' heads
    if let Some(damage) = first_gap(journal)? {
        return Err(ReadError::Damage(damage).into());
    }
    let mark = match read_mark(journal) {
        Err(ReadError::Mark(path)) => {
            findings.note(&path, "bytes of it were changed, or it is not of this version");
            None
        }
        mark => mark?,
    };
    let begins = anchor(journal)?;
    let before = begins.map_or(0, |anchor| anchor.seq);
    let files = checkpoint_files(checkpoints).map_err(|error| OpenError::Io { path: checkpoints.to_owned(), error })?;
    let mut bad = Vec::new();
    for (seq, path) in files.into_iter().rev() {
        if seq < before {
            break;
        }
        let fault = match read(&path) {
            Ok(checkpoint) => match replay(journal, checkpoint, mark)? {
                Ok(mut recovered) => {
                    if let Some(begins) = begins {
                        explain(journal, begins, &mut recovered)?;
                    }
                    put_aside(checkpoints, &bad);
                    return Ok(Recovered { bad_checkpoints: bad, ..recovered });
                }
                Err(fault) => fault,
            },
            Err(fault) => fault,
        };
        findings.note(&path, &fault.to_string());
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        bad.push(BadCheckpoint { file, fault });
    }
    if before > 0 {
        return Err(OpenError::NoCheckpoint { first: before + 1, bad });
    }
    put_aside(checkpoints, &bad);
    let nothing = Checkpoint {
        chain: Chain::START,
        writer: WriterId::from_bytes([0; 16]),
        state: State::default(),
        keys: Vec::new(),
        note: CheckpointNote { seq: 0, sha256: String::new(), bytes: 0 },
    };
    match replay(journal, nothing, mark)? {
        Ok(recovered) => Ok(Recovered { checkpoint: None, bad_checkpoints: bad, ..recovered }),
        Err(fault) => {
            Err(OpenError::NoCheckpoint { first: 1, bad: vec![BadCheckpoint { file: String::new(), fault }] })
        }
    }
}

/// A journal may begin behind segments that were dropped, and nowhere else. A checkpoint of an earlier version does not say
/// what was dropped: then the records that are left are asked.
fn explain(journal: &Path, begins: Anchor, recovered: &mut Recovered) -> Result<(), OpenError> {
    if unexplained(begins, recovered.state.dropped()).is_none() {
        return Ok(());
    }
    let told = told_dropped(journal)?;
    if let Some(damage) = unexplained(begins, &told) {
        return Err(ReadError::Damage(damage).into());
    }
    let note = [Effect::Journal(JournalNote::Dropped(told))];
    recovered.state.restore(&note, recovered.walked.chain.seq);
    recovered.copy.state.restore(&note, recovered.copy.chain.seq);
    Ok(())
}

/// A checkpoint that is no good is not looked at again; it is kept to be looked at by somebody. One that only could not be
/// read stays what it is.
fn put_aside(checkpoints: &Path, bad: &[BadCheckpoint]) {
    for one in bad.iter().filter(|one| !matches!(one.fault, CheckpointFault::Unread(_))) {
        let path = checkpoints.join(&one.file);
        if let Err(error) = fs::rename(&path, path.with_extension("ckpt.damaged")) {
            tracing::warn!(%error, file = one.file, "a damaged checkpoint could not be put aside");
        }
    }
}

/// Goes on from a checkpoint. A checkpoint that the journal behind it contradicts is no good; anything else that is wrong
/// is the journal's.
fn replay(
    journal: &Path,
    checkpoint: Checkpoint,
    mark: Option<Mark>,
) -> Result<Result<Recovered, CheckpointFault>, OpenError> {
    let start = checkpoint.chain;
    let last = segments(journal)?.last().map_or(0, |(first, _)| *first);
    let mut making = Making {
        state: checkpoint.state,
        keys: UsedKeys::new(checkpoint.keys),
        collected: Collected::default(),
        copy: None,
        recent: Vec::new(),
        segment: None,
        last,
        chain: start,
        note: checkpoint.note,
        contradicted: None,
        sealed_json: 0,
        room: Vec::new(),
    };
    let walked = walk_after(journal, &start, mark, &mut |place, frame| making.take(place.segment, frame));
    if let Some(fault) = making.contradicted {
        return Ok(Err(fault));
    }
    let walked = match walked {
        Err(ReadError::Damage(damage))
            if start.seq > 0
                && damage.offset == 0
                && damage.seq == start.seq + 1
                && matches!(damage.fault, Fault::Chain | Fault::Missing { .. }) =>
        {
            return Ok(Err(CheckpointFault::Foreign(damage.to_string())));
        }
        walked => walked?,
    };
    let writer = walked.segments.first().map_or(checkpoint.writer, |segment| segment.header.writer);
    if start.seq > 0 && writer != checkpoint.writer {
        return Ok(Err(CheckpointFault::Foreign(format!("it is of writer {}", checkpoint.writer))));
    }
    Ok(Ok(making.finish(walked, writer)))
}

/// The state in the making.
struct Making {
    state: State,
    keys: UsedKeys,
    collected: Collected,
    copy: Option<(State, Chain)>,
    recent: Vec<(u64, Timestamp, Vec<Entry>)>,
    segment: Option<u64>,
    /// The first record of the open segment.
    last: u64,
    chain: Chain,
    note: CheckpointNote,
    contradicted: Option<CheckpointFault>,
    sealed_json: u64,
    /// What records are unpacked into.
    room: Vec<u8>,
}

impl Making {
    fn take(&mut self, segment: u64, frame: &Frame<'_>) -> Result<(), String> {
        if self.segment.replace(segment) != Some(segment) {
            self.chain.head = frame.previous;
            self.enter(segment);
        }
        let json = frame.payload.json_in(&mut self.room).map_err(|error| error.to_string())?;
        check_version(json).map_err(|error| error.to_string())?;
        let length = json.len() as u64;
        let record: Record = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        self.compare(&record)?;
        let time = record.time;
        if segment != self.last {
            collect_keys(frame.seq, &record, &mut self.collected);
            self.sealed_json += length;
        }
        let entries = self.state.commit(record.into_changes(), frame.seq, time);
        if segment == self.last {
            self.recent.push((frame.seq, time, entries));
        }
        self.chain = Chain { seq: frame.seq, time_ns: frame.time_ns, head: self.chain.head };
        Ok(())
    }

    /// The segments before this one are sealed: what ended in them is read from behind.
    fn enter(&mut self, segment: u64) {
        if self.chain.seq > 0 {
            tracing::info!(records = self.chain.seq, "reading the journal");
        }
        self.end_segment();
        if segment == self.last {
            self.copy = Some((self.state.clone(), self.chain));
        }
    }

    fn end_segment(&mut self) {
        let now = Timestamp::from_nanosecond(i128::from(self.chain.time_ns)).unwrap_or(Timestamp::MIN);
        let upto = self.chain.seq;
        self.keys.add(std::mem::take(&mut self.collected), upto, now);
        self.state.forget(Forget { now, holds_upto: upto, keys_upto: upto, most: usize::MAX });
    }

    /// The chain names its checkpoints, with their digests.
    fn compare(&mut self, record: &Record) -> Result<(), String> {
        for effect in record.entries.iter().flat_map(|entry| &entry.effects) {
            if let Effect::Journal(JournalNote::Checkpoint(note)) = effect
                && note.seq == self.note.seq
                && note.sha256 != self.note.sha256
            {
                let found = self.note.sha256.parse().unwrap_or_default();
                let wanted = note.sha256.clone();
                self.contradicted = Some(CheckpointFault::Replaced { wanted, found });
                return Err("it names another checkpoint".to_owned());
            }
        }
        Ok(())
    }

    fn finish(mut self, walked: Walk, writer: WriterId) -> Recovered {
        if self.copy.is_none() {
            // the open segment has no record yet
            self.chain = walked.chain;
            self.end_segment();
        }
        let (state, chain) = self.copy.unwrap_or_else(|| (self.state.clone(), self.chain));
        Recovered {
            state: self.state,
            copy: Copy { state, chain, writer },
            keys: self.keys.generations().iter().map(|generation| Generation::clone(generation)).collect(),
            checkpoint: Some(self.note),
            bad_checkpoints: Vec::new(),
            recent: self.recent,
            sealed_json: self.sealed_json,
            walked,
        }
    }
}
