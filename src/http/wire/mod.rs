//! The API's own types: what is sent and what is answered. They become domain values, or are made from them, here; the
//! public JSON is never a domain type by accident.

pub mod admission;
pub mod answer;
pub mod attempt_diff;
pub mod attention;
pub mod attention_act;
pub mod attention_bulk;
pub mod budget;
pub mod claim;
pub mod delivery;
pub mod event;
pub mod event_outcome;
#[cfg(test)]
mod fuzz_tests;
pub mod hold;
pub mod item;
pub mod record;
pub mod registry;
pub mod run;
pub mod run_act;
pub mod run_attempt;
pub mod run_parts;
pub mod run_usage;
pub mod setup;
pub mod state;
pub mod stream;
