//! Tollgate: the gate that an AI agent's runtime passes before every action and every retry.

pub mod admission;
pub mod budget;
pub mod clock;
pub mod decide;
pub mod registry;
pub mod state;
pub mod vocabulary;

pub mod policy;
