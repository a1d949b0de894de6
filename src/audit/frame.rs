//! One record as bytes: the header with its checksum, and the payload behind it.

use super::{Chain, Digest};
use std::borrow::Cow;

/// Bytes before the payload.
pub const FRAME_HEADER: usize = 56;

/// The longest payload. A length above it is damage, whatever follows.
pub const MAX_PAYLOAD: usize = 1 << 30;

/// In the length's field: the payload is packed.
const PACKED: u32 = 1 << 31;

/// A payload as long as this is packed: shorter ones hardly become smaller.
const WORTH_PACKING: usize = 512;

/// A whole record with a right checksum, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Sequence number.
    pub seq: u64,
    /// Batch time in nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// Hash of the record before.
    pub previous: Digest,
    /// What it holds, as it is stored.
    pub payload: Payload<'a>,
    /// All of its bytes.
    pub bytes: &'a [u8],
}

/// What a record holds: JSON, or the same packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    packed: bool,
}

/// A packed payload that does not give what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what it holds is packed, and cannot be unpacked")]
pub struct Unpackable;

impl<'a> Payload<'a> {
    /// The JSON.
    pub fn json(&self) -> Result<Cow<'a, [u8]>, Unpackable> {
        if !self.packed {
            return Ok(Cow::Borrowed(self.bytes));
        }
        let mut json = Vec::new();
        self.unpack(&mut json)?;
        Ok(Cow::Owned(json))
    }

    /// The same, unpacked into memory that is used again.
    pub fn json_in<'b>(&self, room: &'b mut Vec<u8>) -> Result<&'b [u8], Unpackable>
    where
        'a: 'b,
    {
        if self.packed {
            self.unpack(room)?;
            Ok(room)
        } else {
            Ok(self.bytes)
        }
    }

    /// How long the JSON is, and what it is packed in.
    fn claimed(&self) -> Result<(usize, &'a [u8]), Unpackable> {
        let (length, packed) = self.bytes.split_first_chunk::<4>().ok_or(Unpackable)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Unpackable)?;
        // a byte of LZ4 stands for 255 at most: a wrong length must not ask for more memory than that
        if length > MAX_PAYLOAD.min(packed.len().saturating_mul(255)) {
            return Err(Unpackable);
        }
        Ok((length, packed))
    }

    fn unpack(&self, json: &mut Vec<u8>) -> Result<(), Unpackable> {
        let (length, packed) = self.claimed()?;
        json.clear();
        json.resize(length, 0);
        match lz4_flex::block::decompress_into(packed, json) {
            Ok(unpacked) if unpacked == length => Ok(()),
            _ => Err(Unpackable),
        }
    }
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
            payload: Payload { bytes: &bytes[FRAME_HEADER..], packed: is_packed(bytes)? },
            bytes,
        })
    }

    /// The payload's length as the header at the start of `bytes` gives it, unchecked; `None` where that header is cut
    /// short or the length is above [`MAX_PAYLOAD`].
    pub fn claimed_length(bytes: &[u8]) -> Option<usize> {
        let header = bytes.get(..FRAME_HEADER)?;
        let length = usize::try_from(u32::from_le_bytes(array(header, 4)?) & !PACKED).ok()?;
        (length <= MAX_PAYLOAD).then_some(length)
    }

    /// How much JSON the record that begins `bytes` holds, as it claims.
    pub fn claimed_json(bytes: &[u8]) -> Option<u64> {
        let length = if is_packed(bytes)? { array(bytes, FRAME_HEADER)? } else { array(bytes, 4)? };
        Some(u64::from(u32::from_le_bytes(length)))
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

/// How the length's field may say that a payload is so long.
pub(super) const fn as_stored(length: u32) -> [u32; 2] {
    [length, length | PACKED]
}

fn is_packed(bytes: &[u8]) -> Option<bool> {
    Some(u32::from_le_bytes(array(bytes, 4)?) & PACKED != 0)
}

/// A record being written into a buffer: the payload goes straight behind the room kept for the header.
#[derive(Debug)]
pub struct Draft<'a> {
    buffer: &'a mut Vec<u8>,
    packed: bool,
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
        Self { buffer, packed: false }
    }

    /// Where the payload is written to.
    pub fn payload(&mut self) -> &mut Vec<u8> {
        self.buffer
    }

    /// Packs the payload, where that is worth it. Records of one batch resemble each other: LZ4 leaves a fifth of them.
    /// `room` is memory to work in.
    pub fn pack(&mut self, room: &mut Vec<u8>) {
        let json = &self.buffer[FRAME_HEADER..];
        let Ok(length) = u32::try_from(json.len()) else { return };
        if json.len() < WORTH_PACKING || json.len() > MAX_PAYLOAD || self.packed {
            return;
        }
        room.clear();
        room.resize(FRAME_HEADER, 0);
        room.extend_from_slice(&length.to_le_bytes());
        let from = room.len();
        room.resize(from + lz4_flex::block::get_maximum_output_size(json.len()), 0);
        let Ok(packed) = lz4_flex::block::compress_into(json, &mut room[from..]) else { return };
        if 4 + packed < json.len() {
            room.truncate(from + packed);
            std::mem::swap(self.buffer, room);
            self.packed = true;
        }
    }

    /// Fills the header in; the buffer then holds the whole record, and the chain as it will be once that is durable is
    /// returned.
    pub fn finish(self, after: &Chain, time_ns: i64) -> Result<Chain, TooLong> {
        let length = self.buffer.len() - FRAME_HEADER;
        let stored = u32::try_from(length).ok().filter(|_| length <= MAX_PAYLOAD).ok_or(TooLong(length))?;
        let seq = after.seq + 1;
        let stored = if self.packed { stored | PACKED } else { stored };
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
        assert_eq!(frame.payload.json().unwrap().as_ref(), br#"{"v":1}"#);
        assert_eq!(after, Chain { seq: 7, head: frame.hash(), time_ns: 77 });
        for position in 0..buffer.len() {
            let mut bytes = buffer.clone();
            bytes[position] ^= 0x20;
            assert!(Frame::read(&bytes).is_none(), "byte {position}");
            assert!(Frame::read(&buffer[..position]).is_none(), "cut at {position}");
        }
        assert!(Frame::read(&[0; 200]).is_none(), "zeros are no record");
    }

    fn packed(payload: &[u8]) -> (Vec<u8>, usize) {
        let (mut buffer, mut room) = (Vec::new(), b"left over".to_vec());
        let mut draft = Draft::new(&mut buffer);
        draft.payload().extend_from_slice(payload);
        draft.pack(&mut room);
        draft.finish(&Chain::START, 1).unwrap();
        let length = buffer.len();
        (buffer, length)
    }

    #[test]
    fn a_long_record_is_packed_and_reads_back() {
        let long = br#"{"op":"admit","subject":"admission:adm_1"},"#.repeat(40);
        let (bytes, length) = packed(&long);
        assert!(length < FRAME_HEADER + long.len() / 5, "{length} bytes");
        let frame = Frame::read(&bytes).unwrap();
        assert_eq!((frame.payload.json().unwrap().as_ref(), frame.bytes.len()), (&long[..], length));
        assert_eq!(Frame::claimed_json(&bytes), Some(long.len() as u64));
        let mut room = b"left over".to_vec();
        assert_eq!(frame.payload.json_in(&mut room).unwrap(), &long[..]);
        for position in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[position] ^= 0x80;
            assert!(Frame::read(&bytes).is_none(), "byte {position}");
        }
    }

    #[test]
    fn a_short_record_and_one_that_packing_makes_longer_stay_as_they_are() {
        let mut random = 7_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random.to_be_bytes()[2]
        };
        let noise: Vec<u8> = (0..2_000).map(|_| next()).collect();
        for payload in [&br#"{"v":1}"#[..], &noise] {
            let (bytes, length) = packed(payload);
            assert_eq!(length, FRAME_HEADER + payload.len());
            assert_eq!(Frame::read(&bytes).unwrap().payload.json().unwrap().as_ref(), payload);
            assert_eq!(Frame::claimed_json(&bytes), Some(payload.len() as u64));
        }
    }

    /// A record with a right checksum whose packed payload claims more than it can hold.
    #[test]
    fn what_cannot_be_unpacked_is_told_and_takes_no_memory() {
        for (length, rest) in [(u32::MAX, vec![0; 20]), (3, vec![0xff; 20]), (70, b"\x40abcd".to_vec())] {
            let bytes = [&length.to_le_bytes()[..], &rest].concat();
            assert_eq!(Payload { bytes: &bytes, packed: true }.json(), Err(Unpackable), "{length}");
        }
        assert_eq!(Payload { bytes: b"abc", packed: true }.json(), Err(Unpackable));
        let large = [&u32::MAX.to_le_bytes()[..], &[0; 20]].concat();
        assert_eq!(Payload { bytes: &large, packed: true }.claimed(), Err(Unpackable), "before any memory is taken");
    }
}
