//! Tollgate.

pub mod admission;
pub mod registry;
pub mod vocabulary;
