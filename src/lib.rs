//! Tollgate.

pub mod admission;
pub mod audit;
pub mod clock;
pub mod registry;
pub mod store;
pub mod vocabulary;
