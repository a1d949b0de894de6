//! Runs on the wire: as they are listed, shown and claimed.

use super::attention::ItemAnswer;
use super::event::standing;
use super::registry::ActorAnswer;
use crate::budget::HoldState;
use crate::http::check::Check;
use crate::http::problem::Problem;
use crate::operations::{BudgetLeft, Claimed, RunFilter, RunView};
use crate::runs::{
    Artifact, Attempt, AttemptState, Cancel, Cause, Checkpoint, Dispatch, NotPickedUp, Run, RunEntity, RunError,
    RunEvent, SideEffect, Sums, UsageKey,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Which runs.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// Of this agent.
    pub agent: Option<String>,
    /// `queued`, `dispatched`, `running`, `stalled`, `cancelling`, `completed`, `failed`, `blocked` or `cancelled`.
    pub status: Option<String>,
    /// Made by this schedule.
    pub schedule: Option<String>,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
    /// How many, 1 to 500; 50 where it is not said.
    pub limit: Option<String>,
}

impl RunQuery {
    /// The filter and the page's length, or every parameter at fault.
    pub fn filter(&self) -> Result<(RunFilter, usize), Problem> {
        let mut check = Check::new("");
        let status = self.status.as_deref().and_then(|status| {
            let known = AttemptState::parse(status);
            if known.is_none() {
                check.fault("?status", "is not a status of a run");
            }
            known
        });
        let agent = check.optional("?agent", self.agent.as_deref());
        let schedule = check.optional("?schedule", self.schedule.as_deref());
        let limit = super::record::limit(self.limit.as_deref(), &mut check);
        check.finish(Some((RunFilter { agent, status, schedule }, limit)))
    }
}

/// Part of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
    /// How many, 1 to 500; 50 where it is not said.
    pub limit: Option<String>,
}

impl PageQuery {
    /// The page's length.
    pub fn limit(&self) -> Result<usize, Problem> {
        let mut check = Check::new("");
        let limit = super::record::limit(self.limit.as_deref(), &mut check);
        check.finish(Some(limit))
    }
}

/// The record that a run is about.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunEntity)]
pub struct RunEntityAnswer {
    /// The kind of record.
    #[schema(example = "rfq")]
    pub r#type: String,
    /// Which one.
    #[schema(example = "RFQ-1042")]
    pub id: String,
}

impl From<&RunEntity> for RunEntityAnswer {
    fn from(entity: &RunEntity) -> Self {
        Self { r#type: entity.kind.to_string(), id: entity.id.to_string() }
    }
}

/// Why an attempt failed or was blocked.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunError)]
pub struct RunErrorAnswer {
    /// What the classifier goes by.
    #[schema(example = "timeout")]
    pub code: String,
    /// In words.
    pub message: String,
    /// The figures behind it.
    pub details: Option<Value>,
}

impl From<&RunError> for RunErrorAnswer {
    fn from(error: &RunError) -> Self {
        Self { code: error.code.clone(), message: error.message.clone(), details: error.details.clone() }
    }
}

/// A clock that rang.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Alarm)]
pub struct AlarmAnswer {
    /// Which.
    #[schema(example = "silent")]
    pub clock: &'static str,
    /// Since when.
    pub since: String,
}

/// One attempt.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptAnswer {
    /// From 1.
    pub number: u32,
    /// Where it stands.
    #[schema(example = "failed")]
    pub state: &'static str,
    /// `first`, `reported` or `retry`.
    #[schema(example = "first")]
    pub cause: &'static str,
    /// Who retried.
    pub retried_by: Option<ActorAnswer>,
    /// Why.
    pub retry_reason: Option<String>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// Who has it.
    pub worker: Option<String>,
    /// Until when its worker holds it.
    pub lease_expires_at: Option<String>,
    /// How often a lease ended before anybody acknowledged.
    pub requeued: u32,
    /// Where it goes on from.
    pub from_checkpoint: Option<String>,
    /// The step that is under way.
    pub current_step: Option<String>,
    /// The last step that was completed.
    pub last_good_step: Option<String>,
    /// The step that it failed or was blocked at.
    pub failed_step: Option<String>,
    /// Why.
    pub error: Option<RunErrorAnswer>,
    /// Clocks that rang.
    pub alarms: Vec<AlarmAnswer>,
    /// Who ended it without its runtime's proof.
    pub forced_by: Option<ActorAnswer>,
    /// When it was queued, or first heard of.
    pub queued_at: String,
    /// When it was handed over.
    pub dispatched_at: Option<String>,
    /// When that was acknowledged.
    pub acknowledged_at: Option<String>,
    /// When its work began.
    pub started_at: Option<String>,
    /// The last sign of life.
    pub last_seen: String,
    /// When it came to its end.
    pub ended_at: Option<String>,
}

