//! Retry: a preview that names a version, and the commit that must name the same one.

use super::attempt::{Attempt, AttemptState, Cause};
use super::event::{EventType, RunEvent};
use super::parts::Checkpoint;
use super::run::{MOST_ATTEMPTS, Run};
use super::take::own_event;
use crate::budget::{Hold, HoldState};
use crate::registry::Actor;
use crate::vocabulary::{Reason, StepName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// After so many failures at one step a retry needs an admin's override.
pub const FAILURES_TO_ESCALATE: u32 = 2;

/// Something that happened already, and may happen again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideEffect {
    /// What it is acknowledged by: a hold's id, or `artifact:` and the number of its event.
    pub id: String,
    /// `action` or `artifact`.
    pub kind: String,
    /// The action's or the artifact's name.
    pub what: String,
    /// In which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// In which attempt.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// How its hold stands: what is not settled may have happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldState>,
}

/// What a retry would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// A digest of all that it depends on, balances apart.
    pub version: String,
    /// The number that the new attempt would have.
    pub attempt: u32,
    /// Where it would go on from.
    pub from_checkpoint: Option<Checkpoint>,
    /// What has happened since then.
    pub side_effects: Vec<SideEffect>,
    /// The step that failed or was blocked.
    pub step: Option<StepName>,
    /// How often that step has failed.
    pub same_step_failures: u32,
}

/// Why a run is not retried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryRefusal {
    /// The plan is not the one that was seen.
    #[error("what a retry would do has changed since the plan was read: read it again")]
    PlanChanged,
    /// That plan was carried out.
    #[error("this plan was carried out already: attempt {0} was made by it")]
    AlreadyRetried(u32),
    /// The old attempt lives.
    #[error("attempt {attempt} is {}: it must come to its end first (cancel it, or force-stop it)", .state.as_str())]
    NotStopped {
        /// Which.
        attempt: u32,
        /// How it stands.
        state: AttemptState,
    },
    /// It is done.
    #[error("the run is completed: there is nothing to retry")]
    Completed,
    /// Somebody cancelled it.
    #[error("the run was cancelled: a cancelled run is not retried")]
    RunCancelled,
    /// Side effects were not acknowledged.
    #[error("{} side effects must be acknowledged first: {}", .0.len(), .0.join(", "))]
    NotAcknowledged(Vec<String>),
    /// The same step failed again.
    #[error("step {step} has failed {times} times: escalate it; one more retry needs an admin's override")]
    SameStepFailed {
        /// Which.
        step: StepName,
        /// How often.
        times: u32,
    },
    /// Data or setup is missing.
    #[error("it would fail again: {}", said(.0))]
    SetupRequired(Vec<Reason>),
    /// Policy denies it.
    #[error("policy denies it: {}", said(.0))]
    PolicyDenied(Vec<Reason>),
    /// A budget has too little left.
    #[error("the budget does not allow it: {}", said(.0))]
    BudgetExceeded(Vec<Reason>),
    /// Too many attempts.
    #[error("the run has {MOST_ATTEMPTS} attempts, and that is the most")]
    TooManyAttempts,
}

fn said(reasons: &[Reason]) -> String {
    reasons.iter().map(|reason| reason.message.as_str()).collect::<Vec<_>>().join(" ")
}

impl RetryRefusal {
    /// As it stands in JSON.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PlanChanged => "plan_changed",
            Self::AlreadyRetried(_) => "already_retried",
            Self::NotStopped { .. } => "not_stopped",
            Self::Completed => "completed",
            Self::RunCancelled => "run_cancelled",
            Self::NotAcknowledged(_) => "not_acknowledged",
            Self::SameStepFailed { .. } => "same_step_failed",
            Self::SetupRequired(_) => "setup_required",
            Self::PolicyDenied(_) => "policy_denied",
            Self::BudgetExceeded(_) => "budget_exceeded",
            Self::TooManyAttempts => "too_many_attempts",
        }
    }

    /// The reasons behind it, where the gate gave some.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::SetupRequired(reasons) | Self::PolicyDenied(reasons) | Self::BudgetExceeded(reasons) => reasons,
            _ => &[],
        }
    }
}

