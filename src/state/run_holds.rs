//! The holds of one run: one by one while it may go on, up to a bound, and as sums beyond it.

use crate::budget::{Hold, HoldState};
use crate::runs::{RunUsage, usage};
use crate::vocabulary::HoldId;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many are kept one by one; of more, the oldest that have ended are only summed up.
const KEPT: usize = 2_000;

/// The holds of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunHolds {
    pub(super) kept: BTreeMap<HoldId, Arc<Hold>>,
    pub(super) folded: RunUsage,
}

impl RunHolds {
    pub(super) fn put(&mut self, hold: &Arc<Hold>) {
        if self.kept.insert(hold.id.clone(), Arc::clone(hold)).is_some() {
            return;
        }
        // one that ends, or ends otherwise, after it was only summed up is one of its own again
        if let Some(before) = before(hold).filter(|_| self.folded.holds > 0) {
            self.folded.take_out(&usage([&before]));
        }
        if self.kept.len() > KEPT {
            let over = |old: &&Arc<Hold>| old.state != HoldState::Pending && old.id != hold.id;
            let ended = self.kept.values().take(64).find(over).map(|hold| hold.id.clone());
            if let Some(hold) = ended.and_then(|id| self.kept.remove(&id)) {
                self.folded.add(&usage([&*hold]));
            }
        }
    }

    /// Sums up those that ended, of a run that was over for good at `over_at`. What is settled later than that stays one by
    /// one, in a running daemon as behind a start.
    pub(super) fn fold(&mut self, over_at: Timestamp) {
        let late = |hold: &Hold| hold.settlement.as_ref().is_some_and(|settlement| settlement.at >= over_at);
        let stays = |hold: &Hold| hold.state == HoldState::Pending || late(hold);
        let (kept, ended) = std::mem::take(&mut self.kept).into_iter().partition(|(_, hold)| stays(hold));
        self.kept = kept;
        self.folded.add(&usage(ended.values().map(|hold| &**hold)));
    }

    /// Those that are kept one by one, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Hold>> {
        self.kept.values()
    }

    /// What all of them come to.
    pub fn usage(&self) -> RunUsage {
        let mut all = usage(self.kept.values().map(|hold| &**hold));
        all.add(&self.folded);
        all
    }
}

/// As a hold stood before it ended as it did; `None` for one that has not ended.
fn before(hold: &Hold) -> Option<Hold> {
    let state = match hold.state {
        HoldState::Pending => return None,
        HoldState::Expired | HoldState::Released => HoldState::Pending,
        HoldState::Settled => hold.settlement.as_ref().map_or(HoldState::Pending, |settlement| settlement.after),
    };
    Some(Hold { state, settlement: None, ..hold.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{AccountKey, HoldLine, HoldRun, Settlement};
    use crate::runs::Sums;
    use crate::vocabulary::{Amount, Balance};

    fn hold(n: usize, state: HoldState) -> Arc<Hold> {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let usd = |text: &str| text.parse::<Amount>().unwrap();
        let settlement = Settlement {
            actual: [("usd".parse().unwrap(), usd("3"))].into(),
            at: now,
            by: "test".to_owned(),
            after: HoldState::Expired,
        };
        Arc::new(Hold {
            id: format!("hold_{n:06}").parse().unwrap(),
            admission: "adm_1".parse().unwrap(),
            agent: "a".parse().unwrap(),
            state,
            placed_at: now,
            expires_at: now,
            lines: vec![HoldLine {
                account: AccountKey { budget: "daily".parse().unwrap(), window: "lifetime".into(), each: "".into() },
                unit: "usd".parse().unwrap(),
                held: usd("2"),
                bucket: None,
            }],
            settlement: (state == HoldState::Settled).then_some(settlement),
            release: None,
            run: Some(HoldRun {
                id: "run-1".parse().unwrap(),
                attempt: 1,
                step: None,
                action: "draft_quote".parse().unwrap(),
            }),
        })
    }

    fn usd(holds: &RunHolds) -> (Sums, usize) {
        let usage = holds.usage();
        (usage.totals["usd"], usage.holds)
    }

    #[test]
    fn a_hold_that_is_settled_after_it_was_summed_up_counts_once() {
        let balance = |text: &str| text.parse::<Amount>().map(Balance::from).unwrap();
        let mut holds = RunHolds::default();
        for n in 0..KEPT + 10 {
            holds.put(&hold(n, HoldState::Pending));
            holds.put(&hold(n, HoldState::Expired));
        }
        let all = u32::try_from(KEPT + 10).unwrap();
        let before = Sums { unsettled: balance(&(2 * all).to_string()), ..Sums::default() };
        assert_eq!((usd(&holds), holds.folded.holds), ((before, KEPT + 10), 10));
        let late = hold(0, HoldState::Settled);
        holds.put(&late);
        let after = Sums { unsettled: balance(&(2 * (all - 1)).to_string()), settled: balance("3"), ..Sums::default() };
        assert_eq!(usd(&holds), (after, KEPT + 10));
        let once = holds.clone();
        holds.put(&late);
        assert!(holds == once, "applied twice, nothing changes");
        holds.fold(Timestamp::MAX);
        assert_eq!(usd(&holds), (after, KEPT + 10));
        holds.put(&hold(1, HoldState::Settled));
        let next = Sums { unsettled: balance(&(2 * (all - 2)).to_string()), settled: balance("6"), ..Sums::default() };
        assert_eq!(usd(&holds), (next, KEPT + 10), "also when all are summed up");
    }
}
