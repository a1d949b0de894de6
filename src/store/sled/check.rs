//! A state directory checked offline, with nothing but its files: every record of the journal, every checkpoint, and every
//! blob.

use super::blobs::{BlobError, Blobs};
use super::checkpoint::{self, BadCheckpoint};
use super::gaps::unexplained;
use super::journal::{Anchor, ReadError, Torn, Walk, walk_kept};
use super::mask_key::{MASK_KEY_FILE, read_mask_key};
use crate::audit::{CheckpointFault, CheckpointHeader, Digest, EntryView, Frame, parse_body};
use crate::state::{CheckpointNote, DroppedSegment, Effect, JournalNote};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What was checked and found right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The last record.
    pub records: u64,
    /// The record before the first that is there: those up to it were dropped on purpose, and the chain says so.
    pub dropped: u64,
    /// Operations in them.
    pub entries: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of them that count.
    pub bytes: u64,
    /// Policy sets' files.
    pub blobs: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// The first record's time.
    pub first_time: Option<Timestamp>,
    /// The last one's.
    pub last_time: Option<Timestamp>,
    /// The last one's hash.
    pub head: Digest,
    /// The end that a crash left, or that is being written just now.
    pub torn: Option<Torn>,
    /// Whether the head that was asked for is one of the records' hashes.
    pub has_head: Option<bool>,
}

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// In the journal.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// In the blobs.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] BadCheckpoint),
    /// The masking secret.
    #[error("{0}: bytes of it were changed after it was written")]
    MaskKey(PathBuf),
    /// Policy sets that decisions went by are not there any more.
    #[error("{}", .0.join("; "))]
    MissingSets(Vec<String>),
    /// The folder of checkpoints cannot be read.
    #[error("{0}: {1}")]
    Folder(PathBuf, io::Error),
}

impl CheckError {
    /// Whether the files were read and are wrong, rather than could not be read.
    pub const fn is_damage(&self) -> bool {
        if let Self::Checkpoint(BadCheckpoint { fault: CheckpointFault::Unread(_), .. }) = self {
            return false;
        }
        matches!(
            self,
            Self::Journal(ReadError::Damage(_) | ReadError::Mark(_))
                | Self::Checkpoint(_)
                | Self::MaskKey(_)
                | Self::MissingSets(_)
                | Self::Blob(BlobError::Changed { .. } | BlobError::Claim { .. })
        )
    }
}

/// Checks everything of a state directory that is not made from something else. With `head`, a record's hash that was
/// noted elsewhere, also that this record is still there: the only way to see that an end was cut off by somebody who knows
/// what to cut.
pub fn check(state: &Path, head: Option<Digest>) -> Result<Checked, CheckError> {
    let mut checked = Checked { has_head: head.map(|_| false), ..Checked::default() };
    let mut notes = Notes::default();
    let checkpoints = checkpoints(state)?;
    let mut visit = |_, frame: &Frame<'_>| {
        let json = frame.payload.json().map_err(|error| error.to_string())?;
        let body = parse_body(&json).map_err(|error| error.to_string())?;
        checked.entries += body.entries.len() as u64;
        checked.first_time.get_or_insert(body.time);
        checked.last_time = Some(body.time);
        if i64::try_from(body.time.as_nanosecond()).is_ok_and(|time| time != frame.time_ns) {
            return Err("its time is not that of its header".to_owned());
        }
        body.entries.iter().try_for_each(|entry| notes.take(entry))?;
        if checkpoints.iter().any(|(header, ..)| header.chain.seq == frame.seq) {
            notes.hashes.push((frame.seq, frame.hash()));
        }
        // before the first record stands no hash that anybody could have noted
        if head == Some(frame.previous) && frame.previous != Digest::NONE {
            checked.has_head = Some(true);
        }
        Ok(())
    };
    let walked = walk_kept(&state.join("journal"), &mut visit)?;
    if let Some(anchor) = walked.anchor {
        notes.explain(anchor)?;
        checked.dropped = anchor.seq;
    }
    for (header, note, file) in &checkpoints {
        notes.compare(header, note, &walked).map_err(|fault| BadCheckpoint { file: file.clone(), fault })?;
    }
    if head == Some(walked.chain.head) {
        checked.has_head = Some(true);
    }
    checked.records = walked.chain.seq;
    checked.head = walked.chain.head;
    checked.segments = walked.segments.len() as u64;
    checked.bytes = walked.segments.iter().map(|segment| segment.length).sum();
    checked.torn = walked.torn;
    checked.checkpoints = checkpoints.len() as u64;
    let mask_key = state.join(MASK_KEY_FILE);
    if fs::read(&mask_key).is_ok_and(|bytes| read_mask_key(&bytes).is_none()) {
        return Err(CheckError::MaskKey(mask_key));
    }
    let blobs = Blobs::new(state.join("blobs"));
    for digest in blobs.list()? {
        blobs.get(&digest)?;
        checked.blobs += 1;
    }
    if let (Some(_), Some((.., file))) = (walked.anchor, checkpoints.last()) {
        // what the dropped records named is in the checkpoint
        let named = checkpoint::policy_sets(&state.join("checkpoints").join(file));
        notes.sets.extend(named.map_err(|fault| BadCheckpoint { file: file.clone(), fault })?);
    }
    let missing = notes.missing(&blobs)?;
    if !missing.is_empty() {
        return Err(CheckError::MissingSets(missing));
    }
    Ok(checked)
}

