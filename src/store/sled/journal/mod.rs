//! The journal: the truth of a state directory. Segment files, appended and flushed once a batch, read from the start
//! when the daemon starts. Their format is [`crate::audit`]'s; here is what touches the disk.

mod append;
mod disk;
mod read;

pub use append::{Appended, Journal, JournalError};
pub use disk::{Disk, LogFile, OsDisk};
pub use read::{Place, ReadError, Sealed, Segment, Torn, Walk, cut_torn_end, sealed_segments, segments, walk};
