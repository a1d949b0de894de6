//! Follows what becomes durable, and tells of failures that come in storms.

use crate::attention::Storm;
use crate::operations::{App, note_failures};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked whether a storm is over.
const TURN: Duration = Duration::from_secs(1);

/// Goes on until the store is gone.
pub(super) async fn keep_counting(app: Arc<App>) {
    let mut batches = app.store.follow();
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            batch = batches.recv() => match batch {
                Ok(batch) => note_failures(&app, &batch).iter().for_each(tell_beginning),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(target: "tollgate::attention", missed, "batches were missed; their failures are not counted towards storms");
                }
                Err(RecvError::Closed) => return,
            },
            _ = turns.tick() => app.storms.lock().calmed(app.now()).iter().for_each(tell_end),
        }
    }
}

fn tell_beginning(storm: &Storm) {
    let Storm { fingerprint, title, failures, runs, .. } = storm;
    tracing::warn!(
        target: "tollgate::attention", %fingerprint, title, failures, runs,
        "a storm: the same failure comes over and over; see its group in Command Center"
    );
}

fn tell_end(storm: &Storm) {
    let Storm { fingerprint, title, since, .. } = storm;
    tracing::info!(target: "tollgate::attention", %fingerprint, title, %since, "the storm is over");
}
