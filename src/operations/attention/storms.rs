//! Which failures a durable batch brings, counted towards storms.

use crate::attention::{Fingerprint, Storm};
use crate::operations::app::App;
use crate::runs::{EventType, OWN_SOURCE, Run, RunEvent};
use crate::state::{Effect, Entry};
use crate::store::Committed;
use crate::vocabulary::StepName;
use std::sync::Arc;

/// Counts each failure that a runtime reported and that counts as its run's; the storms that begin by it.
pub fn note_failures(app: &App, batch: &Committed) -> Vec<Storm> {
    let mut began = Vec::new();
    for entry in &batch.entries {
        let reported = entry.effects.iter().filter_map(|effect| match effect {
            Effect::RunEvent(event) if is_failure(event) => Some(event),
            _ => None,
        });
        for event in reported {
            let said = |name: &str| event.data["error"][name].as_str().unwrap_or_default();
            let classified = app.classifier.classify(said("code"), said("message"));
            let fingerprint = Fingerprint::of(&classified.code, step(event, entry), said("message"));
            began.extend(app.storms.lock().note(&fingerprint, &classified.title, &event.run, batch.time));
        }
    }
    began
}

fn is_failure(event: &RunEvent) -> bool {
    matches!(event.kind, EventType::StepFailed | EventType::Failed)
        && event.standing.counts()
        && event.source != OWN_SOURCE
}

/// Where it failed: as the event says, or as its attempt stands behind it. So the fingerprint is that of the run's item.
fn step<'a>(event: &'a RunEvent, entry: &'a Entry) -> Option<&'a StepName> {
    event.step.as_ref().or_else(|| {
        let runs = entry.effects.iter().filter_map(|effect| match effect {
            Effect::Run(run) if run.id == event.run => Some(run),
            _ => None,
        });
        let mut attempts = runs.flat_map(|run: &Arc<Run>| &run.attempts);
        attempts.find(|attempt| attempt.number == event.attempt)?.failed_step.as_ref()
    })
}
