//! Expiry: a journalled effect that every batch begins with. The clocks of runs ring behind it.

use super::command::Context;
use super::runs;
use crate::budget::{self, Changed};
use crate::registry::Actor;
use crate::state::{Draft, Effect, Entry};
use std::sync::Arc;

/// Lets holds expire whose time has come. Availability excludes them from that instant on: this runs before anything else
/// of the batch is decided. So many at most, so that a million that are due at once hold nobody up: what is left comes
/// with the next batches, at once, and keeps counting until then, which refuses too much rather than too little.
pub fn expire_due(draft: &mut Draft<'_>, ctx: &Context<'_>, most: usize) {
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
        return runs::tick(draft, ctx);
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
    runs::tick(draft, ctx);
}
