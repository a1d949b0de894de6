//! Follows what becomes durable, and has the items re-checked that it could free: each cause at most once a second.

use crate::attention::Item;
use crate::operations::{App, Causes, Rechecked, Why, recheck};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// How often a cause is acted on at most, and how often the time is looked at.
const TURN: Duration = Duration::from_secs(1);

/// Goes on until the daemon stops. Batches are heard while a round is under way, so that none is missed for its sake.
pub(super) async fn keep_rechecking(app: Arc<App>) {
    let mut batches = app.store.follow();
    let mut causes = Causes::default();
    causes.all();
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut round, mut again): (Option<JoinHandle<bool>>, bool) = (None, false);
    loop {
        let mut turned = false;
        tokio::select! {
            batch = batches.recv() => match batch {
                Ok(batch) => causes.note(&batch.entries),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(target: "tollgate::attention", missed, "batches were missed; all that waits is re-checked");
                    causes.all();
                }
                Err(RecvError::Closed) => break,
            },
            _ = turns.tick() => {
                // what could not be told at once may be told by now
                if std::mem::take(&mut again) {
                    causes.all();
                }
                causes.turn();
                turned = true;
            }
            () = app.notices.until_closed() => break,
            done = ended(&mut round) => {
                round = None;
                again |= !done;
            }
        }
        if round.is_some() || !(turned || causes.any()) {
            continue;
        }
        let now = app.now();
        let items = app.read(|state| causes.take(state, turned.then_some(now)));
        if !items.is_empty() {
            round = Some(tokio::task::spawn(one_round(Arc::clone(&app), items)));
        }
    }
    if let Some(round) = round {
        // nothing is left to tell of it
        let _ = round.await;
    }
}

/// Waits for the round that is under way, or for ever where none is. Whether it came to its end.
async fn ended(round: &mut Option<JoinHandle<bool>>) -> bool {
    match round {
        Some(round) => round.await.unwrap_or(false),
        None => std::future::pending().await,
    }
}

async fn one_round(app: Arc<App>, items: Vec<(Arc<Item>, Why)>) -> bool {
    match recheck(&app, items).await {
        Ok(Rechecked { looked_at, changed, untold }) => {
            tracing::debug!(target: "tollgate::attention", looked_at, changed, untold, "items re-checked");
            untold == 0
        }
        Err(error) => {
            tracing::error!(target: "tollgate::attention", %error, "items could not be re-checked; all are looked at again");
            false
        }
    }
}
