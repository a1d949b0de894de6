//! The HTTP face: parses and authenticates requests, calls `operations`, and writes answers. It decides nothing.

pub mod check;
pub mod config;
pub mod edge;
pub mod extract;
pub mod json;
pub mod problem;
pub mod read;
pub mod wire;
