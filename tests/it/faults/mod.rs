//! Faults and bad input: whatever is done to a running daemon, the answer is clear and nothing is lost.

mod kill;
mod load;
mod policies;
mod process;
mod race;
mod races;
mod time;
mod ways_out;
