//! What comes without being asked: clocks that ring, starts that are missed. Decided at the batch's time, like expiry.

use super::put::{Change, hearing, listening_since, put};
use crate::decide::command::Context;
use crate::registry::Actor;
use crate::runs::{Schedule, ring};
use crate::state::{Draft, Effect, Entry};
use crate::vocabulary::RunId;
use std::sync::Arc;

/// Runs one of whose clocks may ring, earliest first: so many at most.
pub(in crate::decide) fn due_clocks(draft: &Draft<'_>, ctx: &Context<'_>, most: usize) -> Vec<RunId> {
    draft.runs().due(ctx.now).take(most).cloned().collect()
}

/// Schedules that did not start what was due, earliest first: so many at most.
pub(in crate::decide) fn missed_starts(draft: &Draft<'_>, ctx: &Context<'_>, most: usize) -> Vec<Arc<Schedule>> {
    let since = listening_since(draft, ctx);
    let due = draft.state().runs().schedules_due(ctx.now);
    due.filter(|schedule| schedule.missed_at(since).is_some_and(|at| at <= ctx.now)).take(most).cloned().collect()
}

/// Lets the clocks of these runs ring and these starts be missed.
pub(in crate::decide) fn tick(draft: &mut Draft<'_>, ctx: &Context<'_>, clocks: &[RunId], missed: &[Arc<Schedule>]) {
    for id in clocks {
        let Some(run) = draft.runs().run(id).cloned() else { continue };
        let (run, events) = ring(&run, &ctx.limits.clocks, hearing(draft, id, ctx), ctx.now);
        let change = Change { op: "run.clock", run, events, also: Vec::new(), reason: None, before: None };
        put(draft, change, &Actor::tollgate(), ctx);
    }
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
