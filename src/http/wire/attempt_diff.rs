//! Two attempts compared, on the wire.

use super::item::ChangedAnswer;
use crate::http::check::Check;
use crate::http::problem::Problem;
use crate::operations::{AttemptDiff, AttemptSide};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which attempts.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// The one; 1 where it is not said.
    pub from: Option<String>,
    /// The other.
    pub to: Option<String>,
}

impl DiffQuery {
    /// The two numbers, or every parameter at fault.
    pub fn asked(&self) -> Result<(u32, u32), Problem> {
        let mut check = Check::new("");
        let from = check.optional("?from", self.from.as_deref()).unwrap_or(1);
        let to = check.optional("?to", self.to.as_deref());
        if self.to.is_none() {
            check.fault("?to", "is required");
        }
        check.finish(to.map(|to| (from, to)))
    }
}

/// One of two attempts.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AttemptSide)]
pub struct AttemptSideAnswer {
    /// Its number.
    pub attempt: u32,
    /// Where it stands.
    pub state: &'static str,
    /// The last step that was completed.
    pub last_good_step: Option<String>,
    /// The step that it failed or was blocked at.
    pub failed_step: Option<String>,
    /// Its error's code, as its runtime has it.
    pub error_code: Option<String>,
    /// Its error's message.
    pub error_message: Option<String>,
    /// The code by the classifier.
    pub code: Option<String>,
    /// The class by the classifier.
    pub class: Option<&'static str>,
    /// What its trouble is the same as.
    pub fingerprint: Option<String>,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// Who had it.
    pub worker: Option<String>,
    /// Where it went on from.
    pub from_checkpoint: Option<String>,
    /// The policy set in force at its end, or now.
    pub policy_set: Option<String>,
    /// SHA-256 of the run's input, which is the same for both.
    pub input: Option<String>,
    /// The fields that had been supplied by hand when it was made.
    pub supplied: Vec<String>,
    /// When it was queued.
    pub queued_at: String,
    /// When it came to its end.
    pub ended_at: Option<String>,
}

/// Two attempts compared.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AttemptDiff)]
pub struct AttemptDiffAnswer {
    /// The run.
    pub run_id: String,
    /// The one.
    pub from: AttemptSideAnswer,
    /// The other.
    pub to: AttemptSideAnswer,
    /// What is not the same, by name.
    pub different: Vec<&'static str>,
    /// What was changed from the beginning of the one to the end of the other.
    pub changed: Vec<ChangedAnswer>,
}

impl From<&AttemptDiff> for AttemptDiffAnswer {
    fn from(diff: &AttemptDiff) -> Self {
        let input = diff.run.input.as_ref().map(|input| input.sha256.clone());
        Self {
            run_id: diff.run.id.to_string(),
            from: side(&diff.from, input.clone()),
            to: side(&diff.to, input),
            different: diff.different.clone(),
            changed: diff.changed.iter().map(ChangedAnswer::from).collect(),
        }
    }
}

fn side(side: &AttemptSide, input: Option<String>) -> AttemptSideAnswer {
    let attempt = &side.attempt;
    AttemptSideAnswer {
        attempt: attempt.number,
        state: attempt.state.as_str(),
        last_good_step: attempt.last_good_step.as_ref().map(ToString::to_string),
        failed_step: attempt.failed_step.as_ref().map(ToString::to_string),
        error_code: attempt.error.as_ref().map(|error| error.code.clone()),
        error_message: attempt.error.as_ref().map(|error| error.message.clone()),
        code: side.classified.as_ref().map(|said| said.code.clone()),
        class: side.classified.as_ref().map(|said| said.class.as_str()),
        fingerprint: side.fingerprint.as_ref().map(ToString::to_string),
        agent_version: attempt.agent_version.clone(),
        worker: attempt.worker.as_ref().map(ToString::to_string),
        from_checkpoint: attempt.from_checkpoint.as_ref().map(ToString::to_string),
        policy_set: side.policy_set.clone(),
        input,
        supplied: side.supplied.clone(),
        queued_at: attempt.queued_at.to_string(),
        ended_at: attempt.ended_at.map(|at| at.to_string()),
    }
}
