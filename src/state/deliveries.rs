//! Deliveries in memory: those that are still tried, the last ones that are over, and what each item's last told state is.

use super::effect::Effect;
use crate::attention::{Delivery, ItemState};
use crate::vocabulary::ItemId;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How many deliveries that are over are kept for a look.
pub const DELIVERIES_KEPT: usize = 1_000;

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
