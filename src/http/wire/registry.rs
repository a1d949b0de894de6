//! Agents, entity types, pauses and keys on the wire.

use super::budget::LONGEST_TEXT;
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::Problem;
use crate::registry::{
    Actor, Agent, AgentSpec, ApiKey, EntityTypeRecord, EntityTypeSpec, Mode, ModeSpec, Pause, PauseTarget, Role,
};
use crate::vocabulary::{AgentId, ApiKeyId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An agent as an admin writes it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = AgentRequest, example = json!({"team": "quotes", "owner": "dana@example.com", "labels": {"stage": "live"}}))]
pub struct AgentRecordBody {
    /// The team whose budgets it spends from.
    pub team: Option<String>,
    /// Free labels, for policies.
    pub labels: Option<BTreeMap<String, String>>,
    /// The person who answers for it.
    pub owner: Option<String>,
    /// Whom an escalation goes to, by name.
    pub escalation_contact: Option<String>,
    /// The policy layer that judges it, instead of the one of its own name.
    pub policy_profile: Option<String>,
}

impl RequestBody for AgentRecordBody {}

impl AgentRecordBody {
    /// The specification, or every field at fault.
    pub fn spec(self) -> Result<AgentSpec, Problem> {
        let mut check = Check::new("");
        let labels = self.labels.unwrap_or_default();
        if labels.len() > 64 {
            check.fault("/labels", "must have at most 64 entries");
        }
        for (name, value) in labels.iter().take(64) {
            if name.len() > 128 || value.len() > 256 || name.chars().chain(value.chars()).any(char::is_control) {
                let pointer = format!("/labels/{}", crate::http::json::token(name));
                check.fault(
                    pointer,
                    "must be at most 256 bytes, under a name of at most 128, without control characters",
                );
            }
        }
        for (pointer, text) in [
            ("/owner", &self.owner),
            ("/escalation_contact", &self.escalation_contact),
            ("/policy_profile", &self.policy_profile),
        ] {
            if let Some(text) = text {
                check.text(pointer, text, 256);
                // they are names, and lines of lists
                if text.contains(['\n', '\t']) {
                    check.fault(pointer, "must not hold control characters");
                }
            }
        }
        let team = check.optional("/team", self.team.as_deref());
        check.finish(Some(AgentSpec {
            team,
            labels,
            owner: self.owner,
            escalation_contact: self.escalation_contact,
            policy_profile: self.policy_profile,
        }))
    }
}

/// How an agent's denials are enforced.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Mode)]
pub enum ModeKindBody {
    /// Every denial denies.
    Enforce,
    /// A policy's denial becomes an allow that says what it would have denied; budgets and pauses deny as ever.
    Observe,
    /// Everything is denied.
    Paused,
}

/// An agent's mode as an admin sets it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ModeRequest, example = json!({"mode": "observe", "reason": "new policy on trial", "ends_at": "2099-12-01T00:00:00Z"}))]
pub struct ModeBody {
    /// The mode.
    pub mode: ModeKindBody,
    /// Why.
    pub reason: String,
    /// When it ends; required for `observe`.
    #[schema(format = DateTime)]
    pub ends_at: Option<String>,
}

impl RequestBody for ModeBody {}

impl ModeBody {
    /// The specification, or every field at fault.
    pub fn spec(self) -> Result<ModeSpec, Problem> {
        let mut check = Check::new("");
        check.text("/reason", &self.reason, LONGEST_TEXT);
        let ends_at = check.optional::<Timestamp>("/ends_at", self.ends_at.as_deref());
        let mode = match self.mode {
            ModeKindBody::Enforce => Mode::Enforce,
            ModeKindBody::Observe => Mode::Observe,
            ModeKindBody::Paused => Mode::Paused,
        };
        if mode == Mode::Observe && self.ends_at.is_none() {
            check.fault("/ends_at", "is required for observe");
        }
        check.finish(Some(ModeSpec { mode, reason: self.reason, ends_at }))
    }
}

