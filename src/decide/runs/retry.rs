//! A retry committed: the plan that was seen still holds, policy and budgets allow it, and a new attempt waits.

use super::cancel::stood;
use super::command::{RetryCommand, RunAnswer};
use super::put::{Change, as_seen, known, put};
use crate::admission::{AdmissionAnswer, Decision};
use crate::decide::admit::admit;
use crate::decide::command::{Admit, Answer, Context, Refusal};
use crate::registry::Actor;
use crate::runs::{self, Plan, RetryAsked, RetryRefusal, Run, RunError};
use crate::state::{Draft, Effect, FirstAnswer, KeyEntry, KeyName, Operation};
use crate::vocabulary::{Code, IdempotencyKey, Reason, RemedyKind};
use std::sync::Arc;

/// What a retry of this run would do now.
pub fn plan_of(draft: &Draft<'_>, run: &Run) -> Plan {
    let holds = draft.runs().holds_of(&run.id);
    let set = draft.state().policy_set().map_or("", |head| head.digest.as_str());
    runs::plan(run, holds.iter().map(|hold| &**hold), set)
}

/// The scope of a retry's idempotency key: the run.
pub(in crate::decide) fn key_name(command: &RetryCommand) -> KeyName {
    KeyName { operation: Operation::Retry(command.run.clone()), key: command.key.clone() }
}

/// Makes another attempt, once for each key.
pub(super) fn retry(
    draft: &mut Draft<'_>,
    command: &RetryCommand,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<RunAnswer, Refusal> {
    let run = known(draft, &command.run)?;
    let name = key_name(command);
    if let Some(entry) = draft.key(&name, ctx.now) {
        return match &entry.first {
            FirstAnswer::Retry(_, attempt) if entry.body == command.body => Ok(RunAnswer::Retried(run, *attempt)),
            _ => Err(Refusal::IdempotencyConflict { admission: None }),
        };
    }
    as_seen(draft, &run.id, command.seen)?;
    let plan = plan_of(draft, &run);
    let asked = RetryAsked {
        plan_version: &command.plan_version,
        acknowledge: &command.acknowledge,
        overridden: command.overridden,
    };
    runs::check(&run, &plan, &asked)?;
    if let Some(refusal) = lacks_setup(&run, &command.acknowledge) {
        return Err(refusal.into());
    }
    // the key of the recorded question is its own, so that a retry that was denied is judged again
    let key = IdempotencyKey::new(ctx.id("retry_"))
        .map_err(|error| Refusal::Invalid { pointer: String::new(), message: error.to_string() })?;
    let mut judged = command.judged.clone();
    judged.request.idempotency_key = Some(key);
    let denied = denial(draft, &judged, actor, ctx)?;
    let Answer::Decided(record) = admit(draft, &judged, actor, ctx)? else { return Err(Refusal::Stale) };
    if let Some(refusal) = denied {
        return Ok(RunAnswer::RetryDenied(refusal, record.id.clone()));
    }
    let (after, event) = runs::retry(&run, &plan, command.overridden, &command.reason, actor, ctx.now);
    let first = FirstAnswer::Retry(run.id.clone(), plan.attempt);
    let key = KeyEntry { name, body: command.body.clone(), first, expires_at: ctx.key_expires_at() };
    let change = Change {
        op: "run.retry",
        run: after,
        events: vec![event],
        also: vec![Effect::Key(Arc::new(key))],
        reason: Some(command.reason.clone()),
        before: Some(stood(&run)),
    };
    Ok(RunAnswer::Retried(put(draft, change, actor, ctx), plan.attempt))
}

/// The refusal that the gate's answer comes to; `None` where it allows.
fn denial(
    draft: &mut Draft<'_>,
    judged: &Admit,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Option<RetryRefusal>, Refusal> {
    let mut dry = judged.clone();
    dry.request.dry_run = true;
    match admit(draft, &dry, actor, ctx)? {
        Answer::DryRun(answer) if answer.decision == Decision::Deny => Ok(Some(refusal_of(*answer))),
        Answer::DryRun(_) => Ok(None),
        _ => Err(Refusal::Stale),
    }
}

/// Why a run would be refused by what its own error says, or by the gate's answer.
pub fn refusal_of_run(run: &Run, answer: &AdmissionAnswer) -> Option<RetryRefusal> {
    let denied = || (answer.decision == Decision::Deny).then(|| refusal_of(answer.clone()));
    lacks_setup(run, &[]).or_else(denied)
}

/// Budgets alone, something to set up, or a rule.
fn refusal_of(answer: AdmissionAnswer) -> RetryRefusal {
    let is = |kinds: &[RemedyKind]| answer.reasons.iter().any(|reason| kinds.contains(&reason.remedy.kind));
    let setup =
        [RemedyKind::SupplyData, RemedyKind::CorrectInput, RemedyKind::RestoreConnector, RemedyKind::RequestApproval];
    if !answer.reasons.is_empty() && answer.reasons.iter().all(|reason| reason.remedy.kind == RemedyKind::ReviewBudget)
    {
        RetryRefusal::BudgetExceeded(answer.reasons)
    } else if is(&setup) {
        RetryRefusal::SetupRequired(answer.reasons)
    } else {
        RetryRefusal::PolicyDenied(answer.reasons)
    }
}

/// A run that failed for want of data fails again, unless some was supplied since, or who retries says that it was set
/// right elsewhere: by acknowledging `setup:` and the code.
fn lacks_setup(run: &Run, acknowledge: &[String]) -> Option<RetryRefusal> {
    let latest = run.latest()?;
    let RunError { code, message, .. } = latest.error.as_ref()?;
    let known = [Code::MissingData, Code::MalformedInput].into_iter().find(|known| known.as_str() == code)?;
    let supplied = run.supplied.as_ref().is_some_and(|supplied| Some(supplied.at) >= latest.ended_at);
    let said = acknowledge.iter().any(|id| id.strip_prefix("setup:") == Some(code));
    (!supplied && !said).then(|| {
        let reason = Reason::of(known, message.clone(), format!("run:{}", run.id));
        RetryRefusal::SetupRequired(vec![reason])
    })
}
