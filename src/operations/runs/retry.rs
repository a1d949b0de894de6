//! Retry: a preview, then a commit that names its version.

use super::act::unexpected;
use super::show::visible;
use super::version::versions;
use crate::admission::{Action, AdmissionAnswer, Kind, Request, RunRef};
use crate::decide::{Answer, Command, Envelope, Refusal, RetryCommand, RunAnswer, RunCommand, plan_of};
use crate::operations::admit::{JUDGED_AGAIN, judge};
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::runs::{self, Plan, RetryRefusal, Run};
use crate::state::{Draft, State};
use crate::vocabulary::{ActionName, IdempotencyKey, RunId};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A retry holds nothing; its question has the usual time all the same.
const RETRY_HOLD_TTL_S: u32 = 600;

/// What a retry would do, and what the gate says of it now.
#[derive(Clone, Debug)]
pub struct RetryPreview {
    /// The run.
    pub run: Arc<Run>,
    /// What would happen.
    pub plan: Plan,
    /// What policy, budgets and connectors say now.
    pub verdict: AdmissionAnswer,
    /// Why it would be refused, if it would.
    pub refusal: Option<RetryRefusal>,
    /// What changed since the stopped attempt was last judged.
    pub changed: Vec<String>,
}

/// What somebody asks for who retries.
#[derive(Clone, Debug)]
pub struct RetryAskedFor {
    /// The plan that they saw.
    pub plan_version: String,
    /// So that asking twice makes one attempt.
    pub key: IdempotencyKey,
    /// Why.
    pub reason: String,
    /// The side effects that they acknowledge.
    pub acknowledge: Vec<String>,
    /// An admin lets it go on although the same step failed again.
    pub overridden: bool,
    /// The revision of the run's item that they saw, where they go by one.
    pub seen: Option<u64>,
}

/// Previews a retry.
pub fn retry_plan(app: &App, principal: &Principal, id: &RunId) -> Result<RetryPreview, OperationError> {
    let run = visible(app, principal, Operation::ReadRetryPlan, id)?;
    let plan = app.read(|state| plan_of(&Draft::new(state), &run));
    let verdict = verdict(app, principal, &run)?;
    let all: Vec<String> = plan.side_effects.iter().map(|effect| effect.id.clone()).collect();
    let asked = runs::RetryAsked { plan_version: &plan.version, acknowledge: &all, overridden: false };
    let refusal = runs::check(&run, &plan, &asked).err();
    let refusal = refusal.or_else(|| crate::decide::refusal_of_run(&run, &verdict));
    let changed = changed(app, &run)?;
    Ok(RetryPreview { run, plan, verdict, refusal, changed })
}

/// The question that a retry of this run is.
fn question(run: &Run, dry_run: bool) -> Result<Request, OperationError> {
    let internal = |error: crate::vocabulary::IdError| OperationError::Internal(error.to_string());
    let step = run.latest().and_then(|attempt| attempt.failed_step.clone());
    Ok(Request {
        idempotency_key: None,
        kind: Kind::Retry,
        agent: run.agent.clone(),
        action: Action { name: ActionName::new("start_run").map_err(internal)?, properties: Map::new() },
        entity: None,
        run: Some(RunRef { id: run.id.clone(), attempt: run.latest_number(), step, lease: None }),
        estimate: BTreeMap::new(),
        connectors: Vec::new(),
        context: Map::new(),
        hold_ttl_s: RETRY_HOLD_TTL_S,
        dry_run,
    })
}

