//! The embedded store: a journal of segment files that is the truth, the hot state in memory, and sled behind them for
//! what is asked for later.
//!
//! A state directory:
//!
//! ```text
//! lock               held by the daemon that uses it
//! journal/*.seg      the truth; format in crate::audit
//! blobs/ab/<sha256>  policy sets, by their digest
//! db/                sled, made from sealed segments; can be deleted at any time while no daemon runs
//! db.damaged-*       a database that was damaged and put aside
//! ```

mod batch;
pub mod blobs;
pub mod check;
pub mod copy;
mod history;
pub mod index;
pub mod journal;
pub mod lock;
mod open;
mod position;
mod recent;
mod run_events;
mod store;
pub mod writer;

pub use history::PutAside;
pub use open::{OpenError, Recovery, Settings};
pub use position::{Position, PositionError};
pub use recent::Recorded;
pub use store::Sled;
