//! The routes: one file for each thing that they are about, and the table of them all.

mod admissions;
mod budgets;
mod holds;
mod keys;
mod pauses;
mod policies;
mod registry;
mod system;
mod table;

pub use table::{ROUTES, Route, configure, nothing_here};

pub(super) use {admissions::*, budgets::*, holds::*, keys::*, pauses::*, policies::*, registry::*, system::*};