fn verdict(app: &App, principal: &Principal, run: &Run) -> Result<AdmissionAnswer, OperationError> {
    let request = question(run, true)?;
    for _ in 0..=JUDGED_AGAIN {
        let command = Command::Admit(Box::new(judge(app, &request, String::new())?));
        match app.store.preview(&Envelope { command, actor: principal.actor() }, app.guard.now()?) {
            Ok(Answer::DryRun(answer)) => return Ok(*answer),
            Ok(other) => return Err(OperationError::Internal(format!("a dry run was answered by {other:?}"))),
            Err(Refusal::Stale) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Err(OperationError::Stale)
}

/// What is another than when the stopped attempt was last judged.
fn changed(app: &App, run: &Run) -> Result<Vec<String>, OperationError> {
    let step = run.latest().and_then(|attempt| attempt.failed_step.as_ref());
    let Some(record) = app.store.last_action(&run.id, step)? else {
        return Ok(app.read(|state| new_version(state, run)).into_iter().collect());
    };
    let mut changed = Vec::new();
    app.read(|state| {
        if state.policy_set().is_some_and(|head| head.digest != record.judged.policy_set) {
            changed.push("policy_set".to_owned());
        }
        if state.agent_revision(&run.agent) != record.judged.agent_revision {
            changed.push("agent".to_owned());
        }
        let entity_now = record.entity_type.as_ref().map_or(0, |kind| state.entity_type_revision(kind));
        if entity_now != record.judged.entity_type_revision {
            changed.push("entity_type".to_owned());
        }
        for connector in state.runs().connectors().filter(|connector| connector.since > record.decided_at) {
            changed.push(format!("connector:{}", connector.id));
        }
        let revised = |budget: &&Arc<crate::budget::Budget>| budget.updated_at > record.decided_at;
        for budget in state.budgets().filter(revised) {
            changed.push(format!("budget:{}", budget.id()));
        }
    });
    changed.extend(app.read(|state| new_version(state, run)));
    Ok(changed)
}

/// The version of the agent that other runs report by now, if the stopped attempt had another.
fn new_version(state: &State, run: &Run) -> Option<String> {
    let latest = run.latest()?;
    let own = latest.agent_version.as_ref()?;
    let newest = versions(state, &run.agent, latest.queued_at).pop()?;
    (newest.version != *own).then(|| format!("agent_version:{}", newest.version))
}

/// Makes another attempt. Asking again under the same key answers with the attempt that was made.
pub async fn retry_run(
    app: &App,
    principal: &Principal,
    id: &RunId,
    asked: RetryAskedFor,
    body: &Value,
) -> Result<(Arc<Run>, u32), OperationError> {
    let run = visible(app, principal, Operation::RetryRun, id)?;
    if asked.overridden {
        principal.may(Operation::OverrideRetry)?;
    }
    for _ in 0..=JUDGED_AGAIN {
        let command = judged(app, &run, &asked, body)?;
        match of_answer(app, super::act::commit(app, principal, RunCommand::Retry(Box::new(command))).await) {
            Err(OperationError::Refused(Refusal::Stale)) => {}
            outcome => return outcome,
        }
    }
    Err(OperationError::Stale)
}

/// The command, judged by policy as it is now.
pub(in crate::operations) fn judged(
    app: &App,
    run: &Run,
    asked: &RetryAskedFor,
    body: &Value,
) -> Result<RetryCommand, OperationError> {
    let body = app.mask_key.digest(crate::audit::canonical_json(body).as_bytes());
    Ok(RetryCommand {
        run: run.id.clone(),
        plan_version: asked.plan_version.clone(),
        key: asked.key.clone(),
        body: body.clone(),
        reason: asked.reason.clone(),
        acknowledge: asked.acknowledge.clone(),
        overridden: asked.overridden,
        seen: asked.seen,
        judged: judge(app, &question(run, false)?, body)?,
    })
}

/// What came of it: the attempt that was made, or why there is none.
pub(in crate::operations) fn of_answer(
    app: &App,
    answer: Result<RunAnswer, OperationError>,
) -> Result<(Arc<Run>, u32), OperationError> {
    match answer? {
        RunAnswer::Retried(run, attempt) => {
            app.dispatch.notify_waiters();
            Ok((run, attempt))
        }
        RunAnswer::RetryDenied(refusal, _) => Err(Refusal::Retry(refusal).into()),
        other => Err(unexpected(&other)),
    }
}
