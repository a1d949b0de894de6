//! The database behind the journal: sled, with what is asked for later, in sorted blocks. Nothing is durable because it
//! says so: all of it is made from sealed segments, and can be made again.

mod blocks;
mod database;
mod rows;

pub use blocks::{Blocks, IndexError};
pub use database::{Index, Rest, RunDecisions, Shelf};
pub(super) use rows::Outline;
pub use rows::Rows;
