//! A recorded decision: what was asked, what was answered, and under which versions it was judged.

use super::answer::Decision;
use super::request::Kind;
use crate::vocabulary::{
    ActionName, AdmissionId, AgentId, Code, EntityId, EntityType, IdempotencyKey, RunId, StepName,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The versions that an admission was judged under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Digest of the policy set.
    pub policy_set: String,
    /// Revision of the agent's record, 0 where it is not registered.
    pub agent_revision: u64,
    /// Revision of the entity type's record, 0 where it is not registered.
    pub entity_type_revision: u64,
    /// The layer that spoke for the agent, where it was a profile's and not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_profile: Option<String>,
}

/// One recorded decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Its id; ids sort by time.
    pub id: AdmissionId,
    /// Action or retry.
    pub kind: Kind,
    /// Who asked.
    pub agent: AgentId,
    /// What for.
    pub action: ActionName,
    /// On which type of entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<EntityType>,
    /// On which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<EntityId>,
    /// In which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// In which attempt at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// In which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// The key it was asked under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// Yes or no.
    pub decision: Decision,
    /// The codes of its reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// When.
    pub decided_at: Timestamp,
    /// Under which versions.
    pub judged: Judged,
    /// Whether a replay sees exactly what the policy saw: false where a value was masked.
    pub replayable: bool,
    /// The policy's input, masked.
    pub input: Box<RawValue>,
    /// The answer, word for word.
    pub answer: Box<RawValue>,
}

impl DecisionRecord {
    /// The run that it is an action of. What was asked in another agent's name, or by an attempt that is over, is none of
    /// the run's, and no retry repeats it.
    pub fn action_of(&self) -> Option<&RunId> {
        self.run.as_ref().filter(|_| is_action_of_its_run(self.kind, self.codes.iter().map(String::as_str)))
    }
}

/// The same of a decision's parts.
pub fn is_action_of_its_run<'c>(kind: Kind, mut codes: impl Iterator<Item = &'c str>) -> bool {
    kind == Kind::Action && codes.all(|code| code != Code::AttemptFenced.as_str())
}
