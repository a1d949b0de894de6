//! Tollgate: the gate that an AI agent's runtime passes before every action and every retry.

pub mod admission;
pub mod audit;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod decide;
pub mod http;
pub mod operations;
pub mod policy;
pub mod registry;
pub mod state;
pub mod store;
pub mod vocabulary;
