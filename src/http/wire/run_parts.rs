//! What a run left, on the wire: events, checkpoints, artifacts, and what may happen again.

use super::event_outcome::standing;
use super::run_attempt::text;
use crate::budget::HoldState;
use crate::runs::{Artifact, Checkpoint, Run, RunEvent, SideEffect};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One event of a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunEvent)]
pub struct RunEventAnswer {
    /// Its number in the run, from 1.
    pub number: u64,
    /// What kind.
    #[schema(example = "tollgate.step.completed")]
    pub r#type: &'static str,
    /// Who reported it; `tollgate` for its own.
    pub source: String,
    /// Its id there.
    pub id: String,
    /// Of which attempt.
    pub attempt: u32,
    /// In which step.
    pub step: Option<String>,
    /// When it happened, by the reporter's clock.
    pub time: Option<String>,
    /// When Tollgate took it.
    pub taken_at: String,
    /// `counted`, `out_of_order`, `after_end`, `old_attempt` or `fenced`.
    #[schema(example = "counted")]
    pub standing: &'static str,
    /// What it tells.
    pub data: Value,
}

impl From<&RunEvent> for RunEventAnswer {
    fn from(event: &RunEvent) -> Self {
        Self {
            number: event.number,
            r#type: event.kind.as_str(),
            source: event.source.clone(),
            id: event.id.clone(),
            attempt: event.attempt,
            step: text(event.step.as_ref()),
            time: text(event.time.as_ref()),
            taken_at: event.taken_at.to_string(),
            standing: standing(event.standing),
            data: event.data.clone(),
        }
    }
}

/// A place from which the work can go on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Checkpoint)]
pub struct CheckpointAnswer {
    /// Its id.
    pub id: String,
    /// Behind which step.
    pub step: Option<String>,
    /// In words.
    pub note: Option<String>,
    /// Of which attempt.
    pub attempt: u32,
    /// When Tollgate heard of it.
    pub saved_at: String,
    /// The number of the event that saved it.
    pub event: u64,
}

impl From<&Checkpoint> for CheckpointAnswer {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            id: checkpoint.id.to_string(),
            step: text(checkpoint.step.as_ref()),
            note: checkpoint.note.clone(),
            attempt: checkpoint.attempt,
            saved_at: checkpoint.saved_at.to_string(),
            event: checkpoint.event,
        }
    }
}

/// Something that a run made.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Artifact)]
pub struct ArtifactAnswer {
    /// Its name.
    pub name: String,
    /// What it is.
    #[schema(example = "application/pdf")]
    pub media_type: String,
    /// Bytes.
    pub size: Option<u64>,
    /// `sha256:…`
    pub digest: Option<String>,
    /// Where it lies: elsewhere, or here.
    pub href: Option<String>,
    /// Made in which step.
    pub step: Option<String>,
    /// In which attempt.
    pub attempt: u32,
    /// When Tollgate heard of it.
    pub produced_at: String,
    /// The number of the event that told of it.
    pub event: u64,
}

/// An artifact of this run; what is kept here is linked.
pub(super) fn artifact(run: &Run, artifact: &Artifact) -> ArtifactAnswer {
    let own = artifact.digest.as_ref().filter(|_| artifact.stored);
    let own = own.map(|digest| format!("/api/v1/runs/{}/artifacts/{digest}", in_path(run.id.as_str())));
    ArtifactAnswer {
        name: artifact.name.clone(),
        media_type: artifact.media_type.clone(),
        size: artifact.size,
        digest: artifact.digest.clone(),
        href: own.or_else(|| artifact.href.clone()),
        step: text(artifact.step.as_ref()),
        attempt: artifact.attempt,
        produced_at: artifact.produced_at.to_string(),
        event: artifact.event,
    }
}

/// A text as one segment of a path.
fn in_path(text: &str) -> String {
    let mut path = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// Something that happened already, and may happen again.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SideEffect)]
pub struct SideEffectAnswer {
    /// What it is acknowledged by.
    pub id: String,
    /// `action` or `artifact`.
    pub kind: String,
    /// The action's or the artifact's name.
    pub what: String,
    /// In which step.
    pub step: Option<String>,
    /// In which attempt.
    pub attempt: u32,
    /// When.
    pub at: String,
    /// How its hold stands: what is not settled may have happened.
    pub hold: Option<&'static str>,
}

impl From<&SideEffect> for SideEffectAnswer {
    fn from(effect: &SideEffect) -> Self {
        Self {
            id: effect.id.clone(),
            kind: effect.kind.clone(),
            what: effect.what.clone(),
            step: text(effect.step.as_ref()),
            attempt: effect.attempt,
            at: effect.at.to_string(),
            hold: effect.hold.map(|state| match state {
                HoldState::Pending => "pending",
                HoldState::Settled => "settled",
                HoldState::Released => "released",
                HoldState::Expired => "expired",
            }),
        }
    }
}
