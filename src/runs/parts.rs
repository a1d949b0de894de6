//! What a runtime tells of its work: errors, checkpoints, artifacts; and what people supply.

use crate::registry::Actor;
use crate::vocabulary::{CheckpointId, EntityId, EntityType, StepName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Why an attempt failed or was blocked, in its runtime's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// What the classifier goes by; a runtime may use any.
    pub code: String,
    /// In words.
    pub message: String,
    /// The figures behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// A place from which the work can go on. Its state is in the event that saved it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its id, the runtime's own.
    pub id: CheckpointId,
    /// Behind which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Of which attempt.
    pub attempt: u32,
    /// When Tollgate heard of it.
    pub saved_at: Timestamp,
    /// The number of the event that saved it.
    pub event: u64,
    /// Whether that event holds a state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_state: bool,
}

/// Something that a run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// What it is, as a media type.
    pub media_type: String,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// `sha256:` and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Where it lies, if elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub href: Option<String>,
    /// Its content is kept here, under its digest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stored: bool,
    /// Made in which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// In which attempt.
    pub attempt: u32,
    /// When Tollgate heard of it.
    pub produced_at: Timestamp,
    /// The number of the event that told of it.
    pub event: u64,
}

/// The record that a run is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntity {
    /// The kind of record.
    #[serde(rename = "type")]
    pub kind: EntityType,
    /// Which one.
    pub id: EntityId,
}

/// Where a run's input is: in the event that brought it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRef {
    /// The event's number.
    pub event: u64,
    /// SHA-256 of its canonical JSON, in hex.
    pub sha256: String,
}

/// What a person supplied for the next attempt. Handed over beside the input, never merged into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supplied {
    /// Values by the field that they are for (a JSON pointer).
    pub data: Map<String, Value>,
    /// When it was last added to.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
}
