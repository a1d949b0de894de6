//! What happens behind the answering path, on one thread: each sealed segment is read once, and gives the database behind
//! its rows, the used keys their places, and a copy of the state that checkpoints are made of its changes. Segments that
//! nothing needs any longer are dropped.
//!
//! The copy stands at the last sealed segment, so a checkpoint is made without stopping the writer for a moment.

mod records;
mod retain;
mod take;
mod text;
mod work;

pub(super) use records::Buffer;
pub(super) use take::collect_keys;
pub use work::Keeping;
pub(super) use work::{Copy, Keeper, Work};
#[cfg(test)]
pub(super) use work::{Kept, open_index};
