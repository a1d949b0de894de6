//! What a runtime reports, on the wire: `CloudEvents` 1.0 in JSON, and how one becomes a [`Reported`].

use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::{Problem, ProblemCode};
use crate::http::read::read;
use crate::operations::{Incoming, LARGEST_ARTIFACT, sha256};
use crate::runs::{
    Artifact, Dispatch, EventField, EventType, Opening, Report, Reported, RunEntity, RunError, field_of,
};
use crate::vocabulary::{AgentId, CheckpointId, EntityId, EntityType, RunId, ScheduleId, StepName, WorkerId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The most events of a batch.
pub const LARGEST_BATCH: usize = 1_000;
/// The longest text that says what went wrong, in bytes.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// One event, or a list of up to 1,000. The schema of each type is under `/api/v1/event-types`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(value_type = Object, example = json!({
    "specversion": "1.0", "id": "17", "source": "rfq-runtime", "type": "tollgate.step.failed", "subject": "run-17",
    "time": "2026-11-23T17:00:00Z",
    "data": {"agent": {"id": "rfq-draft"}, "attempt": 1, "step": "price-lookup", "error": {"code": "timeout", "message": "The ERP did not answer."}}
}))]
pub struct EventsBody(pub Value);

impl RequestBody for EventsBody {
    const BATCH: bool = true;
}

#[derive(Debug, Deserialize)]
struct Data {
    attempt: Option<u32>,
    lease: Option<String>,
    worker: Option<String>,
    agent: Option<AgentPart>,
    step: Option<String>,
    entity: Option<EntityPart>,
    title: Option<String>,
    schedule: Option<String>,
    #[serde(rename = "input")]
    _input: Option<Value>,
    agent_version: Option<String>,
    dispatch: Option<DispatchPart>,
    error: Option<ErrorPart>,
    checkpoint: Option<CheckpointPart>,
    artifact: Option<ArtifactPart>,
}

#[derive(Debug, Deserialize)]
struct AgentPart {
    id: String,
}

