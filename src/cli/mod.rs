//! The command line, one file a command. Data goes to stdout, everything else to stderr; exit codes are 0 yes, 1 no
//! (a failing test, a denial, a refusal), 2 could not tell.

pub mod audit;
pub mod backup;
pub mod restore;
