//! The HTTP face: parses and authenticates requests, calls `operations`, and writes answers. It decides nothing.
//!
//! Reading order: `serve` (binds and runs), `routes` (the table of routes and their handlers), `edge` (what happens around
//! each), `extract`, `json`, `numbers`, `read` and `check` (how a body becomes values), `problem` (how an error is told).

pub mod bodies;
pub mod caller;
pub mod check;
mod closed;
pub mod config;
pub mod connections;
pub mod docs;
pub mod edge;
pub mod extract;
pub mod json;
pub mod metrics;
mod numbers;
pub mod openapi;
pub mod problem;
pub mod read;
mod refusal;
pub mod routes;
pub mod serve;
pub mod wire;

pub use openapi::document;
pub use serve::{Bound, Stop, bind};
