//! Puts a daemon together and takes it down again: store, policy, seeds, keys, faces.

mod build;
mod caps;
mod classifier;
mod first_key;
mod notices;
mod policy;
mod recheck;
mod run;
mod seeds;
mod storms;
mod webhook;
mod webhook_target;

pub use build::{Assembled, Options, Server, Stop, assemble, build, build_on};
pub use classifier::read_classifier;
pub use first_key::FirstKey;
pub use run::{block_on, spawn};
pub use seeds::{SeedNews, read_budgets};
