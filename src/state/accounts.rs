//! The accounts in memory: found by key, listed by budget without a look at the others, and let go of when their window
//! is over.

use crate::budget::{Account, AccountKey};
use crate::vocabulary::{Balance, BudgetId};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// An account, and the record that touched it last.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    account: Account,
    seq: u64,
}

/// Accounts by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AccountMap {
    accounts: HashMap<AccountKey, Kept>,
    by_budget: HashMap<BudgetId, BTreeSet<AccountKey>>,
    /// Windows that are not over yet.
    ends: BTreeSet<(Timestamp, AccountKey)>,
    /// Accounts that may leave, with the record that touched them last when that was seen.
    over: VecDeque<(u64, AccountKey)>,
}

/// Nothing will be placed on it any more, and nothing is set aside in it.
fn is_over(account: &Account, now: Timestamp) -> bool {
    account.end.is_some_and(|end| end <= now) && account.sums.held == Balance::ZERO
}

impl AccountMap {
    /// How an account stands from the record `seq` on, which was decided at `now`.
    pub(super) fn put(&mut self, account: Account, seq: u64, now: Timestamp) {
        let over = is_over(&account, now);
        if let Some(kept) = self.accounts.get_mut(&account.key) {
            if over && kept.seq != seq {
                self.over.push_back((seq, account.key.clone()));
            }
            *kept = Kept { account, seq };
            return;
        }
        let key = account.key.clone();
        self.by_budget.entry(key.budget.clone()).or_default().insert(key.clone());
        match account.end {
            Some(end) if end > now => {
                self.ends.insert((end, key.clone()));
            }
            _ if over => self.over.push_back((seq, key.clone())),
            _ => {}
        }
        self.accounts.insert(key, Kept { account, seq });
    }

    pub(super) fn get(&self, key: &AccountKey) -> Option<&Account> {
        self.accounts.get(key).map(|kept| &kept.account)
    }

    pub(super) fn of(&self, budget: &BudgetId) -> impl Iterator<Item = &Account> {
        self.by_budget.get(budget).into_iter().flatten().filter_map(|key| self.get(key))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values().map(|kept| &kept.account)
    }

    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Lets go of accounts whose window is over, in which nothing is set aside, and which were touched last by the record
    /// `upto` or before; it looks at so many at most.
    pub(super) fn forget(&mut self, now: Timestamp, upto: u64, most: usize) {
        for _ in 0..most {
            let Some((end, _)) = self.ends.first() else { break };
            if *end > now {
                break;
            }
            // one in which something is set aside comes again when that changes
            if let Some((_, key)) = self.ends.pop_first()
                && let Some(kept) = self.accounts.get(&key)
                && is_over(&kept.account, now)
            {
                self.over.push_back((kept.seq, key));
            }
        }
        for _ in 0..most {
            let Some((seq, _)) = self.over.front() else { break };
            if *seq > upto {
                break;
            }
            let Some((seq, key)) = self.over.pop_front() else { break };
            if self.accounts.get(&key).is_some_and(|kept| kept.seq == seq && is_over(&kept.account, now)) {
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

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_account_leaves_when_its_window_is_over_nothing_is_held_and_it_can_be_read_elsewhere() {
        let (noon, end, later) = ("2026-11-23T12:00:00Z", "2026-11-24T00:00:00Z", "2026-11-24T06:00:00Z");
        let mut map = AccountMap::default();
        map.put(account("mon", end, 5), 1, at(noon));
        map.put(account("tue", "2026-11-25T00:00:00Z", 0), 2, at(noon));
        map.forget(at(noon), 9, 10);
        map.forget(at(later), 9, 10);
        assert_eq!(map.len(), 2, "something is set aside in the one, the other's window goes on");
        map.put(account("mon", end, 0), 10, at(later));
        map.forget(at(later), 9, 10);
        assert_eq!(map.len(), 2, "record 10 is nowhere else yet");
        map.put(account("mon", end, 0), 11, at(later));
        map.forget(at(later), 10, 10);
        assert_eq!(map.len(), 2, "nor is record 11");
        map.forget(at(later), 11, 10);
        let left: Vec<_> = map.of(&"daily".parse().unwrap()).map(|account| account.key.window.to_string()).collect();
        assert_eq!(left, ["tue"]);
        // one that comes back, because an old hold was settled, leaves again
        map.put(account("mon", end, 0), 12, at(later));
        assert_eq!(map.len(), 2);
        map.forget(at(later), 12, 10);
        assert_eq!((map.len(), map.ends.len(), map.over.len()), (1, 1, 0));
    }

    #[test]
    fn the_work_is_bounded() {
        let mut map = AccountMap::default();
        for n in 0..100 {
            map.put(account(&format!("w{n}"), "2026-11-24T00:00:00Z", 0), 1, at("2026-11-23T12:00:00Z"));
        }
        map.forget(at("2026-11-25T00:00:00Z"), 1, 30);
        assert_eq!(map.len(), 70);
        (0..3).for_each(|_| map.forget(at("2026-11-25T00:00:00Z"), 1, 30));
        assert_eq!(map.len(), 0);
    }
}
