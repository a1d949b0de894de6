//! What a decision changes. The journal is made of these, so their JSON is a stored format: fields are added with a
//! default, never renamed, and golden files keep it so.

use super::keys::KeyEntry;
use super::run_memory::RunMemory;
use crate::admission::DecisionRecord;
use crate::attention::{Delivery, Denied, Item, ItemState};
use crate::budget::{Account, AccountKey, Alert, Budget, Hold};
use crate::registry::{Actor, Agent, ApiKey, EntityTypeRecord, Pause};
use crate::runs::{Connector, Run, RunEvent, Schedule, Worker};
use crate::vocabulary::ItemId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// The policy set in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySetHead {
    /// Its digest; its text is stored beside the journal under it.
    pub digest: String,
    /// Since when.
    pub since: Timestamp,
    /// By whom.
    pub by: Actor,
    /// What it took the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
}

/// A checkpoint of the journal, as the chain names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointNote {
    /// The last record that it covers.
    pub seq: u64,
    /// SHA-256 of its file.
    pub sha256: String,
    /// How long that is.
    pub bytes: u64,
}

/// A segment of the journal that was dropped on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedSegment {
    /// Its first record.
    pub first_seq: u64,
    /// Its last record.
    pub last_seq: u64,
    /// The hash of that: what the segment behind it goes on from.
    pub head: String,
}

/// What the chain says of its own files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalNote {
    /// A checkpoint was made, and read back.
    Checkpoint(CheckpointNote),
    /// Segments are dropped: a journal may begin behind them.
    Dropped(Vec<DroppedSegment>),
}

/// One after-value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A decision was made.
    Decision(Arc<DecisionRecord>),
    /// A hold stands so.
    Hold(Arc<Hold>),
    /// A key was used.
    Key(Arc<KeyEntry>),
    /// A budget stands so.
    Budget(Arc<Budget>),
    /// An alert was given.
    Alert(Alert),
    /// An agent's record stands so.
    Agent(Arc<Agent>),
    /// An entity type's record stands so.
    EntityType(Arc<EntityTypeRecord>),
    /// A pause stands so.
    Pause(Arc<Pause>),
    /// An API key stands so.
    ApiKey(Arc<ApiKey>),
    /// An item of Command Center stands so.
    Item(Arc<Item>),
    /// A denial that may have stopped something stands so.
    Denied(Arc<Denied>),
    /// What another Command Center is told of an item.
    Delivery(Arc<Delivery>),
    /// This state of an item was told last; in checkpoints alone.
    ItemTold {
        /// The item.
        item: ItemId,
        /// The state.
        state: ItemState,
    },
    /// Another policy set is in force.
    PolicySet(PolicySetHead),
    /// What the seed files held when they were last read.
    Seed {
        /// The file's name.
        file: String,
        /// SHA-256 of its text.
        sha256: String,
    },
    /// A run stands so.
    Run(Arc<Run>),
    /// Something happened to a run.
    RunEvent(Arc<RunEvent>),
    /// What is remembered of a run beside it; in checkpoints alone.
    RunMemory(Arc<RunMemory>),
    /// A connector stands so.
    Connector(Arc<Connector>),
    /// A schedule stands so.
    Schedule(Arc<Schedule>),
    /// A worker stands so.
    Worker(Arc<Worker>),
    /// An admin confirmed the wall clock: nobody was silent before that.
    ClockConfirmed {
        /// What it showed.
        wall: Timestamp,
    },
    /// The journal's files changed.
    Journal(JournalNote),
}

/// One operation in the journal: who did what to what, and what changed by it. The audit record and the effect are
/// the same write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The operation: `admit`, `settle`, `budget.raise`, …
    pub op: String,
    /// Who.
    pub actor: Actor,
    /// On what: `budget:rfq-draft-daily`, `hold:hold_…`.
    pub subject: String,
    /// Why, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What stood before, for edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// What stands now.
    pub effects: Vec<Effect>,
}

/// All that one batch changes.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Its operations, in order.
    pub entries: Vec<Entry>,
    /// The accounts that they touched, as they stand at the batch's end.
    pub accounts: HashMap<AccountKey, Account>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.accounts.is_empty()
    }
}
