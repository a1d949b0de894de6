//! The audit trail as bytes: canonical JSON, the hash chain, and the format of the journal's files.
//!
//! All of it is pure. Given the bytes of the files it says whether every record is whole, in order and chained to the
//! one before it, and if not, where the first bad place is and what it means. The store writes through it and reads
//! through it, and so does `tollgate audit verify`, which has nothing but the files.
//!
//! Format version 2, all numbers little-endian. A *segment* is a file named after the first record in it:
//!
//! | offset | bytes | segment header |
//! |---|---|---|
//! | 0 | 8 | `TOLLGATE` |
//! | 8 | 4 | CRC-32 of the bytes from 12 to 96 |
//! | 12 | 4 | format version |
//! | 16 | 16 | id of the writer |
//! | 32 | 8 | sequence number of the first record |
//! | 40 | 32 | hash of the record before it (zeros: there is none) |
//! | 72 | 8 | length of the segment before it, up to its last durable record |
//! | 80 | 4 | 1 where that segment was abandoned: what follows that length is dead |
//! | 84 | 12 | zeros |
//!
//! | offset | bytes | record |
//! |---|---|---|
//! | 0 | 4 | CRC-32 of all that follows in the record |
//! | 4 | 4 | length of the payload; its highest bit is set where that is packed |
//! | 8 | 8 | sequence number, 1 for the first, then without a gap |
//! | 16 | 8 | batch time, nanoseconds since 1970 UTC, never less than the one before |
//! | 24 | 32 | hash of the record before it |
//! | 56 | n | payload: JSON in UTF-8; packed, its length (4) and then the JSON as one block of LZ4 |
//!
//! In version 1, which is read as well, nothing is packed.
//!
//! The hash of a record is the SHA-256 of all its bytes, checksum and header with it.
//!
//! A checkpoint's format stands in `checkpoint.rs`, the mark of what is durable in `mark.rs`.

mod canonical;
mod chain;
mod checkpoint;
mod entry;
mod frame;
#[cfg(test)]
mod fuzz_tests;
mod mark;
mod scan;
mod segment;

pub use canonical::canonical_json;
pub use chain::{Chain, Digest, DigestError, Hashing, WriterId};
pub use checkpoint::{
    CHECKPOINT_HEADER, CHECKPOINT_VERSION, CheckpointFault, CheckpointHeader, SectionKind, checkpoint_name,
    checkpoint_seq, put_section, read_sections,
};
pub use entry::{Body, EntryView, PAYLOAD_VERSION, PayloadError, check_version, parse_body};
pub use frame::{Draft as FrameDraft, FRAME_HEADER, Frame, MAX_PAYLOAD, Payload, TooLong, Unpackable};
pub use mark::{MARK_BYTES, MARK_FILE, Mark};
pub use scan::{Damage, End, Extent, Fault, scan};
pub use segment::{FORMAT_VERSION, Previous, SEGMENT_HEADER, SegmentHeader, file_name, first_seq};
