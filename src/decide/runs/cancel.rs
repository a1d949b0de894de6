//! A run's end, asked for or forced by a person.

use super::command::RunAnswer;
use super::put::{Change, as_seen, known, put};
use crate::decide::command::{Context, Refusal};
use crate::registry::Actor;
use crate::runs::{self, CancelCategory, Run};
use crate::state::Draft;
use crate::vocabulary::RunId;
use serde_json::{Value, json};

/// Asks for a run's end. Asking again answers with the run as it stands.
pub(super) fn cancel(
    draft: &mut Draft<'_>,
    id: &RunId,
    category: CancelCategory,
    reason: &str,
    seen: Option<u64>,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<RunAnswer, Refusal> {
    let run = known(draft, id)?;
    let Some((after, event)) = runs::cancel(&run, category, reason, actor, ctx.now) else {
        return Ok(RunAnswer::Run(run));
    };
    as_seen(draft, id, seen)?;
    let change = Change {
        op: "run.cancel",
        run: after,
        events: vec![event],
        also: Vec::new(),
        reason: Some(format!("{}: {reason}", category.as_str())),
        before: Some(stood(&run)),
    };
    Ok(RunAnswer::Run(put(draft, change, actor, ctx)))
}

/// Ends an attempt without its runtime's proof.
pub(super) fn force_stop(
    draft: &mut Draft<'_>,
    id: &RunId,
    reason: &str,
    seen: Option<u64>,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<RunAnswer, Refusal> {
    let run = known(draft, id)?;
    let (after, event) = runs::force_stop(&run, reason, actor, ctx.now)?;
    as_seen(draft, id, seen)?;
    let change = Change {
        op: "run.force_stop",
        run: after,
        events: vec![event],
        also: Vec::new(),
        reason: Some(reason.to_owned()),
        before: Some(stood(&run)),
    };
    Ok(RunAnswer::Run(put(draft, change, actor, ctx)))
}

/// How a run stood, in short.
pub(super) fn stood(run: &Run) -> Value {
    json!({"status": run.status(), "attempt": run.latest_number()})
}
