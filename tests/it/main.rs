//! The integration tests.

mod airline;
mod faulty_disk;
mod store_asks;
mod store_contract;
mod store_files;
mod store_journal;
mod store_sled;
mod store_writer;
