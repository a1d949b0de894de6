//! What runtimes report: checked against who reports, masked, and handed in as one command.

use super::act::{commit, unexpected};
use crate::admission::Mask;
use crate::audit::Digest;
use crate::decide::{Reporting, RunAnswer, RunCommand};
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::runs::{EventRefusal, Report, Reported, RunError};
use crate::vocabulary::{AgentId, EntityType, RunId};
use serde_json::Value;
use std::collections::HashMap;

/// One event as it came.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// As it was read; its body's digest is not made yet.
    pub reported: Reported,
    /// The whole of it, without its lease, for that digest.
    pub whole: Value,
    /// The content of the artifact that it tells of.
    pub content: Option<Vec<u8>>,
}

/// Takes events, each on its own: the outcomes come in order.
pub async fn report_events(
    app: &App,
    principal: &Principal,
    events: Vec<Incoming>,
) -> Result<Vec<Result<Reporting, OperationError>>, OperationError> {
    principal.may(Operation::ReportEvents)?;
    let (mut outcomes, mut taken) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
    let mut told = HashMap::new();
    for event in events {
        match prepared(app, principal, event, &mut told).await {
            Ok(reported) => {
                taken.push(reported);
                outcomes.push(None);
            }
            Err(error) => outcomes.push(Some(error)),
        }
    }
    let mut answers = Vec::new();
    if !taken.is_empty() {
        answers = match commit(app, principal, RunCommand::Report(taken)).await? {
            RunAnswer::Reported(answers) => answers,
            other => return Err(unexpected(&other)),
        };
        app.dispatch.notify_waiters();
    }
    let mut answers = answers.into_iter();
    let lost = || OperationError::Internal("an event was not answered".to_owned());
    Ok(outcomes.into_iter().map(|error| error.map_or_else(|| answers.next().ok_or_else(lost), Err)).collect())
}

async fn prepared(
    app: &App,
    principal: &Principal,
    event: Incoming,
    told: &mut HashMap<RunId, AgentId>,
) -> Result<Reported, OperationError> {
    let Incoming { mut reported, whole, content } = event;
    let (known_agent, known_entity) = app.read(|state| {
        let run = state.runs().run(&reported.run);
        let entity = run.and_then(|run| run.entity.as_ref().map(|entity| entity.kind.clone()));
        (run.map(|run| run.agent.clone()), entity)
    });
    if known_agent.is_none() && reported.agent.is_none() {
        // an earlier event of the same list may have said it
        reported.agent = told.get(&reported.run).cloned();
    }
    whose(principal, &mut reported, known_agent.as_ref())?;
    if let Some(agent) = &reported.agent {
        told.insert(reported.run.clone(), agent.clone());
    }
    reported.body = app.mask_key.digest(crate::audit::canonical_json(&whole).as_bytes());
    // before the mask, so that equal inputs are known as such, and keyed, so that nobody finds a masked value by guessing
    if let Report::Queued(opening) | Report::Started(opening) = &mut reported.report {
        let input = reported.data.get("input").filter(|input| !input.is_null());
        opening.input = input.map(|input| app.mask_key.digest(crate::audit::canonical_json(input).as_bytes()));
    }
    mask(app, &mut reported, known_entity.as_ref());
    if let Some(content) = content {
        keep(app, &mut reported, content).await?;
    }
    Ok(reported)
}

/// A run of an agent that the principal is not bound to is one that it does not see. Who speaks for one agent alone need
/// not name it.
fn whose(principal: &Principal, reported: &mut Reported, known: Option<&AgentId>) -> Result<(), OperationError> {
    let bound = principal.bound_agents(Operation::ReportEvents);
    if let (None, Some([only]), None) = (&reported.agent, bound, known) {
        reported.agent = Some(only.clone());
    }
    match (known, &reported.agent) {
        (Some(agent), said) => {
            if principal.may_for(Operation::ReportEvents, agent).is_err()
                || said.as_ref().is_some_and(|said| said != agent)
            {
                return Err(OperationError::NotFound { what: "run", id: reported.run.to_string() });
            }
        }
        (None, Some(agent)) => principal.may_for(Operation::ReportEvents, agent)?,
        // whether the run is known by now, the commit sees
        (None, None) if bound.is_none() => {}
        (None, None) => {
            return Err(OperationError::Invalid {
                pointer: "/data/agent".to_owned(),
                message: EventRefusal::AgentNeeded.to_string(),
            });
        }
    }
    Ok(())
}

/// Replaces what must not be recorded, in the data and wherever the event repeats it.
fn mask(app: &App, reported: &mut Reported, known: Option<&EntityType>) {
    let mut pointers = app.mask.pointers.clone();
    let told = reported.data.pointer("/entity/type").and_then(Value::as_str);
    let kind = told.and_then(|kind| EntityType::new(kind).ok()).or_else(|| known.cloned());
    if let Some(record) = kind.and_then(|kind| app.read(|state| state.entity_type(&kind).cloned())) {
        let own = record.spec.masked_pointers().into_iter();
        pointers.extend(own.map(|pointer| format!("/entity/properties{pointer}")));
    }
    if pointers.is_empty() {
        return;
    }
    let masked = Mask { pointers }.apply(&mut reported.data, &app.mask_key);
    if !masked.any() {
        return;
    }
    masked.document(&mut reported.data);
    for free in ["/error/message", "/error/details", "/title", "/checkpoint/note", "/artifact/name"] {
        if let Some(told) = reported.data.pointer_mut(free) {
            masked.value(told);
        }
    }
    let error = |error: &mut RunError| {
        masked.code(&mut error.code);
        masked.text(&mut error.message);
        if let Some(details) = &mut error.details {
            masked.value(details);
        }
    };
    match &mut reported.report {
        Report::Queued(opening) | Report::Started(opening) => {
            if let Some(title) = &mut opening.title {
                masked.text(title);
            }
        }
        Report::Blocked(told) | Report::Failed(told) | Report::StepFailed(Some(told)) => error(told),
        Report::CheckpointSaved { note: Some(note), .. } => masked.text(note),
        Report::ArtifactProduced(artifact) => masked.text(&mut artifact.name),
        _ => {}
    }
}

/// Keeps an artifact's content by its digest, durably, before any record names it.
async fn keep(app: &App, reported: &mut Reported, content: Vec<u8>) -> Result<(), OperationError> {
    let Report::ArtifactProduced(artifact) = &mut reported.report else { return Ok(()) };
    let digest = format!("sha256:{}", Digest::of(&content));
    if artifact.digest.as_ref().is_some_and(|claimed| *claimed != digest) {
        let message = format!("is not the digest of the content, which is {digest}");
        return Err(OperationError::Invalid { pointer: "/data/artifact/digest".to_owned(), message });
    }
    artifact.size = u64::try_from(content.len()).ok();
    artifact.stored = true;
    artifact.digest = Some(digest.clone());
    if let Some(told) = reported.data.pointer_mut("/artifact").and_then(Value::as_object_mut) {
        told.insert("digest".to_owned(), digest.clone().into());
        told.insert("size".to_owned(), content.len().into());
        told.insert("stored".to_owned(), true.into());
    }
    let store = std::sync::Arc::clone(&app.store);
    let kept = tokio::task::spawn_blocking(move || store.put_blob(&digest, &content)).await;
    kept.map_err(|_| OperationError::Internal("keeping an artifact was cut off".to_owned()))??;
    Ok(())
}
