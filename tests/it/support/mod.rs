//! The real daemon, started in this process on a free port with a clock that a test moves, and its callers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails its test")]

mod bodies;
mod caller;
mod daemon;
mod raw;
mod receiver;
mod runtime;

pub(crate) use bodies::{body, filled};
pub(crate) use caller::{Answer, Caller, example};
pub(crate) use daemon::{ADMIN_KEY, Daemon, until};
pub(crate) use raw::{Raw, head};
pub(crate) use receiver::{HANGS, HANGS_UP, Receiver};
pub(crate) use runtime::{End, Held, Runtime, Step};
