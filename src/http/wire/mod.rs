//! The API's own types: what is sent and what is answered. They become domain values, or are made from them, here; the
//! public JSON is never a domain type by accident.

pub mod admission;
pub mod answer;
pub mod attempt_diff;
pub mod attention;
pub mod attention_act;
pub mod budget;
pub mod delivery;
pub mod event;
pub mod hold;
pub mod record;
pub mod registry;
pub mod run;
pub mod run_act;
pub mod setup;
pub mod state;
pub mod stream;
