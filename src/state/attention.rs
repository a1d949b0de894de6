//! The items of Command Center in memory, found by state, owner, fingerprint, and by what they wait on; and the denials
//! that may become items.

use super::deliveries::Deliveries;
use super::denials::Denials;
use super::effect::Effect;
use super::outside::Outside;
use crate::attention::{Cause, Denied, Fingerprint, Item, ItemState, Subject, waits_on, wakes_at};
use crate::vocabulary::{ItemId, RunId};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How many resolved items are kept at hand, the last ones. Those before them are in the audit trail.
pub const RESOLVED_KEPT: usize = 100_000;

/// Where an item stands in a list: by when it was first seen.
type Place = (Timestamp, ItemId);

/// Every item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Items {
    items: HashMap<ItemId, Arc<Item>>,
    by_subject: HashMap<Subject, ItemId>,
    by_state: BTreeMap<ItemState, BTreeSet<Place>>,
    /// Whatever is not resolved.
    unresolved: BTreeSet<Place>,
    by_owner: BTreeMap<String, BTreeSet<Place>>,
    by_fingerprint: BTreeMap<Fingerprint, BTreeSet<Place>>,
    /// Oldest trouble first.
    by_cause: BTreeMap<Cause, BTreeSet<Place>>,
    wakes: BTreeSet<Place>,
    /// By when they ended.
    resolved: BTreeSet<Place>,
    outside: Outside,
    denials: Denials,
    deliveries: Deliveries,
}

impl Items {
    /// Takes in an item as it stands now.
    pub(super) fn put(&mut self, item: &Arc<Item>) {
        if let Some(old) = self.items.insert(item.id.clone(), Arc::clone(item)) {
            self.unlist(&old);
        }
        self.by_subject.insert(item.subject.clone(), item.id.clone());
        let place = (item.first_seen, item.id.clone());
        self.by_state.entry(item.state).or_default().insert(place.clone());
        if item.state != ItemState::Resolved {
            self.unresolved.insert(place.clone());
            self.outside.add(&item.subject);
        }
        if let Some(owner) = &item.owner {
            self.by_owner.entry(owner.clone()).or_default().insert(place.clone());
        }
        self.by_fingerprint.entry(item.fingerprint.clone()).or_default().insert(place);
        for cause in waits_on(item) {
            self.by_cause.entry(cause).or_default().insert((item.began_at, item.id.clone()));
        }
        if let Some(at) = wakes_at(item) {
            self.wakes.insert((at, item.id.clone()));
        }
        if let Some(resolution) = &item.resolution {
            self.resolved.insert((resolution.at, item.id.clone()));
            self.forget_oldest();
        }
    }

    /// Takes it out of every list.
    fn unlist(&mut self, old: &Item) {
        fn remove<K: Ord>(lists: &mut BTreeMap<K, BTreeSet<Place>>, key: &K, place: &Place) {
            if let Some(list) = lists.get_mut(key) {
                list.remove(place);
                if list.is_empty() {
                    lists.remove(key);
                }
            }
        }
        let place = (old.first_seen, old.id.clone());
        remove(&mut self.by_state, &old.state, &place);
        if self.unresolved.remove(&place) {
            self.outside.remove(&old.subject);
        }
        if let Some(owner) = &old.owner {
            remove(&mut self.by_owner, owner, &place);
        }
        remove(&mut self.by_fingerprint, &old.fingerprint, &place);
        for cause in waits_on(old) {
            remove(&mut self.by_cause, &cause, &(old.began_at, old.id.clone()));
        }
        if let Some(at) = wakes_at(old) {
            self.wakes.remove(&(at, old.id.clone()));
        }
        if let Some(resolution) = &old.resolution {
            self.resolved.remove(&(resolution.at, old.id.clone()));
        }
    }

    fn forget_oldest(&mut self) {
        while self.resolved.len() > RESOLVED_KEPT {
            let Some((_, id)) = self.resolved.pop_first() else { return };
            if let Some(old) = self.items.remove(&id) {
                self.unlist(&old);
                self.by_subject.remove(&old.subject);
                self.deliveries.forget(&old.id);
            }
        }
    }

    /// Takes in a denial as it stands now.
    pub(super) fn put_denied(&mut self, denied: &Arc<Denied>) {
        self.denials.put(denied);
    }

    /// Whether no more items may open about this, which is no run: whoever asks could make as many as it likes.
    pub fn is_full_for(&self, subject: &Subject) -> bool {
        self.outside.is_full_for(subject)
    }

    /// How many that are not resolved are about no run: of denials, and of budgets.
    pub fn outside_runs(&self) -> (usize, usize) {
        self.outside.counts()
    }

