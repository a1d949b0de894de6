//! Faults and bad input: whatever is done to a running daemon, the answer is clear and nothing is lost.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what fails here fails its test, and a seed is told of"
)]

mod clients;
mod disk;
mod kill;
mod kill_runs;
mod kill_webhook;
mod load;
mod policies;
mod process;
mod race;
mod races;
mod time;
mod ways_out;
