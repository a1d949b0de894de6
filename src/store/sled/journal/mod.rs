//! The journal: the truth of a state directory. Segment files, appended and flushed once a batch, read from the start
//! when the daemon starts. Their format is [`crate::audit`]'s; here is what touches the disk.

mod append;
mod disk;
mod lookup;
mod read;

pub use append::{Appended, Journal, JournalError};
pub use disk::{Disk, LogFile, OsDisk};
pub use lookup::{Found, find, find_at, last_in_order, last_record, last_time};
pub use read::{
    Anchor, Place, ReadError, Sealed, Segment, Torn, Walk, anchor, cut_torn_end, read_header, read_mark,
    sealed_segments, segments, verify_sealed, walk, walk_after, walk_kept,
};
