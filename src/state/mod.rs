//! Everything that decisions depend on, as plain values in memory; how an effect changes it; and the overlay that a
//! batch is decided on before it is durable.
//!
//! Architecture invariant: nothing here is changed but by [`State::apply`], and only with effects that are in the
//! journal. Effects carry absolute after-values: applying one twice changes nothing, and recovery never decides again.

mod accounts;
mod attention;
mod claim_queue;
#[cfg(test)]
mod compare_tests;
mod deliveries;
mod denials;
mod draft;
mod effect;
#[cfg(test)]
mod effect_tests;
mod holds;
mod hot;
mod keys;
mod loaded;
mod open_runs;
mod outside;
mod run_holds;
mod run_memory;
mod run_seen;
mod runs;
mod runs_draft;
mod snapshot;
mod workers;

pub use attention::{Items, RESOLVED_KEPT};
pub use deliveries::{DELIVERIES_KEPT, DELIVERIES_TRIED, Deliveries};
pub use denials::{DENIALS_KEPT, DENIALS_OF_AGENT};
pub use draft::Draft;
pub use effect::{Changes, CheckpointNote, DroppedSegment, Effect, Entry, JournalNote, PolicySetHead};
pub use hot::{Forget, State};
pub use keys::{FirstAnswer, KeyEntry, KeyName, Operation};
pub use loaded::{Loaded, Touched};
pub use open_runs::Opened;
pub use outside::{ITEMS_OF_AGENT, ITEMS_OUTSIDE_RUNS};
pub use run_holds::RunHolds;
pub use run_memory::RunMemory;
pub use run_seen::{EventName, KNOWN_EVENTS, Seen, SeenEvents, body_name, event_name};
pub use runs::{RUNS_KEPT, Runs};
pub use runs_draft::{RunsDraft, RunsView};
pub use workers::WORKERS_KEPT;
