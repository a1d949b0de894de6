//! The accounts in memory: found by key, listed by budget without a look at the others, and let go of when they are over:
//! their calendar window has ended, a rolling one holds nothing of them any more, or their run has left.

use crate::budget::{Account, AccountKey};
use crate::vocabulary::{Balance, BudgetId, RunId};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// An account, and the record that touched it last.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    account: Account,
    /// From when on nothing will be placed on it; `None` where that may be at any time.
    over_at: Option<Timestamp>,
    seq: u64,
}

impl Kept {
    /// Nothing will be placed on it any more, and nothing is set aside in it.
    fn is_over(&self, now: Timestamp) -> bool {
        self.over_at.is_some_and(|at| at <= now) && self.account.sums.held == Balance::ZERO
    }
}

/// Accounts by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AccountMap {
    accounts: HashMap<AccountKey, Kept>,
    by_budget: HashMap<BudgetId, BTreeSet<AccountKey>>,
    /// Accounts without an end of their own that are one run's: they are over with it.
    by_run: HashMap<RunId, BTreeSet<AccountKey>>,
    /// Windows that are not over yet, or were not when that was seen.
    ends: BTreeSet<(Timestamp, AccountKey)>,
    /// Accounts that may leave, with the record that touched them last when that was seen.
    over: VecDeque<(u64, AccountKey)>,
}

impl AccountMap {
    /// How an account stands from the record `seq` on, which was decided at `now`. `over_at` is from when on nothing will
    /// be placed on it, if nothing is until then.
    pub(super) fn put(&mut self, account: Account, over_at: Option<Timestamp>, seq: u64, now: Timestamp) {
        let kept = Kept { account, over_at, seq };
        let over = kept.is_over(now);
        let key = kept.account.key.clone();
        let old = self.accounts.insert(key.clone(), kept);
        if over && old.as_ref().is_none_or(|old| old.seq != seq) {
            self.over.push_back((seq, key.clone()));
        }
        if old.is_some() {
            return;
        }
        if let Some(end) = over_at.filter(|end| *end > now) {
            self.ends.insert((end, key.clone()));
        }
        if over_at.is_none()
            && let Some(run) = key.run()
        {
            self.by_run.entry(run).or_default().insert(key.clone());
        }
        self.by_budget.entry(key.budget.clone()).or_default().insert(key);
    }

    /// A run has left memory: nothing will be placed on what is its own alone.
    pub(super) fn run_left(&mut self, run: &RunId) {
        for key in self.by_run.remove(run).into_iter().flatten() {
            if let Some(kept) = self.accounts.get_mut(&key) {
                kept.over_at = Some(Timestamp::MIN);
                // one in which something is set aside comes again when that changes
                self.over.push_back((kept.seq, key));
            }
        }
    }

    pub(super) fn get(&self, key: &AccountKey) -> Option<&Account> {
        self.accounts.get(key).map(|kept| &kept.account)
    }

    pub(super) fn of(&self, budget: &BudgetId) -> impl Iterator<Item = &Account> {
        self.by_budget.get(budget).into_iter().flatten().filter_map(|key| self.get(key))
    }

    /// The budget that has most of them, and how many.
    pub(super) fn most(&self) -> Option<(&BudgetId, usize)> {
        self.by_budget.iter().map(|(budget, keys)| (budget, keys.len())).max_by_key(|(_, count)| *count)
    }

    /// How many there are of one budget.
    pub(super) fn count_of(&self, budget: &BudgetId) -> usize {
        self.by_budget.get(budget).map_or(0, BTreeSet::len)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values().map(|kept| &kept.account)
    }

    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Lets go of accounts that are over, and which were touched last by the record `upto` or before; it looks at so many
    /// at most.
    pub(super) fn forget(&mut self, now: Timestamp, upto: u64, most: usize) {
        for _ in 0..most {
            if self.ends.first().is_none_or(|(end, _)| *end > now) {
                break;
            }
            let Some((_, key)) = self.ends.pop_first() else { break };
            let Some(kept) = self.accounts.get(&key) else { continue };
            match kept.over_at {
                // it was used since, so its end has moved
                Some(end) if end > now => {
                    self.ends.insert((end, key));
                }
                // one in which something is set aside comes again when that changes
                _ if kept.is_over(now) => self.over.push_back((kept.seq, key)),
                _ => {}
            }
        }
        for _ in 0..most {
            let Some((seq, _)) = self.over.front() else { break };
            if *seq > upto {
                break;
            }
            let Some((seq, key)) = self.over.pop_front() else { break };
            if self.accounts.get(&key).is_some_and(|kept| kept.seq == seq && kept.is_over(now)) {
                self.remove(&key);
            }
        }
    }

