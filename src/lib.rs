//! Tollgate: the gate that an AI agent's runtime passes before every action and every retry.

pub mod admission;
pub mod audit;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decide;
pub mod http;
pub mod operations;
pub mod policy;
pub mod policy_dir;
pub mod registry;
pub mod server;
pub mod state;
pub mod store;
pub mod thread_time;
pub mod vocabulary;
