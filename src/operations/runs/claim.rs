//! A worker's long poll for queued attempts.

use super::act::{commit, unexpected};
use crate::admission::Decision;
use crate::decide::{ClaimCommand, RunAnswer, RunCommand};
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::operations::secret::Secret;
use crate::runs::{Checkpoint, Run, RunEvent};
use crate::state::State;
use crate::vocabulary::{AgentId, Reason, WorkerId};
use jiff::SignedDuration;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How often a waiting worker looks by itself: an attempt whose worker died is queued again without anybody's call.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A waiting worker says that it is there at least so often.
const SEEN_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct ClaimAsked {
    /// Who.
    pub worker: WorkerId,
    /// For which agents; those that it is registered for where none is named.
    pub agents: Vec<AgentId>,
    /// For how long a lease holds, in seconds.
    pub lease_s: u32,
    /// How long it waits.
    pub wait: Duration,
}

/// An attempt, handed over.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Its run.
    pub run: Arc<Run>,
    /// The token that its events and admissions carry.
    pub token: Secret,
    /// What it works on.
    pub input: Option<Value>,
    /// Where it goes on from, and the state that was saved there.
    pub checkpoint: Option<(Checkpoint, Option<Value>)>,
    /// Why the attempt before was denied, which no longer holds.
    pub lifted: Vec<Reason>,
}

/// Hands over the oldest queued attempt of the worker's agents, as soon as there is one; `None` when the wait is over.
pub async fn claim_attempt(
    app: &App,
    principal: &Principal,
    asked: ClaimAsked,
) -> Result<Option<Claimed>, OperationError> {
    principal.may(Operation::ClaimAttempt)?;
    let agents = agents(app, &asked)?;
    for agent in &agents {
        principal.may_for(Operation::ClaimAttempt, agent)?;
    }
    let attempts = async {
        loop {
            let news = app.dispatch.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if app.read(|state| is_worth_asking(state, &asked.worker, &agents, app))
                && let Some(claimed) = ask(app, principal, &asked, &agents).await?
            {
                return Ok(Some(claimed));
            }
            // whichever comes first
            let _ = tokio::time::timeout(LOOK_EVERY, news).await;
        }
    };
    match tokio::time::timeout(asked.wait, attempts).await {
        Ok(claimed) => claimed,
        Err(_) => Ok(None),
    }
}

fn agents(app: &App, asked: &ClaimAsked) -> Result<Vec<AgentId>, OperationError> {
    if !asked.agents.is_empty() {
        return Ok(asked.agents.clone());
    }
    let known = app.read(|state| state.runs().worker(&asked.worker).map(|worker| worker.agents.clone()));
    known.ok_or_else(|| OperationError::Invalid {
        pointer: "/agents".to_owned(),
        message: "is required of a worker that is not registered".to_owned(),
    })
}

/// A question that changes nothing is not worth a record.
fn is_worth_asking(state: &State, worker: &WorkerId, agents: &[AgentId], app: &App) -> bool {
    let waits = state.runs().claimable(agents, |_| true).is_some();
    let unseen = match state.runs().worker(worker) {
        Some(worker) => app.now().duration_since(worker.last_seen) >= SEEN_EVERY,
        None => true,
    };
    waits || unseen
}

async fn ask(
    app: &App,
    principal: &Principal,
    asked: &ClaimAsked,
    agents: &[AgentId],
) -> Result<Option<Claimed>, OperationError> {
    let token = Secret::random().map_err(|error| OperationError::Internal(error.to_string()))?;
    let command = ClaimCommand {
        worker: asked.worker.clone(),
        agents: agents.to_vec(),
        sha256: token.sha256(),
        lease_s: asked.lease_s,
    };
    // each try of a long wait is decided soon or not at all
    let principal = principal.clone().waiting_until(app.monotonic() + app.deadline);
    match commit(app, &principal, RunCommand::Claim(command)).await? {
        RunAnswer::Claimed(Some(run)) => handed_over(app, run, token).map(Some),
        RunAnswer::Claimed(None) => Ok(None),
        other => Err(unexpected(&other)),
    }
}

fn handed_over(app: &App, run: Arc<Run>, token: Secret) -> Result<Claimed, OperationError> {
    let event = |number: u64| -> Result<Option<Arc<RunEvent>>, OperationError> {
        Ok(app.store.run_events(&run.id, number, number)?.into_iter().next())
    };
    let input = match &run.input {
        Some(input) => event(input.event)?.and_then(|event| event.data.get("input").cloned()),
        None => None,
    };
    let from = run.latest().and_then(|attempt| attempt.from_checkpoint.clone());
    let checkpoint = match run.checkpoints.iter().rev().find(|checkpoint| Some(&checkpoint.id) == from.as_ref()) {
        Some(checkpoint) => {
            let saved = event(checkpoint.event)?;
            let state = saved.and_then(|event| event.data.pointer("/checkpoint/state").cloned());
            Some((checkpoint.clone(), state))
        }
        None => None,
    };
    let lifted = lifted(app, &run)?;
    Ok(Claimed { run, token, input, checkpoint, lifted })
}

/// The reasons of the last denial of the step at which the attempt before stopped.
fn lifted(app: &App, run: &Run) -> Result<Vec<Reason>, OperationError> {
    let Some(before) = run.attempts.iter().rev().nth(1) else { return Ok(Vec::new()) };
    let Some(record) = app.store.last_action(&run.id, before.failed_step.as_ref())? else { return Ok(Vec::new()) };
    if record.decision != Decision::Deny || record.attempt != Some(before.number) {
        return Ok(Vec::new());
    }
    let answer: Value = serde_json::from_str(record.answer.get()).unwrap_or_default();
    Ok(serde_json::from_value(answer["reasons"].clone()).unwrap_or_default())
}
