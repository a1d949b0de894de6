//! Tollgate: the gate that an AI agent's runtime passes before every action and every retry.

pub mod vocabulary;

pub mod cli;
pub mod policy;
pub mod policy_dir;
pub mod thread_time;
