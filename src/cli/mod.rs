//! The command line, one file a command. Data goes to stdout, everything else to stderr; exit codes are 0 yes, 1 no
//! (a failing test, a denial, a refusal), 2 could not tell.

pub mod agent;
pub mod attention;
mod attention_bulk;
pub mod audit;
pub mod backup;
pub mod bench;
pub mod budget;
pub mod check;
mod client;
pub mod demo;
mod document;
pub mod key;
mod logging;
pub mod restore;
mod root;
pub mod runs;
pub mod serve;
pub mod setup;
pub mod simulate;
pub mod state;
pub mod test;

pub use root::{Cli, main};
