//! Writing: one record a batch, durable before the call returns; segments that roll, and that are abandoned when a
//! write fails.

use super::{Disk, LogFile, Segment, Walk};
use crate::audit::{
    Chain, FORMAT_VERSION, Frame, MARK_FILE, Mark, Previous, SEGMENT_HEADER, SegmentHeader, TooLong, WriterId,
    file_name,
};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The journal, open for writing.
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    writer: WriterId,
    /// The last durable record.
    chain: Chain,
    current: Current,
    /// A segment as long as this is full, and one that holds [`JSON_TIMES`] as much JSON.
    roll_at_bytes: u64,
    /// What was written to the current segment, unpacked.
    json: u64,
    /// The segments before the current one.
    sealed_count: usize,
    sealed_bytes: u64,
    /// The segment that was sealed since the last record, by its first record.
    just_sealed: Option<u64>,
    /// The last record that the mark names.
    marked: u64,
}

/// Records are packed the better the more they resemble each other. A start reads all that a segment holds, so there is a
/// bound to that too.
const JSON_TIMES: u64 = 4;

enum Current {
    /// Appended to.
    Open {
        file: Box<dyn LogFile>,
        first_seq: u64,
        length: u64,
        previous: Previous,
        /// Of an earlier version of the format, which has no place for what is written now.
        is_old: bool,
    },
    /// The last one was abandoned, and a new one could not be made yet, or none has been made at all.
    None { previous: Previous },
}

