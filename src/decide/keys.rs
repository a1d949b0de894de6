//! API keys: made and revoked.

use super::command::{Answer, Context, KeyCommand, Refusal};
use crate::registry::{Actor, ApiKey, Role};
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
            let opens = |key: &ApiKey| key.revoked_at.is_none() && key.roles.contains(&Role::Admin);
            if opens(old) && !draft.state().api_keys().any(|key| key.id != *id && opens(key)) {
                let why = "this is the last admin key: without it nobody could make another; make that one first";
                return Err(Refusal::Over(why.to_owned()));
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

#[cfg(test)]
mod tests {
    use super::super::gate_tests::Gate;
    use super::super::{Command, NewKey};
    use super::*;

    #[test]
    fn the_last_admin_key_is_not_revoked() {
        let mut gate = Gate::new("2026-11-23T12:00:00Z");
        let new = |id: &str, role| NewKey {
            id: id.parse().unwrap(),
            holder: "Mia".to_owned(),
            roles: vec![role],
            agents: None,
            sha256: format!("sha of {id}"),
        };
        let revoke = |id: &str| Command::Key(KeyCommand::Revoke(id.parse().unwrap()));
        gate.one(Command::Key(KeyCommand::Create(new("first", Role::Admin)))).unwrap();
        gate.one(Command::Key(KeyCommand::Create(new("reader", Role::Auditor)))).unwrap();
        assert!(matches!(gate.one(revoke("first")), Err(Refusal::Over(_))));
        gate.one(revoke("reader")).unwrap();
        gate.one(Command::Key(KeyCommand::Create(new("second", Role::Admin)))).unwrap();
        gate.one(revoke("first")).unwrap();
        gate.one(revoke("first")).unwrap();
        assert!(matches!(gate.one(revoke("second")), Err(Refusal::Over(_))), "a revoked one does not count");
    }
}
