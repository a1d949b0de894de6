//! Tells another Command Center of items: what is due is sent, and what became of it is noted in the journal, so that a
//! restart neither forgets a delivery nor takes back that one was made.

use super::webhook_target::Target;
use crate::attention::Delivery;
use crate::operations::{App, due_deliveries, note_delivery};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

/// How often the time is looked at.
const TURN: Duration = Duration::from_secs(1);
/// How many are sent in one round.
const AT_ONCE: usize = 32;

/// Goes on until the store is gone.
pub(super) async fn keep_delivering(app: Arc<App>, target: Target) {
    let mut batches = app.store.follow();
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            batch = batches.recv() => match batch {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = turns.tick() => {}
        }
        for delivery in due_deliveries(&app, AT_ONCE) {
            let outcome = one(&app, &target, &delivery).await;
            if let Err(why) = &outcome {
                tracing::warn!(target: "tollgate::webhook", delivery = delivery.id, why, "a delivery was not taken");
            }
            let failed = outcome.is_err();
            if let Err(error) = note_delivery(&app, delivery.id.clone(), outcome).await {
                tracing::error!(target: "tollgate::webhook", %error, "a delivery could not be noted");
                break;
            }
            if failed {
                // the others would fare the same: with the next turn
                break;
            }
        }
    }
}

async fn one(app: &App, target: &Target, delivery: &Arc<Delivery>) -> Result<(), String> {
    let (target, delivery, now) = (target.clone(), Arc::clone(delivery), app.now());
    let work = tokio::task::spawn_blocking(move || {
        let kind = format!("attention.item.{}", delivery.state.as_str());
        let body = json!({"type": kind, "timestamp": delivery.queued_at, "data": delivery.data}).to_string();
        target.send(&delivery.id, now.as_second(), &body)
    });
    work.await.unwrap_or_else(|_| Err("the try was cut off".to_owned()))
}
