//! The question, parsed: ids are ids and amounts are amounts by the time it is one of these.

use crate::vocabulary::{ActionName, AgentId, Amount, EntityId, EntityType, IdempotencyKey, RunId, StepName, Unit};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What kind of question it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// May the agent do this?
    #[default]
    Action,
    /// May the run be tried again? Judged as the action that it would repeat; holds nothing.
    Retry,
}

/// What the agent wants to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its name.
    pub name: ActionName,
    /// Whatever the policy needs to know of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

/// What it acts on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// The kind of record.
    #[serde(rename = "type")]
    pub kind: EntityType,
    /// Which one.
    pub id: EntityId,
    /// What the system of record says of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

/// The piece of work that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// The run.
    pub id: RunId,
    /// Which try at it, from 1.
    pub attempt: u32,
    /// The step, where the runtime names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// SHA-256 of the token of the attempt's lease, in hex, where a worker claimed it.
    #[serde(default, skip_serializing)]
    pub lease: Option<String>,
}

/// One admission as asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Required unless it is a dry run.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Action or retry.
    pub kind: Kind,
    /// Who asks.
    pub agent: AgentId,
    /// What for; for a retry, what the run would repeat.
    pub action: Action,
    /// On what; none for thinking and calculating.
    pub entity: Option<Entity>,
    /// The run, where there is one.
    pub run: Option<RunRef>,
    /// What it is expected to spend.
    pub estimate: BTreeMap<Unit, Amount>,
    /// The connectors that it needs.
    pub connectors: Vec<String>,
    /// Whatever else the runtime tells.
    pub context: Map<String, Value>,
    /// How long the hold may stay open.
    pub hold_ttl_s: u32,
    /// Judged, but nothing is held or recorded.
    pub dry_run: bool,
}
