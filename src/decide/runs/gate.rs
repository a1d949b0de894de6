//! What an admission has to do with its run: why it may not be admitted, and that its run is known from then on.

use super::cap::full;
use super::put::wound;
use crate::admission::{Decision, Kind, Request};
use crate::decide::command::Context;
use crate::runs::{ConnectorStatus, Run, first_admitted, holds_attempt, next_admitted};
use crate::state::{Draft, Effect, Opened};
use crate::vocabulary::{Code, Reason};
use serde_json::json;

/// Why the run, or a connector that the action needs, does not allow it.
pub(in crate::decide) fn reasons(draft: &Draft<'_>, request: &Request, ctx: &Context<'_>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = request.connectors.iter().filter_map(|id| down(draft, id)).collect();
    let Some(asked) = &request.run else { return reasons };
    let no_more = || full(draft, &request.agent, &Opened::default(), ctx).map(|full| full.reason(&request.agent));
    let Some(run) = draft.runs().run(&asked.id) else {
        reasons.extend(no_more().filter(|_| request.kind == Kind::Action));
        return reasons;
    };
    if run.agent != request.agent {
        // nothing of the run is told to whom it does not belong
        let message = format!("Agent {} has no run {}.", request.agent, asked.id);
        reasons.push(Reason::of(Code::AttemptFenced, message, format!("run:{}", asked.id)));
        return reasons;
    }
    if run.is_cancelled() {
        let why = run.cancel.as_ref().map(|cancel| (cancel.by.name.as_str(), cancel.reason.as_str()));
        let (by, why) = why.unwrap_or(("somebody", "no reason was given"));
        let message = format!("{by} cancelled run {}: {why}.", run.id);
        reasons.push(Reason::of(Code::RunCancelled, message, format!("run:{}", run.id)));
    } else if request.kind == Kind::Action
        && let Some(why) = not_its_attempt(run, asked.attempt, asked.lease.as_deref(), ctx)
    {
        reasons.push(fenced(run, why));
    } else if request.kind == Kind::Action && run.is_over() {
        // another attempt opens it again
        reasons.extend(no_more());
    }
    reasons
}

fn fenced(run: &Run, why: String) -> Reason {
    let message = format!("Run {}: {why}.", run.id);
    let mut reason = Reason::of(Code::AttemptFenced, message, format!("run:{}", run.id));
    reason.details = Some(json!({"attempt": run.latest_number(), "status": run.status()}));
    reason
}

fn not_its_attempt(run: &Run, number: u32, lease: Option<&str>, ctx: &Context<'_>) -> Option<String> {
    let latest = run.latest()?;
    if number < latest.number {
        return Some(format!("attempt {number} no longer has it, attempt {} has", latest.number));
    }
    if number > latest.number {
        let begins = next_admitted(run, number, ctx.now).is_some();
        return (!begins).then(|| format!("there is no attempt {number}, the latest is {}", latest.number));
    }
    if !latest.is_alive() {
        return Some(format!("attempt {number} is over ({}), and only another attempt goes on", latest.state.as_str()));
    }
    (!holds_attempt(run, latest, lease)).then(|| format!("attempt {number} is held under another lease"))
}

fn down(draft: &Draft<'_>, id: &str) -> Option<Reason> {
    let connector = draft.state().runs().connector(id).filter(|known| known.status == ConnectorStatus::Down)?;
    let detail = connector.detail.as_deref().map_or_else(String::new, |detail| format!(": {detail}"));
    let message = format!("Connector {id} is down since {}{detail}.", connector.since);
    let mut reason = Reason::of(Code::ConnectorUnavailable, message, format!("connector:{id}"));
    reason.details = Some(json!({"connector": id, "since": connector.since}));
    Some(reason)
}

/// The run that is heard of by this admission, also by a denied one, for that is who asked first, unless there is no room
/// for it; or whose next attempt is, which only what is allowed begins.
pub(in crate::decide) fn admitted(
    draft: &Draft<'_>,
    request: &Request,
    decision: Decision,
    ctx: &Context<'_>,
) -> Option<Effect> {
    let asked = request.run.as_ref().filter(|_| request.kind == Kind::Action)?;
    let run = match draft.runs().run(&asked.id) {
        None if full(draft, &request.agent, &Opened::default(), ctx).is_some() => return None,
        None => first_admitted(asked.id.clone(), request.agent.clone(), asked.attempt, ctx.now),
        Some(run)
            if decision == Decision::Allow && asked.attempt > run.latest_number() && run.agent == request.agent =>
        {
            next_admitted(run, asked.attempt, ctx.now)?
        }
        Some(_) => return None,
    };
    Some(Effect::Run(wound(draft, run, ctx)))
}
