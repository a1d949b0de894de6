//! The routes: one file for each thing that they are about, and the table of them all.

pub mod admissions;
pub mod attempt_diff;
pub mod attention;
pub mod budgets;
pub mod events;
pub mod holds;
pub mod keys;
pub mod pauses;
pub mod policies;
pub mod registry;
pub mod runs;
pub mod setup;
pub mod stream;
pub mod system;
mod table;

pub use table::{ROUTES, Route, configure, may_enter, nothing_here};

pub(super) use {
    admissions::*, attempt_diff::*, attention::*, budgets::*, events::*, holds::*, keys::*, pauses::*, policies::*,
    registry::*, runs::*, setup::*, stream::*, system::*,
};