/// An entity type as an admin writes it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = EntityTypeRequest, example = json!({
    "description": "A request for quotation", "link_template": "https://erp.example.com/rfq/{id}",
    "schema": {"type": "object", "required": ["customer_id"], "properties": {"customer_id": {"type": "string"}}}
}))]
pub struct EntityTypeBody {
    /// In a sentence.
    pub description: Option<String>,
    /// JSON Schema of the properties, without remote `$ref`. `"x-tollgate-mask": true` keeps a value out of the journal.
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
    /// Where a record can be opened: https, http or a path, with `{id}` in it.
    pub link_template: Option<String>,
}

impl RequestBody for EntityTypeBody {}

impl EntityTypeBody {
    /// The specification, or every field at fault.
    pub fn spec(self) -> Result<EntityTypeSpec, Problem> {
        let mut check = Check::new("");
        if let Some(description) = &self.description {
            check.text("/description", description, LONGEST_TEXT);
        }
        let Self { description, schema, link_template } = self;
        let spec = EntityTypeSpec { description, schema, link_template };
        if let Err(error) = spec.validate() {
            check.fault(error.pointer(), error);
        }
        check.finish(Some(spec))
    }
}

/// What is stopped.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PauseKind)]
pub enum PauseKindBody {
    /// One agent.
    Agent,
    /// The agents of one team.
    Team,
    /// One action, whoever asks.
    Action,
    /// Everything done to one type of entity.
    EntityType,
    /// Everything.
    Everything,
}

/// What is stopped.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = PauseTarget)]
pub struct PauseTargetBody {
    /// Which kind of thing.
    pub kind: PauseKindBody,
    /// Which one; absent for `everything`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A pause as an operator asks for it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = PauseRequest, example = json!({"target": {"kind": "agent", "id": "rfq-draft"}, "reason": "quotes go out with wrong prices"}))]
pub struct PauseBody {
    /// What to stop.
    pub target: PauseTargetBody,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    #[schema(format = DateTime)]
    pub ends_at: Option<String>,
}

impl RequestBody for PauseBody {}

/// A pause, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseAsked {
    /// What to stop.
    pub target: PauseTarget,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
}

impl PauseBody {
    /// The pause, or every field at fault.
    pub fn asked(self) -> Result<PauseAsked, Problem> {
        let mut check = Check::new("");
        check.text("/reason", &self.reason, LONGEST_TEXT);
        let ends_at = check.optional::<Timestamp>("/ends_at", self.ends_at.as_deref());
        let id = self.target.id.as_deref();
        if id.is_none() && !matches!(self.target.kind, PauseKindBody::Everything) {
            check.fault("/target/id", "is required");
        }
        let at = "/target/id";
        let target = match self.target.kind {
            PauseKindBody::Agent => check.optional(at, id).map(PauseTarget::Agent),
            PauseKindBody::Team => check.optional(at, id).map(PauseTarget::Team),
            PauseKindBody::Action => check.optional(at, id).map(PauseTarget::Action),
            PauseKindBody::EntityType => check.optional(at, id).map(PauseTarget::EntityType),
            PauseKindBody::Everything => {
                if id.is_some() {
                    check.fault(at, "must be absent for everything");
                }
                Some(PauseTarget::Everything)
            }
        };
        check.finish(target.map(|target| PauseAsked { target, reason: self.reason, ends_at }))
    }
}

/// What a key may do.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
pub enum RoleBody {
    /// An agent's runtime.
    Runtime,
    /// Pauses.
    Operator,
    /// Agents, modes, entity types and policy sets.
    PolicyAdmin,
    /// Budgets and raises.
    BudgetAdmin,
    /// Reads everything.
    Auditor,
    /// Everything.
    Admin,
}

impl From<RoleBody> for Role {
    fn from(body: RoleBody) -> Self {
        match body {
            RoleBody::Runtime => Self::Runtime,
            RoleBody::Operator => Self::Operator,
            RoleBody::PolicyAdmin => Self::PolicyAdmin,
            RoleBody::BudgetAdmin => Self::BudgetAdmin,
            RoleBody::Auditor => Self::Auditor,
            RoleBody::Admin => Self::Admin,
        }
    }
}

