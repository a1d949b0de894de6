//! One record as bytes: the header with its checksum, and the payload behind it.

use super::{Chain, Digest};

/// Bytes before the payload.
pub const FRAME_HEADER: usize = 56;

/// The longest payload. A length above it is damage, whatever follows.
pub const MAX_PAYLOAD: usize = 1 << 30;

/// A whole record with a right checksum, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Sequence number.
    pub seq: u64,
    /// Batch time in nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// Hash of the record before.
    pub previous: Digest,
    /// The JSON.
    pub payload: &'a [u8],
    /// All of its bytes.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The record at the start of `bytes`, if a whole one with a right checksum stands there.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let length = Self::claimed_length(bytes)?;
        let bytes = bytes.get(..FRAME_HEADER + length)?;
        let checksum = u32::from_le_bytes(array(bytes, 0)?);
        if crc32fast::hash(&bytes[4..]) != checksum {
            return None;
        }
        Some(Self {
            seq: u64::from_le_bytes(array(bytes, 8)?),
            time_ns: i64::from_le_bytes(array(bytes, 16)?),
            previous: Digest::from_bytes(array(bytes, 24)?),
            payload: &bytes[FRAME_HEADER..],
            bytes,
        })
    }

    /// The payload's length as the header at the start of `bytes` gives it, unchecked; `None` where that header is cut
    /// short or the length is above [`MAX_PAYLOAD`].
    pub fn claimed_length(bytes: &[u8]) -> Option<usize> {
        let header = bytes.get(..FRAME_HEADER)?;
        let length = usize::try_from(u32::from_le_bytes(array(header, 4)?)).ok()?;
        (length <= MAX_PAYLOAD).then_some(length)
    }

    /// The sequence number as the header at the start of `bytes` gives it, unchecked.
    pub fn claimed_seq(bytes: &[u8]) -> Option<u64> {
        array(bytes, 8).map(u64::from_le_bytes)
    }

    /// The batch time as the header at the start of `bytes` gives it, unchecked.
    pub fn claimed_time(bytes: &[u8]) -> Option<i64> {
        array(bytes, 16).map(i64::from_le_bytes)
    }

    /// The record's hash, which the next one carries.
    pub fn hash(&self) -> Digest {
        Digest::of(self.bytes)
    }
}

/// A record being written into a buffer: the payload goes straight behind the room kept for the header.
#[derive(Debug)]
pub struct Draft<'a> {
    buffer: &'a mut Vec<u8>,
}

/// The payload is longer than [`MAX_PAYLOAD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {0} bytes is longer than the journal takes")]
pub struct TooLong(pub usize);

impl<'a> Draft<'a> {
    /// Empties the buffer, keeps its memory, and leaves room for the header.
    pub fn new(buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(FRAME_HEADER, 0);
        Self { buffer }
    }

    /// Where the payload is written to.
    pub fn payload(&mut self) -> &mut Vec<u8> {
        self.buffer
    }

    /// Fills the header in; the buffer then holds the whole record, and the chain as it will be once that is durable is
    /// returned.
    pub fn finish(self, after: &Chain, time_ns: i64) -> Result<Chain, TooLong> {
        let length = self.buffer.len() - FRAME_HEADER;
        let stored = u32::try_from(length).ok().filter(|_| length <= MAX_PAYLOAD).ok_or(TooLong(length))?;
        let seq = after.seq + 1;
        self.buffer[4..8].copy_from_slice(&stored.to_le_bytes());
        self.buffer[8..16].copy_from_slice(&seq.to_le_bytes());
        self.buffer[16..24].copy_from_slice(&time_ns.to_le_bytes());
        self.buffer[24..56].copy_from_slice(after.head.as_bytes());
        let checksum = crc32fast::hash(&self.buffer[4..]);
        self.buffer[..4].copy_from_slice(&checksum.to_le_bytes());
        Ok(Chain { seq, head: Digest::of(self.buffer), time_ns })
    }
}

/// `N` bytes from `offset` on.
pub(super) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_any_changed_byte_is_seen() {
        let before = Chain { seq: 6, head: Digest::of(b"before"), time_ns: 5 };
        let mut buffer = b"left over".to_vec();
        let mut draft = Draft::new(&mut buffer);
        draft.payload().extend_from_slice(br#"{"v":1}"#);
        let after = draft.finish(&before, 77).unwrap();
        let frame = Frame::read(&buffer).unwrap();
        assert_eq!((frame.seq, frame.time_ns, frame.previous), (7, 77, before.head));
        assert_eq!(frame.payload, br#"{"v":1}"#);
        assert_eq!(after, Chain { seq: 7, head: frame.hash(), time_ns: 77 });
        for position in 0..buffer.len() {
            let mut bytes = buffer.clone();
            bytes[position] ^= 0x20;
            assert!(Frame::read(&bytes).is_none(), "byte {position}");
            assert!(Frame::read(&buffer[..position]).is_none(), "cut at {position}");
        }
        assert!(Frame::read(&[0; 200]).is_none(), "zeros are no record");
    }
}
