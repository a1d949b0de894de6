//! An admission as it is asked for on the wire, and how it becomes a [`Request`].

use crate::admission::{Action, Entity, Kind, Request, RunRef};
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::Problem;
use crate::vocabulary::{ActionName, AgentId, Amount, EntityId, EntityType, IdempotencyKey, RunId, StepName, Unit};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How long a hold stays open where the request does not say, in seconds.
const USUAL_TTL_S: u32 = 600;
/// How long it may stay open at most, in seconds.
const LONGEST_TTL_S: u32 = 86_400;
/// The most units in one estimate or settlement.
const MOST_UNITS: usize = 32;
/// The most connectors that one admission names.
const MOST_CONNECTORS: usize = 64;

/// What kind of question it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindBody {
    /// May the agent do this?
    #[default]
    Action,
    /// May the run be tried again? Judged as the action that it would repeat; holds nothing.
    Retry,
}

/// Who acts.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AgentBody {
    /// The agent. Its team, mode and policy profile are the registry's to know.
    #[schema(example = "rfq-draft")]
    pub id: String,
}

/// What it wants to do.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ActionBody {
    /// The action's name.
    #[schema(example = "draft_quote")]
    pub name: String,
    /// Whatever policy needs to know of it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub properties: Option<Map<String, Value>>,
}

/// What it acts on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct EntityBody {
    /// The kind of record.
    #[schema(example = "rfq")]
    pub r#type: String,
    /// Which one.
    #[schema(example = "RFQ-1042")]
    pub id: String,
    /// What the system of record says of it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub properties: Option<Map<String, Value>>,
}

/// The run that it belongs to.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RunBody {
    /// The run.
    #[schema(example = "run-17")]
    pub id: String,
    /// Which try at it, from 1; 1 where it is not said.
    #[schema(example = 1, minimum = 1)]
    pub attempt: Option<u32>,
    /// The step.
    #[schema(example = "price-lookup")]
    pub step: Option<String>,
    /// The token of the attempt's lease, where a worker claimed it.
    pub lease: Option<String>,
}

/// An amount of a unit.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct AmountBody {
    /// `usd`, `tokens`, `calls`, or one of the admin's own.
    #[schema(example = "usd")]
    pub unit: String,
    /// A decimal text, zero or above, with at most nine decimal places, up to 9223372036.854775807.
    #[schema(example = "0.42", pattern = r"^[0-9]+(\.[0-9]+)?$")]
    pub amount: String,
}

/// One question to the gate.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = AdmissionRequest, example = json!({
    "idempotency_key": "run-17/price-lookup/1", "kind": "action",
    "agent": {"id": "rfq-draft"},
    "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
    "entity": {"type": "rfq", "id": "RFQ-1042", "properties": {"customer_id": "metro-equipment", "due_date": "2099-12-01"}},
    "run": {"id": "run-17", "attempt": 1, "step": "price-lookup"},
    "estimate": [{"unit": "usd", "amount": "0.42"}, {"unit": "tokens", "amount": "12000"}],
    "connectors": ["erp"], "context": {}, "hold_ttl_s": 600, "dry_run": false
}))]
pub struct AdmissionBody {
    /// Names the question, so that asking twice answers once. Required unless it is a dry run; scoped to the agent.
    pub idempotency_key: Option<String>,
    /// `action` where it is not said.
    #[serde(default)]
    pub kind: Option<KindBody>,
    /// Who acts.
    pub agent: AgentBody,
    /// What it wants to do. Absent for a retry.
    pub action: Option<ActionBody>,
    /// What it acts on; absent for what acts on nothing (thinking, calculating), and for a retry.
    pub entity: Option<EntityBody>,
    /// The run that it belongs to. Required for a retry.
    pub run: Option<RunBody>,
    /// What it is expected to spend, at most one amount a unit. Absent for a retry.
    pub estimate: Option<Vec<AmountBody>>,
    /// The connectors that it needs.
    pub connectors: Option<Vec<String>>,
    /// Whatever else the runtime tells policy.
    #[schema(value_type = Option<Object>)]
    pub context: Option<Map<String, Value>>,
    /// How long the hold may stay open, in seconds; 600 where it is not said.
    #[schema(minimum = 1, maximum = 86400, default = 600)]
    pub hold_ttl_s: Option<u32>,
    /// Judged, but nothing is held or recorded.
    pub dry_run: Option<bool>,
}

impl RequestBody for AdmissionBody {}

/// Several questions, each on its own: one that is refused or denied does not touch the others.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = AdmissionBatchRequest)]
pub struct BatchBody {
    /// Up to 1,000, answered in this order.
    #[schema(value_type = Vec<AdmissionBody>, min_items = 1, max_items = 1000)]
    pub items: Vec<Value>,
}

impl RequestBody for BatchBody {
    const BATCH: bool = true;
}

