//! The integration tests.

mod store_journal;