#[derive(Debug, Deserialize)]
struct EntityPart {
    r#type: String,
    id: String,
    #[serde(rename = "properties")]
    _properties: Option<Map<String, Value>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DispatchPart {
    Claim,
    External,
}

#[derive(Debug, Deserialize)]
struct ErrorPart {
    code: String,
    message: String,
    details: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct CheckpointPart {
    id: String,
    step: Option<String>,
    note: Option<String>,
    state: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct ArtifactPart {
    name: String,
    media_type: String,
    size: Option<u64>,
    digest: Option<String>,
    href: Option<String>,
    content: Option<String>,
}

/// The fields of the envelope; an extension attribute may be anything, and is passed over.
struct Envelope<'a> {
    kind: EventType,
    run: RunId,
    source: String,
    id: String,
    time: Option<Timestamp>,
    data: Option<&'a Value>,
}

/// Reads one event; `at` is where it lies in what was sent.
pub fn incoming(event: &Value, at: &str) -> Result<Incoming, Problem> {
    let envelope = envelope(event, at)?;
    let empty = Value::Object(Map::new());
    let sent = envelope.data.unwrap_or(&empty);
    let mut data = read::<Data>(sent, &format!("{at}/data"))?;
    let mut check = Check::new(&format!("{at}/data"));
    check_fields(envelope.kind, sent, &mut check);
    let step = data.step.take().or_else(|| data.checkpoint.as_mut().and_then(|checkpoint| checkpoint.step.take()));
    let step: Option<StepName> = check.optional("/step", step.as_deref());
    check.attempt("/attempt", data.attempt);
    let agent: Option<AgentId> = check.optional("/agent/id", data.agent.as_ref().map(|agent| agent.id.as_str()));
    let worker: Option<WorkerId> = check.optional("/worker", data.worker.as_deref());
    let content = data.artifact.as_mut().and_then(|artifact| artifact.content.take());
    let content = content.and_then(|text| decoded(&text, &mut check));
    let lease = data.lease.as_deref().map(sha256);
    let attempt = data.attempt;
    let report = report(envelope.kind, data, &mut check);
    let reported = report.map(|report| Reported {
        source: envelope.source,
        id: envelope.id,
        time: envelope.time,
        run: envelope.run,
        agent,
        attempt,
        lease,
        worker,
        step,
        report,
        data: kept(sent),
        body: String::new(),
    });
    let reported = check.finish(reported)?;
    let mut whole = event.clone();
    if let Some(data) = whole.pointer_mut("/data").and_then(Value::as_object_mut) {
        data.remove("lease");
    }
    Ok(Incoming { reported, whole, content })
}

fn envelope<'a>(event: &'a Value, at: &str) -> Result<Envelope<'a>, Problem> {
    let mut check = Check::new(at);
    let Some(map) = event.as_object() else {
        return Err(Problem::at(ProblemCode::InvalidRequest, at, "must be an object"));
    };
    let text = |name: &str, check: &mut Check| match map.get(name) {
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => {
            check.fault(format_args!("/{name}"), "must be a text");
            None
        }
        None => {
            check.fault(format_args!("/{name}"), "is required");
            None
        }
    };
    if text("specversion", &mut check).is_some_and(|version| version != "1.0") {
        check.fault("/specversion", "must be 1.0");
    }
    let kind = text("type", &mut check).and_then(|kind| {
        let known = EventType::parse(kind).filter(|kind| kind.is_reported());
        if known.is_none() {
            check.fault("/type", "is not a type of event that is reported: /api/v1/event-types lists them");
        }
        known
    });
    let run = text("subject", &mut check).and_then(|run| check.parse::<RunId>("/subject", run));
    // texts of the same rule as names: without control characters
    let source = text("source", &mut check).and_then(|source| check.parse::<StepName>("/source", source));
    let id = text("id", &mut check).and_then(|id| check.parse::<StepName>("/id", id));
    let time = match map.get("time") {
        None | Some(Value::Null) => None,
        Some(_) => text("time", &mut check).and_then(|time| check.parse::<Timestamp>("/time", time)),
    };
    if map.contains_key("data_base64") {
        check.fault("/data_base64", "must be absent: data is JSON");
    }
    let declared = map.get("datacontenttype").and_then(Value::as_str).unwrap_or("application/json");
    if !declared.contains("json") {
        check.fault("/datacontenttype", "must be a JSON type");
    }
    let data = map.get("data").filter(|data| !data.is_null());
    let built = kind.zip(run).zip(source.zip(id)).map(|((kind, run), (source, id))| Envelope {
        kind,
        run,
        source: source.to_string(),
        id: id.to_string(),
        time,
        data,
    });
    check.finish(built)
}

/// Each type has its own fields; one of another type is a mistake.
fn check_fields(kind: EventType, sent: &Value, check: &mut Check) {
    for field in EventField::ALL {
        let there = sent.get(field.as_str()).is_some_and(|value| !value.is_null());
        match field_of(kind, field) {
            None if there => {
                check.fault(format_args!("/{}", field.as_str()), format_args!("does not belong to {}", kind.as_str()));
            }
            Some(true) if !there => check.fault(format_args!("/{}", field.as_str()), "is required"),
            _ => {}
        }
    }
}

fn decoded(text: &str, check: &mut Check) -> Option<Vec<u8>> {
    let fault = |check: &mut Check, message: &str| {
        check.fault("/artifact/content", message);
        None
    };
    match STANDARD.decode(text) {
        Ok(bytes) if bytes.len() <= LARGEST_ARTIFACT => Some(bytes),
        Ok(_) => fault(check, "must be at most 262144 bytes: keep it elsewhere, and send its href"),
        Err(_) => fault(check, "must be base64"),
    }
}

/// What is recorded of the data: without the lease, and without the content, which is kept apart.
fn kept(sent: &Value) -> Value {
    let mut kept = sent.clone();
    if let Some(data) = kept.as_object_mut() {
        data.remove("lease");
        if let Some(artifact) = data.get_mut("artifact").and_then(Value::as_object_mut) {
            artifact.remove("content");
        }
    }
    kept
}

