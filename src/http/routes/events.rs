//! What runtimes report, and what they may report.

use super::super::caller::{Caller, Gate};
use super::super::edge::Facts;
use super::super::extract::Body;
use super::super::problem::{Problem, ProblemCode};
use super::super::wire::event::{EventsBody, LARGEST_BATCH, incoming};
use super::super::wire::event_outcome::{EventOutcomeAnswer, EventTypeAnswer, EventsAnswer};
use super::super::wire::record::List;
use crate::operations::{self, Operation};
use crate::runs::{EventType, event_schema};
use actix_web::{HttpRequest, HttpResponse, web};

/// Report what happens to runs
///
/// `CloudEvents` 1.0 in JSON: one event (`application/cloudevents+json`) or a list of up to 1,000
/// (`application/cloudevents-batch+json`). `subject` is the run; one that is not known yet is made. The same event sent
/// again is harmless. In a list each event has a status of its own, and what is refused does not touch the others; a single
/// event that is refused is answered by its problem.
#[utoipa::path(post, path = "/api/v1/events", operation_id = "report_events", tag = "runs",
    request_body(content(
        (EventsBody = "application/cloudevents+json"),
        (EventsBody = "application/cloudevents-batch+json"),
        (EventsBody = "application/json"),
    )),
    responses((status = 200, description = "One outcome for each event, in order", body = EventsAnswer)))]
pub async fn report_events(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    body: Body<EventsBody>,
) -> Result<web::Json<EventsAnswer>, Problem> {
    let single = !body.json.is_array();
    let events =
        if single { std::slice::from_ref(&body.json) } else { body.json.as_array().map_or(&[][..], Vec::as_slice) };
    if !(1..=LARGEST_BATCH).contains(&events.len()) {
        let message = format!("must have 1 to {LARGEST_BATCH} events");
        return Err(Problem::at(ProblemCode::InvalidRequest, "", message));
    }
    let at = |n: usize| if single { String::new() } else { format!("/{n}") };
    let mut read: Vec<_> = events.iter().enumerate().map(|(n, event)| incoming(event, &at(n))).collect();
    let good = read.iter_mut().filter_map(|event| event.as_mut().ok()).map(|event| event.clone()).collect();
    let mut outcomes = operations::report_events(&gate, &caller.0, good).await?.into_iter();
    let mut request_id = String::new();
    Facts::note(&request, |facts| request_id.clone_from(&facts.request_id));
    let mut items = Vec::with_capacity(read.len());
    for event in read {
        let outcome = match event {
            Err(problem) => Err(problem),
            Ok(_) => match outcomes.next() {
                Some(outcome) => outcome.map_err(Problem::from).and_then(EventOutcomeAnswer::of),
                None => Err(Problem::new(ProblemCode::Internal, "an event was not answered")),
            },
        };
        items.push(match outcome {
            Ok(answer) => answer,
            Err(problem) if single => return Err(problem),
            Err(problem) => EventOutcomeAnswer::refused(&problem, &request_id),
        });
    }
    Ok(web::Json(EventsAnswer { items }))
}

/// List the types of events
#[utoipa::path(get, path = "/api/v1/event-types", operation_id = "list_event_types", tag = "runs",
    responses((status = 200, description = "Every type", body = List<EventTypeAnswer>)))]
pub async fn list_event_types(caller: Caller) -> Result<web::Json<List<EventTypeAnswer>>, Problem> {
    caller.0.may(Operation::ReadEventTypes).map_err(operations::OperationError::from)?;
    Ok(web::Json(List::whole(EventType::ALL.iter().copied().map(EventTypeAnswer::from).collect())))
}

/// Read the JSON Schema of a type of event
#[utoipa::path(get, path = "/api/v1/event-types/{type}", operation_id = "read_event_type", tag = "runs",
    params(("type" = String, Path, description = "The type")),
    responses((status = 200, description = "Its JSON Schema (2020-12)", body = Object, content_type = "application/schema+json")))]
pub async fn read_event_type(caller: Caller, kind: web::Path<String>) -> Result<HttpResponse, Problem> {
    caller.0.may(Operation::ReadEventTypes).map_err(operations::OperationError::from)?;
    let known = EventType::parse(&kind).filter(|kind| kind.is_reported());
    let known = known.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no type of event of that name"))?;
    let body = serde_json::to_string(&event_schema(known)).unwrap_or_default();
    Ok(HttpResponse::Ok().content_type("application/schema+json").body(body))
}
