//! API keys: who may come in.

use super::app::App;
use super::error::OperationError;
use super::roles::{Operation, Principal};
use super::secret::{Secret, sha256};
use crate::decide::{Answer, Command, KeyCommand, NewKey};
use crate::registry::{ApiKey, Role, Roles};
use crate::vocabulary::{AgentId, ApiKeyId};
use std::sync::Arc;

/// The principal behind a secret, if it opens anything. Read from the state each time: a revoked key opens nothing from
/// the next request on.
pub fn authenticate(app: &App, secret: &str) -> Option<Principal> {
    let hash = sha256(secret);
    app.read(|state| state.api_key_by_hash(&hash).map(|key| Principal::of(key)))
}

/// A key as asked for.
#[derive(Clone, Debug)]
pub struct KeyRequest {
    /// Its name.
    pub id: ApiKeyId,
    /// The person or service that holds it.
    pub holder: String,
    /// What it may do.
    pub roles: Roles,
    /// A runtime's agents; `None` means all.
    pub agents: Option<Vec<AgentId>>,
}

/// Makes a key. Its secret is shown this once.
pub async fn create_key(
    app: &App,
    principal: &Principal,
    request: KeyRequest,
) -> Result<(Arc<ApiKey>, Secret), OperationError> {
    let secret = Secret::random().map_err(|error| OperationError::Internal(error.to_string()))?;
    let key = create_key_with(app, principal, request, &secret).await?;
    Ok((key, secret))
}

/// Makes a key with a secret that is known already: the first admin's, from the environment.
pub async fn create_key_with(
    app: &App,
    principal: &Principal,
    request: KeyRequest,
    secret: &Secret,
) -> Result<Arc<ApiKey>, OperationError> {
    principal.may(Operation::CreateKey)?;
    if request.roles.is_empty() {
        return Err(invalid("/roles", "must name at least one role"));
    }
    if request.agents.is_some() && !request.roles.contains(&Role::Runtime) {
        return Err(invalid("/agents", "only a runtime's key is bound to agents"));
    }
    let new = NewKey {
        id: request.id,
        holder: request.holder,
        roles: request.roles,
        agents: request.agents,
        sha256: secret.sha256(),
    };
    changed(app, principal, KeyCommand::Create(new)).await
}

/// Revokes a key.
pub async fn revoke_key(app: &App, principal: &Principal, id: ApiKeyId) -> Result<Arc<ApiKey>, OperationError> {
    principal.may(Operation::RevokeKey)?;
    changed(app, principal, KeyCommand::Revoke(id)).await
}

/// Every key, by name: never a secret.
pub fn keys(app: &App, principal: &Principal) -> Result<Vec<Arc<ApiKey>>, OperationError> {
    principal.may(Operation::ReadKeys)?;
    Ok(app.read(|state| state.api_keys().cloned().collect()))
}

fn invalid(pointer: &str, message: &str) -> OperationError {
    OperationError::Invalid { pointer: pointer.to_owned(), message: message.to_owned() }
}

async fn changed(app: &App, principal: &Principal, command: KeyCommand) -> Result<Arc<ApiKey>, OperationError> {
    match app.commit(principal, Command::Key(command)).await? {
        Answer::ApiKey(key) => Ok(key),
        other => Err(OperationError::Internal(format!("a key was answered by {other:?}"))),
    }
}
