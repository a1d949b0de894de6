//! Workers: who claims attempts, for which agents, and how many at once.

use crate::vocabulary::{AgentId, WorkerId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// The agents that it works for.
    pub agents: Vec<AgentId>,
    /// How many attempts it takes at once.
    pub capacity: u32,
    /// Its version, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it last asked or reported; to about half a minute.
    pub last_seen: Timestamp,
}

impl Worker {
    /// Whether it has not been seen for so long that nothing is expected of it.
    pub fn is_gone(&self, now: Timestamp, gone_after_s: u32) -> bool {
        let silent = now.duration_since(self.last_seen);
        silent > SignedDuration::from_secs(i64::from(gone_after_s))
    }
}
