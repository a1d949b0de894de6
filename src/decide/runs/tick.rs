//! What comes without being asked: clocks that ring, starts that are missed. Decided at the batch's time, like expiry.

use super::put::{Change, hearing, listening_since, put};
use crate::decide::command::Context;
use crate::registry::Actor;
use crate::runs::ring;
use crate::state::{Draft, Effect, Entry};
use std::sync::Arc;

/// So many runs and schedules are looked at in one batch; what is left comes with the next.
const MOST: usize = 500;

/// Lets clocks ring and starts be missed.
pub(in crate::decide) fn tick(draft: &mut Draft<'_>, ctx: &Context<'_>) {
    let due: Vec<_> = draft.runs().due(ctx.now).take(MOST).cloned().collect();
    for id in due {
        let Some(run) = draft.runs().run(&id).cloned() else { continue };
        let (run, events) = ring(&run, &ctx.limits.clocks, hearing(draft, &id, ctx), ctx.now);
        let change = Change { op: "run.clock", run, events, also: Vec::new(), reason: None, before: None };
        put(draft, change, &Actor::tollgate(), ctx);
    }
    let since = listening_since(draft, ctx);
    let missed: Vec<_> = draft
        .state()
        .runs()
        .schedules_due(ctx.now)
        .filter(|schedule| schedule.missed_at(since).is_some_and(|at| at <= ctx.now))
        .take(MOST)
        .cloned()
        .collect();
    for schedule in missed {
        draft.push(Entry {
            op: "schedule.missed".to_owned(),
            actor: Actor::tollgate(),
            subject: format!("schedule:{}", schedule.id),
            reason: None,
            before: None,
            effects: vec![Effect::Schedule(Arc::new(schedule.miss(ctx.now)))],
        });
    }
}
