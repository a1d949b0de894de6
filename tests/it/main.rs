//! The integration tests.

mod airline;
