//! A state directory checked offline, with nothing but its files: every record of the journal, and every blob.

use super::blobs::{BlobError, Blobs};
use super::journal::{ReadError, Torn, walk};
use crate::audit::{Digest, Frame, parse_body};
use jiff::Timestamp;
use std::path::Path;

/// What was checked and found right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Records of the journal.
    pub records: u64,
    /// Operations in them.
    pub entries: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of them that count.
    pub bytes: u64,
    /// Policy sets' files.
    pub blobs: u64,
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
}

impl CheckError {
    /// Whether the files were read and are wrong, rather than could not be read.
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Journal(ReadError::Damage(_)) | Self::Blob(BlobError::Changed { .. } | BlobError::Claim { .. })
        )
    }
}

/// Checks everything of a state directory that is not made from something else. With `head`, a record's hash that was
/// noted elsewhere, also that this record is still there: the only way to see that an end was cut off.
pub fn check(state: &Path, head: Option<Digest>) -> Result<Checked, CheckError> {
    let mut checked = Checked { has_head: head.map(|_| false), ..Checked::default() };
    let mut visit = |_, frame: &Frame<'_>| {
        let body = parse_body(frame.payload).map_err(|error| error.to_string())?;
        checked.entries += body.entries.len() as u64;
        checked.first_time.get_or_insert(body.time);
        checked.last_time = Some(body.time);
        if i64::try_from(body.time.as_nanosecond()).is_ok_and(|time| time != frame.time_ns) {
            return Err("its time is not that of its header".to_owned());
        }
        if head == Some(frame.previous) {
            checked.has_head = Some(true);
        }
        Ok(())
    };
    let walked = walk(&state.join("journal"), &mut visit)?;
    if head == Some(walked.chain.head) {
        checked.has_head = Some(true);
    }
    checked.records = walked.chain.seq;
    checked.head = walked.chain.head;
    checked.segments = walked.segments.len() as u64;
    checked.bytes = walked.segments.iter().map(|segment| segment.length).sum();
    checked.torn = walked.torn;
    let blobs = Blobs::new(state.join("blobs"));
    for digest in blobs.list()? {
        blobs.get(&digest)?;
        checked.blobs += 1;
    }
    Ok(checked)
}