    /// How many are not resolved.
    pub fn unresolved_count(&self) -> usize {
        self.unresolved.len()
    }

    /// How many denials are remembered.
    pub fn denial_count(&self) -> usize {
        self.denials.len()
    }

    /// What another Command Center is told.
    pub fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    pub(super) fn deliveries_mut(&mut self) -> &mut Deliveries {
        &mut self.deliveries
    }

    /// What makes the same of nothing: for a checkpoint.
    pub(super) fn as_effects(&self) -> impl Iterator<Item = Effect> + '_ {
        let items = self.items.values().cloned().map(Effect::Item);
        let denials = self.denials.all().cloned().map(Effect::Denied);
        items.chain(denials).chain(self.deliveries.as_effects())
    }

    /// One item.
    pub fn get(&self, id: &ItemId) -> Option<&Arc<Item>> {
        self.items.get(id)
    }

    /// The item about this.
    pub fn about(&self, subject: &Subject) -> Option<&Arc<Item>> {
        self.by_subject.get(subject).and_then(|id| self.items.get(id))
    }

    /// The item about this run.
    pub fn about_run(&self, run: &RunId) -> Option<&Arc<Item>> {
        self.about(&Subject::Run(run.clone()))
    }

    /// How many there are at hand, resolved ones too.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many are in that state; a snooze lies over it.
    pub fn count(&self, state: ItemState) -> usize {
        self.by_state.get(&state).map_or(0, BTreeSet::len)
    }

    /// All at hand, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.items.values()
    }

    /// Those that are not resolved, seen first before `before`, newest first.
    pub fn unresolved<'a>(&'a self, before: Option<&Place>) -> impl Iterator<Item = &'a Arc<Item>> {
        self.listed(Some(&self.unresolved), before)
    }

    /// Those in that state, seen first before `before`, newest first.
    pub fn in_state<'a>(&'a self, state: ItemState, before: Option<&Place>) -> impl Iterator<Item = &'a Arc<Item>> {
        self.listed(self.by_state.get(&state), before)
    }

    /// Those of that owner, newest first.
    pub fn of_owner<'a>(&'a self, owner: &str, before: Option<&Place>) -> impl Iterator<Item = &'a Arc<Item>> {
        self.listed(self.by_owner.get(owner), before)
    }

    /// Those of that fingerprint, newest first.
    pub fn of_fingerprint<'a>(
        &'a self,
        fingerprint: &Fingerprint,
        before: Option<&Place>,
    ) -> impl Iterator<Item = &'a Arc<Item>> {
        self.listed(self.by_fingerprint.get(fingerprint), before)
    }

    fn listed<'a>(
        &'a self,
        list: Option<&'a BTreeSet<Place>>,
        before: Option<&Place>,
    ) -> impl Iterator<Item = &'a Arc<Item>> {
        let range = match (list, before) {
            (None, _) => None,
            (Some(list), None) => Some(list.range(..)),
            (Some(list), Some(before)) => Some(list.range(..before.clone())),
        };
        range.into_iter().flatten().rev().filter_map(|(_, id)| self.items.get(id))
    }

    /// Those that wait on this, oldest trouble first.
    pub fn waiting_on(&self, cause: &Cause) -> impl Iterator<Item = &Arc<Item>> {
        self.by_cause.get(cause).into_iter().flatten().filter_map(|(_, id)| self.items.get(id))
    }

    /// Those that time itself may have freed by `now`, earliest first.
    pub fn awake(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Item>> {
        self.wakes.iter().take_while(move |(at, _)| *at <= now).filter_map(|(_, id)| self.items.get(id))
    }

    /// The denial that is remembered of this.
    pub fn denied(&self, subject: &Subject) -> Option<&Arc<Denied>> {
        self.denials.get(subject)
    }

    /// Every denial that is remembered.
    pub fn denials(&self) -> impl Iterator<Item = &Arc<Denied>> {
        self.denials.all()
    }

    /// What denials nothing followed by `now`, earliest first.
    pub fn due_denials(&self, now: Timestamp) -> impl Iterator<Item = &Subject> {
        self.denials.due().take_while(move |(at, _)| *at <= now).map(|(_, subject)| subject)
    }

    /// When the next of them becomes an item.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.denials.due().next().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Act, Class, ItemKind, Place as At, ResolutionCategory, Trouble};
    use crate::vocabulary::{Code, Reason};
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn trouble(run: u8, code: Code, sign: &str) -> Trouble {
        let mut reason = Reason::of(code, "m", format!("budget:b{}", run % 3));
        reason.retry_at = run.is_multiple_of(2).then(|| at(i64::from(run)).to_string());
        Trouble {
            subject: Subject::Run(RunId::new(format!("run-{run}")).unwrap()),
            kind: ItemKind::BlockedAction,
            class: Class::of(code),
            title: "t".to_owned(),
            message: "m".to_owned(),
            retry_allowed: false,
            reasons: vec![reason],
            place: At::default(),
            fingerprint: Fingerprint::of(code.as_str(), None, "m"),
            sign: sign.to_owned(),
        }
    }

    proptest! {
        /// The lists are what a walk over all items would find.
        #[test]
        fn the_lists_tell_the_truth(courses in prop::collection::vec((0u8..6, 0u8..6), 1..60)) {
            let mut items = Items::default();
            for (n, (run, what)) in courses.into_iter().enumerate() {
                let now = at(i64::try_from(n).unwrap());
                let code = if what == 0 { Code::Timeout } else { Code::BudgetExceeded };
                let trouble = trouble(run, code, &n.to_string());
                let old = items.about(&trouble.subject).cloned();
                let next = match (old, what) {
                    (None, _) => Some(Item::open(trouble.subject.item_id().unwrap(), trouble, now)),
                    (Some(old), 0 | 1) => old.joined(trouble, now),
                    (Some(old), 2) => old.rechecked(&[], now),
                    (Some(old), 3) => Some(old.over(ResolutionCategory::Succeeded, "", "t", now)),
                    (Some(old), 4) => Some(old.retried(2)),
                    (Some(old), _) => {
                        let act = Act::Assign { owner: format!("p{}", n % 2), due_at: None, fix: None };
                        old.acted(&act, "t", now).ok()
                    }
                };
                if let Some(next) = next {
                    items.put(&Arc::new(next));
                }
                let mut fresh = Items::default();
                for item in items.all() {
                    fresh.put(item);
                    fresh.put(item);
                }
                prop_assert_eq!(&fresh, &items, "the lists depend on the items alone, and putting one twice changes nothing");
                let mut by_state: Vec<_> = ItemState::ALL.iter().flat_map(|state| items.in_state(*state, None)).collect();
                by_state.sort_by(|a, b| a.id.cmp(&b.id));
                let mut all: Vec<_> = items.all().collect();
                all.sort_by(|a, b| a.id.cmp(&b.id));
                prop_assert_eq!(by_state, all);
                for item in items.all() {
                    for cause in waits_on(item) {
                        prop_assert!(items.waiting_on(&cause).any(|found| found.id == item.id));
                    }
                    prop_assert_eq!(wakes_at(item).is_some(), items.awake(Timestamp::MAX).any(|found| found.id == item.id));
                }
            }
        }
    }

    /// What this version wrote, later ones must read, and write again without losing any of it.
    #[test]
    fn the_stored_form_is_read() {
        let text = include_str!("../../tests/golden/attention-v1.json");
        let effects: Vec<Effect> = serde_json::from_str(text).unwrap();
        let (written, golden) = (serde_json::to_value(&effects).unwrap(), serde_json::from_str(text).unwrap());
        let golden: serde_json::Value = golden;
        for (written, golden) in written.as_array().unwrap().iter().zip(golden.as_array().unwrap()) {
            let (kind, fields) = golden.as_object().unwrap().iter().next().unwrap();
            for (name, value) in fields.as_object().unwrap() {
                assert_eq!(&written[kind][name], value, "{kind}.{name}");
            }
        }
    }

    #[test]
    fn a_page_goes_on_behind_the_last_one() {
        let mut items = Items::default();
        for run in 0..5 {
            let trouble = trouble(run, Code::BudgetExceeded, "s");
            let id = trouble.subject.item_id().unwrap();
            items.put(&Arc::new(Item::open(id, trouble, at(i64::from(run)))));
        }
        let all: Vec<Timestamp> = items.in_state(ItemState::WaitingOnSetup, None).map(|item| item.first_seen).collect();
        assert_eq!(all, [at(4), at(3), at(2), at(1), at(0)]);
        let third =
            items.in_state(ItemState::WaitingOnSetup, None).nth(2).map(|item| (item.first_seen, item.id.clone()));
        let rest = items.in_state(ItemState::WaitingOnSetup, third.as_ref());
        assert_eq!(rest.map(|item| item.first_seen).collect::<Vec<_>>(), [at(1), at(0)]);
        let waiting: Vec<Timestamp> =
            items.waiting_on(&Cause::Budget("b0".to_owned())).map(|item| item.began_at).collect();
        assert_eq!(waiting, [at(0), at(3)], "oldest first");
    }
}