    fn remove(&mut self, key: &AccountKey) {
        self.accounts.remove(key);
        if let Some(keys) = self.by_budget.get_mut(&key.budget) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_budget.remove(&key.budget);
            }
        }
        if let Some(run) = key.run()
            && let Some(keys) = self.by_run.get_mut(&run)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_run.remove(&run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(window: &str, end: &str, held: i128) -> Account {
        let json = serde_json::json!({"key": {"budget": "daily", "window": window}, "unit": "usd", "end": end,
            "spent": "1", "held": Balance::from_nanos(held), "unsettled": "0"});
        serde_json::from_value(json).unwrap()
    }

    fn put(map: &mut AccountMap, account: Account, seq: u64, now: Timestamp) {
        let over_at = account.end;
        map.put(account, over_at, seq, now);
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_account_leaves_when_its_window_is_over_nothing_is_held_and_it_can_be_read_elsewhere() {
        let (noon, end, later) = ("2026-11-23T12:00:00Z", "2026-11-24T00:00:00Z", "2026-11-24T06:00:00Z");
        let mut map = AccountMap::default();
        put(&mut map, account("mon", end, 5), 1, at(noon));
        put(&mut map, account("tue", "2026-11-25T00:00:00Z", 0), 2, at(noon));
        map.forget(at(noon), 9, 10);
        map.forget(at(later), 9, 10);
        assert_eq!(map.len(), 2, "something is set aside in the one, the other's window goes on");
        put(&mut map, account("mon", end, 0), 10, at(later));
        map.forget(at(later), 9, 10);
        assert_eq!(map.len(), 2, "record 10 is nowhere else yet");
        put(&mut map, account("mon", end, 0), 11, at(later));
        map.forget(at(later), 10, 10);
        assert_eq!(map.len(), 2, "nor is record 11");
        map.forget(at(later), 11, 10);
        let left: Vec<_> = map.of(&"daily".parse().unwrap()).map(|account| account.key.window.to_string()).collect();
        assert_eq!(left, ["tue"]);
        // one that comes back, because an old hold was settled, leaves again
        put(&mut map, account("mon", end, 0), 12, at(later));
        assert_eq!(map.len(), 2);
        map.forget(at(later), 12, 10);
        assert_eq!((map.len(), map.ends.len(), map.over.len()), (1, 1, 0));
    }

    #[test]
    fn the_work_is_bounded() {
        let mut map = AccountMap::default();
        for n in 0..100 {
            put(&mut map, account(&format!("w{n}"), "2026-11-24T00:00:00Z", 0), 1, at("2026-11-23T12:00:00Z"));
        }
        map.forget(at("2026-11-25T00:00:00Z"), 1, 30);
        assert_eq!(map.len(), 70);
        (0..3).for_each(|_| map.forget(at("2026-11-25T00:00:00Z"), 1, 30));
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn a_rolling_account_leaves_when_it_was_not_used_for_a_window() {
        let rolling = || {
            let json = serde_json::json!({"key": {"budget": "b", "window": "rolling", "each": "agent=a"}, "unit": "usd",
                "spent": "0", "held": "0", "unsettled": "0"});
            serde_json::from_value::<Account>(json).unwrap()
        };
        let mut map = AccountMap::default();
        let hour = |hour: i64| at("2026-11-23T00:00:00Z") + jiff::SignedDuration::from_hours(hour);
        map.put(rolling(), Some(hour(6)), 1, hour(1));
        map.put(rolling(), Some(hour(9)), 2, hour(4));
        for (now, upto, left) in [(6, 2, 1), (8, 2, 1), (9, 1, 1), (9, 2, 0)] {
            map.forget(hour(now), upto, 10);
            assert_eq!((map.len(), map.count_of(&"b".parse().unwrap())), (left, left), "at {now}, up to {upto}");
        }
        assert_eq!(map, AccountMap::default());
    }

    #[test]
    fn what_is_one_runs_alone_leaves_with_it() {
        let of = |run: &str, held: i128| {
            let json = serde_json::json!({"key": {"budget": "b", "window": "lifetime", "each": format!("agent=a,run={run}")},
                "unit": "usd", "spent": "3", "held": Balance::from_nanos(held), "unsettled": "0"});
            serde_json::from_value::<Account>(json).unwrap()
        };
        let (run, now) = ("r,1".parse().unwrap(), at("2026-11-23T00:00:00Z"));
        let mut map = AccountMap::default();
        map.put(of("r%2C1", 5), None, 1, now);
        map.put(of("other", 0), None, 2, now);
        map.put(of("idle", 0), None, 2, now);
        map.forget(now, 9, 10);
        assert_eq!(map.len(), 3, "their runs go on");
        map.run_left(&run);
        map.run_left(&"idle".parse().unwrap());
        map.forget(now, 9, 10);
        assert_eq!(map.len(), 2, "something is set aside in the one");
        map.put(of("r%2C1", 0), Some(Timestamp::MIN), 3, now);
        map.forget(now, 2, 10);
        assert_eq!(map.len(), 2, "record 3 is nowhere else yet");
        map.forget(now, 3, 10);
        assert_eq!((map.len(), map.by_run.len(), map.over.len()), (1, 1, 0));
        // an old hold on it is settled: it comes back, and leaves again
        map.put(of("r%2C1", 0), Some(Timestamp::MIN), 4, now);
        map.forget(now, 4, 10);
        assert_eq!((map.len(), map.by_run.len(), map.over.len()), (1, 1, 0));
    }
}
