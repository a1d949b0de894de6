//! The records of a sealed segment, one after the other, through one buffer that is used again for the next segment.

use crate::audit::{FRAME_HEADER, Frame, SEGMENT_HEADER};
use crate::store::sled::journal::Sealed;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// So much is read at once.
const PIECE: usize = 1 << 20;

/// What was read and not looked at yet.
#[derive(Debug, Default)]
pub(in crate::store::sled) struct Buffer {
    bytes: Vec<u8>,
    /// Where the next record begins.
    at: usize,
}

/// Reads a segment.
#[derive(Debug)]
pub(super) struct Records<'b> {
    file: File,
    buffer: &'b mut Buffer,
    /// Bytes of the segment that are still in the file.
    left: u64,
}

impl<'b> Records<'b> {
    /// The records of this segment, from the first one on.
    pub(super) fn open(sealed: &Sealed, buffer: &'b mut Buffer) -> io::Result<Self> {
        let mut file = File::open(&sealed.path)?;
        file.seek(SeekFrom::Start(SEGMENT_HEADER as u64))?;
        buffer.bytes.clear();
        buffer.at = 0;
        Ok(Self { file, buffer, left: sealed.length.saturating_sub(SEGMENT_HEADER as u64) })
    }

    /// Whether all of them were given.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0 && self.buffer.at == self.buffer.bytes.len()
    }

    /// The next record; `None` where no good one stands there.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        self.have(FRAME_HEADER)?;
        let Some(length) = Frame::claimed_length(&self.buffer.bytes[self.buffer.at..]) else { return Ok(None) };
        self.have(FRAME_HEADER + length)?;
        let frame = Frame::read(&self.buffer.bytes[self.buffer.at..]);
        self.buffer.at += frame.map_or(0, |frame| frame.bytes.len());
        Ok(frame)
    }

    /// Reads on until so many bytes stand behind the last record, or the segment ends.
    fn have(&mut self, wanted: usize) -> io::Result<()> {
        let buffer = &mut *self.buffer;
        let here = buffer.bytes.len() - buffer.at;
        if here >= wanted || self.left == 0 {
            return Ok(());
        }
        buffer.bytes.copy_within(buffer.at.., 0);
        buffer.bytes.truncate(here);
        buffer.at = 0;
        // a damaged length must not ask for more than there is
        let more = u64::try_from(wanted - here).unwrap_or(u64::MAX).max(PIECE as u64).min(self.left);
        let read = (&mut self.file).take(more).read_to_end(&mut buffer.bytes)?;
        self.left = if read as u64 == more { self.left - more } else { 0 };
        Ok(())
    }
}
