//! The format of a checkpoint: a head that says where in the chain it stands, sections that each carry a checksum, and a
//! digest of all of it at the end.
//!
//! Format version 1, all numbers little-endian; the file is named after the last record that it covers.
//!
//! | offset | bytes | head |
//! |---|---|---|
//! | 0 | 8 | `TOLLCKPT` |
//! | 8 | 4 | CRC-32 of the bytes from 12 to 128 |
//! | 12 | 4 | format version |
//! | 16 | 16 | id of the writer |
//! | 32 | 8 | sequence number of the last record that is in it |
//! | 40 | 32 | hash of that record |
//! | 72 | 8 | its batch time |
//! | 80 | 48 | zeros |
//!
//! Then sections: kind (4), length of what it holds (4), CRC-32 of kind, length and what it holds (4), and that. Kinds: 1
//! a JSON array of effects, 2 a JSON array of accounts, 3 a generation of used keys (last record, last end in
//! nanoseconds, then pairs of fingerprint and place, 8 bytes each, sorted), 0 the end, which holds the SHA-256 of all
//! bytes before its section.

use super::chain::Hashing;
use super::frame::array;
use super::{Chain, Digest, WriterId};

/// The version of the format. A reader refuses a higher one.
pub const CHECKPOINT_VERSION: u32 = 1;

/// Bytes before the first section.
pub const CHECKPOINT_HEADER: usize = 128;

const MAGIC: &[u8; 8] = b"TOLLCKPT";
const SECTION_HEADER: usize = 12;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// The end.
    End = 0,
    /// Effects.
    Effects = 1,
    /// Accounts.
    Accounts = 2,
    /// Used keys.
    Keys = 3,
}

/// Where in the chain a checkpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointHeader {
    /// Who writes the chain.
    pub writer: WriterId,
    /// The last record that is in it.
    pub chain: Chain,
}

/// Why a file is no good checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// The system did not let it be read: nobody knows whether it is good.
    #[error("the checkpoint cannot be read at present: {0}")]
    Unread(String),
    /// Shorter than it says.
    #[error("the checkpoint is cut short")]
    Cut,
    /// Another kind of file.
    #[error("this is not a checkpoint (it does not begin with TOLLCKPT)")]
    Magic,
    /// Changed bytes.
    #[error("the checkpoint has a wrong checksum at offset {0}: bytes of it were changed")]
    Checksum(u64),
    /// Written by a later Tollgate.
    #[error("the checkpoint has format version {0}, and this Tollgate reads up to {CHECKPOINT_VERSION}")]
    Version(u32),
    /// It is whole, but what it holds is not what this version writes.
    #[error("the checkpoint is whole, but cannot be read: {0}")]
    Content(String),
    /// Another file than the one that the chain names.
    #[error("the checkpoint has the digest {found}, and the journal names it with {wanted}: it was replaced")]
    Replaced {
        /// What the chain says.
        wanted: String,
        /// What the file gives.
        found: Digest,
    },
    /// Its name is not that of what it covers, or it is of another chain.
    #[error("the checkpoint does not belong here: {0}")]
    Foreign(String),
}