fn text<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

impl From<&Attempt> for AttemptAnswer {
    fn from(attempt: &Attempt) -> Self {
        let (cause, retried_by, retry_reason) = match &attempt.cause {
            Cause::First => ("first", None, None),
            Cause::Reported => ("reported", None, None),
            Cause::Retry { by, reason, .. } => ("retry", Some(by.into()), Some(reason.clone())),
        };
        let alarms = attempt.alarms.iter();
        let alarms =
            alarms.map(|alarm| AlarmAnswer { clock: alarm.clock.as_str(), since: alarm.since.to_string() }).collect();
        Self {
            number: attempt.number,
            state: attempt.state.as_str(),
            cause,
            retried_by,
            retry_reason,
            agent_version: attempt.agent_version.clone(),
            worker: text(attempt.worker.as_ref()),
            lease_expires_at: attempt.lease.as_ref().map(|lease| lease.expires_at.to_string()),
            requeued: attempt.requeued,
            from_checkpoint: text(attempt.from_checkpoint.as_ref()),
            current_step: text(attempt.current_step.as_ref()),
            last_good_step: text(attempt.last_good_step.as_ref()),
            failed_step: text(attempt.failed_step.as_ref()),
            error: attempt.error.as_ref().map(Into::into),
            alarms,
            forced_by: attempt.forced_by.as_ref().map(Into::into),
            queued_at: attempt.queued_at.to_string(),
            dispatched_at: text(attempt.dispatched_at.as_ref()),
            acknowledged_at: text(attempt.acknowledged_at.as_ref()),
            started_at: text(attempt.started_at.as_ref()),
            last_seen: attempt.last_seen.to_string(),
            ended_at: text(attempt.ended_at.as_ref()),
        }
    }
}

/// A place from which the work can go on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Checkpoint)]
pub struct CheckpointAnswer {
    /// Its id.
    pub id: String,
    /// Behind which step.
    pub step: Option<String>,
    /// In words.
    pub note: Option<String>,
    /// Of which attempt.
    pub attempt: u32,
    /// When Tollgate heard of it.
    pub saved_at: String,
    /// The number of the event that saved it.
    pub event: u64,
}

impl From<&Checkpoint> for CheckpointAnswer {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            id: checkpoint.id.to_string(),
            step: text(checkpoint.step.as_ref()),
            note: checkpoint.note.clone(),
            attempt: checkpoint.attempt,
            saved_at: checkpoint.saved_at.to_string(),
            event: checkpoint.event,
        }
    }
}

/// Something that a run made.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Artifact)]
pub struct ArtifactAnswer {
    /// Its name.
    pub name: String,
    /// What it is.
    #[schema(example = "application/pdf")]
    pub media_type: String,
    /// Bytes.
    pub size: Option<u64>,
    /// `sha256:…`
    pub digest: Option<String>,
    /// Where it lies: elsewhere, or here.
    pub href: Option<String>,
    /// Made in which step.
    pub step: Option<String>,
    /// In which attempt.
    pub attempt: u32,
    /// When Tollgate heard of it.
    pub produced_at: String,
    /// The number of the event that told of it.
    pub event: u64,
}

fn artifact(run: &Run, artifact: &Artifact) -> ArtifactAnswer {
    let own = artifact.digest.as_ref().filter(|_| artifact.stored);
    let own = own.map(|digest| format!("/api/v1/runs/{}/artifacts/{digest}", in_path(run.id.as_str())));
    ArtifactAnswer {
        name: artifact.name.clone(),
        media_type: artifact.media_type.clone(),
        size: artifact.size,
        digest: artifact.digest.clone(),
        href: own.or_else(|| artifact.href.clone()),
        step: text(artifact.step.as_ref()),
        attempt: artifact.attempt,
        produced_at: artifact.produced_at.to_string(),
        event: artifact.event,
    }
}

