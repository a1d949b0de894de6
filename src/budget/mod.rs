//! Budgets: what limits spend, how much of it is left, and the holds that set some of it aside.
//!
//! A ledger as a pure state machine: every function takes plain values and a time and gives the after-values. Where they
//! are kept is not its business (see [`Accounts`]).

mod account;
mod alert;
mod assess;
mod definition;
mod edit;
mod hold;
mod index;
mod label;
mod raise;
mod reader;
mod scope;
mod seed;
mod settle;
mod usage;
mod wait;
mod window;
mod words;

#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod model_tests;

pub use account::{Account, AccountKey, Accounts, Bucket, Figures};
pub use alert::{Alert, AlertKind, Fired, check_alerts};
pub use assess::{Assessment, Available, Held, Placed, assess, available, place};
pub use definition::{Budget, BudgetSpec, Enforcement, FieldFault, SpecParts};
pub use edit::{BudgetError, create, delete, replace};
pub use hold::{Hold, HoldLine, HoldRefusal, HoldRun, HoldState, LONGEST_HOLD_S, Release, Settlement};
pub use index::BudgetIndex;
pub use raise::{Raise, RaiseRequest, Withdrawal, limit_in_force, raise, withdraw};
pub use scope::{Dimension, Facts, Scope};
pub use seed::parse_seed;
pub use settle::{Changed, booked, expire, extend, release, settle};
pub use usage::{AccountUsage, BudgetView, WindowView, usage, view};
pub use window::{Span, Window, ZoneName};
