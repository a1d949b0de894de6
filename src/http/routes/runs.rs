//! Runs: read, retried, cancelled, claimed.

use super::super::caller::{Caller, Gate};
use super::super::extract::{Body, Query};
use super::super::problem::{Problem, ProblemCode};
use super::super::wire::claim::{ClaimBody, ClaimedAnswer};
use super::super::wire::record::List;
use super::super::wire::run::{PageQuery, RunDetailAnswer, RunQuery, RunSummaryAnswer};
use super::super::wire::run_act::{CancelBody, ForceStopBody, RetryBody, RetryPlanAnswer};
use super::super::wire::run_parts::RunEventAnswer;
use super::admissions::off_thread;
use super::table::path_id;
use crate::operations;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, web};

/// List runs
///
/// Newest first. A page may be short, even empty, and still have a `next`: go on until it is `null`.
#[utoipa::path(get, path = "/api/v1/runs", operation_id = "list_runs", tag = "runs", params(RunQuery),
    responses((status = 200, description = "A page of runs", body = List<RunSummaryAnswer>)))]
pub async fn list_runs(
    gate: Gate,
    caller: Caller,
    query: Query<RunQuery>,
) -> Result<web::Json<List<RunSummaryAnswer>>, Problem> {
    let (filter, limit) = query.0.filter()?;
    let page = operations::list_runs(&gate, &caller.0, &filter, query.0.cursor.as_deref(), limit)?;
    Ok(web::Json(List { items: page.items.iter().map(|run| (&**run).into()).collect(), next: page.next }))
}

/// Read a run
///
/// Status and timestamps, attempts with their errors, checkpoints, artifacts, and what it spent against each budget. Its
/// events are under `/events`, the gate's decisions under `/api/v1/admissions?run=`.
#[utoipa::path(get, path = "/api/v1/runs/{id}", operation_id = "read_run", tag = "runs", params(("id" = String, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RunDetailAnswer)))]
pub async fn read_run(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
) -> Result<web::Json<RunDetailAnswer>, Problem> {
    let view = operations::show_run(&gate, &caller.0, &path_id(&id)?)?;
    Ok(web::Json((&view).into()))
}

/// List the events of a run
///
/// Oldest first, by number.
#[utoipa::path(get, path = "/api/v1/runs/{id}/events", operation_id = "list_run_events", tag = "runs",
    params(("id" = String, Path, description = "The run"), PageQuery),
    responses((status = 200, description = "A page of events", body = List<RunEventAnswer>)))]
pub async fn list_run_events(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    query: Query<PageQuery>,
) -> Result<web::Json<List<RunEventAnswer>>, Problem> {
    let (id, limit, cursor) = (path_id(&id)?, query.0.limit()?, query.0.cursor);
    let page = off_thread(move || operations::run_events(&gate, &caller.0, &id, cursor.as_deref(), limit)).await?;
    Ok(web::Json(List { items: page.items.iter().map(|event| (&**event).into()).collect(), next: page.next }))
}

/// Read an artifact's content
///
/// What was sent with its event, up to 256 KiB: as an attachment, whatever it is.
#[utoipa::path(get, path = "/api/v1/runs/{id}/artifacts/{digest}", operation_id = "read_artifact", tag = "runs",
    params(("id" = String, Path, description = "The run"), ("digest" = String, Path, description = "The artifact's digest")),
    responses((status = 200, description = "Its bytes")))]
pub async fn read_artifact(
    gate: Gate,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, digest) = path.into_inner();
    let id = path_id(&id)?;
    let (artifact, content) = off_thread(move || operations::artifact_content(&gate, &caller.0, &id, &digest)).await?;
    let declared = HeaderValue::from_str(&artifact.media_type).ok().filter(|_| artifact.media_type.contains('/'));
    let name: String =
        artifact.name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect();
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'; frame-ancestors 'none'"))
        .insert_header((
            header::CONTENT_TYPE,
            declared.unwrap_or_else(|| HeaderValue::from_static("application/octet-stream")),
        ))
        .body(content))
}

