//! What time alone does, and every batch begins with: holds expire, the clocks of runs ring, and denials that nothing
//! followed become items.

use super::attention;
use super::command::Context;
use super::runs;
use crate::budget::{self, Changed};
use crate::registry::Actor;
use crate::state::{Draft, Effect, Entry};
use std::sync::Arc;

/// Does everything whose time has come, before anything else of the batch is decided; of the holds so many at most.
pub fn expire_due(draft: &mut Draft<'_>, ctx: &Context<'_>, most: usize) {
    let first = draft.changes().entries.len();
    expire_holds(draft, ctx, most);
    runs::tick(draft, ctx);
    attention::open_due(draft, ctx);
    attention::follow(draft, first, ctx);
}

/// Availability excludes a hold from the instant on at which it expires. So many at most, so that a million that are due
/// at once hold nobody up: what is left comes with the next batches, at once, and keeps counting until then, which refuses
/// too much rather than too little.
fn expire_holds(draft: &mut Draft<'_>, ctx: &Context<'_>, most: usize) {
    let mut effects = Vec::new();
    for id in draft.due_holds(ctx.now, most) {
        let Some(hold) = draft.hold(&id).cloned() else { continue };
        // A hold that cannot be expired (an account's figures would overflow) stays as it is and keeps counting:
        // refusing too much is the safe side.
        let Ok(Changed { hold, alerts }) = budget::expire(&hold, ctx.now, draft) else { continue };
        effects.push(Effect::Hold(Arc::new(hold)));
        effects.extend(alerts.into_iter().map(Effect::Alert));
    }
    if effects.is_empty() {
        return;
    }
    let subject = format!("holds:{}", effects.len());
    draft.push(Entry {
        op: "hold.expire".to_owned(),
        actor: Actor::tollgate(),
        subject,
        reason: None,
        before: None,
        effects,
    });
}
