//! Deliveries in memory: those that are still tried, the last ones that are over, and what each item's last told state is.

use super::effect::Effect;
use crate::attention::{Delivery, ItemState};
use crate::vocabulary::ItemId;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How many deliveries that are over are kept for a look.
pub const DELIVERIES_KEPT: usize = 1_000;

/// How many deliveries are still tried. Of more those are given up that would be tried last, for they failed most often.
pub const DELIVERIES_TRIED: usize = 100_000;

/// Every delivery that matters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deliveries {
    all: HashMap<String, Arc<Delivery>>,
    due: BTreeSet<(Timestamp, String)>,
    /// By when they were queued.
    over: BTreeSet<(Timestamp, String)>,
    told: HashMap<ItemId, ItemState>,
}

impl Deliveries {
    /// Takes in a delivery as it stands now.
    pub(super) fn put(&mut self, delivery: &Arc<Delivery>) {
        self.put_one(delivery);
        self.give_up_beyond(DELIVERIES_TRIED);
    }

    fn give_up_beyond(&mut self, most: usize) {
        while self.due.len() > most {
            let last = self.due.last().and_then(|(_, id)| self.all.get(id));
            let Some(given_up) = last.map(|delivery| delivery.given_up("too many were waiting")) else { return };
            self.put_one(&Arc::new(given_up));
        }
    }

    fn put_one(&mut self, delivery: &Arc<Delivery>) {
        if delivery.tries == 0 {
            self.told.insert(delivery.item.clone(), delivery.state);
        }
        let id = delivery.id.clone();
        if let Some(old) = self.all.insert(id.clone(), Arc::clone(delivery))
            && let Some(at) = old.next_at
        {
            self.due.remove(&(at, id.clone()));
        }
        match delivery.next_at {
            Some(at) => {
                self.over.remove(&(delivery.queued_at, id.clone()));
                self.due.insert((at, id));
            }
            None => {
                self.over.insert((delivery.queued_at, id));
            }
        }
        while self.over.len() > DELIVERIES_KEPT {
            if let Some((_, gone)) = self.over.pop_first() {
                self.all.remove(&gone);
            }
        }
    }

    /// An item is gone.
    pub(super) fn forget(&mut self, item: &ItemId) {
        self.told.remove(item);
    }

    /// What makes the same of nothing: for a checkpoint. The told states come last, for the deliveries come in no order.
    pub(super) fn as_effects(&self) -> impl Iterator<Item = Effect> + '_ {
        let told = self.told.iter().map(|(item, state)| Effect::ItemTold { item: item.clone(), state: *state });
        self.all.values().cloned().map(Effect::Delivery).chain(told)
    }

    /// The state of an item that was told last.
    pub(super) fn put_told(&mut self, item: &ItemId, state: ItemState) {
        self.told.insert(item.clone(), state);
    }

    /// One delivery.
    pub fn get(&self, id: &str) -> Option<&Arc<Delivery>> {
        self.all.get(id)
    }

    /// The state of an item that was told last.
    pub fn told(&self, item: &ItemId) -> Option<ItemState> {
        self.told.get(item).copied()
    }

    /// Those that are to be tried by `now`, earliest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Delivery>> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now);
        due.filter_map(|(_, id)| self.all.get(id))
    }

    /// Those that are still tried, by when they are tried next; then those that are over, the last first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Delivery>> {
        let over = self.over.iter().rev();
        self.due.iter().chain(over).filter_map(|(_, id)| self.all.get(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_too_many_those_that_failed_most_often_are_given_up_and_seen_to_be() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let delivery = |n: i64, next: i64| {
            let json = json!({"id": format!("item_{n}.1"), "item": format!("item_{n}"), "state": "open", "data": null,
                "queued_at": at(n), "tries": 1, "next_at": at(next)});
            Arc::new(serde_json::from_value::<Delivery>(json).unwrap())
        };
        let mut deliveries = Deliveries::default();
        for (n, next) in [(1, 100), (2, 900), (3, 10)] {
            deliveries.put(&delivery(n, next));
        }
        deliveries.give_up_beyond(2);
        let due: Vec<_> = deliveries.due(at(1_000)).map(|delivery| delivery.id.as_str()).collect();
        assert_eq!((due, deliveries.all().count()), (vec!["item_3.1", "item_1.1"], 3));
        let given_up = deliveries.get("item_2.1").unwrap();
        assert!(given_up.is_given_up(), "{given_up:?}");
        assert_eq!(given_up.last_failure.as_deref(), Some("too many were waiting"));
    }
}
