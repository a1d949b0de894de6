//! What happens to a run: the closed list of event types, what a runtime reports, and what is recorded of it.

use super::parts::{Artifact, RunEntity, RunError};
use super::run::Dispatch;
use crate::vocabulary::{AgentId, CheckpointId, RunId, ScheduleId, StepName, WorkerId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! event_types {
    ($($variant:ident = $text:literal, $reported:literal, $title:literal;)*) => {
        /// What kind of event it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventType {$(
            #[doc = $title]
            #[serde(rename = $text)]
            $variant,
        )*}

        impl EventType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it stands in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
            /// What it says.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
            /// Whether runtimes report it; Tollgate alone gives the others.
            pub const fn is_reported(self) -> bool {
                match self { $(Self::$variant => $reported,)* }
            }
        }
    };
}

event_types! {
    Queued = "tollgate.run.queued", true, "An attempt waits to be picked up";
    Dispatched = "tollgate.run.dispatched", true, "An attempt was handed to a worker";
    Acknowledged = "tollgate.run.acknowledged", true, "The worker has it";
    Started = "tollgate.run.started", true, "Its work began";
    Heartbeat = "tollgate.run.heartbeat", true, "It is alive";
    Blocked = "tollgate.run.blocked", true, "The runtime gave up on a denial";
    Completed = "tollgate.run.completed", true, "It is done";
    Failed = "tollgate.run.failed", true, "It failed";
    Cancelled = "tollgate.run.cancelled", true, "It was stopped: the proof of a cancellation";
    StepStarted = "tollgate.step.started", true, "A step began";
    StepCompleted = "tollgate.step.completed", true, "A step is done";
    StepFailed = "tollgate.step.failed", true, "A step failed";
    CheckpointSaved = "tollgate.checkpoint.saved", true, "The work can go on from here";
    ArtifactProduced = "tollgate.artifact.produced", true, "Something was made";
    RetryMade = "tollgate.run.retried", false, "Somebody retried it: a new attempt waits";
    Requeued = "tollgate.run.requeued", false, "Its worker's lease ended before it acknowledged";
    AlarmRaised = "tollgate.run.alarm", false, "One of its clocks rang";
    CancelRequested = "tollgate.run.cancel_requested", false, "Somebody asked for its end";
    ForceStopped = "tollgate.run.force_stopped", false, "Somebody ended it without its runtime's proof";
    DataSupplied = "tollgate.run.data_supplied", false, "Somebody supplied data for the next attempt";
}

impl EventType {
    /// The type of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// What an opening event may tell of a run. What is known already is never overwritten by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opening {
    /// Its title.
    pub title: Option<String>,
    /// The record that it is about.
    pub entity: Option<RunEntity>,
    /// The schedule that made it.
    pub schedule: Option<ScheduleId>,
    /// Keyed digest of its input, where the event brings one.
    pub input: Option<String>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// Who brings it to where it runs.
    pub dispatch: Dispatch,
}

/// What a runtime reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// An attempt waits.
    Queued(Box<Opening>),
    /// It was handed over.
    Dispatched,
    /// The worker has it.
    Acknowledged,
    /// Its work began.
    Started(Box<Opening>),
    /// It is alive.
    Heartbeat,
    /// The runtime gave up on a denial.
    Blocked(RunError),
    /// It is done.
    Completed,
    /// It failed.
    Failed(RunError),
    /// It was stopped.
    Cancelled,
    /// A step began.
    StepStarted,
    /// A step is done.
    StepCompleted,
    /// A step failed.
    StepFailed(Option<RunError>),
    /// The work can go on from here.
    CheckpointSaved {
        /// Its id.
        id: CheckpointId,
        /// In words.
        note: Option<String>,
        /// Whether the event holds a state.
        has_state: bool,
    },
    /// Something was made; attempt, time and number are filled in when it is taken.
    ArtifactProduced(Box<Artifact>),
}

impl Report {
    /// Its type.
    pub const fn kind(&self) -> EventType {
        match self {
            Self::Queued(_) => EventType::Queued,
            Self::Dispatched => EventType::Dispatched,
            Self::Acknowledged => EventType::Acknowledged,
            Self::Started(_) => EventType::Started,
            Self::Heartbeat => EventType::Heartbeat,
            Self::Blocked(_) => EventType::Blocked,
            Self::Completed => EventType::Completed,
            Self::Failed(_) => EventType::Failed,
            Self::Cancelled => EventType::Cancelled,
            Self::StepStarted => EventType::StepStarted,
            Self::StepCompleted => EventType::StepCompleted,
            Self::StepFailed(_) => EventType::StepFailed,
            Self::CheckpointSaved { .. } => EventType::CheckpointSaved,
            Self::ArtifactProduced(_) => EventType::ArtifactProduced,
        }
    }
}

/// One event as it was reported: checked and masked.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// Who reports, as `CloudEvents` has it.
    pub source: String,
    /// Its id there.
    pub id: String,
    /// When it happened, by the reporter's clock.
    pub time: Option<Timestamp>,
    /// Of which run.
    pub run: RunId,
    /// Whose run it is; needed where the run is not known yet.
    pub agent: Option<AgentId>,
    /// Of which attempt; the latest where it is not said.
    pub attempt: Option<u32>,
    /// SHA-256 of the lease's token, in hex.
    pub lease: Option<String>,
    /// Who works on it.
    pub worker: Option<WorkerId>,
    /// In which step.
    pub step: Option<StepName>,
    /// What.
    pub report: Report,
    /// Its data as it is kept.
    pub data: Value,
    /// Keyed digest of the whole event.
    pub body: String,
}

/// How an event stands to its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It counts.
    #[default]
    Counted,
    /// It counts, and says that it happened before one that was there already.
    OutOfOrder,
    /// Its attempt had come to its end: kept, without effect.
    AfterEnd,
    /// A later attempt has the run: kept, without effect.
    OldAttempt,
    /// It does not carry the lease of its attempt: kept, without effect.
    Fenced,
}

impl Standing {
    /// Whether it counts as the run's.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Counted | Self::OutOfOrder)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_counted(&self) -> bool {
        *self == Self::Counted
    }
}

/// One event of a run, as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// The run.
    pub run: RunId,
    /// Its number there, from 1.
    pub number: u64,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// Who reported it; `tollgate` for its own.
    pub source: String,
    /// Its id there.
    pub id: String,
    /// Of which attempt.
    pub attempt: u32,
    /// In which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// When it happened, by the reporter's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// When Tollgate took it.
    pub taken_at: Timestamp,
    /// How it stands to the run.
    #[serde(default, skip_serializing_if = "Standing::is_counted")]
    pub standing: Standing,
    /// What it tells.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// Keyed digest of the whole event: how a repeat is told from another of the same id. Empty for Tollgate's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}
