//! The embedded store.

pub mod blobs;
pub mod index;
pub mod journal;
pub mod lock;
pub mod writer;
