//! Looks now and then how full is what has a cap, and says so once for each.

use crate::operations::{App, CapUse, cap_uses};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked.
const TURN: Duration = Duration::from_secs(10);

/// Goes on until the daemon stops.
pub(super) async fn keep_looking(app: Arc<App>) {
    let mut told = BTreeSet::new();
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        for CapUse { what, used, cap } in news(&mut told, &cap_uses(&app)) {
            tracing::warn!(
                target: "tollgate::caps", what, used, cap,
                "nearly full; see `tollgate state`, and the table of what memory holds in the manual"
            );
        }
    }
}

/// What is nearly full and was not told since it had room.
fn news(told: &mut BTreeSet<String>, uses: &[CapUse]) -> Vec<CapUse> {
    let full_still = |what: &String| uses.iter().any(|found| found.what == *what && !found.has_room());
    told.retain(full_still);
    uses.iter().filter(|found| found.is_near() && told.insert(found.what.clone())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_until_there_is_room_again() {
        let mut told = BTreeSet::new();
        let mut look = |runs: u64, holds: u64| {
            let found = |what: &str, used| CapUse { what: what.to_owned(), used, cap: 100 };
            let news = news(&mut told, &[found("runs", runs), found("holds", holds)]);
            news.into_iter().map(|found| found.what).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(look(89, 0), "");
        assert_eq!(look(90, 0), "runs");
        assert_eq!(look(95, 99), "holds");
        assert_eq!(look(85, 99), "", "a little less is no news");
        assert_eq!(look(90, 99), "");
        assert_eq!(look(80, 99), "");
        assert_eq!(look(90, 99), "runs");
    }
}