/// Every checkpoint, checked by itself. One that an older start found to be no good has another name by now.
fn checkpoints(state: &Path) -> Result<Vec<(CheckpointHeader, CheckpointNote, String)>, CheckError> {
    let folder = state.join("checkpoints");
    let files = checkpoint::checkpoint_files(&folder).map_err(|error| CheckError::Folder(folder.clone(), error))?;
    let mut found = Vec::with_capacity(files.len());
    for (_, path) in files {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match checkpoint::verify(&path) {
            Ok((header, note)) => found.push((header, note, file)),
            // the daemon takes old ones away
            Err(_) if !path.exists() => {}
            Err(fault) => return Err(BadCheckpoint { file, fault }.into()),
        }
    }
    Ok(found)
}

/// What the chain says of its own files.
#[derive(Default)]
struct Notes {
    checkpoints: Vec<CheckpointNote>,
    dropped: Vec<DroppedSegment>,
    /// Hashes of the records that a checkpoint ends with.
    hashes: Vec<(u64, Digest)>,
    /// Policy sets that were put in force.
    sets: BTreeSet<String>,
}

/// A policy set as it is kept: its files by path.
#[derive(Deserialize)]
struct Manifest {
    files: BTreeMap<String, String>,
}

impl Notes {
    fn take(&mut self, entry: &EntryView<'_>) -> Result<(), String> {
        if !entry.op.starts_with("journal.") && !entry.op.starts_with("policy_set.") {
            return Ok(());
        }
        let effects: Vec<Effect> = serde_json::from_str(entry.effects.get()).map_err(|error| error.to_string())?;
        for effect in effects {
            match effect {
                Effect::Journal(JournalNote::Checkpoint(note)) => self.checkpoints.push(note),
                Effect::Journal(JournalNote::Dropped(segments)) => self.dropped.extend(segments),
                Effect::PolicySet(head) => drop(self.sets.insert(head.digest)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is not there of the policy sets that were in force, in words.
    fn missing(&self, blobs: &Blobs) -> Result<Vec<String>, BlobError> {
        let kept = |address: &str| match address.strip_prefix("sha256:").and_then(|hex| hex.parse().ok()) {
            Some(digest) => blobs.get(&digest),
            None => Ok(None),
        };
        let mut missing = Vec::new();
        for set in &self.sets {
            let manifest = kept(set)?.and_then(|text| serde_json::from_slice::<Manifest>(&text).ok());
            let Some(manifest) = manifest else {
                missing.push(format!("the journal names the policy set {set}, and its manifest is not in blobs/"));
                continue;
            };
            for (path, address) in manifest.files {
                if kept(&address)?.is_none() {
                    missing.push(format!("{path} of the policy set {set} is not in blobs/ (as {address})"));
                }
            }
        }
        Ok(missing)
    }

    /// A journal may begin behind segments that were dropped, and nowhere else.
    fn explain(&self, anchor: Anchor) -> Result<(), CheckError> {
        unexplained(anchor, &self.dropped).map_or(Ok(()), |damage| Err(ReadError::Damage(damage).into()))
    }

    fn compare(&self, header: &CheckpointHeader, found: &CheckpointNote, walked: &Walk) -> Result<(), CheckpointFault> {
        if walked.segments.first().is_some_and(|segment| segment.header.writer != header.writer) {
            return Err(CheckpointFault::Foreign(format!("it is of writer {}", header.writer)));
        }
        if found.seq > walked.chain.seq {
            return Err(CheckpointFault::Foreign(format!("the journal ends with record {}", walked.chain.seq)));
        }
        let named = self.checkpoints.iter().rev().find(|note| note.seq == found.seq);
        if let Some(named) = named.filter(|named| *named != found) {
            let found = found.sha256.parse().unwrap_or_default();
            return Err(CheckpointFault::Replaced { wanted: named.sha256.clone(), found });
        }
        match self.hashes.iter().find(|(seq, _)| *seq == found.seq) {
            Some((seq, hash)) if *hash != header.chain.head => {
                Err(CheckpointFault::Foreign(format!("the journal has another record {seq}")))
            }
            _ => Ok(()),
        }
    }
}
