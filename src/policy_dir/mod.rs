//! Reads `policies/` and `data/` into a [`Tree`](crate::policy::Tree), and watches them: the one place where policy meets the disk.
//!
//! `read` makes a tree, and goes by what it read before where a file cannot have changed; `watch` tells of every tree that
//! has settled.

mod read;
mod watch;
mod watched;

pub use read::{ReadTreeError, TreeReader, read_tree};
pub use watch::{Watcher, watch};
