//! What is asked of runs on the wire, and a retry's preview.

use super::answer::AdmissionAnswer;
use super::run_attempt::RunErrorAnswer;
use super::run_parts::{CheckpointAnswer, SideEffectAnswer};
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::Problem;
use crate::operations::{RetryAskedFor, RetryPreview};
use crate::runs::CancelCategory;
use crate::vocabulary::IdempotencyKey;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

/// How long a reason may be, in bytes.
pub(super) const LONGEST_REASON: usize = 2_000;

/// Why a run is cancelled.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelCategoryBody {
    /// Nobody needs it any more.
    NoLongerNeeded,
    /// It is about the wrong record.
    WrongRecord,
    /// It should never have been made.
    Noise,
    /// What it was denied was denied rightly.
    DenialWasRight,
}

/// A request that a run end.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = CancelRequest, example = json!({"category": "wrong_record", "reason": "The RFQ was merged into RFQ-1040."}))]
pub struct CancelBody {
    /// Why, by category.
    pub category: CancelCategoryBody,
    /// Why, in words.
    pub reason: String,
}

impl RequestBody for CancelBody {}

impl CancelBody {
    /// Category and reason; `at` is where they lie in what was sent.
    pub fn asked(self, at: &str) -> Result<(CancelCategory, String), Problem> {
        let mut check = Check::new(at);
        check.text("/reason", &self.reason, LONGEST_REASON);
        let category = match self.category {
            CancelCategoryBody::NoLongerNeeded => CancelCategory::NoLongerNeeded,
            CancelCategoryBody::WrongRecord => CancelCategory::WrongRecord,
            CancelCategoryBody::Noise => CancelCategory::Noise,
            CancelCategoryBody::DenialWasRight => CancelCategory::DenialWasRight,
        };
        check.finish(Some((category, self.reason)))
    }
}

/// The end of an attempt, forced.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ForceStopRequest)]
pub struct ForceStopBody {
    /// Why.
    pub reason: String,
}

impl RequestBody for ForceStopBody {}

impl ForceStopBody {
    /// The reason; `at` is where it lies in what was sent.
    pub fn asked(self, at: &str) -> Result<String, Problem> {
        let mut check = Check::new(at);
        check.text("/reason", &self.reason, LONGEST_REASON);
        check.finish(Some(self.reason))
    }
}

/// Another attempt, as its plan said.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = RetryRequest)]
pub struct RetryBody {
    /// The plan that was seen.
    #[schema(example = "plan_0123456789abcdef0123456789abcdef")]
    pub plan_version: String,
    /// So that asking twice makes one attempt.
    pub idempotency_key: String,
    /// Why.
    pub reason: String,
    /// The ids of the plan's side effects; and `setup:missing_data` or `setup:malformed_input` where that was set right
    /// elsewhere.
    pub acknowledge: Option<Vec<String>>,
    /// An admin lets it go on although the same step failed again.
    pub r#override: Option<bool>,
}

impl RequestBody for RetryBody {}

impl RetryBody {
    /// What is asked.
    pub fn asked(self) -> Result<RetryAskedFor, Problem> {
        let mut check = Check::new("");
        check.text("/reason", &self.reason, LONGEST_REASON);
        check.text("/plan_version", &self.plan_version, 100);
        let key = check.parse::<IdempotencyKey>("/idempotency_key", &self.idempotency_key);
        let asked = key.map(|key| RetryAskedFor {
            plan_version: self.plan_version,
            key,
            reason: self.reason,
            acknowledge: self.acknowledge.unwrap_or_default(),
            overridden: self.r#override.unwrap_or(false),
            seen: None,
        });
        check.finish(asked)
    }
}

/// Why a retry would be refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RetryRefusal)]
pub struct RetryRefusalAnswer {
    /// `not_stopped`, `run_cancelled`, `completed`, `same_step_failed`, `setup_required`, `policy_denied`,
    /// `budget_exceeded` or `too_many_attempts`.
    #[schema(example = "budget_exceeded")]
    pub code: &'static str,
    /// In words.
    pub message: String,
}

/// What a retry would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RetryPlan)]
pub struct RetryPlanAnswer {
    /// Why the latest attempt failed or was blocked.
    pub error: Option<RunErrorAnswer>,
    /// The last step that was completed.
    pub last_good_step: Option<String>,
    /// Where it would go on from.
    pub from_checkpoint: Option<CheckpointAnswer>,
    /// The step that would be repeated.
    pub step: Option<String>,
    /// The number that the new attempt would have.
    pub attempt: u32,
    /// What has happened since the checkpoint: each must be acknowledged.
    pub side_effects: Vec<SideEffectAnswer>,
    /// What policy, budgets and connectors say now.
    #[schema(value_type = AdmissionAnswer)]
    pub verdict: Box<RawValue>,
    /// How often that step has failed.
    pub same_step_failures: u32,
    /// What changed since the latest attempt was last judged: `policy_set`, `agent`, `entity_type`, `connector:erp`,
    /// `budget:rfq-draft-daily`; `agent_version:1.4` where other runs of the agent report that one by now.
    pub changed: Vec<String>,
    /// Why it would be refused, if it would.
    pub refusal: Option<RetryRefusalAnswer>,
    /// Where nobody has ever picked up an attempt of this run: the new one would wait for its own runtime.
    pub never_picked_up: bool,
    /// What the retry must name.
    #[schema(example = "plan_0123456789abcdef0123456789abcdef")]
    pub plan_version: String,
}

impl TryFrom<RetryPreview> for RetryPlanAnswer {
    type Error = serde_json::Error;

    fn try_from(preview: RetryPreview) -> Result<Self, serde_json::Error> {
        let RetryPreview { run, plan, verdict, refusal, changed } = preview;
        let latest = run.latest();
        let text = |step: Option<&crate::vocabulary::StepName>| step.map(ToString::to_string);
        Ok(Self {
            error: latest.and_then(|attempt| attempt.error.as_ref().map(Into::into)),
            last_good_step: latest.and_then(|attempt| text(attempt.last_good_step.as_ref())),
            from_checkpoint: plan.from_checkpoint.as_ref().map(Into::into),
            step: text(plan.step.as_ref()),
            attempt: plan.attempt,
            side_effects: plan.side_effects.iter().map(Into::into).collect(),
            verdict: to_raw_value(&verdict)?,
            same_step_failures: plan.same_step_failures,
            changed,
            refusal: refusal.map(|refusal| RetryRefusalAnswer { code: refusal.code(), message: refusal.to_string() }),
            never_picked_up: run.attempts.iter().all(|attempt| attempt.dispatched_at.is_none()),
            plan_version: plan.version,
        })
    }
}