/// A key as an admin asks for it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = KeyRequest, example = json!({"id": "rfq-runtime", "holder": "quotes service", "roles": ["runtime"], "agents": ["rfq-draft"]}))]
pub struct KeyBody {
    /// Its name.
    pub id: String,
    /// The person or service that holds it: what the audit trail names.
    pub holder: String,
    /// What it may do; at least one.
    #[schema(min_items = 1)]
    pub roles: Vec<RoleBody>,
    /// A runtime's agents; all where it is not said.
    pub agents: Option<Vec<String>>,
}

impl RequestBody for KeyBody {}

/// A key, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAsked {
    /// Its name.
    pub id: ApiKeyId,
    /// The person or service that holds it.
    pub holder: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// A runtime's agents; `None` means all.
    pub agents: Option<Vec<AgentId>>,
}

impl KeyBody {
    /// The key, or every field at fault.
    pub fn asked(self) -> Result<KeyAsked, Problem> {
        let mut check = Check::new("");
        let id = check.parse("/id", &self.id);
        check.text("/holder", &self.holder, 256);
        let mut roles: Vec<Role> = self.roles.into_iter().map(Role::from).collect();
        roles.sort_unstable();
        roles.dedup();
        if roles.is_empty() {
            check.fault("/roles", "must name at least one role");
        }
        let agents = self.agents.map(|agents| {
            if !roles.contains(&Role::Runtime) {
                check.fault("/agents", "only a runtime is bound to agents");
            }
            if agents.is_empty() || agents.len() > 1_000 {
                check.fault("/agents", "must name 1 to 1,000 agents, or be absent for all");
            }
            let each = agents.iter().enumerate().take(1_000);
            each.filter_map(|(n, agent)| check.parse(format_args!("/agents/{n}"), agent)).collect()
        });
        check.finish(id.map(|id| KeyAsked { id, holder: self.holder, roles, agents }))
    }
}

/// Who did something.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorAnswer {
    /// The key; `null` for Tollgate itself.
    pub key: Option<String>,
    /// The person or service.
    pub name: String,
}

impl From<&Actor> for ActorAnswer {
    fn from(actor: &Actor) -> Self {
        Self { key: actor.key.as_ref().map(ToString::to_string), name: actor.name.clone() }
    }
}

/// An agent.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub struct AgentAnswer {
    /// Who.
    #[schema(example = "rfq-draft")]
    pub id: String,
    /// The team whose budgets it spends from.
    pub team: Option<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// The person who answers for it.
    pub owner: Option<String>,
    /// Whom an escalation goes to.
    pub escalation_contact: Option<String>,
    /// The policy layer that judges it, instead of the one of its own name.
    pub policy_profile: Option<String>,
    /// The mode in force now.
    pub mode: ModeKindBody,
    /// Why it is in that mode.
    pub mode_reason: Option<String>,
    /// When `observe` ends, or ended.
    pub mode_ends_at: Option<String>,
    /// Counts its changes.
    pub revision: u64,
    /// When it was last changed.
    pub updated_at: String,
}

impl AgentAnswer {
    /// As it stands at `now`.
    pub fn at(agent: &Agent, now: Timestamp) -> Self {
        Self {
            id: agent.id.to_string(),
            team: agent.spec.team.as_ref().map(ToString::to_string),
            labels: agent.spec.labels.clone(),
            owner: agent.spec.owner.clone(),
            escalation_contact: agent.spec.escalation_contact.clone(),
            policy_profile: agent.spec.policy_profile.clone(),
            mode: match agent.mode_at(now) {
                Mode::Enforce => ModeKindBody::Enforce,
                Mode::Observe => ModeKindBody::Observe,
                Mode::Paused => ModeKindBody::Paused,
            },
            mode_reason: agent.mode_reason.clone(),
            mode_ends_at: agent.mode_ends_at.map(|at| at.to_string()),
            revision: agent.revision,
            updated_at: agent.updated_at.to_string(),
        }
    }
}

