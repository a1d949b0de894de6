//! Holds: settled, released, extended, read.

use super::super::caller::{Caller, Gate};
use super::super::extract::Body;
use super::super::problem::Problem;
use super::super::wire::hold::{ExtendBody, HoldAnswer, ReleaseBody, SettleBody};
use super::admissions::off_thread;
use super::table::path_id;
use crate::operations;
use actix_web::web;

type Answer = Result<web::Json<HoldAnswer>, Problem>;

/// Read a hold
#[utoipa::path(get, path = "/api/v1/holds/{id}", operation_id = "read_hold", tag = "holds", params(("id" = String, Path, description = "The hold")),
    responses((status = 200, description = "The hold", body = HoldAnswer)))]
pub async fn read_hold(gate: Gate, caller: Caller, id: web::Path<String>) -> Answer {
    let id = path_id(&id)?;
    let hold = off_thread(move || operations::hold(&gate, &caller.0, &id)).await?;
    Ok(web::Json(HoldAnswer::from(&*hold)))
}

/// Book what was spent
///
/// Names every held unit and books the whole of it, even above the hold and above the limit. Works in any state but
/// settled; the same figures again get the first answer again, others a 409.
#[utoipa::path(post, path = "/api/v1/holds/{id}/settle", operation_id = "settle_hold", tag = "holds", params(("id" = String, Path, description = "The hold")),
    request_body = SettleBody, responses((status = 200, description = "The hold, settled", body = HoldAnswer)))]
pub async fn settle_hold(gate: Gate, caller: Caller, id: web::Path<String>, body: Body<SettleBody>) -> Answer {
    let actual = body.wire.actual()?;
    let hold = operations::settle_hold(&gate, &caller.0, path_id(&id)?, actual).await?;
    Ok(web::Json(HoldAnswer::from(&*hold)))
}

/// Free what was set aside
///
/// Only where the action did not happen.
#[utoipa::path(post, path = "/api/v1/holds/{id}/release", operation_id = "release_hold", tag = "holds", params(("id" = String, Path, description = "The hold")),
    request_body = ReleaseBody, responses((status = 200, description = "The hold, released", body = HoldAnswer)))]
pub async fn release_hold(gate: Gate, caller: Caller, id: web::Path<String>, body: Body<ReleaseBody>) -> Answer {
    let reason = body.wire.reason()?;
    let hold = operations::release_hold(&gate, &caller.0, path_id(&id)?, reason).await?;
    Ok(web::Json(HoldAnswer::from(&*hold)))
}

/// Keep a hold open for longer
#[utoipa::path(post, path = "/api/v1/holds/{id}/extend", operation_id = "extend_hold", tag = "holds", params(("id" = String, Path, description = "The hold")),
    request_body = ExtendBody, responses((status = 200, description = "The hold, extended", body = HoldAnswer)))]
pub async fn extend_hold(gate: Gate, caller: Caller, id: web::Path<String>, body: Body<ExtendBody>) -> Answer {
    let ttl_s = body.wire.ttl_s()?;
    let hold = operations::extend_hold(&gate, &caller.0, path_id(&id)?, ttl_s).await?;
    Ok(web::Json(HoldAnswer::from(&*hold)))
}
