//! Policy sets: what serves, what was refused, and the word that lets a smaller set serve.

use super::super::caller::{Caller, Gate};
use super::super::check::Check;
use super::super::extract::Body;
use super::super::problem::{Problem, ProblemCode};
use super::super::wire::budget::LONGEST_TEXT;
use super::super::wire::record::{
    ConfirmBody, PolicyFilesAnswer, PolicyReportAnswer, PolicySetAnswer, PolicySetsAnswer,
};
use super::admissions::off_thread;
use crate::operations;
use actix_web::web;

/// List policy sets
///
/// Those that were in force, newest first, and what the directory holds and was not taken.
#[utoipa::path(get, path = "/api/v1/policy-sets", operation_id = "list_policy_sets", tag = "policies",
    responses((status = 200, description = "The sets", body = PolicySetsAnswer)))]
pub async fn list_policy_sets(gate: Gate, caller: Caller) -> Result<web::Json<PolicySetsAnswer>, Problem> {
    Ok(web::Json(PolicySetsAnswer::from(operations::policy_sets(&gate, &caller.0)?)))
}

/// Read a policy set
///
/// Its layers and the text of its modules, also of a set of the past.
#[utoipa::path(get, path = "/api/v1/policy-sets/{digest}", operation_id = "read_policy_set", tag = "policies", params(("digest" = String, Path, description = "Its digest")),
    responses((status = 200, description = "The set", body = PolicyFilesAnswer)))]
pub async fn read_policy_set(
    gate: Gate,
    caller: Caller,
    digest: web::Path<String>,
) -> Result<web::Json<PolicyFilesAnswer>, Problem> {
    let digest = known_digest(digest.into_inner())?;
    let room = Gate::clone(&gate);
    let set = off_thread(move || operations::policy_set(&room, &caller.0, &digest)).await?;
    let PolicyReportAnswer { digest, layers, libraries } = PolicyReportAnswer::from(gate.policy.report(&set));
    let files = set.files().iter().map(|(path, text)| (path.clone(), text.to_string())).collect();
    Ok(web::Json(PolicyFilesAnswer { digest, layers, libraries, files }))
}

/// Let a set serve that lost a module
///
/// A set that lacks a module that was there waits until somebody says that this is meant.
#[utoipa::path(post, path = "/api/v1/policy-sets/{digest}/confirm", operation_id = "confirm_policy_set", tag = "policies", request_body = ConfirmBody,
    params(("digest" = String, Path, description = "Its digest")), responses((status = 200, description = "It serves now", body = PolicySetAnswer)))]
pub async fn confirm_policy_set(
    gate: Gate,
    caller: Caller,
    digest: web::Path<String>,
    body: Body<ConfirmBody>,
) -> Result<web::Json<PolicySetAnswer>, Problem> {
    let mut check = Check::new("");
    if let Some(reason) = &body.wire.reason {
        check.text("/reason", reason, LONGEST_TEXT);
    }
    let reason = check.finish(Some(body.wire.reason))?;
    let digest = known_digest(digest.into_inner())?;
    let head = operations::confirm_policy_set(&gate, &caller.0, &digest, reason).await?;
    Ok(web::Json(PolicySetAnswer::from(&head)))
}

/// A digest, if it is one: what is none names nothing.
fn known_digest(text: String) -> Result<String, Problem> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f')) {
        return Ok(text);
    }
    Err(Problem::new(ProblemCode::NotFound, "there is no policy set of that digest"))
}

/// Which engine each layer is on
#[utoipa::path(get, path = "/api/v1/policies/report", operation_id = "read_policy_report", tag = "policies",
    responses((status = 200, description = "The layers of the set in force", body = PolicyReportAnswer)))]
pub async fn read_policy_report(gate: Gate, caller: Caller) -> Result<web::Json<PolicyReportAnswer>, Problem> {
    Ok(web::Json(PolicyReportAnswer::from(operations::policy_report(&gate, &caller.0)?)))
}