fn report(kind: EventType, data: Data, check: &mut Check) -> Option<Report> {
    let error = data.error.map(|error| told(error, check));
    match kind {
        EventType::Queued | EventType::Started => {
            let opening = Box::new(Opening {
                title: optional_text("/title", data.title, 500, check),
                entity: data.entity.and_then(|entity| entity_of(&entity, check)),
                schedule: check.optional::<ScheduleId>("/schedule", data.schedule.as_deref()),
                // a plain digest would tell a guess from the truth: it is keyed where it is masked
                input: None,
                agent_version: optional_text("/agent_version", data.agent_version, 200, check),
                dispatch: match data.dispatch {
                    Some(DispatchPart::Claim) => Dispatch::Claim,
                    Some(DispatchPart::External) | None => Dispatch::External,
                },
            });
            Some(if kind == EventType::Queued { Report::Queued(opening) } else { Report::Started(opening) })
        }
        EventType::Dispatched => Some(Report::Dispatched),
        EventType::Acknowledged => Some(Report::Acknowledged),
        EventType::Heartbeat => Some(Report::Heartbeat),
        EventType::Blocked => error.map(Report::Blocked),
        EventType::Completed => Some(Report::Completed),
        EventType::Failed => error.map(Report::Failed),
        EventType::Cancelled => Some(Report::Cancelled),
        EventType::StepStarted => Some(Report::StepStarted),
        EventType::StepCompleted => Some(Report::StepCompleted),
        EventType::StepFailed => Some(Report::StepFailed(error)),
        EventType::CheckpointSaved => {
            let checkpoint = data.checkpoint?;
            let id = check.parse::<CheckpointId>("/checkpoint/id", &checkpoint.id)?;
            let note = optional_text("/checkpoint/note", checkpoint.note, 2_000, check);
            Some(Report::CheckpointSaved { id, note, has_state: checkpoint.state.is_some() })
        }
        EventType::ArtifactProduced => data.artifact.map(|artifact| made(artifact, check)),
        _ => None,
    }
}

fn optional_text(pointer: &str, text: Option<String>, longest: usize, check: &mut Check) -> Option<String> {
    text.inspect(|text| check.text(pointer, text, longest))
}

fn told(error: ErrorPart, check: &mut Check) -> RunError {
    check.text("/error/code", &error.code, 200);
    check.text("/error/message", &error.message, LONGEST_MESSAGE);
    if error.details.as_ref().is_some_and(|details| details.to_string().len() > LONGEST_MESSAGE) {
        check.fault("/error/details", format_args!("must be at most {LONGEST_MESSAGE} bytes long"));
    }
    RunError { code: error.code, message: error.message, details: error.details }
}

fn entity_of(entity: &EntityPart, check: &mut Check) -> Option<RunEntity> {
    let kind = check.parse::<EntityType>("/entity/type", &entity.r#type);
    let id = check.parse::<EntityId>("/entity/id", &entity.id);
    kind.zip(id).map(|(kind, id)| RunEntity { kind, id })
}

fn made(artifact: ArtifactPart, check: &mut Check) -> Report {
    check.text("/artifact/name", &artifact.name, 500);
    check.text("/artifact/media_type", &artifact.media_type, 200);
    if let Some(digest) = &artifact.digest {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            check.fault("/artifact/digest", "must be sha256: and 64 hex digits");
        }
    }
    if let Some(href) = &artifact.href {
        check.text("/artifact/href", href, 2_000);
        if !href.starts_with("https://") && !href.starts_with("http://") {
            check.fault("/artifact/href", "must be an http or https address");
        }
    }
    Report::ArtifactProduced(Box::new(Artifact {
        name: artifact.name,
        media_type: artifact.media_type,
        size: artifact.size,
        digest: artifact.digest,
        href: artifact.href,
        stored: false,
        step: None,
        attempt: 0,
        produced_at: Timestamp::UNIX_EPOCH,
        event: 0,
    }))
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