/// What a retry would do now. `holds` are those that the run's admissions placed.
pub fn plan<'a>(run: &Run, holds: impl IntoIterator<Item = &'a Hold>, policy_set: &str) -> Plan {
    let from_checkpoint = run.last_checkpoint().cloned();
    let side_effects = side_effects(run, holds, from_checkpoint.as_ref().map(|checkpoint| checkpoint.saved_at));
    let latest = run.latest();
    let step = latest.and_then(|attempt| attempt.failed_step.clone());
    let seen = json!({
        "run": run.id,
        "status": run.status(),
        "attempt": run.latest_number(),
        "ended_at": latest.and_then(|attempt| attempt.ended_at),
        "checkpoint": from_checkpoint.as_ref().map(|checkpoint| (&checkpoint.id, checkpoint.event)),
        "side_effects": side_effects.iter().map(|effect| (&effect.id, effect.hold)).collect::<Vec<_>>(),
        "input": run.input.as_ref().map(|input| &input.sha256),
        "supplied": run.supplied.as_ref().map(|supplied| &supplied.data),
        "policy_set": policy_set,
    });
    Plan {
        version: digest(&seen.to_string()),
        // the last number of all is not followed: `retriable` refuses it
        attempt: run.latest_number().saturating_add(1),
        from_checkpoint,
        side_effects,
        same_step_failures: run.same_step_failures(step.as_ref()),
        step,
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(16).fold(String::from("plan_"), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Actions that were admitted and not released, and artifacts, since the place from which it would go on.
fn side_effects<'a>(run: &Run, holds: impl IntoIterator<Item = &'a Hold>, since: Option<Timestamp>) -> Vec<SideEffect> {
    let since = since.unwrap_or(Timestamp::MIN);
    let actions = holds.into_iter().filter(|hold| hold.state != HoldState::Released).filter_map(|hold| {
        let of = hold.run.as_ref()?;
        Some(SideEffect {
            id: hold.id.to_string(),
            kind: "action".to_owned(),
            what: of.action.to_string(),
            step: of.step.clone(),
            attempt: of.attempt,
            at: hold.placed_at,
            hold: Some(hold.state),
        })
    });
    let artifacts = run.artifacts.iter().map(|artifact| SideEffect {
        id: format!("artifact:{}", artifact.event),
        kind: "artifact".to_owned(),
        what: artifact.name.clone(),
        step: artifact.step.clone(),
        attempt: artifact.attempt,
        at: artifact.produced_at,
        hold: None,
    });
    let mut all: Vec<SideEffect> = actions.chain(artifacts).filter(|effect| effect.at >= since).collect();
    all.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    all
}

/// Whether the run itself can be retried now, whatever policy and budgets say.
pub fn retriable(run: &Run) -> Result<(), RetryRefusal> {
    let Some(latest) = run.latest() else { return Err(RetryRefusal::PlanChanged) };
    if run.is_cancelled() {
        return Err(RetryRefusal::RunCancelled);
    }
    if latest.is_alive() {
        return Err(RetryRefusal::NotStopped { attempt: latest.number, state: latest.state });
    }
    if latest.state == AttemptState::Completed {
        return Err(RetryRefusal::Completed);
    }
    if run.attempts.len() >= MOST_ATTEMPTS || latest.number == u32::MAX {
        return Err(RetryRefusal::TooManyAttempts);
    }
    Ok(())
}

/// Whether the same step has failed so often that an admin must say so.
pub fn same_step_failed(run: &Run) -> Option<RetryRefusal> {
    let (step, times) = run.failing_step().filter(|(_, times)| *times >= FAILURES_TO_ESCALATE)?;
    Some(RetryRefusal::SameStepFailed { step: step.clone(), times })
}

/// What somebody asks for who retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAsked<'a> {
    /// The plan that they saw.
    pub plan_version: &'a str,
    /// The side effects that they acknowledge.
    pub acknowledge: &'a [String],
    /// An admin lets it go on although the same step failed again.
    pub overridden: bool,
}

/// Whether the run can be retried as asked, whatever policy and budgets say.
pub fn check(run: &Run, plan: &Plan, asked: &RetryAsked<'_>) -> Result<(), RetryRefusal> {
    let made_by = |attempt: &&Attempt| matches!(&attempt.cause, Cause::Retry { plan_version, .. } if plan_version == asked.plan_version);
    if let Some(attempt) = run.attempts.iter().find(made_by) {
        return Err(RetryRefusal::AlreadyRetried(attempt.number));
    }
    retriable(run)?;
    if plan.version != asked.plan_version {
        return Err(RetryRefusal::PlanChanged);
    }
    let missing = |effect: &&SideEffect| !asked.acknowledge.contains(&effect.id);
    let missing: Vec<String> = plan.side_effects.iter().filter(missing).map(|effect| effect.id.clone()).collect();
    if !missing.is_empty() {
        return Err(RetryRefusal::NotAcknowledged(missing));
    }
    match same_step_failed(run) {
        Some(refusal) if !asked.overridden => Err(refusal),
        _ => Ok(()),
    }
}

/// Makes the new attempt. Nothing of the old ones is changed.
pub fn retry(run: &Run, plan: &Plan, overridden: bool, reason: &str, by: &Actor, now: Timestamp) -> (Run, RunEvent) {
    let mut run = run.clone();
    let cause =
        Cause::Retry { by: by.clone(), reason: reason.to_owned(), plan_version: plan.version.clone(), overridden };
    let mut attempt = Attempt::new(plan.attempt, cause, now);
    attempt.from_checkpoint = plan.from_checkpoint.as_ref().map(|checkpoint| checkpoint.id.clone());
    run.attempts.push(attempt);
    let event = own_event(&mut run, EventType::RetryMade, json!({"reason": reason, "by": by.name}), now);
    (run, event)
}
