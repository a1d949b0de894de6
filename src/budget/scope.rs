//! What a budget covers, and what an admission is, by the same five dimensions.

use crate::vocabulary::{ActionName, AgentId, EntityType, RunId, TeamId};
use serde::{Deserialize, Serialize};

/// One of the five ways to cut spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The agent's team, by the registry.
    Team,
    /// The agent.
    Agent,
    /// The type of what is acted on.
    EntityType,
    /// The action.
    Action,
    /// The run.
    Run,
}

impl Dimension {
    /// All of them, in the order of keys.
    pub const ALL: [Self; 5] = [Self::Team, Self::Agent, Self::EntityType, Self::Action, Self::Run];

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Agent => "agent",
            Self::EntityType => "entity_type",
            Self::Action => "action",
            Self::Run => "run",
        }
    }

    /// In a sentence.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::EntityType => "entity type",
            other => other.as_str(),
        }
    }
}

/// What a budget covers; an absent dimension covers any. `{}` is the whole organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// One team's agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// One agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// One type of entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<EntityType>,
    /// One action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionName>,
    /// One run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl Scope {
    /// What it says of one dimension.
    pub fn get(&self, dimension: Dimension) -> Option<&str> {
        match dimension {
            Dimension::Team => self.team.as_ref().map(TeamId::as_str),
            Dimension::Agent => self.agent.as_ref().map(AgentId::as_str),
            Dimension::EntityType => self.entity_type.as_ref().map(EntityType::as_str),
            Dimension::Action => self.action.as_ref().map(ActionName::as_str),
            Dimension::Run => self.run.as_ref().map(RunId::as_str),
        }
    }

    /// Whether an admission falls under it.
    pub fn covers(&self, facts: &Facts<'_>) -> bool {
        Dimension::ALL.into_iter().all(|dimension| match self.get(dimension) {
            None => true,
            wanted => facts.get(dimension) == wanted,
        })
    }
}

/// What an admission is, as budgets see it. The team comes from the registry, never from the request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Who acts.
    pub agent: &'a AgentId,
    /// Its team, if it is registered and has one.
    pub team: Option<&'a TeamId>,
    /// The type of what it acts on.
    pub entity_type: Option<&'a EntityType>,
    /// What it wants to do.
    pub action: &'a ActionName,
    /// The run.
    pub run: Option<&'a RunId>,
}

impl<'a> Facts<'a> {
    /// One dimension of it.
    pub fn get(&self, dimension: Dimension) -> Option<&'a str> {
        match dimension {
            Dimension::Team => self.team.map(TeamId::as_str),
            Dimension::Agent => Some(self.agent.as_str()),
            Dimension::EntityType => self.entity_type.map(EntityType::as_str),
            Dimension::Action => Some(self.action.as_str()),
            Dimension::Run => self.run.map(RunId::as_str),
        }
    }
}
