//! Tollgate.

pub mod registry;
pub mod vocabulary;
