//! What is known to be durable: a small file beside the segments that names a record, written behind each record, and
//! flushed when the writer has nothing else to do. A last record that cannot be read is damage if it was durable once, and a crash's doing if it never was.

use super::Digest;
use super::frame::array;

/// The name of the file.
pub const MARK_FILE: &str = "durable";

/// How long it is.
pub const MARK_BYTES: usize = 56;

const MAGIC: &[u8; 8] = b"TOLLMARK";
const VERSION: u32 = 1;

/// A record that is on stable storage, and with it all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its sequence number.
    pub seq: u64,
    /// Its hash.
    pub head: Digest,
}

impl Mark {
    /// As bytes: magic, CRC-32 of what follows, version, sequence number, hash.
    pub fn encode(&self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.seq.to_le_bytes());
        bytes[24..].copy_from_slice(self.head.as_bytes());
        let checksum = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// From a file's bytes; `None` where they are not a mark of this version, unchanged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |offset| array(bytes, offset).map(u32::from_le_bytes);
        let right = bytes.len() == MARK_BYTES && &bytes[..8] == MAGIC && number(12) == Some(VERSION);
        if !right || number(8) != Some(crc32fast::hash(&bytes[12..])) {
            return None;
        }
        Some(Self { seq: u64::from_le_bytes(array(bytes, 16)?), head: Digest::from_bytes(array(bytes, 24)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_any_changed_byte_is_seen() {
        let mark = Mark { seq: 77, head: Digest::of(b"record") };
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Some(mark));
        for position in 0..bytes.len() {
            let mut changed = bytes;
            changed[position] ^= 8;
            assert_eq!(Mark::decode(&changed), None, "byte {position}");
            assert_eq!(Mark::decode(&bytes[..position]), None);
        }
    }
}
