//! The stop button.

use super::super::caller::{Caller, Gate};
use super::super::extract::{Body, Query};
use super::super::problem::Problem;
use super::super::wire::record::{List, PauseQuery};
use super::super::wire::registry::{PauseAnswer, PauseBody};
use super::table::path_id;
use crate::operations;
use actix_web::{HttpResponse, web};

/// List pauses
///
/// Those in force, newest first; with `?ended=true` the ended ones too.
#[utoipa::path(get, path = "/api/v1/pauses", operation_id = "list_pauses", tag = "pauses", params(PauseQuery),
    responses((status = 200, description = "The pauses", body = List<PauseAnswer>)))]
pub async fn list_pauses(
    gate: Gate,
    caller: Caller,
    query: Query<PauseQuery>,
) -> Result<web::Json<List<PauseAnswer>>, Problem> {
    let pauses = operations::pauses(&gate, &caller.0, query.0.ended()?)?;
    let now = gate.now();
    Ok(web::Json(List::whole(pauses.iter().map(|pause| PauseAnswer::at(pause, now)).collect())))
}

/// Stop something
///
/// From the next commit on every admission that it covers is denied with `paused`.
#[utoipa::path(post, path = "/api/v1/pauses", operation_id = "create_pause", tag = "pauses", request_body = PauseBody,
    responses((status = 201, description = "The pause", body = PauseAnswer)))]
pub async fn create_pause(gate: Gate, caller: Caller, body: Body<PauseBody>) -> Result<HttpResponse, Problem> {
    let asked = body.wire.asked()?;
    let pause = operations::create_pause(&gate, &caller.0, asked.target, asked.reason, asked.ends_at).await?;
    Ok(HttpResponse::Created().json(PauseAnswer::at(&pause, gate.now())))
}

/// End a pause
#[utoipa::path(delete, path = "/api/v1/pauses/{id}", operation_id = "end_pause", tag = "pauses", params(("id" = String, Path, description = "The pause")),
    responses((status = 200, description = "The pause, ended", body = PauseAnswer)))]
pub async fn end_pause(gate: Gate, caller: Caller, id: web::Path<String>) -> Result<web::Json<PauseAnswer>, Problem> {
    let pause = operations::end_pause(&gate, &caller.0, path_id(&id)?).await?;
    Ok(web::Json(PauseAnswer::at(&pause, gate.now())))
}