impl AdmissionBody {
    /// The question, or every field at fault. `at` is where the body lies in what was sent.
    pub fn request(self, at: &str) -> Result<Request, Problem> {
        let mut check = Check::new(at);
        let dry_run = self.dry_run.unwrap_or(false);
        let kind = match self.kind.unwrap_or_default() {
            KindBody::Action => Kind::Action,
            KindBody::Retry => Kind::Retry,
        };
        self.check_kind(kind, &mut check);
        let idempotency_key: Option<IdempotencyKey> =
            check.optional("/idempotency_key", self.idempotency_key.as_deref());
        if self.idempotency_key.is_none() && !dry_run {
            check.fault("/idempotency_key", "is required, unless dry_run is true");
        }
        let agent = check.parse::<AgentId>("/agent/id", &self.agent.id);
        let action = match self.action {
            Some(action) => check
                .parse::<ActionName>("/action/name", &action.name)
                .map(|name| Action { name, properties: action.properties.unwrap_or_default() }),
            // what a retry repeats is looked up later; where nothing was asked before, it is the start of the run
            None => {
                check.parse::<ActionName>("/action", "start_run").map(|name| Action { name, properties: Map::new() })
            }
        };
        let entity = self.entity.and_then(|entity| checked_entity(entity, &mut check));
        let run = self.run.and_then(|run| checked_run(&run, &mut check));
        let estimate = amounts(self.estimate.unwrap_or_default(), "/estimate", &mut check);
        let connectors = self.connectors.unwrap_or_default();
        check_connectors(&connectors, &mut check);
        let hold_ttl_s = self.hold_ttl_s.unwrap_or(USUAL_TTL_S);
        if !(1..=LONGEST_TTL_S).contains(&hold_ttl_s) {
            check.fault("/hold_ttl_s", format_args!("must be from 1 to {LONGEST_TTL_S} seconds"));
        }
        let context = self.context.unwrap_or_default();
        let built = agent.zip(action).map(|(agent, action)| Request {
            idempotency_key: idempotency_key.filter(|_| !dry_run),
            kind,
            agent,
            action,
            entity,
            run,
            estimate,
            connectors,
            context,
            hold_ttl_s,
            dry_run,
        });
        check.finish(built)
    }

    /// What a question of each kind must and must not have.
    fn check_kind(&self, kind: Kind, check: &mut Check) {
        match kind {
            Kind::Action if self.action.is_none() => check.fault("/action", "is required"),
            Kind::Action => {}
            Kind::Retry => {
                let given = [
                    ("/action", self.action.is_some()),
                    ("/entity", self.entity.is_some()),
                    ("/estimate", self.estimate.is_some()),
                ];
                for (pointer, _) in given.into_iter().filter(|(_, given)| *given) {
                    check.fault(pointer, "must be absent: a retry is judged as what it would repeat");
                }
                if self.run.is_none() {
                    check.fault("/run", "is required for a retry");
                }
            }
        }
    }
}

fn checked_entity(entity: EntityBody, check: &mut Check) -> Option<Entity> {
    let kind = check.parse::<EntityType>("/entity/type", &entity.r#type);
    let id = check.parse::<EntityId>("/entity/id", &entity.id);
    let properties = entity.properties.unwrap_or_default();
    kind.zip(id).map(|(kind, id)| Entity { kind, id, properties })
}

fn checked_run(run: &RunBody, check: &mut Check) -> Option<RunRef> {
    let id = check.parse::<RunId>("/run/id", &run.id);
    let step: Option<StepName> = check.optional("/run/step", run.step.as_deref());
    let attempt = run.attempt.unwrap_or(1);
    check.attempt("/run/attempt", Some(attempt));
    let lease = run.lease.as_deref().map(crate::operations::sha256);
    id.map(|id| RunRef { id, attempt, step, lease })
}

fn check_connectors(connectors: &[String], check: &mut Check) {
    if connectors.len() > MOST_CONNECTORS {
        check.fault("/connectors", format_args!("must have at most {MOST_CONNECTORS} entries"));
    }
    for (n, name) in connectors.iter().enumerate().take(MOST_CONNECTORS) {
        if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
            check.fault(format_args!("/connectors/{n}"), "must be 1 to 256 bytes, without control characters");
        }
    }
}

/// Amounts by unit, each unit once.
pub fn amounts(list: Vec<AmountBody>, at: &str, check: &mut Check) -> BTreeMap<Unit, Amount> {
    if list.len() > MOST_UNITS {
        check.fault(at, format_args!("must have at most {MOST_UNITS} entries"));
    }
    let mut amounts = BTreeMap::new();
    for (n, AmountBody { unit, amount }) in list.into_iter().enumerate().take(MOST_UNITS) {
        let unit = check.parse::<Unit>(format_args!("{at}/{n}/unit"), &unit);
        let amount = check.parse::<Amount>(format_args!("{at}/{n}/amount"), &amount);
        if let Some((unit, amount)) = unit.zip(amount)
            && amounts.insert(unit, amount).is_some()
        {
            check.fault(format_args!("{at}/{n}/unit"), "is named twice");
        }
    }
    amounts
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
