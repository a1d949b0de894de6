//! The holds in memory: the pending ones, by id, by when they are due and counted by agent, and those that ended until
//! they can be read elsewhere.

use crate::budget::{Hold, HoldState};
use crate::vocabulary::{AgentId, HoldId};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// A hold, and the record that changed it last.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    hold: Arc<Hold>,
    seq: u64,
}

/// Holds by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HoldMap {
    holds: HashMap<HoldId, Kept>,
    due: BTreeSet<(Timestamp, HoldId)>,
    open_by_agent: HashMap<AgentId, usize>,
    /// Holds that are no longer pending, in the order of the records that changed them.
    ended: VecDeque<(u64, HoldId)>,
}

impl HoldMap {
    /// How a hold stands from the record `seq` on.
    pub(super) fn put(&mut self, hold: &Arc<Hold>, seq: u64) {
        let old = self.holds.insert(hold.id.clone(), Kept { hold: Arc::clone(hold), seq });
        let was_pending = old.as_ref().is_some_and(|old| old.hold.state == HoldState::Pending);
        if let Some(Kept { hold: old, .. }) = old.as_ref().filter(|_| was_pending) {
            self.due.remove(&(old.expires_at, old.id.clone()));
            if let Some(open) = self.open_by_agent.get_mut(&old.agent) {
                *open -= 1;
                if *open == 0 {
                    self.open_by_agent.remove(&old.agent);
                }
            }
        }
        if hold.state == HoldState::Pending {
            self.due.insert((hold.expires_at, hold.id.clone()));
            *self.open_by_agent.entry(hold.agent.clone()).or_default() += 1;
        } else if old.is_none_or(|old| old.seq != seq) || !self.ended_by(seq, &hold.id) {
            self.ended.push_back((seq, hold.id.clone()));
        }
    }

    /// Whether it stands in the queue with that record already.
    fn ended_by(&self, seq: u64, id: &HoldId) -> bool {
        self.ended.iter().rev().take_while(|(by, _)| *by == seq).any(|(_, ended)| ended == id)
    }

    pub(super) fn get(&self, id: &HoldId) -> Option<&Arc<Hold>> {
        self.holds.get(id).map(|kept| &kept.hold)
    }

    /// Pending holds, earliest due first.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Arc<Hold>> {
        self.due.iter().filter_map(|(_, id)| self.get(id))
    }

    pub(super) fn due(&self) -> impl Iterator<Item = &(Timestamp, HoldId)> {
        self.due.iter()
    }

    /// How many are pending.
    pub(super) fn open(&self) -> usize {
        self.due.len()
    }

    /// How many of one agent are pending.
    pub(super) fn open_of(&self, agent: &AgentId) -> usize {
        self.open_by_agent.get(agent).copied().unwrap_or(0)
    }

    /// How many are in memory.
    pub(super) fn len(&self) -> usize {
        self.holds.len()
    }

    /// Lets go of holds that ended by the record `upto` or before; it looks at so many at most.
    pub(super) fn forget(&mut self, upto: u64, most: usize) {
        for _ in 0..most {
            if self.ended.front().is_none_or(|(seq, _)| *seq > upto) {
                return;
            }
            let Some((seq, id)) = self.ended.pop_front() else { return };
            // one that was changed since stands in the queue again
            if self.holds.get(&id).is_some_and(|kept| kept.seq == seq && kept.hold.state != HoldState::Pending) {
                self.holds.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(id: &str, state: &str) -> Arc<Hold> {
        let json = serde_json::json!({"id": id, "admission": "adm_1", "agent": "a", "state": state,
            "placed_at": "2026-11-23T12:00:00Z", "expires_at": "2026-11-23T12:10:00Z"});
        Arc::new(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn what_ended_leaves_when_it_can_be_read_elsewhere_and_what_is_pending_stays() {
        let mut map = HoldMap::default();
        map.put(&hold("one", "pending"), 1);
        map.put(&hold("two", "pending"), 1);
        map.put(&hold("two", "pending"), 2);
        map.put(&hold("one", "expired"), 3);
        map.forget(2, 10);
        assert_eq!((map.len(), map.open(), map.open_of(&"a".parse().unwrap())), (2, 1, 1));
        map.put(&hold("one", "settled"), 4);
        map.forget(3, 10);
        assert!(map.get(&"one".parse().unwrap()).is_some(), "its settlement is nowhere else yet");
        map.forget(4, 10);
        assert!(map.get(&"one".parse().unwrap()).is_none());
        map.put(&hold("old", "settled"), 5);
        map.put(&hold("old", "settled"), 5);
        assert_eq!(map.ended.len(), 1, "the same record again changes nothing");
        map.forget(5, 10);
        assert_eq!((map.len(), map.ended.len()), (1, 0));
    }
}
