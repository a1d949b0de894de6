//! The integration tests.

mod airline;
mod faulty_disk;
mod store_journal;
mod store_writer;
