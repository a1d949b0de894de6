//! The HTTP face: parses and authenticates requests, calls `operations`, and writes answers. It decides nothing.

pub mod check;
pub mod json;
pub mod problem;
pub mod read;
