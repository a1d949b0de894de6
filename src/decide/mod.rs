//! Where everything is decided: one command, one draft of a batch, one outcome. Pure: the same command on the same state
//! at the same time decides the same.
//!
//! An admission is decided in `admit.rs`. [`run`] is the only door: the store calls it for each command of a batch, in
//! arrival order.

mod admit;
mod attention;
mod budgets;
mod command;
mod expire;
mod holds;
mod keys;
mod registry;
mod rehearse;
mod run;
mod runs;

#[cfg(test)]
mod admit_tests;
#[cfg(test)]
mod attention_tests;
#[cfg(test)]
mod edit_tests;
#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod model_tests;

pub use command::{
    Admit, Answer, BudgetEdit, Command, Context, Envelope, HoldCommand, ItemCommand, KeyCommand, Limits, NewKey,
    PolicyVerdict, RaiseCommand, Refusal, RegistryCommand,
};
pub use expire::{DUE_AT_ONCE, expire_due};
pub use rehearse::{Rehearsed, Taken, rehearse};
pub use run::{run, touched};
pub use runs::{ClaimCommand, Reporting, RetryCommand, RunAnswer, RunCommand, WorkerSpec, plan_of, refusal_of_run};
