//! What a command names and memory does not hold any more: the store reads it from behind, and the draft sees it.

use super::keys::{KeyEntry, KeyName};
use crate::budget::{Account, AccountKey, Hold};
use crate::vocabulary::HoldId;
use std::collections::HashMap;
use std::sync::Arc;

/// What one command acts on by name. An admission's budgets are always in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The idempotency key that it is asked under.
    pub key: Option<KeyName>,
    /// The hold that it changes.
    pub hold: Option<HoldId>,
}

/// What was read for the commands of a batch.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Holds that ended long ago.
    pub holds: HashMap<HoldId, Arc<Hold>>,
    /// Accounts whose window is over.
    pub accounts: HashMap<AccountKey, Account>,
    /// Keys that were used long ago.
    pub keys: HashMap<KeyName, Arc<KeyEntry>>,
}
