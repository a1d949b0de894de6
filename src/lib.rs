//! Tollgate: the gate that an AI agent's runtime passes before every action and every retry.

pub mod audit;
pub mod store;
pub mod vocabulary;
