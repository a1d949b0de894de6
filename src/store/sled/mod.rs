//! The embedded store: a journal of segment files that is the truth, the hot state in memory, and sled behind them for
//! what is asked for later.
//!
//! A state directory:
//!
//! ```text
//! lock               held by the daemon that uses it
//! journal/*.seg      the truth; format in crate::audit
//! journal/durable    which record is known to be durable
//! checkpoints/*.ckpt the state as it stood at the end of a segment
//! blobs/ab/<sha256>  policy sets, by their digest
//! db/                sled, made from sealed segments; can be deleted at any time while no daemon runs
//! db.damaged-*       a database that was damaged and put aside
//! ```

mod batch;
pub mod blobs;
pub mod check;
mod checkpoint;
pub mod copy;
mod findings;
mod gaps;
mod history;
pub mod index;
pub mod journal;
mod keeper;
mod list;
pub mod lock;
pub mod mask_key;
mod open;
mod position;
mod progress;
mod recent;
mod recover;
mod run_events;
mod scrub;
#[cfg(test)]
mod simulation;
mod store;
pub mod survey;
mod used_keys;
pub mod writer;

pub use checkpoint::BadCheckpoint;
pub use findings::Finding;
pub use history::PutAside;
pub use keeper::Keeping;
pub use open::{OpenError, Recovery, Settings};
pub use position::{Position, PositionError};
pub use progress::{IndexState, Step};
pub use recent::Recorded;
pub use scrub::{Scrubbed, Scrubbing};
pub use store::Sled;
