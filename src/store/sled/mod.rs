//! The embedded store.

pub mod blobs;
pub mod journal;
pub mod lock;
pub mod writer;
