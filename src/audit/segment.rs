//! The head of a segment file, and its name.

use super::frame::array;
use super::{Digest, WriterId};

/// The version of the files' format. A reader refuses a higher one.
pub const FORMAT_VERSION: u32 = 2;

/// Bytes before the first record.
pub const SEGMENT_HEADER: usize = 96;

const MAGIC: &[u8; 8] = b"TOLLGATE";

/// What a segment says of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its length in bytes, up to the last durable record.
    pub length: u64,
    /// Whether a write or flush of it failed: what follows that length is dead.
    pub abandoned: bool,
}

impl Previous {
    /// There is none.
    pub const NONE: Self = Self { length: 0, abandoned: false };
}

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The version of the format that it is written in.
    pub version: u32,
    /// Who writes this chain.
    pub writer: WriterId,
    /// The first record's sequence number.
    pub first_seq: u64,
    /// Hash of the record before that.
    pub previous_hash: Digest,
    /// Where the segment before ends.
    pub previous: Previous,
}

/// Why the head of a file is not one of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Shorter than a header.
    #[error("the segment's header is cut short")]
    Short,
    /// Another kind of file.
    #[error("this is not a journal segment (it does not begin with TOLLGATE)")]
    Magic,
    /// Changed bytes.
    #[error("the segment's header has a wrong checksum: bytes of it were changed")]
    Checksum,
    /// Written by a later Tollgate.
    #[error("the segment has format version {0}, and this Tollgate reads up to {FORMAT_VERSION}")]
    Version(u32),
}

impl SegmentHeader {
    /// As bytes.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[12..16].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..32].copy_from_slice(self.writer.as_bytes());
        bytes[32..40].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[40..72].copy_from_slice(self.previous_hash.as_bytes());
        bytes[72..80].copy_from_slice(&self.previous.length.to_le_bytes());
        bytes[80..84].copy_from_slice(&u32::from(self.previous.abandoned).to_le_bytes());
        let checksum = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// From the first bytes of a file.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes = bytes.get(..SEGMENT_HEADER).ok_or(HeaderError::Short)?;
        if &bytes[..8] != MAGIC {
            return Err(HeaderError::Magic);
        }
        let number = |offset| array(bytes, offset).map(u32::from_le_bytes).ok_or(HeaderError::Short);
        if crc32fast::hash(&bytes[12..]) != number(8)? {
            return Err(HeaderError::Checksum);
        }
        let version = number(12)?;
        if !(1..=FORMAT_VERSION).contains(&version) {
            return Err(HeaderError::Version(version));
        }
        Ok(Self {
            version,
            writer: WriterId::from_bytes(array(bytes, 16).ok_or(HeaderError::Short)?),
            first_seq: u64::from_le_bytes(array(bytes, 32).ok_or(HeaderError::Short)?),
            previous_hash: Digest::from_bytes(array(bytes, 40).ok_or(HeaderError::Short)?),
            previous: Previous {
                length: u64::from_le_bytes(array(bytes, 72).ok_or(HeaderError::Short)?),
                abandoned: number(80)? == 1,
            },
        })
    }
}

/// The name of the segment that begins with this record.
pub fn file_name(first_seq: u64) -> String {
    format!("{first_seq:020}.seg")
}

/// The first record of the segment of this name, if it is a segment's name.
pub fn first_seq(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".seg")?;
    if digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_any_changed_byte_is_seen() {
        let header = SegmentHeader {
            version: FORMAT_VERSION,
            writer: WriterId::from_bytes([7; 16]),
            first_seq: 12,
            previous_hash: Digest::of(b"eleven"),
            previous: Previous { length: 4096, abandoned: true },
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for position in 0..bytes.len() {
            let mut changed = bytes;
            changed[position] ^= 1;
            assert!(SegmentHeader::decode(&changed).is_err(), "byte {position}");
        }
        assert_eq!(SegmentHeader::decode(&bytes[..95]), Err(HeaderError::Short));
        let of = |version| SegmentHeader { version, ..header }.encode();
        assert_eq!(SegmentHeader::decode(&of(1)).map(|header| header.version), Ok(1), "an earlier version is read");
        for version in [0, FORMAT_VERSION + 1] {
            assert_eq!(SegmentHeader::decode(&of(version)), Err(HeaderError::Version(version)));
        }
    }

    #[test]
    fn names() {
        assert_eq!(file_name(1), "00000000000000000001.seg");
        assert_eq!(first_seq("00000000000000000042.seg"), Some(42));
        assert_eq!(first_seq("00000000000000000042.seg.new"), None);
        assert_eq!(first_seq("42.seg"), None);
        assert_eq!(first_seq("+0000000000000000042.seg"), None);
    }
}
