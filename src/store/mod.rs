//! Where answers become durable. The trait [`Store`] is the contract, [`sled`] the embedded implementation.

mod contract;
mod failure;
pub mod sled;

pub use contract::{
    AuditEntry, AuditFilter, CommitError, DecisionFilter, Page, Position, PositionError, Reply, Store, StoreError,
    StoreStatus,
};
pub use failure::CommitFailure;
