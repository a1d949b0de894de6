//! The single writer: a bounded queue, and the one thread that takes batches from it, has them decided, makes them
//! durable, lets readers see them, and only then answers.
//!
//! It is written against [`Core`], the little that it asks of what it drives, so that its promises are tested without
//! policies or budgets.

mod core;
mod queue;
mod thread;

pub use core::{Core, Decided, Moment, Outcome};
pub use queue::{Queue, Reply};
pub use thread::{Settings, Shared, start};

#[cfg(test)]
pub(in crate::store::sled) use thread::Writer;
