//! The database behind the journal.

mod blocks;

pub use blocks::{Blocks, IndexError};
