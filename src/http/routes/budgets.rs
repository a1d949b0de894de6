//! Budgets and their raises.

use super::super::caller::{Caller, Gate};
use super::super::extract::{Body, Query, etag, if_match};
use super::super::problem::{Problem, ProblemCode};
use super::super::wire::budget::{
    AppliedAnswer, ApplyBody, BudgetAnswer, BudgetBody, RaiseAnswer, RaiseBody, ReasonBody, UsageAnswer,
};
use super::super::wire::record::List;
use super::super::wire::run::PageQuery;
use super::admissions::off_thread;
use super::table::path_id;
use crate::audit::canonical_json;
use crate::budget::BudgetView;
use crate::decide::RaiseCommand;
use crate::operations::{self, Secret};
use crate::vocabulary::{BudgetId, IdempotencyKey};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

fn tagged(status: StatusCode, view: &BudgetView) -> HttpResponse {
    HttpResponse::build(status).insert_header(etag(view.revision)).json(BudgetAnswer::from(view))
}

/// List budgets
///
/// Every budget that is not deleted, by id, with the figures of its current window.
#[utoipa::path(get, path = "/api/v1/budgets", operation_id = "list_budgets", tag = "budgets", params(PageQuery),
    responses((status = 200, description = "A page of budgets", body = List<BudgetAnswer>)))]
pub async fn list_budgets(
    gate: Gate,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<web::Json<List<BudgetAnswer>>, Problem> {
    let limit = query.0.limit()?;
    let page = operations::budgets(&gate, &caller.0, query.0.cursor.as_deref(), limit)?;
    Ok(web::Json(List { items: page.items.iter().map(BudgetAnswer::from).collect(), next: page.next }))
}

/// Make a budget
#[utoipa::path(post, path = "/api/v1/budgets", operation_id = "create_budget", tag = "budgets", request_body = BudgetBody,
    responses((status = 201, description = "The budget; it counts from now on", body = BudgetAnswer)))]
pub async fn create_budget(gate: Gate, caller: Caller, body: Body<BudgetBody>) -> Result<HttpResponse, Problem> {
    let spec = body.wire.spec("", None)?;
    let location = (header::LOCATION, format!("/api/v1/budgets/{}", spec.id));
    let view = operations::create_budget(&gate, &caller.0, spec).await?;
    let mut answer = tagged(StatusCode::CREATED, &view);
    if let Ok(value) = header::HeaderValue::from_str(&location.1) {
        answer.headers_mut().insert(location.0, value);
    }
    Ok(answer)
}

/// Make a file of budgets the truth
///
/// Creates, replaces and deletes as needed, all or nothing. Scope, unit, window and `each` of a budget never change.
#[utoipa::path(put, path = "/api/v1/budgets", operation_id = "apply_budgets", tag = "budgets", request_body = ApplyBody,
    responses((status = 200, description = "What was done", body = AppliedAnswer)))]
pub async fn apply_budgets(
    gate: Gate,
    caller: Caller,
    body: Body<ApplyBody>,
) -> Result<web::Json<AppliedAnswer>, Problem> {
    let specs = body.wire.specs()?;
    let applied = operations::apply_budgets(&gate, &caller.0, specs).await?;
    Ok(web::Json(AppliedAnswer::from(&applied)))
}

/// Read a budget
///
/// Also one that was deleted. The `ETag` is what a change names in `If-Match`.
#[utoipa::path(get, path = "/api/v1/budgets/{id}", operation_id = "read_budget", tag = "budgets", params(("id" = String, Path, description = "The budget")),
    responses((status = 200, description = "The budget with its figures", body = BudgetAnswer, headers(("ETag" = String, description = "Its revision")))))]
pub async fn read_budget(gate: Gate, caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let view = operations::budget(&gate, &caller.0, &path_id(&id)?)?;
    Ok(tagged(StatusCode::OK, &view))
}

/// Change a budget
///
/// Limit, enforcement, thresholds and what else is not scope, unit, window or `each`.
#[utoipa::path(put, path = "/api/v1/budgets/{id}", operation_id = "replace_budget", tag = "budgets", request_body = BudgetBody,
    params(("id" = String, Path, description = "The budget"), ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "The budget", body = BudgetAnswer, headers(("ETag" = String, description = "Its new revision")))))]
