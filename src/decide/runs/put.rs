//! Where every change of a run ends: its clocks are wound anew, and it becomes one operation of the journal.

use crate::attention::Subject;
use crate::budget;
use crate::decide::command::{Context, Refusal};
use crate::registry::Actor;
use crate::runs::{Hearing, Run, RunEvent, next_ring};
use crate::state::{Draft, Effect, Entry};
use crate::vocabulary::RunId;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// One change of a run.
pub(super) struct Change {
    /// The operation.
    pub op: &'static str,
    /// The run as it stands now.
    pub run: Run,
    /// What happened to it.
    pub events: Vec<RunEvent>,
    /// What else changed by it.
    pub also: Vec<Effect>,
    /// Why, where somebody said so.
    pub reason: Option<String>,
    /// What stood before, for what people did.
    pub before: Option<Value>,
}

/// Takes a change in.
pub(super) fn put(draft: &mut Draft<'_>, change: Change, actor: &Actor, ctx: &Context<'_>) -> Arc<Run> {
    let run = wound(draft, change.run, ctx);
    let mut effects: Vec<Effect> = change.events.into_iter().map(Arc::new).map(Effect::RunEvent).collect();
    effects.push(Effect::Run(Arc::clone(&run)));
    effects.extend(change.also);
    draft.push(Entry {
        op: change.op.to_owned(),
        actor: actor.clone(),
        subject: format!("run:{}", run.id),
        reason: change.reason,
        before: change.before,
        effects,
    });
    run
}

/// A run with its clocks wound.
pub(super) fn wound(draft: &Draft<'_>, mut run: Run, ctx: &Context<'_>) -> Arc<Run> {
    run.due_at = next_ring(&run, &ctx.limits.clocks, hearing(draft, &run.id, ctx)).map(|(at, _)| at);
    Arc::new(run)
}

/// Since when Tollgate could hear of this run.
pub(super) fn hearing(draft: &Draft<'_>, run: &RunId, ctx: &Context<'_>) -> Hearing {
    let runs = draft.state().runs();
    Hearing { since: listening_since(draft, ctx), asked_at: runs.asked_at(run) }
}

/// Since when Tollgate has listened without a break.
pub(in crate::decide) fn listening_since(draft: &Draft<'_>, ctx: &Context<'_>) -> Timestamp {
    ctx.limits.up_since.max(draft.state().runs().hearing_since()).unwrap_or(Timestamp::MIN)
}

/// A run that is known.
pub(super) fn known(draft: &Draft<'_>, run: &RunId) -> Result<Arc<Run>, Refusal> {
    draft.runs().run(run).cloned().ok_or_else(|| Refusal::NotFound { what: "run", id: run.to_string() })
}

/// What somebody saw of the run's item is what it still is.
pub(super) fn as_seen(draft: &Draft<'_>, run: &RunId, seen: Option<u64>) -> Result<(), Refusal> {
    let Some(seen) = seen else { return Ok(()) };
    let current = draft.item_about(&Subject::Run(run.clone())).map_or(0, |item| item.revision);
    if current == seen { Ok(()) } else { Err(Refusal::Revision { current }) }
}

/// Frees what the run's admissions set aside: its runtime proved that nothing more comes.
pub(super) fn release_holds(draft: &mut Draft<'_>, run: &RunId, actor: &Actor, ctx: &Context<'_>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for hold in draft.runs().holds_of(run) {
        let Some(hold) = draft.hold(&hold.id).cloned() else { continue };
        // one that is not pending, or whose figures do not allow it, stays as it is: it keeps counting
        if let Ok(Some(changed)) = budget::release(&hold, "the run was cancelled", &actor.name, ctx.now, draft) {
            effects.push(Effect::Hold(Arc::new(changed.hold)));
            effects.extend(changed.alerts.into_iter().map(Effect::Alert));
        }
    }
    effects
}
