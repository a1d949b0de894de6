//! The real daemon, started in this process on a free port with a clock that a test moves, and its callers.

mod caller;
mod daemon;

pub(crate) use caller::example;
pub(crate) use daemon::Daemon;