/// A text as one segment of a path.
fn in_path(text: &str) -> String {
    let mut path = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// A request that a run end.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Cancel)]
pub struct CancelAnswer {
    /// `no_longer_needed`, `wrong_record`, `noise` or `denial_was_right`.
    #[schema(example = "wrong_record")]
    pub category: &'static str,
    /// In words.
    pub reason: String,
    /// Who asked.
    pub by: ActorAnswer,
    /// When.
    pub requested_at: String,
    /// When it took effect.
    pub effective_at: Option<String>,
    /// The attempt was completed before it could.
    pub too_late: bool,
}

impl From<&Cancel> for CancelAnswer {
    fn from(cancel: &Cancel) -> Self {
        Self {
            category: cancel.category.as_str(),
            reason: cancel.reason.clone(),
            by: (&cancel.by).into(),
            requested_at: cancel.requested_at.to_string(),
            effective_at: text(cancel.effective_at.as_ref()),
            too_late: cancel.too_late,
        }
    }
}

/// Sums of one unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunSums)]
pub struct SumsAnswer {
    /// Set aside, and not yet settled.
    #[schema(example = "0.42")]
    pub held: String,
    /// Spent.
    pub settled: String,
    /// Set aside, and expired without a word.
    pub unsettled: String,
}

impl From<&Sums> for SumsAnswer {
    fn from(sums: &Sums) -> Self {
        Self { held: sums.held.to_string(), settled: sums.settled.to_string(), unsettled: sums.unsettled.to_string() }
    }
}

/// What a run spent of one unit in all.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunSpend)]
pub struct TotalAnswer {
    /// The unit.
    pub unit: String,
    /// The sums.
    #[serde(flatten)]
    pub sums: SumsAnswer,
}

/// What one attempt and step of a run spent, in all or against one budget.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunUsageLine)]
pub struct UsageLineAnswer {
    /// The budget; `null` for all that it spent.
    pub budget: Option<String>,
    /// The window of the budget's account.
    pub window: Option<String>,
    /// The unit.
    pub unit: String,
    /// The attempt.
    pub attempt: u32,
    /// The step.
    pub step: Option<String>,
    /// The sums.
    #[serde(flatten)]
    pub sums: SumsAnswer,
}

fn usage_line((key, sums): (&UsageKey, &Sums)) -> UsageLineAnswer {
    UsageLineAnswer {
        budget: text(key.budget.as_ref()),
        window: key.window.clone(),
        unit: key.unit.to_string(),
        attempt: key.attempt,
        step: text(key.step.as_ref()),
        sums: sums.into(),
    }
}

/// What is left of a budget that a run spends from.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunBudgetLeft)]
pub struct BudgetLeftAnswer {
    /// The budget.
    pub id: String,
    /// The unit.
    pub unit: String,
    /// The limit in force.
    pub limit: String,
    /// What is left of it.
    pub remaining: String,
    /// When its window ends.
    pub resets_at: Option<String>,
    /// Where it is raised.
    pub href: Option<String>,
}

impl From<&BudgetLeft> for BudgetLeftAnswer {
    fn from(left: &BudgetLeft) -> Self {
        Self {
            id: left.budget.to_string(),
            unit: left.unit.to_string(),
            limit: left.limit.to_string(),
            remaining: left.remaining.to_string(),
            resets_at: left.resets_at.clone(),
            href: crate::vocabulary::href(&format!("budget:{}", left.budget)),
        }
    }
}

/// What a run spent and set aside.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunUsage)]
pub struct RunUsageAnswer {
    /// How many admissions set something aside.
    pub holds: usize,
    /// In all, by unit.
    pub totals: Vec<TotalAnswer>,
    /// By budget, attempt and step.
    pub lines: Vec<UsageLineAnswer>,
    /// What is left of each budget, before raising one is thought of.
    pub budgets: Vec<BudgetLeftAnswer>,
}

/// Why a queued run has not been picked up.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = NotPickedUp)]
pub struct NotPickedUpAnswer {
    /// `schedule_paused`, `schedule_overdue`, `external_runtime`, `no_worker_ever`, `workers_gone`, `all_busy` or
    /// `worker_free`.
    pub kind: String,
    /// A sentence.
    pub message: String,
}

impl From<&NotPickedUp> for NotPickedUpAnswer {
    fn from(why: &NotPickedUp) -> Self {
        let kind = serde_json::to_value(why).unwrap_or_default();
        Self { kind: kind["kind"].as_str().unwrap_or_default().to_owned(), message: why.sentence() }
    }
}

/// A run, as it is listed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunSummary)]
pub struct RunSummaryAnswer {
    /// Its id.
    #[schema(example = "run-17")]
    pub id: String,
    /// Where it stands.
    #[schema(example = "failed")]
    pub status: &'static str,
    /// What it is called.
    pub title: Option<String>,
    /// Whose it is.
    pub agent: String,
    /// The record that it is about.
    pub entity: Option<RunEntityAnswer>,
    /// The schedule that made it.
    pub schedule: Option<String>,
    /// The latest attempt.
    pub attempt: u32,
    /// The last step that was completed in it.
    pub last_good_step: Option<String>,
    /// The step that it failed or was blocked at.
    pub failed_step: Option<String>,
    /// Why.
    pub error: Option<RunErrorAnswer>,
    /// How many events it has.
    pub events: u64,
    /// When Tollgate first heard of it.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

impl From<&Run> for RunSummaryAnswer {
    fn from(run: &Run) -> Self {
        let latest = run.latest();
        Self {
            id: run.id.to_string(),
            status: run.status().as_str(),
            title: run.title.clone(),
            agent: run.agent.to_string(),
            entity: run.entity.as_ref().map(Into::into),
            schedule: text(run.schedule.as_ref()),
            attempt: run.latest_number(),
            last_good_step: latest.and_then(|attempt| text(attempt.last_good_step.as_ref())),
            failed_step: latest.and_then(|attempt| text(attempt.failed_step.as_ref())),
            error: latest.and_then(|attempt| attempt.error.as_ref().map(Into::into)),
            events: run.events,
            created_at: run.created_at.to_string(),
            updated_at: run.updated_at.to_string(),
        }
    }
}

/// One run.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub struct RunDetailAnswer {
    /// What the list shows of it.
    #[serde(flatten)]
    pub summary: RunSummaryAnswer,
    /// `claim` or `external`.
    #[schema(example = "external")]
    pub dispatch: &'static str,
    /// Every attempt, by number.
    pub attempts: Vec<AttemptAnswer>,
    /// Its last checkpoints, oldest first.
    pub checkpoints: Vec<CheckpointAnswer>,
    /// Its last artifacts, oldest first.
    pub artifacts: Vec<ArtifactAnswer>,
    /// What people supplied for the next attempt, by field.
    #[schema(value_type = Object)]
    pub supplied: Value,
    /// That somebody cancelled it.
    pub cancel: Option<CancelAnswer>,
    /// How often the step that the latest attempt failed at has failed.
    pub same_step_failures: u32,
    /// Why nobody has picked it up, while it is queued.
    pub not_picked_up: Option<NotPickedUpAnswer>,
    /// How many other runs moved in the last five minutes.
    pub others_moved: Option<usize>,
    /// What it spent and set aside.
    pub budget_usage: Option<RunUsageAnswer>,
    /// What needs an owner's decision about it.
    pub attention: Option<Box<ItemAnswer>>,
}

impl From<&Run> for RunDetailAnswer {
    /// As it is after an operation on it: without what only its page shows.
    fn from(run: &Run) -> Self {
        Self {
            summary: run.into(),
            dispatch: match run.dispatch {
                Dispatch::Claim => "claim",
                Dispatch::External => "external",
            },
            attempts: run.attempts.iter().map(Into::into).collect(),
            checkpoints: run.checkpoints.iter().map(Into::into).collect(),
            artifacts: run.artifacts.iter().map(|made| artifact(run, made)).collect(),
            supplied: run
                .supplied
                .as_ref()
                .map_or_else(|| Value::Object(serde_json::Map::new()), |s| Value::Object(s.data.clone())),
            cancel: run.cancel.as_ref().map(Into::into),
            same_step_failures: run.failing_step().map_or(0, |(_, times)| times),
            not_picked_up: None,
            others_moved: None,
            budget_usage: None,
            attention: None,
        }
    }
}

impl From<&RunView> for RunDetailAnswer {
    fn from(view: &RunView) -> Self {
        let usage = RunUsageAnswer {
            holds: view.usage.holds,
            totals: view
                .usage
                .totals
                .iter()
                .map(|(unit, sums)| TotalAnswer { unit: unit.to_string(), sums: sums.into() })
                .collect(),
            lines: view.usage.lines.iter().map(usage_line).collect(),
            budgets: view.left.iter().map(Into::into).collect(),
        };
        Self {
            not_picked_up: view.dispatching.not_picked_up.as_ref().map(Into::into),
            others_moved: Some(view.dispatching.others_moved),
            budget_usage: Some(usage),
            attention: view.item.as_ref().map(|item| Box::new(ItemAnswer::from(item))),
            ..Self::from(&*view.run)
        }
    }
}

/// One event of a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RunEvent)]
pub struct RunEventAnswer {
    /// Its number in the run, from 1.
    pub number: u64,
    /// What kind.
    #[schema(example = "tollgate.step.completed")]
    pub r#type: &'static str,
    /// Who reported it; `tollgate` for its own.
    pub source: String,
    /// Its id there.
    pub id: String,
    /// Of which attempt.
    pub attempt: u32,
    /// In which step.
    pub step: Option<String>,
    /// When it happened, by the reporter's clock.
    pub time: Option<String>,
    /// When Tollgate took it.
    pub taken_at: String,
    /// `counted`, `out_of_order`, `after_end`, `old_attempt` or `fenced`.
    #[schema(example = "counted")]
    pub standing: &'static str,
    /// What it tells.
    pub data: Value,
}

impl From<&RunEvent> for RunEventAnswer {
    fn from(event: &RunEvent) -> Self {
        Self {
            number: event.number,
            r#type: event.kind.as_str(),
            source: event.source.clone(),
            id: event.id.clone(),
            attempt: event.attempt,
            step: text(event.step.as_ref()),
            time: text(event.time.as_ref()),
            taken_at: event.taken_at.to_string(),
            standing: standing(event.standing),
            data: event.data.clone(),
        }
    }
}

/// Something that happened already, and may happen again.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SideEffect)]
pub struct SideEffectAnswer {
    /// What it is acknowledged by.
    pub id: String,
    /// `action` or `artifact`.
    pub kind: String,
    /// The action's or the artifact's name.
    pub what: String,
    /// In which step.
    pub step: Option<String>,
    /// In which attempt.
    pub attempt: u32,
    /// When.
    pub at: String,
    /// How its hold stands: what is not settled may have happened.
    pub hold: Option<&'static str>,
}

impl From<&SideEffect> for SideEffectAnswer {
    fn from(effect: &SideEffect) -> Self {
        Self {
            id: effect.id.clone(),
            kind: effect.kind.clone(),
            what: effect.what.clone(),
            step: text(effect.step.as_ref()),
            attempt: effect.attempt,
            at: effect.at.to_string(),
            hold: effect.hold.map(|state| match state {
                HoldState::Pending => "pending",
                HoldState::Settled => "settled",
                HoldState::Released => "released",
                HoldState::Expired => "expired",
            }),
        }
    }
}

/// An attempt, handed to a worker.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ClaimedAttempt)]
pub struct ClaimedAnswer {
    /// The run.
    pub run: String,
    /// The attempt's number.
    pub attempt: u32,
    /// Whose run it is.
    pub agent: String,
    /// What it is called.
    pub title: Option<String>,
    /// The record that it is about.
    pub entity: Option<RunEntityAnswer>,
    /// The token that the attempt's events (`data.lease`) and admissions (`run.lease`) carry.
    pub lease: String,
    /// Until when the lease holds; every event renews it.
    pub lease_expires_at: String,
    /// What it works on.
    pub input: Value,
    /// What people supplied, by field: beside the input, never merged into it.
    #[schema(value_type = Object)]
    pub supplied: Value,
    /// Where it goes on from.
    pub checkpoint: Option<CheckpointAnswer>,
    /// The state that was saved there.
    pub checkpoint_state: Value,
    /// Why the attempt before was denied, which no longer holds.
    #[schema(value_type = Vec<Object>)]
    pub lifted: Value,
}

impl From<&Claimed> for ClaimedAnswer {
    fn from(claimed: &Claimed) -> Self {
        let run = &claimed.run;
        let lease = run.latest().and_then(|attempt| attempt.lease.as_ref());
        let (checkpoint, state) = match &claimed.checkpoint {
            Some((checkpoint, state)) => (Some(checkpoint.into()), state.clone()),
            None => (None, None),
        };
        Self {
            run: run.id.to_string(),
            attempt: run.latest_number(),
            agent: run.agent.to_string(),
            title: run.title.clone(),
            entity: run.entity.as_ref().map(Into::into),
            lease: claimed.token.reveal().to_owned(),
            lease_expires_at: lease.map(|lease| lease.expires_at.to_string()).unwrap_or_default(),
            input: claimed.input.clone().unwrap_or_default(),
            supplied: run
                .supplied
                .as_ref()
                .map_or_else(|| Value::Object(serde_json::Map::new()), |s| Value::Object(s.data.clone())),
            checkpoint,
            checkpoint_state: state.unwrap_or_default(),
            lifted: serde_json::to_value(&claimed.lifted).unwrap_or_default(),
        }
    }
}