/// An entity type.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EntityType)]
pub struct EntityTypeAnswer {
    /// Its name.
    #[schema(example = "rfq")]
    pub r#type: String,
    /// In a sentence.
    pub description: Option<String>,
    /// JSON Schema of the properties.
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
    /// Where a record can be opened.
    pub link_template: Option<String>,
    /// Counts its changes.
    pub revision: u64,
    /// When it was last changed.
    pub updated_at: String,
}

impl From<&EntityTypeRecord> for EntityTypeAnswer {
    fn from(record: &EntityTypeRecord) -> Self {
        Self {
            r#type: record.name.to_string(),
            description: record.spec.description.clone(),
            schema: record.spec.schema.clone(),
            link_template: record.spec.link_template.clone(),
            revision: record.revision,
            updated_at: record.updated_at.to_string(),
        }
    }
}

/// A pause.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Pause)]
pub struct PauseAnswer {
    /// Its id.
    #[schema(example = "pause_00mg9kw4a0000000000g000000")]
    pub id: String,
    /// What is stopped.
    pub target: PauseTargetBody,
    /// Why.
    pub reason: String,
    /// By whom.
    pub author: ActorAnswer,
    /// Since when.
    pub started_at: String,
    /// When it ends by itself.
    pub ends_at: Option<String>,
    /// Whether it stops anything now.
    pub in_force: bool,
    /// When somebody ended it.
    pub ended_at: Option<String>,
    /// Who ended it.
    pub ended_by: Option<ActorAnswer>,
}

impl PauseAnswer {
    /// As it stands at `now`.
    pub fn at(pause: &Pause, now: Timestamp) -> Self {
        let (kind, id) = match &pause.target {
            PauseTarget::Agent(id) => (PauseKindBody::Agent, Some(id.to_string())),
            PauseTarget::Team(id) => (PauseKindBody::Team, Some(id.to_string())),
            PauseTarget::Action(id) => (PauseKindBody::Action, Some(id.to_string())),
            PauseTarget::EntityType(id) => (PauseKindBody::EntityType, Some(id.to_string())),
            PauseTarget::Everything => (PauseKindBody::Everything, None),
        };
        Self {
            id: pause.id.to_string(),
            target: PauseTargetBody { kind, id },
            reason: pause.reason.clone(),
            author: ActorAnswer::from(&pause.author),
            started_at: pause.started_at.to_string(),
            ends_at: pause.ends_at.map(|at| at.to_string()),
            in_force: pause.in_force(now),
            ended_at: pause.ended.as_ref().map(|end| end.at.to_string()),
            ended_by: pause.ended.as_ref().map(|end| ActorAnswer::from(&end.by)),
        }
    }
}

/// A key; its secret is shown once, when it is made.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyAnswer {
    /// Its name.
    #[schema(example = "rfq-runtime")]
    pub id: String,
    /// The person or service that holds it.
    pub holder: String,
    /// What it may do.
    #[schema(example = json!(["runtime"]))]
    pub roles: Vec<&'static str>,
    /// A runtime's agents; `null` for all.
    pub agents: Option<Vec<String>>,
    /// When it was made.
    pub created_at: String,
    /// From then on it opens nothing.
    pub revoked_at: Option<String>,
    /// The secret, in the answer that makes the key and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "tg_…")]
    pub secret: Option<String>,
}

impl From<&ApiKey> for KeyAnswer {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            holder: key.holder.clone(),
            roles: key.roles.iter().map(|role| role.as_str()).collect(),
            agents: key.agents.as_ref().map(|agents| agents.iter().map(ToString::to_string).collect()),
            created_at: key.created_at.to_string(),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
            secret: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_people_are_one_line() {
        for (field, text, good) in [
            ("owner", "dana@example.com", true),
            ("owner", "dana\nroot", false),
            ("owner", "dana\u{1b}[2J", false),
            ("escalation_contact", "dana\t", false),
            ("policy_profile", "a\nb", false),
        ] {
            let body: AgentRecordBody = serde_json::from_value(json!({field: text})).unwrap();
            assert_eq!(body.spec().is_ok(), good, "{field} {text:?}");
        }
    }
}
