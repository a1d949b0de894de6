//! The document that policies see as `input` (design, section 3).

use super::request::{Kind, Request};
use crate::registry::{Agent, Mode};
use crate::vocabulary::{
    ActionName, AgentId, Amount, Balance, BudgetId, EntityId, EntityType, RunId, StepName, TeamId, Unit,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
pub fn input_document<'a>(parts: &InputParts<'a>) -> InputDocument<'a> {
    let request = parts.request;
    InputDocument {
        action: ActionPart { name: &request.action.name, properties: &request.action.properties },
        agent: agent_part(&request.agent, parts.agent, parts.now),
        budgets: parts.budgets,
        connectors: parts.connectors,
        context: &request.context,
        entity: request.entity.as_ref().map(|entity| EntityPart {
            id: &entity.id,
            properties: &entity.properties,
            kind: &entity.kind,
        }),
        estimate: request.estimate.iter().map(|(unit, amount)| EstimatePart { amount, unit }).collect(),
        kind: match request.kind {
            Kind::Action => "action",
            Kind::Retry => "retry",
        },
        now: NowPart { ns: i64::try_from(parts.now.as_nanosecond()).unwrap_or(i64::MAX), rfc3339: parts.now },
        run: request.run.as_ref().map(|run| RunPart {
            attempt: run.attempt,
            id: &run.id,
            same_step_failures: parts.same_step_failures,
            step: run.step.as_ref(),
        }),
    }
}

/// The document as it is given to the policy's engine, and written into the journal. Fields are in the order of their
/// names, as they have been recorded from the first version on.
#[derive(Serialize)]
pub struct InputDocument<'a> {
    action: ActionPart<'a>,
    agent: AgentPart<'a>,
    budgets: &'a [BudgetAdvice],
    connectors: &'a [ConnectorAdvice],
    context: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<EntityPart<'a>>,
    estimate: Vec<EstimatePart<'a>>,
    kind: &'static str,
    now: NowPart,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunPart<'a>>,
}

#[derive(Serialize)]
struct ActionPart<'a> {
    name: &'a ActionName,
    properties: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct EntityPart<'a> {
    id: &'a EntityId,
    properties: &'a Map<String, Value>,
    #[serde(rename = "type")]
    kind: &'a EntityType,
}

#[derive(Serialize)]
struct EstimatePart<'a> {
    amount: &'a Amount,
    unit: &'a Unit,
}

#[derive(Serialize)]
struct NowPart {
    ns: i64,
    rfc3339: Timestamp,
}

#[derive(Serialize)]
struct RunPart<'a> {
    attempt: u32,
    id: &'a RunId,
    same_step_failures: u32,
    step: Option<&'a StepName>,
}

#[derive(Serialize)]
struct AgentPart<'a> {
    id: &'a AgentId,
    labels: &'a BTreeMap<String, String>,
    mode: &'static str,
    /// Absent for an agent that is not registered, `null` for one without an owner.
    #[serde(skip_serializing_if = "Owner::is_unknown")]
    owner: Owner<'a>,
    registered: bool,
    team: Option<&'a TeamId>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Owner<'a> {
    Unknown,
    Known(Option<&'a str>),
}

impl Owner<'_> {
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

fn agent_part<'a>(id: &'a AgentId, record: Option<&'a Agent>, now: Timestamp) -> AgentPart<'a> {
    match record {
        None => {
            AgentPart { id, labels: &NO_LABELS, mode: "enforce", owner: Owner::Unknown, registered: false, team: None }
        }
        Some(agent) => AgentPart {
            id,
            labels: &agent.spec.labels,
            mode: match agent.mode_at(now) {
                Mode::Enforce => "enforce",
                Mode::Observe => "observe",
                Mode::Paused => "paused",
            },
            owner: Owner::Known(agent.spec.owner.as_deref()),
            registered: true,
            team: agent.spec.team.as_ref(),
        },
    }
}