/// A record was not made durable. What it holds must not be seen by anybody, unless a start finds it whole.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The write or flush failed; the segment was abandoned and a new one is open, so the next record may well succeed.
    #[error("the journal could not be written: {0}")]
    Write(io::Error),
    /// There is no segment to write to, and none can be made.
    #[error("no journal segment can be made: {0}")]
    Failed(io::Error),
    /// No segment takes a record of that length.
    #[error(transparent)]
    TooLong(TooLong),
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// First record of its segment.
    pub segment: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// The segment that was sealed before it, by its first record.
    pub sealed: Option<u64>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("dir", &self.dir).field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Journal {
    /// Goes on behind what was read of `dir` (whose torn end, if it had one, was cut off). What is there is flushed
    /// first: a record that a killed process left in the page cache counts from here on, also one that a failed flush
    /// refused.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        walked: &Walk,
        new_writer: WriterId,
        roll_at_bytes: u64,
    ) -> io::Result<Self> {
        let current = match walked.segments.last() {
            None => Current::None { previous: Previous::NONE },
            Some(last) => {
                rewrite_unmarked(&*disk, walked, last)?;
                let mut file = disk.open(&last.path)?;
                file.sync()?;
                let (first_seq, length, previous) = (last.header.first_seq, last.length, last.header.previous);
                Current::Open { file, first_seq, length, previous, is_old: last.header.version < FORMAT_VERSION }
            }
        };
        disk.sync_dir(dir)?;
        let writer = walked.segments.last().map_or(new_writer, |last| last.header.writer);
        let sealed = walked.segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
        let mut journal = Self {
            disk,
            dir: dir.to_owned(),
            writer,
            chain: walked.chain,
            current,
            roll_at_bytes,
            json: walked.open_json,
            sealed_count: walked.earlier.0 + sealed.len(),
            sealed_bytes: walked.earlier.1 + sealed.iter().map(|segment| segment.length).sum::<u64>(),
            just_sealed: None,
            marked: 0,
        };
        if let Current::None { previous } = journal.current {
            journal.new_segment(previous)?;
        }
        Ok(journal)
    }

    /// Notes beside the segments that the last record is durable, and flushes that, if it is not noted so yet: from then on
    /// nobody takes it for a torn end, whatever happens. For a writer that has nothing else to do.
    pub fn mark(&mut self) -> io::Result<()> {
        let Chain { seq, head, .. } = self.chain;
        if seq > self.marked {
            self.disk.replace(&self.dir.join(MARK_FILE), &Mark { seq, head }.encode())?;
            self.marked = seq;
        }
        Ok(())
    }

    /// Who writes it.
    pub const fn writer(&self) -> WriterId {
        self.writer
    }

    /// How many segments there are, and their bytes up to the last durable record.
    pub const fn size(&self) -> (usize, u64) {
        let open = match self.current {
            Current::Open { length, .. } => length,
            Current::None { .. } => 0,
        };
        (self.sealed_count + matches!(self.current, Current::Open { .. }) as usize, self.sealed_bytes + open)
    }

    /// The last durable record: what the next one is built to follow.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Whether there is no segment to write to.
    pub const fn is_failed(&self) -> bool {
        matches!(self.current, Current::None { .. })
    }

    /// Appends a record that was finished on [`Journal::chain`], and returns when it is durable. After an error the
    /// record is not part of this journal, whatever of it reached the disk, and [`Journal::chain`] is as it was. Only where
    /// no segment could be made behind it may a start find it, whole, and go on behind it.
    pub fn append(&mut self, record: &[u8], next: Chain) -> Result<Appended, JournalError> {
        self.make_room().map_err(JournalError::Failed)?;
        let Current::Open { file, first_seq, length, previous, .. } = &mut self.current else {
            return Err(JournalError::Failed(io::Error::other("no segment is open")));
        };
        match file.append(record).and_then(|()| file.sync()) {
            Ok(()) => {
                let appended = Appended { segment: *first_seq, offset: *length, sealed: self.just_sealed.take() };
                *length += record.len() as u64;
                self.json += Frame::claimed_json(record).unwrap_or(0);
                self.chain = next;
                self.note_durable();
                Ok(appended)
            }
            Err(error) => {
                // after a failed flush nobody knows what the file holds: it is never written again. One that holds no
                // durable record is replaced by the new one, which has its name.
                let previous = if *first_seq == self.chain.seq + 1 {
                    *previous
                } else {
                    self.sealed_count += 1;
                    self.sealed_bytes += *length;
                    Previous { length: *length, abandoned: true }
                };
                self.current = Current::None { previous };
                match self.new_segment(previous) {
                    Ok(()) => Err(JournalError::Write(error)),
                    Err(again) => Err(JournalError::Failed(again)),
                }
            }
        }
    }

    /// The same after each record, unflushed: a killed process leaves it, so only a power cut may leave an end that is not
    /// known to have been durable. A note that cannot be written is missed, and nothing else.
    fn note_durable(&mut self) {
        let Chain { seq, head, .. } = self.chain;
        let noted = match self.disk.note(&self.dir.join(MARK_FILE), &Mark { seq, head }.encode()) {
            // there is none yet
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.mark(),
            noted => noted,
        };
        if let Err(error) = noted {
            tracing::debug!(%error, "what is durable could not be noted");
        }
    }

    /// Sees to it that a segment with room is open: also what a writer tries before it has a batch decided in vain.
    pub fn make_room(&mut self) -> io::Result<()> {
        match self.current {
            Current::None { previous } => self.new_segment(previous),
            // one without a record is replaced by the new one, which has its name
            Current::Open { first_seq, previous, is_old: true, .. } if first_seq == self.chain.seq + 1 => {
                self.new_segment(previous)
            }
            Current::Open { first_seq, length, is_old, .. }
                if (is_old || length >= self.roll_at_bytes || self.json >= JSON_TIMES * self.roll_at_bytes)
                    && first_seq != self.chain.seq + 1 =>
            {
                self.new_segment(Previous { length, abandoned: false })?;
                self.sealed_count += 1;
                self.sealed_bytes += length;
                self.just_sealed = Some(first_seq);
                Ok(())
            }
            Current::Open { .. } => Ok(()),
        }
    }

    /// Makes the segment that follows the last durable record. It gets its name when its head is durable, so that a
    /// segment without a whole head is never a crash's doing.
    fn new_segment(&mut self, previous: Previous) -> io::Result<()> {
        let first_seq = self.chain.seq + 1;
        let (version, previous_hash) = (FORMAT_VERSION, self.chain.head);
        let header = SegmentHeader { version, writer: self.writer, first_seq, previous_hash, previous };
        let path = self.dir.join(file_name(first_seq));
        let fresh = path.with_extension("seg.new");
        let mut file = self.disk.create(&fresh)?;
        file.append(&header.encode())?;
        file.sync()?;
        self.disk.rename(&fresh, &path)?;
        self.disk.sync_dir(&self.dir)?;
        self.json = 0;
        self.current = Current::Open { file, first_seq, length: SEGMENT_HEADER as u64, previous, is_old: false };
        Ok(())
    }
}

/// Writes the records that no mark names as durable once more, before they are flushed: where the flush of one failed and
/// the process was started anew, the page cache has it, and the disk may not.
fn rewrite_unmarked(disk: &dyn Disk, walked: &Walk, last: &Segment) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut file = File::open(&last.path)?;
    file.seek(SeekFrom::Start(walked.unmarked))?;
    file.take(last.length.saturating_sub(walked.unmarked)).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(());
    }
    // the page cache may have let go of it since it was read first, and then this is what the disk has
    let (mut at, mut head) = (0, None);
    while let Some(frame) = bytes.get(at..).and_then(Frame::read) {
        at += frame.bytes.len();
        head = Some(frame);
    }
    if at != bytes.len() || head.map(|frame| frame.hash()) != Some(walked.chain.head) {
        return Err(io::Error::other("the journal's end changed while it was read: the disk loses what is written"));
    }
    disk.rewrite(&last.path, walked.unmarked, &bytes)
}
