//! Real input: the tool calls of 200 public runs of an airline's service agent, as admissions.
//!
//! The data stays outside of the project (see `docs/airline.md`); what needs it asks [`source::find`], which skips with
//! a message where there is none. Reading order: `source` reads the files, `world` keeps a run's records as its calls
//! change them, `estimate` prices a call, `convert` makes the requests, `report`
//! makes the events of a run around them.

pub(crate) mod budgets;
pub(crate) mod convert;
pub(crate) mod estimate;
pub(crate) mod report;
pub(crate) mod source;
pub(crate) mod world;

mod checks;
