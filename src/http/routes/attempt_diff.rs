//! Two attempts at a run, compared.

use super::super::caller::{Caller, Gate};
use super::super::extract::Query;
use super::super::problem::Problem;
use super::super::wire::attempt_diff::{AttemptDiffAnswer, DiffQuery};
use super::admissions::off_thread;
use super::table::path_id;
use crate::operations;
use crate::vocabulary::RunId;
use actix_web::web;

/// Compare two attempts
///
/// Last good step, error, fingerprint, agent version, policy set, supplied data; and what was changed meanwhile: budgets,
/// connectors, policy, registry.
#[utoipa::path(get, path = "/api/v1/runs/{id}/diff", operation_id = "diff_attempts", tag = "runs",
    params(("id" = String, Path, description = "The run"), DiffQuery),
    responses((status = 200, description = "The two attempts", body = AttemptDiffAnswer)))]
pub async fn diff_attempts(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    query: Query<DiffQuery>,
) -> Result<web::Json<AttemptDiffAnswer>, Problem> {
    let (from, to) = query.0.asked()?;
    let id: RunId = path_id(&id)?;
    let diff = off_thread(move || operations::diff_attempts(&gate, &caller.0, &id, from, to)).await?;
    Ok(web::Json(AttemptDiffAnswer::from(&diff)))
}
