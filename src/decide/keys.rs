//! API keys: made and revoked.

use super::command::{Answer, Context, KeyCommand, Refusal};
use crate::registry::{Actor, ApiKey};
use crate::state::{Draft, Effect, Entry};
use std::sync::Arc;

/// Decides one change of the API keys.
pub(super) fn change(
    draft: &mut Draft<'_>,
    command: &KeyCommand,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    let (op, key) = match command {
        KeyCommand::Create(new) => {
            if draft.state().api_key(&new.id).is_some() {
                return Err(Refusal::Exists { what: "key", id: new.id.to_string() });
            }
            if draft.state().api_key_by_hash(&new.sha256).is_some() {
                return Err(Refusal::Invalid { pointer: "/secret".to_owned(), message: "is in use".to_owned() });
            }
            let key = ApiKey {
                id: new.id.clone(),
                holder: new.holder.clone(),
                roles: new.roles.clone(),
                agents: new.agents.clone(),
                sha256: new.sha256.clone(),
                created_at: ctx.now,
                revoked_at: None,
            };
            ("key.create", key)
        }
        KeyCommand::Revoke(id) => {
            let found = draft.state().api_key(id);
            let old = found.ok_or_else(|| Refusal::NotFound { what: "key", id: id.to_string() })?;
            if old.revoked_at.is_some() {
                return Ok(Answer::ApiKey(Arc::clone(old)));
            }
            ("key.revoke", ApiKey { revoked_at: Some(ctx.now), ..(**old).clone() })
        }
    };
    let key = Arc::new(key);
    draft.push(Entry {
        op: op.to_owned(),
        actor: actor.clone(),
        subject: format!("key:{}", key.id),
        reason: None,
        before: None,
        effects: vec![Effect::ApiKey(Arc::clone(&key))],
    });
    Ok(Answer::ApiKey(key))
}
