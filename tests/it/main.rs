//! The integration tests.

mod faulty_disk;
mod store_journal;
mod store_writer;
