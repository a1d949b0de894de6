//! Settle, release, extend.

use super::command::{Answer, Context, HoldCommand, Refusal};
use crate::budget::{self, Changed};
use crate::registry::Actor;
use crate::state::{Draft, Effect, Entry};
use crate::vocabulary::HoldId;
use std::sync::Arc;

/// Decides one change of a hold. Asking for what already is (the same settlement, a second release) answers with the hold
/// as it stands and writes nothing.
pub(super) fn change(
    draft: &mut Draft<'_>,
    id: &HoldId,
    command: &HoldCommand,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    let found = draft.hold(id).cloned();
    let hold = found.ok_or_else(|| Refusal::NotFound { what: "hold", id: id.to_string() })?;
    let (op, reason, changed) = match command {
        HoldCommand::Settle(actual) => {
            ("hold.settle", None, budget::settle(&hold, actual, &actor.name, ctx.now, draft)?)
        }
        HoldCommand::Release(reason) => {
            ("hold.release", Some(reason.clone()), budget::release(&hold, reason, &actor.name, ctx.now, draft)?)
        }
        HoldCommand::Extend(ttl_s) => ("hold.extend", None, budget::extend(&hold, *ttl_s, ctx.now)?),
    };
    let Some(Changed { hold: after, alerts }) = changed else { return Ok(Answer::Hold(hold)) };
    let after = Arc::new(after);
    let mut effects = vec![Effect::Hold(Arc::clone(&after))];
    effects.extend(alerts.into_iter().map(Effect::Alert));
    draft.push(Entry {
        op: op.to_owned(),
        actor: actor.clone(),
        subject: format!("hold:{id}"),
        reason,
        before: None,
        effects,
    });
    Ok(Answer::Hold(after))
}
