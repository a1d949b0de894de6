//! Runs on the wire: as they are listed and shown. Their attempts are in `run_attempt.rs`, what they left in
//! `run_parts.rs`, what they spent in `run_usage.rs`.

use super::item::ItemAnswer;
use super::registry::ActorAnswer;
use super::run_attempt::{AttemptAnswer, RunErrorAnswer, text};
use super::run_parts::{ArtifactAnswer, CheckpointAnswer, artifact};
use super::run_usage::RunUsageAnswer;
use crate::http::check::Check;
use crate::http::problem::Problem;
use crate::operations::{RunFilter, RunView};
use crate::runs::{AttemptState, Cancel, Dispatch, NotPickedUp, Run, RunEntity};
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
        Self {
            not_picked_up: view.dispatching.not_picked_up.as_ref().map(Into::into),
            others_moved: Some(view.dispatching.others_moved),
            budget_usage: Some(view.into()),
            attention: view.item.as_ref().map(|item| Box::new(ItemAnswer::from(item))),
            ..Self::from(&*view.run)
        }
    }
}
