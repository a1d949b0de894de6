//! API keys.

use super::super::caller::{Caller, Gate};
use super::super::extract::Body;
use super::super::problem::Problem;
use super::super::wire::record::List;
use super::super::wire::registry::{KeyAnswer, KeyBody};
use super::table::path_id;
use crate::operations::{self, KeyRequest};
use actix_web::{HttpResponse, web};

/// List keys
///
/// Their names, holders and roles, revoked ones too; never a secret.
#[utoipa::path(get, path = "/api/v1/keys", operation_id = "list_keys", tag = "keys",
    responses((status = 200, description = "The keys", body = List<KeyAnswer>)))]
pub async fn list_keys(gate: Gate, caller: Caller) -> Result<web::Json<List<KeyAnswer>>, Problem> {
    let keys = operations::keys(&gate, &caller.0)?;
    Ok(web::Json(List::whole(keys.iter().map(|key| KeyAnswer::from(&**key)).collect())))
}

/// Make a key
///
/// The answer holds its secret, this once.
#[utoipa::path(post, path = "/api/v1/keys", operation_id = "create_key", tag = "keys", request_body = KeyBody,
    responses((status = 201, description = "The key, with its secret", body = KeyAnswer)))]
pub async fn create_key(gate: Gate, caller: Caller, body: Body<KeyBody>) -> Result<HttpResponse, Problem> {
    let asked = body.wire.asked()?;
    let request = KeyRequest { id: asked.id, holder: asked.holder, roles: asked.roles, agents: asked.agents };
    let (key, secret) = operations::create_key(&gate, &caller.0, request).await?;
    let answer = KeyAnswer { secret: Some(secret.reveal().to_owned()), ..KeyAnswer::from(&*key) };
    Ok(HttpResponse::Created().json(answer))
}

/// Revoke a key
///
/// From the next request on it opens nothing.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", operation_id = "revoke_key", tag = "keys", params(("id" = String, Path, description = "The key")),
    responses((status = 200, description = "The key, revoked", body = KeyAnswer)))]
pub async fn revoke_key(gate: Gate, caller: Caller, id: web::Path<String>) -> Result<web::Json<KeyAnswer>, Problem> {
    let key = operations::revoke_key(&gate, &caller.0, path_id(&id)?).await?;
    Ok(web::Json(KeyAnswer::from(&*key)))
}