/// Preview a retry
///
/// What would run again, which side effects must be acknowledged, what policy and budgets say now, and the version that
/// the retry must name.
#[utoipa::path(get, path = "/api/v1/runs/{id}/retry-plan", operation_id = "read_retry_plan", tag = "runs", params(("id" = String, Path, description = "The run")),
    responses((status = 200, description = "The plan", body = RetryPlanAnswer)))]
pub async fn read_retry_plan(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
) -> Result<web::Json<RetryPlanAnswer>, Problem> {
    let preview = operations::retry_plan(&gate, &caller.0, &path_id(&id)?)?;
    let answer = RetryPlanAnswer::try_from(preview);
    answer.map(web::Json).map_err(|_| Problem::new(ProblemCode::Internal, "the plan cannot be written"))
}

/// Retry a run
///
/// Makes another attempt where the plan still holds and policy and budgets allow it. Asking again under the same key
/// answers the same.
#[utoipa::path(post, path = "/api/v1/runs/{id}/retry", operation_id = "retry_run", tag = "runs", params(("id" = String, Path, description = "The run")),
    request_body = RetryBody, responses((status = 200, description = "The run, with its new attempt", body = RunDetailAnswer)))]
pub async fn retry_run(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    body: Body<RetryBody>,
) -> Result<web::Json<RunDetailAnswer>, Problem> {
    let asked = body.wire.asked()?;
    let (run, _) = operations::retry_run(&gate, &caller.0, &path_id(&id)?, asked, &body.json).await?;
    Ok(web::Json((&*run).into()))
}

/// Cancel a run
///
/// A request: nothing more of it is admitted from the next commit on. It is cancelled when its runtime proves it, or at
/// once where no attempt is alive.
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", operation_id = "cancel_run", tag = "runs", params(("id" = String, Path, description = "The run")),
    request_body = CancelBody, responses((status = 200, description = "The run", body = RunDetailAnswer)))]
pub async fn cancel_run(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    body: Body<CancelBody>,
) -> Result<web::Json<RunDetailAnswer>, Problem> {
    let (category, reason) = body.wire.asked("")?;
    let run = operations::cancel_run(&gate, &caller.0, path_id(&id)?, category, reason).await?;
    Ok(web::Json((&*run).into()))
}

/// End an attempt without its runtime's proof
///
/// It is cancelled where that was asked for, else failed, so that it can be retried. Its holds expire as unsettled.
#[utoipa::path(post, path = "/api/v1/runs/{id}/force-stop", operation_id = "force_stop", tag = "runs", params(("id" = String, Path, description = "The run")),
    request_body = ForceStopBody, responses((status = 200, description = "The run", body = RunDetailAnswer)))]
pub async fn force_stop(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    body: Body<ForceStopBody>,
) -> Result<web::Json<RunDetailAnswer>, Problem> {
    let run = operations::force_stop(&gate, &caller.0, path_id(&id)?, body.wire.asked("")?).await?;
    Ok(web::Json((&*run).into()))
}

/// Claim an attempt
///
/// A worker's long poll: the oldest queued attempt of its agents, as soon as there is one; 204 when the wait is over.
/// Exactly one worker holds an attempt. Report `tollgate.run.acknowledged` before the lease ends, or it is queued again.
#[utoipa::path(post, path = "/api/v1/attempts/claim", operation_id = "claim_attempt", tag = "runs", request_body = ClaimBody,
    responses((status = 200, description = "The attempt", body = ClaimedAnswer), (status = 204, description = "Nothing is queued")))]
pub async fn claim_attempt(gate: Gate, caller: Caller, body: Body<ClaimBody>) -> Result<HttpResponse, Problem> {
    let asked = body.wire.asked()?;
    Ok(match operations::claim_attempt(&gate, &caller.0, asked).await? {
        Some(claimed) => HttpResponse::Ok().json(ClaimedAnswer::from(&claimed)),
        None => HttpResponse::NoContent().finish(),
    })
}
