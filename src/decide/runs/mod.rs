//! Runs: one file a command, and what an admission has to do with its run.

mod cancel;
mod cap;
mod claim;
mod command;
mod gate;
mod put;
mod report;
mod retry;
mod setup;
mod tick;

#[cfg(test)]
mod tests;

pub use command::{ClaimCommand, Reporting, RetryCommand, RunAnswer, RunCommand, WorkerSpec};
pub use retry::{plan_of, refusal_of_run};

pub(super) use gate::{admitted, reasons};
pub(super) use put::listening_since;
pub(super) use retry::key_name;
pub(super) use tick::{due_clocks, missed_starts, tick};

pub(super) use command::decide;
