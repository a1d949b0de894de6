//! Which fields each type of event has, and the JSON Schemas that say so.

use super::event::EventType;
use super::run::HIGHEST_ATTEMPT;
use serde_json::{Map, Value, json};

/// A field of an event's `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventField {
    /// Which attempt; the latest where it is not said.
    Attempt,
    /// The token of the attempt's lease, where it was claimed.
    Lease,
    /// Who works on it.
    Worker,
    /// Whose run it is.
    Agent,
    /// The step.
    Step,
    /// The record that the run is about.
    Entity,
    /// What the run is called.
    Title,
    /// The schedule that made it.
    Schedule,
    /// What it works on.
    Input,
    /// The agent's version.
    AgentVersion,
    /// Who brings it to where it runs.
    Dispatch,
    /// Why it failed or was blocked.
    Error,
    /// Where the work can go on.
    Checkpoint,
    /// What was made.
    Artifact,
}

impl EventField {
    /// Every field.
    pub const ALL: [Self; 14] = [
        Self::Attempt,
        Self::Lease,
        Self::Worker,
        Self::Agent,
        Self::Step,
        Self::Entity,
        Self::Title,
        Self::Schedule,
        Self::Input,
        Self::AgentVersion,
        Self::Dispatch,
        Self::Error,
        Self::Checkpoint,
        Self::Artifact,
    ];

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Lease => "lease",
            Self::Worker => "worker",
            Self::Agent => "agent",
            Self::Step => "step",
            Self::Entity => "entity",
            Self::Title => "title",
            Self::Schedule => "schedule",
            Self::Input => "input",
            Self::AgentVersion => "agent_version",
            Self::Dispatch => "dispatch",
            Self::Error => "error",
            Self::Checkpoint => "checkpoint",
            Self::Artifact => "artifact",
        }
    }

    fn schema(self) -> Value {
        let name = json!({"type": "string", "minLength": 1, "maxLength": 256});
        match self {
            Self::Attempt => json!({"type": "integer", "minimum": 1, "maximum": HIGHEST_ATTEMPT}),
            Self::Lease => json!({"type": "string", "minLength": 1, "maxLength": 256}),
            Self::Worker | Self::Step | Self::Schedule => name,
            Self::Agent => json!({
                "type": "object", "required": ["id"], "properties": {"id": name}, "additionalProperties": false,
            }),
            Self::Entity => json!({
                "type": "object", "required": ["type", "id"], "additionalProperties": false,
                "properties": {"type": name, "id": name, "properties": {"type": "object"}},
            }),
            Self::Title => json!({"type": "string", "minLength": 1, "maxLength": 500}),
            Self::Input => json!({}),
            Self::AgentVersion => json!({"type": "string", "minLength": 1, "maxLength": 200}),
            Self::Dispatch => json!({"enum": ["claim", "external"]}),
            Self::Error => json!({
                "type": "object", "required": ["code", "message"], "additionalProperties": false,
                "properties": {
                    "code": {"type": "string", "minLength": 1, "maxLength": 200},
                    "message": {"type": "string", "minLength": 1, "maxLength": 16_384},
                    "details": {},
                },
            }),
            Self::Checkpoint => json!({
                "type": "object", "required": ["id"], "additionalProperties": false,
                "properties": {"id": name, "step": name, "note": {"type": "string", "minLength": 1, "maxLength": 2_000}, "state": {}},
            }),
            Self::Artifact => json!({
                "type": "object", "required": ["name", "media_type"], "additionalProperties": false,
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 500},
                    "media_type": {"type": "string", "minLength": 3, "maxLength": 200},
                    "size": {"type": "integer", "minimum": 0},
                    "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                    "href": {"type": "string", "pattern": "^https?://"},
                    "content": {"type": "string", "description": "Base64, 262144 bytes at most"},
                },
            }),
        }
    }
}

/// Whether a field belongs to a type of event, and must be there.
pub fn field_of(kind: EventType, field: EventField) -> Option<bool> {
    use EventField as F;
    use EventType as T;
    match field {
        F::Attempt | F::Lease | F::Worker | F::Agent => Some(false),
        F::Step => Some(matches!(kind, T::StepStarted | T::StepCompleted | T::StepFailed)),
        F::Entity | F::Title | F::Schedule | F::Input | F::AgentVersion => {
            matches!(kind, T::Queued | T::Started).then_some(false)
        }
        F::Dispatch => (kind == T::Queued).then_some(false),
        F::Error => match kind {
            T::Failed | T::Blocked => Some(true),
            T::StepFailed => Some(false),
            _ => None,
        },
        F::Checkpoint => (kind == T::CheckpointSaved).then_some(true),
        F::Artifact => (kind == T::ArtifactProduced).then_some(true),
    }
}

/// The JSON Schema of one type of event, envelope included.
pub fn event_schema(kind: EventType) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in EventField::ALL {
        if let Some(needed) = field_of(kind, field) {
            properties.insert(field.as_str().to_owned(), field.schema());
            if needed {
                required.push(field.as_str());
            }
        }
    }
    let data_needed = !required.is_empty();
    let data = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let mut envelope = vec!["specversion", "id", "source", "type", "subject"];
    if data_needed {
        envelope.push("data");
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("/api/v1/event-types/{}", kind.as_str()),
        "title": kind.as_str(),
        "description": kind.title(),
        "type": "object",
        "required": envelope,
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": 256},
            "source": {"type": "string", "minLength": 1, "maxLength": 256},
            "type": {"const": kind.as_str()},
            "subject": {"type": "string", "minLength": 1, "maxLength": 256, "description": "The run"},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"type": "string", "pattern": "json"},
            "dataschema": {"type": "string"},
            "data": data,
        },
        "propertyNames": {"pattern": "^[a-z0-9]+$"},
    })
}
