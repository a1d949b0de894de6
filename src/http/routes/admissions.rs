//! Admissions: asked for, one or many, and read.

use super::super::caller::{Caller, Gate};
use super::super::edge::Facts;
use super::super::extract::{Body, Query};
use super::super::problem::{Problem, ProblemCode, ProblemDocument};
use super::super::read::read;
use super::super::wire::admission::{AdmissionBody, BatchBody};
use super::super::wire::answer::{AdmissionAnswer, BatchAnswer, BatchItem};
use super::super::wire::record::{AdmissionRecordAnswer, DecisionQuery, ExplainQuery, ExplanationAnswer, List};
use super::table::path_id;
use crate::operations::{self, Admitted, OperationError};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

/// The most items of a batch.
const LARGEST_BATCH: usize = 1_000;

/// Ask for an admission
///
/// Answers allow or deny, both with 200, when the answer is on stable storage. Act only on an allow. Without an answer, do
/// not act: ask again with the same `idempotency_key`, which gives the first answer again, word for word.
#[utoipa::path(post, path = "/api/v1/admissions", operation_id = "admit", tag = "admissions", request_body = AdmissionBody,
    responses((status = 200, description = "The decision", body = AdmissionAnswer)))]
pub async fn admit(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    body: Body<AdmissionBody>,
) -> Result<HttpResponse, Problem> {
    let asked = body.wire.request("")?;
    let admitted = operations::admit(&gate, &caller.0, asked, &body.json).await?;
    Facts::note(&request, |facts| facts.admission = admitted.id.as_ref().map(ToString::to_string));
    Ok(HttpResponse::Ok().content_type("application/json").body(String::from(Box::<str>::from(admitted.answer))))
}

/// Ask for many admissions
///
/// Each on its own: one that is denied or refused does not touch the others. Answered in order, each with the status
/// that it would have had alone.
#[utoipa::path(post, path = "/api/v1/admissions/batch", operation_id = "admit_batch", tag = "admissions", request_body = BatchBody,
    responses((status = 200, description = "One outcome for each item", body = BatchAnswer)))]
pub async fn admit_batch(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    body: Body<BatchBody>,
) -> Result<web::Json<BatchAnswer>, Problem> {
    let items = body.wire.items;
    if !(1..=LARGEST_BATCH).contains(&items.len()) {
        let message = format!("must have 1 to {LARGEST_BATCH} entries");
        return Err(Problem::at(ProblemCode::InvalidRequest, "/items", message));
    }
    let read: Vec<_> = items.iter().enumerate().map(|(n, item)| asked(item, &format!("/items/{n}"))).collect();
    let asked = read.iter().zip(&items).filter_map(|(read, item)| Some((read.as_ref().ok()?.clone(), item))).collect();
    let mut answers = operations::admit_batch(&gate, &caller.0, asked).await.into_iter();
    let mut request_id = String::new();
    Facts::note(&request, |facts| request_id.clone_from(&facts.request_id));
    let items = read.into_iter().map(|read| match read {
        Err(problem) => refused(&problem, &request_id),
        Ok(_) => answers.next().map_or_else(
            || refused(&Problem::new(ProblemCode::Internal, "an item was not answered"), &request_id),
            |answer| outcome(answer, &request_id),
        ),
    });
    Ok(web::Json(BatchAnswer { items: items.collect() }))
}

fn asked(item: &Value, at: &str) -> Result<crate::admission::Request, Problem> {
    read::<AdmissionBody>(item, at)?.request(at)
}

fn outcome(answer: Result<Admitted, OperationError>, request_id: &str) -> BatchItem {
    match answer {
        Ok(admitted) => BatchItem { status: 200, answer: Some(admitted.answer), problem: None },
        Err(error) => refused(&Problem::from(error), request_id),
    }
}

fn refused(problem: &Problem, request_id: &str) -> BatchItem {
    let document: ProblemDocument = problem.document(request_id);
    BatchItem { status: document.status, answer: None, problem: Some(document) }
}

/// List recorded decisions
///
/// Newest first. A page may be short, even empty, and still have a `next`: go on until it is `null`.
#[utoipa::path(get, path = "/api/v1/admissions", operation_id = "list_admissions", tag = "admissions", params(DecisionQuery),
    responses((status = 200, description = "A page of decisions", body = List<AdmissionRecordAnswer>)))]
pub async fn list_admissions(
    gate: Gate,
    caller: Caller,
    query: Query<DecisionQuery>,
) -> Result<web::Json<List<AdmissionRecordAnswer>>, Problem> {
    let (filter, limit) = query.0.filter()?;
    let cursor = query.0.cursor;
    let page = off_thread(move || operations::admissions(&gate, &caller.0, filter, cursor.as_deref(), limit)).await?;
    let items = page.items.iter().map(|record| AdmissionRecordAnswer::from(&**record)).collect();
    Ok(web::Json(List { items, next: page.next }))
}

/// Read a recorded decision
///
/// With `?explain=true` the rules that fired, by file and line, found by replaying the decision on the policy set that
/// judged it.
#[utoipa::path(get, path = "/api/v1/admissions/{id}", operation_id = "read_admission", tag = "admissions",
    params(("id" = String, Path, description = "The decision"), ExplainQuery),
    responses((status = 200, description = "The decision", body = AdmissionRecordAnswer)))]
pub async fn read_admission(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    query: Query<ExplainQuery>,
) -> Result<web::Json<AdmissionRecordAnswer>, Problem> {
    let explain = query.0.explain()?;
    let id = path_id(&id)?;
    let answer = off_thread(move || {
        let record = operations::admission(&gate, &caller.0, &id)?;
        let mut answer = AdmissionRecordAnswer::from(&*record);
        if explain {
            let explanation = operations::explain_admission(&gate, &caller.0, &record)?;
            answer.explanation = Some(ExplanationAnswer::from(&explanation));
        }
        Ok(answer)
    })
    .await?;
    Ok(web::Json(answer))
}

/// Reads that may touch the disk, away from the threads that answer admissions.
pub(in crate::http) async fn off_thread<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, OperationError> + Send + 'static,
) -> Result<T, Problem> {
    match web::block(read).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Problem::new(ProblemCode::Internal, "a read was cut off")),
    }
}
