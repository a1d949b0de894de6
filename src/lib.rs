//! Tollgate.

pub mod admission;
pub mod clock;
pub mod http;
pub mod operations;
pub mod registry;
pub mod vocabulary;
