//! What became of reported events, on the wire, and the types that there are.

use crate::decide::Reporting;
use crate::http::problem::{Problem, ProblemCode, ProblemDocument};
use crate::runs::{EventRefusal, EventType, Standing};
use crate::vocabulary::RunId;
use serde::Serialize;
use utoipa::ToSchema;

/// What became of one event.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EventOutcome)]
pub struct EventOutcomeAnswer {
    /// The status that it would have had alone.
    #[schema(example = 200)]
    pub status: u16,
    /// Its run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Its number in the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// `counted`, `out_of_order`, `after_end`, `old_attempt`, `fenced`, or `repeated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "counted")]
    pub standing: Option<&'static str>,
    /// The run was cancelled: stop, and prove it by `tollgate.run.cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<bool>,
    /// Why it was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemDocument>,
}

/// How an event stands to its run, as a word.
pub const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Counted => "counted",
        Standing::OutOfOrder => "out_of_order",
        Standing::AfterEnd => "after_end",
        Standing::OldAttempt => "old_attempt",
        Standing::Fenced => "fenced",
    }
}

impl EventOutcomeAnswer {
    /// What was taken, or the problem with it.
    pub fn of(outcome: Reporting) -> Result<Self, Problem> {
        let taken = |run: RunId, number, standing, cancelled| Self {
            status: 200,
            run: Some(run.to_string()),
            number: Some(number),
            standing: Some(standing),
            cancelled,
            problem: None,
        };
        match outcome {
            Reporting::Taken { run, number, standing: stands, cancelled, .. } => {
                Ok(taken(run, number, standing(stands), Some(cancelled)))
            }
            Reporting::Repeated { run, number } => Ok(taken(run, number, "repeated", None)),
            Reporting::Conflict => Err(Problem::new(
                ProblemCode::IdempotencyConflict,
                "another event of this source and id was taken before",
            )),
            Reporting::Refused(refusal @ EventRefusal::AgentNeeded) => {
                Err(Problem::at(ProblemCode::InvalidRequest, "/data/agent", refusal.to_string()))
            }
            Reporting::Refused(EventRefusal::TooManyRuns(why)) => Err(Problem::new(ProblemCode::RunLimit, why)),
            Reporting::Refused(refusal) => Err(Problem::new(ProblemCode::Conflict, refusal.to_string())),
        }
    }

    /// Why it was not taken.
    pub fn refused(problem: &Problem, request_id: &str) -> Self {
        let document = problem.document(request_id);
        Self {
            status: document.status,
            run: None,
            number: None,
            standing: None,
            cancelled: None,
            problem: Some(document),
        }
    }
}

/// One outcome for each event, in order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EventsAnswer)]
pub struct EventsAnswer {
    /// The outcomes.
    pub items: Vec<EventOutcomeAnswer>,
}

/// A type of event.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EventType)]
pub struct EventTypeAnswer {
    /// Its name.
    #[schema(example = "tollgate.run.started")]
    pub r#type: &'static str,
    /// What it says.
    pub title: &'static str,
    /// Whether runtimes report it; Tollgate alone gives the others.
    pub reported: bool,
    /// Its JSON Schema.
    pub schema: Option<String>,
}

impl From<EventType> for EventTypeAnswer {
    fn from(kind: EventType) -> Self {
        let schema = kind.is_reported().then(|| format!("/api/v1/event-types/{}", kind.as_str()));
        Self { r#type: kind.as_str(), title: kind.title(), reported: kind.is_reported(), schema }
    }
}
