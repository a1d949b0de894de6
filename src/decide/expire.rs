//! What time alone does, and every batch begins with: holds expire, the clocks of runs ring, and denials that nothing
//! followed become items.

use super::attention;
use super::command::Context;
use super::runs;
use crate::budget::{self, Changed};
use crate::registry::Actor;
use crate::state::{Draft, Effect, Entry};
use crate::vocabulary::HoldId;
use std::sync::Arc;

/// So much of what is due is done with one batch, and two more for each of its commands: a million that are due at once are
/// gone after a few thousand batches, none of which takes long or makes a long record.
pub const DUE_AT_ONCE: usize = 256;

/// Does what time has come for, before anything else of the batch is decided: so much of it at most. What is left comes
/// with the next batches, at once.
pub fn expire_due(draft: &mut Draft<'_>, ctx: &Context<'_>, most: usize) {
    let first = draft.changes().entries.len();
    let mut holds = draft.due_holds(ctx.now, most);
    let mut clocks = runs::due_clocks(draft, ctx, most);
    let mut starts = runs::missed_starts(draft, ctx, most);
    let mut denials = draft.due_denials(ctx.now, most);
    let due = [holds.len(), clocks.len(), starts.len(), denials.len()];
    let [of_holds, of_clocks, of_starts, of_denials] = shares(most, due);
    holds.truncate(of_holds);
    clocks.truncate(of_clocks);
    starts.truncate(of_starts);
    denials.truncate(of_denials);
    expire_holds(draft, ctx, &holds);
    runs::tick(draft, ctx, &clocks, &starts);
    attention::open_due(draft, ctx, &denials);
    attention::follow(draft, first, ctx);
}

/// How many of each are done, of those that are due: holds, which stand in the way of admissions, have half to themselves,
/// each of the others a sixth, and what one leaves goes to the others in this order.
fn shares(most: usize, due: [usize; 4]) -> [usize; 4] {
    let own = [most / 2, most / 6, most / 6, most / 6];
    let mut shares = [0; 4];
    let mut left = most;
    for (share, (due, own)) in shares.iter_mut().zip(due.iter().zip(own)) {
        *share = own.min(*due);
        left -= *share;
    }
    for (share, due) in shares.iter_mut().zip(due) {
        let more = (due - *share).min(left);
        *share += more;
        left -= more;
    }
    shares
}

/// Availability excludes a hold from the instant on at which it expires. One that is due and has to wait keeps counting,
/// which refuses too much rather than too little.
fn expire_holds(draft: &mut Draft<'_>, ctx: &Context<'_>, due: &[HoldId]) {
    let mut effects = Vec::new();
    for id in due {
        let Some(hold) = draft.hold(id).cloned() else { continue };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_shares_one_batch() {
        for (most, due, wanted) in [
            (12, [0, 0, 0, 0], [0, 0, 0, 0]),
            (12, [3, 2, 1, 0], [3, 2, 1, 0]),
            (12, [900, 0, 0, 0], [12, 0, 0, 0]),
            (12, [0, 900, 0, 0], [0, 12, 0, 0]),
            (12, [0, 0, 0, 900], [0, 0, 0, 12]),
            (12, [900, 900, 900, 900], [6, 2, 2, 2]),
            (12, [900, 0, 0, 900], [10, 0, 0, 2]),
            (12, [1, 900, 0, 900], [1, 9, 0, 2]),
            (1, [900, 900, 900, 900], [1, 0, 0, 0]),
            (0, [1, 1, 1, 1], [0, 0, 0, 0]),
            (usize::MAX, [5, 6, 7, 8], [5, 6, 7, 8]),
        ] {
            assert_eq!(shares(most, due), wanted, "{most} of {due:?}");
        }
    }
}
