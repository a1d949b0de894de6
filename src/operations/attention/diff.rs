//! What two attempts at a run have in common, and what not.

use super::changed::{Changed, changed_between};
use crate::attention::{Classified, Classifier, Fingerprint};
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::Operation;
use crate::operations::roles::Principal;
use crate::operations::runs::visible;
use crate::runs::{Attempt, Run, RunError};
use crate::state::State;
use crate::vocabulary::{RunId, StepName};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// One of the two.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptSide {
    /// The attempt.
    pub attempt: Attempt,
    /// What its error is, if it has one.
    pub classified: Option<Classified>,
    /// What its trouble is the same as.
    pub fingerprint: Option<Fingerprint>,
    /// The policy set that was in force at its end, or is now.
    pub policy_set: Option<String>,
    /// The fields that had been supplied by hand when it was made.
    pub supplied: Vec<String>,
}

/// The two, and what lies between them.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptDiff {
    /// The run.
    pub run: Arc<Run>,
    /// The one.
    pub from: AttemptSide,
    /// The other.
    pub to: AttemptSide,
    /// What is not the same, by name.
    pub different: Vec<&'static str>,
    /// What was changed from the beginning of the one to the end of the other: policy sets, budgets, connectors and so on.
    pub changed: Vec<Changed>,
}

/// Compares two attempts at a run.
pub fn diff_attempts(
    app: &App,
    principal: &Principal,
    id: &RunId,
    from: u32,
    to: u32,
) -> Result<AttemptDiff, OperationError> {
    let run = visible(app, principal, Operation::ReadRuns, id)?;
    let side = |number: u32| {
        let missing = || OperationError::NotFound { what: "attempt", id: number.to_string() };
        let attempt = run.attempt(number).ok_or_else(missing)?;
        Ok::<_, OperationError>(app.read(|state| side(state, &run, attempt, &app.classifier)))
    };
    let (from, to) = (side(from)?, side(to)?);
    // what was done at the very end counts
    let until = to.attempt.ended_at.unwrap_or_else(|| app.now()).checked_add(SignedDuration::from_millis(1));
    let until = until.unwrap_or(Timestamp::MAX);
    let changed = changed_between(app, Some(&run.agent), from.attempt.queued_at, until)?;
    let different = different(&from, &to);
    Ok(AttemptDiff { run, from, to, different, changed })
}

fn side(state: &State, run: &Run, attempt: &Attempt, classifier: &Classifier) -> AttemptSide {
    let step = attempt.failed_step.as_ref();
    let classified = attempt.error.as_ref().map(|error| classifier.classify(&error.code, &error.message));
    let fingerprint = attempt.error.as_ref().zip(classified.as_ref()).map(|(error, said)| told(error, said, step));
    let at = attempt.ended_at.unwrap_or(Timestamp::MAX);
    let in_force = state.policy_sets().iter().rev().find(|head| head.since <= at);
    let supplied = run.supplied.as_ref().filter(|supplied| supplied.at <= attempt.queued_at);
    AttemptSide {
        attempt: attempt.clone(),
        classified,
        fingerprint,
        policy_set: in_force.map(|head| head.digest.clone()),
        supplied: supplied.map(|supplied| supplied.data.keys().cloned().collect()).unwrap_or_default(),
    }
}

fn told(error: &RunError, said: &Classified, step: Option<&StepName>) -> Fingerprint {
    Fingerprint::of(&said.code, step, &error.message)
}

fn different(from: &AttemptSide, to: &AttemptSide) -> Vec<&'static str> {
    let (one, other) = (&from.attempt, &to.attempt);
    let code = |side: &AttemptSide| side.classified.as_ref().map(|said| said.code.clone());
    [
        ("state", one.state == other.state),
        ("last_good_step", one.last_good_step == other.last_good_step),
        ("failed_step", one.failed_step == other.failed_step),
        ("error", one.error == other.error),
        ("class", code(from) == code(to)),
        ("fingerprint", from.fingerprint == to.fingerprint),
        ("agent_version", one.agent_version == other.agent_version),
        ("worker", one.worker == other.worker),
        ("from_checkpoint", one.from_checkpoint == other.from_checkpoint),
        ("policy_set", from.policy_set == to.policy_set),
        ("supplied", from.supplied == to.supplied),
    ]
    .into_iter()
    .filter_map(|(name, same)| (!same).then_some(name))
    .collect()
}
