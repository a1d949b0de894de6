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

/// After so many turns at most what could not be told is looked at again: judging everything each second, while the database
/// behind is built for minutes, would be a load of its own.
const LONGEST_REST: u32 = 64;

/// Goes on until the daemon stops. Batches are heard while a round is under way, so that none is missed for its sake.
pub(super) async fn keep_rechecking(app: Arc<App>) {
    let mut batches = app.store.follow();
    let mut causes = Causes::default();
    causes.all();
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round: Option<JoinHandle<bool>> = None;
    let mut again = Again::default();
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
                if again.is_now() {
                    causes.all();
                }
                causes.turn();
                turned = true;
            }
            () = app.notices.until_closed() => break,
            done = ended(&mut round) => {
                round = None;
                again.ended(done);
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

/// When what could not be told is looked at again: with the next turn, and then after twice as many each time.
#[derive(Debug, Default)]
struct Again {
    in_turns: Option<u32>,
    rest: u32,
}

impl Again {
    /// A round ended, and told everything or not.
    fn ended(&mut self, told: bool) {
        // one that was about something else says nothing of what still waits
        if self.in_turns.is_some() {
            return;
        }
        self.rest = if told { 0 } else { (self.rest * 2).clamp(1, LONGEST_REST) };
        self.in_turns = (!told).then_some(self.rest);
    }

    /// A turn has come: whether it is the one.
    fn is_now(&mut self) -> bool {
        match &mut self.in_turns {
            Some(left) if *left > 1 => {
                *left -= 1;
                false
            }
            left => left.take().is_some(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_told_is_looked_at_again_ever_more_rarely() {
        let mut again = Again::default();
        assert!(!again.is_now(), "nothing waits");
        let turns = |again: &mut Again| {
            again.ended(false);
            again.ended(true);
            (1..=1_000).find(|_| again.is_now()).unwrap()
        };
        let rests: Vec<u32> = (0..9).map(|_| turns(&mut again)).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        again.ended(true);
        assert!(!again.is_now(), "all was told");
        assert_eq!(turns(&mut again), 1);
    }
}