pub async fn replace_budget(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    request: HttpRequest,
    body: Body<BudgetBody>,
) -> Result<HttpResponse, Problem> {
    let id: BudgetId = path_id(&id)?;
    let spec = body.wire.spec("", Some(&id))?;
    let view = operations::replace_budget(&gate, &caller.0, spec, if_match(request.headers())?).await?;
    Ok(tagged(StatusCode::OK, &view))
}

/// Delete a budget
///
/// It limits nothing any more; its id is not used again, and its holds still settle.
#[utoipa::path(delete, path = "/api/v1/budgets/{id}", operation_id = "delete_budget", tag = "budgets",
    params(("id" = String, Path, description = "The budget"), ("If-Match" = String, Header, description = "The ETag that was read")),
    responses((status = 200, description = "The budget as it was", body = BudgetAnswer)))]
pub async fn delete_budget(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let view = operations::delete_budget(&gate, &caller.0, path_id(&id)?, if_match(request.headers())?).await?;
    Ok(tagged(StatusCode::OK, &view))
}

/// Read a budget's accounts
///
/// The current window's among them, and past ones as far as the history shows them.
#[utoipa::path(get, path = "/api/v1/budgets/{id}/usage", operation_id = "read_budget_usage", tag = "budgets", params(("id" = String, Path, description = "The budget")),
    responses((status = 200, description = "The accounts", body = List<UsageAnswer>)))]
pub async fn read_budget_usage(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
) -> Result<web::Json<List<UsageAnswer>>, Problem> {
    let id = path_id(&id)?;
    let usage = off_thread(move || operations::budget_usage(&gate, &caller.0, &id)).await?;
    Ok(web::Json(List::whole(usage.iter().map(UsageAnswer::from).collect())))
}

/// Raise a budget's limit for a while
///
/// Without `ends_at` it ends with the current window; a lifetime budget needs one, or `permanent: true`.
#[utoipa::path(post, path = "/api/v1/budgets/{id}/raises", operation_id = "raise_budget", tag = "budgets", request_body = RaiseBody,
    params(("id" = String, Path, description = "The budget")), responses((status = 201, description = "The raise", body = RaiseAnswer)))]
pub async fn raise_budget(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    body: Body<RaiseBody>,
) -> Result<HttpResponse, Problem> {
    let budget: BudgetId = path_id(&id)?;
    let digest = gate.mask_key.digest(canonical_json(&body.json).as_bytes());
    let asked = body.wire.asked()?;
    let command = RaiseCommand {
        budget,
        limit: asked.limit,
        account: asked.account,
        all: asked.all,
        reason: asked.reason,
        evidence: asked.evidence,
        ends_at: asked.ends_at,
        permanent: asked.permanent,
        key: asked.idempotency_key.map_or_else(one_off_key, Ok)?,
        body: digest,
    };
    let raise = operations::raise_budget(&gate, &caller.0, command).await?;
    Ok(HttpResponse::Created().json(RaiseAnswer::from(&raise)))
}

/// A key that nobody will use again, for a raise that was asked for without one.
fn one_off_key() -> Result<IdempotencyKey, Problem> {
    let internal = || Problem::new(ProblemCode::Internal, "no randomness");
    let random = Secret::random().map_err(|_| internal())?;
    IdempotencyKey::new(format!("once-{}", random.sha256())).map_err(|_| internal())
}

/// Withdraw a raise
///
/// The limit in force falls back at once; what is held or spent above it stays.
#[utoipa::path(delete, path = "/api/v1/budgets/{id}/raises/{raise}", operation_id = "withdraw_raise", tag = "budgets", request_body = ReasonBody,
    params(("id" = String, Path, description = "The budget"), ("raise" = String, Path, description = "The raise")),
    responses((status = 200, description = "The budget", body = BudgetAnswer)))]
pub async fn withdraw_raise(
    gate: Gate,
    caller: Caller,
    ids: web::Path<(String, String)>,
    body: Body<ReasonBody>,
) -> Result<HttpResponse, Problem> {
    let reason = body.wire.checked()?;
    let view = operations::withdraw_raise(&gate, &caller.0, path_id(&ids.0)?, path_id(&ids.1)?, reason).await?;
    Ok(tagged(StatusCode::OK, &view))
}
