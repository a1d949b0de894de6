//! What could lift a reason: which causes a durable batch brings, and which items each of them makes worth a look.
//! Nothing here decides anything.

use crate::attention::{Cause, Item, ItemState, wakes_at};
use crate::budget::HoldState;
use crate::runs::ConnectorStatus;
use crate::state::{Effect, Entry, State};
use crate::vocabulary::ItemId;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Why an item is looked at, in words for the audit trail.
pub type Why = &'static str;

/// Causes that wait for their turn. Each is acted on at most once a turn, however often it came.
#[derive(Debug, Default)]
pub struct Causes {
    pending: BTreeMap<Cause, Why>,
    done: HashSet<Cause>,
    everything: bool,
    /// For which moment an item was looked at already.
    woken: HashMap<ItemId, Timestamp>,
}

impl Causes {
    /// Everything that waits is worth a look: at a start, or when batches were missed.
    pub fn all(&mut self) {
        self.everything = true;
    }

    /// Notes what a batch may have lifted.
    pub fn note(&mut self, entries: &[Arc<Entry>]) {
        for effect in entries.iter().flat_map(|entry| &entry.effects) {
            match effect {
                Effect::PolicySet(_) => self.add(Cause::Policy, "another policy set is in force"),
                Effect::Agent(_) => {
                    self.add(Cause::Policy, "an agent's record was changed");
                    self.add(Cause::Pause, "an agent's record was changed");
                }
                Effect::EntityType(_) => self.add(Cause::Policy, "an entity type was changed"),
                Effect::Budget(budget) => {
                    self.add(Cause::Budget(budget.id().to_string()), "the budget was raised or changed");
                }
                Effect::Hold(hold) if hold.state != HoldState::Pending => {
                    for line in &hold.lines {
                        let budget = Cause::Budget(line.account.budget.to_string());
                        self.add(budget, "holds were settled, released or expired");
                    }
                    self.add(Cause::Holds, "holds were settled, released or expired");
                }
                Effect::Connector(connector) if connector.status != ConnectorStatus::Down => {
                    self.add(Cause::Connector(connector.id.to_string()), "the connector is back");
                }
                Effect::Pause(pause) if pause.ended.is_some() => self.add(Cause::Pause, "a pause was ended"),
                Effect::Item(item) if !item.supplied.is_empty() => {
                    self.add(Cause::Supplied(item.id.clone()), "data was supplied");
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, cause: Cause, why: Why) {
        self.pending.entry(cause).or_insert(why);
    }

    /// A new turn: each cause may be acted on again.
    pub fn turn(&mut self) {
        self.done.clear();
    }

    /// The items that are worth a look, oldest trouble first, each once. With a time, those too that time itself may have
    /// freed by then.
    pub fn take(&mut self, state: &State, now: Option<Timestamp>) -> Vec<(Arc<Item>, Why)> {
        let items = state.attention();
        let mut found: BTreeMap<(Timestamp, ItemId), (Arc<Item>, Why)> = BTreeMap::new();
        let mut look = |item: &Arc<Item>, why: Why| {
            found.entry((item.began_at, item.id.clone())).or_insert_with(|| (Arc::clone(item), why));
        };
        if std::mem::take(&mut self.everything) {
            for state in [ItemState::WaitingOnSetup, ItemState::ReadyToRetry] {
                items.in_state(state, None).for_each(|item| look(item, "looked at anew"));
            }
        }
        let turn: Vec<Cause> = self.pending.keys().filter(|cause| !self.done.contains(*cause)).cloned().collect();
        for cause in turn {
            let Some(why) = self.pending.remove(&cause) else { continue };
            items.waiting_on(&cause).for_each(|item| look(item, why));
            self.done.insert(cause);
        }
        if let Some(now) = now {
            let awake: HashMap<ItemId, Timestamp> =
                items.awake(now).filter_map(|item| Some((item.id.clone(), wakes_at(item)?))).collect();
            for item in items.awake(now).filter(|item| self.woken.get(&item.id) != awake.get(&item.id)) {
                look(item, "its time has come");
            }
            self.woken = awake;
        }
        found.into_values().collect()
    }

    /// Whether something may be acted on now.
    pub fn any(&self) -> bool {
        self.everything || self.pending.keys().any(|cause| !self.done.contains(cause))
    }
}
