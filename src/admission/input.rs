//! The document that policies see as `input` (design, section 3).

use super::request::{Kind, Request};
use crate::registry::{Agent, Mode};
use crate::vocabulary::{AgentId, Balance, BudgetId, Unit};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What a policy may know of a matching budget. Advice as of `as_of`: the binding check is the hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetAdvice {
    /// The budget.
    pub id: BudgetId,
    /// What it counts.
    pub unit: Unit,
    /// The limit in force.
    pub limit: Balance,
    /// What is left.
    pub remaining: Balance,
    /// When its window ends; `null` for a lifetime or rolling one.
    pub resets_at: Option<String>,
    /// When this was read.
    pub as_of: Timestamp,
}

/// What a policy may know of a connector that the action needs. Advice: the binding check is the commit's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectorAdvice {
    /// The connector.
    pub id: String,
    /// `up`, `degraded`, `down`, or `unknown` where nobody has reported it.
    pub status: &'static str,
    /// What was said of it.
    pub detail: Option<String>,
    /// Since when it has had this status.
    pub since: Option<Timestamp>,
}

/// Everything the document is made of.
pub struct InputParts<'a> {
    /// The question.
    pub request: &'a Request,
    /// The registry's record of the agent, if it has one.
    pub agent: Option<&'a Agent>,
    /// What the matching budgets say.
    pub budgets: &'a [BudgetAdvice],
    /// How the connectors are that the request names.
    pub connectors: &'a [ConnectorAdvice],
    /// How often this step of this run has failed.
    pub same_step_failures: u32,
    /// The clock of the request's first step.
    pub now: Timestamp,
}

/// The document. `entity` and `run` are absent where the request has none.
pub fn input_document(parts: &InputParts<'_>) -> Value {
    let request = parts.request;
    let mut input = Map::new();
    let kind = match request.kind {
        Kind::Action => "action",
        Kind::Retry => "retry",
    };
    input.insert("kind".to_owned(), kind.into());
    input.insert("agent".to_owned(), agent_document(&request.agent, parts.agent, parts.now));
    input.insert("action".to_owned(), json!({"name": request.action.name, "properties": request.action.properties}));
    if let Some(entity) = &request.entity {
        input.insert(
            "entity".to_owned(),
            json!({"type": entity.kind, "id": entity.id, "properties": entity.properties}),
        );
    }
    if let Some(run) = &request.run {
        input.insert(
            "run".to_owned(),
            json!({"id": run.id, "attempt": run.attempt, "step": run.step, "same_step_failures": parts.same_step_failures}),
        );
    }
    let estimate: Vec<Value> =
        request.estimate.iter().map(|(unit, amount)| json!({"unit": unit, "amount": amount})).collect();
    input.insert("estimate".to_owned(), estimate.into());
    input.insert("budgets".to_owned(), json!(parts.budgets));
    input.insert("connectors".to_owned(), json!(parts.connectors));
    let ns = i64::try_from(parts.now.as_nanosecond()).unwrap_or(i64::MAX);
    input.insert("now".to_owned(), json!({"rfc3339": parts.now, "ns": ns}));
    input.insert("context".to_owned(), Value::Object(request.context.clone()));
    Value::Object(input)
}

fn agent_document(id: &AgentId, record: Option<&Agent>, now: Timestamp) -> Value {
    match record {
        None => json!({"id": id, "registered": false, "team": null, "labels": {}, "mode": "enforce"}),
        Some(agent) => {
            let mode = match agent.mode_at(now) {
                Mode::Enforce => "enforce",
                Mode::Observe => "observe",
                Mode::Paused => "paused",
            };
            json!({
                "id": id,
                "registered": true,
                "team": agent.spec.team,
                "labels": agent.spec.labels,
                "owner": agent.spec.owner,
                "mode": mode,
            })
        }
    }
}

/// The action, entity and estimate of a recorded input, for judging a retry as what it would repeat.
pub fn step_facts(recorded_input: &Value) -> Option<(Value, Option<Value>, Value)> {
    let action = recorded_input.get("action")?.clone();
    let entity = recorded_input.get("entity").cloned();
    let estimate = recorded_input.get("estimate").cloned().unwrap_or_else(|| json!([]));
    Some((action, entity, estimate))
}