impl CheckpointHeader {
    /// As bytes.
    pub fn encode(&self) -> [u8; CHECKPOINT_HEADER] {
        let mut bytes = [0; CHECKPOINT_HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[12..16].copy_from_slice(&CHECKPOINT_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(self.writer.as_bytes());
        bytes[32..40].copy_from_slice(&self.chain.seq.to_le_bytes());
        bytes[40..72].copy_from_slice(self.chain.head.as_bytes());
        bytes[72..80].copy_from_slice(&self.chain.time_ns.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// From the first bytes of a file.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointFault> {
        let bytes = bytes.get(..CHECKPOINT_HEADER).ok_or(CheckpointFault::Cut)?;
        if &bytes[..8] != MAGIC {
            return Err(CheckpointFault::Magic);
        }
        let number = |offset| array(bytes, offset).map(u32::from_le_bytes).ok_or(CheckpointFault::Cut);
        if crc32fast::hash(&bytes[12..]) != number(8)? {
            return Err(CheckpointFault::Checksum(0));
        }
        match number(12)? {
            CHECKPOINT_VERSION => {}
            other => return Err(CheckpointFault::Version(other)),
        }
        let chain = Chain {
            seq: array(bytes, 32).map(u64::from_le_bytes).ok_or(CheckpointFault::Cut)?,
            head: array(bytes, 40).map(Digest::from_bytes).ok_or(CheckpointFault::Cut)?,
            time_ns: array(bytes, 72).map(i64::from_le_bytes).ok_or(CheckpointFault::Cut)?,
        };
        Ok(Self { writer: array(bytes, 16).map(WriterId::from_bytes).ok_or(CheckpointFault::Cut)?, chain })
    }
}

/// Adds a section behind what `bytes` holds; `write` puts there what is in it, under 4 GiB.
pub fn put_section<E>(
    bytes: &mut Vec<u8>,
    kind: SectionKind,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let from = bytes.len();
    bytes.extend_from_slice(&(kind as u32).to_le_bytes());
    bytes.resize(from + SECTION_HEADER, 0);
    write(bytes)?;
    let (head, content) = bytes[from..].split_at_mut(SECTION_HEADER);
    head[4..8].copy_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&head[..8]);
    checksum.update(content);
    head[8..].copy_from_slice(&checksum.finalize().to_le_bytes());
    Ok(())
}

/// One section as bytes.
#[cfg(test)]
pub(super) fn encode_section(kind: SectionKind, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(()) = put_section(&mut bytes, kind, |bytes| {
        bytes.extend_from_slice(content);
        Ok::<_, std::convert::Infallible>(())
    });
    bytes
}

/// Reads the sections behind the head of a whole file, each checked, and gives them to `visit`. Returns the digest of the
/// whole file.
pub fn read_sections<'a>(
    bytes: &'a [u8],
    visit: &mut dyn FnMut(SectionKind, &'a [u8]) -> Result<(), CheckpointFault>,
) -> Result<Digest, CheckpointFault> {
    let mut offset = CHECKPOINT_HEADER;
    loop {
        let rest = bytes.get(offset..).ok_or(CheckpointFault::Cut)?;
        let number = |at| array(rest, at).map(u32::from_le_bytes).ok_or(CheckpointFault::Cut);
        let (kind, length, checksum) = (number(0)?, number(4)?, number(8)?);
        let end = usize::try_from(length).ok().and_then(|length| length.checked_add(SECTION_HEADER));
        let content = end.and_then(|end| rest.get(SECTION_HEADER..end)).ok_or(CheckpointFault::Cut)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&rest[..8]);
        hasher.update(content);
        if hasher.finalize() != checksum {
            return Err(CheckpointFault::Checksum(offset as u64));
        }
        let behind = offset + SECTION_HEADER + content.len();
        match kind {
            0 => return end_of(bytes, offset, behind, content),
            1 => visit(SectionKind::Effects, content)?,
            2 => visit(SectionKind::Accounts, content)?,
            3 => visit(SectionKind::Keys, content)?,
            other => return Err(CheckpointFault::Content(format!("it has a section of kind {other}"))),
        }
        offset = behind;
    }
}

fn end_of(bytes: &[u8], offset: usize, behind: usize, content: &[u8]) -> Result<Digest, CheckpointFault> {
    if behind != bytes.len() {
        return Err(CheckpointFault::Content("bytes follow its end".to_owned()));
    }
    let mut hashing = Hashing::default();
    hashing.update(&bytes[..offset]);
    if hashing.so_far().as_bytes() != content {
        return Err(CheckpointFault::Checksum(offset as u64));
    }
    hashing.update(&bytes[offset..]);
    Ok(hashing.so_far())
}

/// The name of the checkpoint that covers the records up to this one.
pub fn checkpoint_name(seq: u64) -> String {
    format!("{seq:020}.ckpt")
}

/// The last record of the checkpoint of this name, if it is a checkpoint's name.
pub fn checkpoint_seq(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".ckpt")?;
    if digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_any_changed_byte_is_seen() {
        let chain = Chain { seq: 12, head: Digest::of(b"twelve"), time_ns: 99 };
        let header = CheckpointHeader { writer: WriterId::from_bytes([7; 16]), chain };
        let mut bytes = header.encode().to_vec();
        bytes.extend(encode_section(SectionKind::Effects, b"[]"));
        bytes.extend(encode_section(SectionKind::Keys, &[9; 32]));
        let digest = Digest::of(&bytes);
        bytes.extend(encode_section(SectionKind::End, digest.as_bytes()));
        let read = |bytes: &[u8]| {
            let header = CheckpointHeader::decode(bytes)?;
            let mut seen = Vec::new();
            let digest = read_sections(bytes, &mut |kind, content| {
                seen.push((kind, content.len()));
                Ok(())
            })?;
            Ok::<_, CheckpointFault>((header, seen, digest))
        };
        let wanted = vec![(SectionKind::Effects, 2), (SectionKind::Keys, 32)];
        assert_eq!(read(&bytes), Ok((header, wanted, Digest::of(&bytes))));
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(read(&changed).is_err(), "byte {position}");
            assert!(read(&bytes[..position]).is_err(), "cut at {position}");
        }
        bytes.push(0);
        assert!(read(&bytes).is_err(), "something follows");
    }

    #[test]
    fn names() {
        assert_eq!(checkpoint_seq(&checkpoint_name(42)), Some(42));
        assert_eq!(checkpoint_seq("42.ckpt"), None);
        assert_eq!(checkpoint_seq("00000000000000000042.ckpt.new"), None);
    }
}
