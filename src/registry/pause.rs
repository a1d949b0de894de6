//! The stop button.

use super::api_key::Actor;
use crate::vocabulary::{ActionName, AgentId, EntityType, PauseId, TeamId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is stopped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum PauseTarget {
    /// One agent.
    Agent(AgentId),
    /// The agents of one team.
    Team(TeamId),
    /// One action, whoever asks.
    Action(ActionName),
    /// Everything done to one type of entity.
    EntityType(EntityType),
    /// Everything.
    Everything,
}

impl fmt::Display for PauseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "agent {id}"),
            Self::Team(id) => write!(f, "team {id}"),
            Self::Action(id) => write!(f, "action {id}"),
            Self::EntityType(id) => write!(f, "entity type {id}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

/// One pause, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Its id.
    pub id: PauseId,
    /// What is stopped.
    pub target: PauseTarget,
    /// Why.
    pub reason: String,
    /// By whom.
    pub author: Actor,
    /// Since when.
    pub started_at: Timestamp,
    /// When it ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// That somebody ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<PauseEnd>,
}

/// Who ended a pause, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseEnd {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
}

impl Pause {
    /// Whether it stops anything at `now`.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.ends_at.is_none_or(|end| now < end)
    }
}
