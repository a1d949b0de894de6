//! Where answers become durable: one trait with a written contract, and its implementations.

mod contract;
mod failure;
mod feed;
pub mod sled;

pub use contract::{
    AuditFilter, AuditRecord, CommitFailure, DecisionFilter, Page, ReadError, Reply, Store, StoreStatus, read,
};
pub use feed::{Committed, Feed, Following};
