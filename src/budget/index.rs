//! Which budgets an admission falls under, without looking at all of them: budgets by the exact values of their scope,
//! and one look-up for each set of dimensions that some scope uses (32 at most).

use super::definition::Budget;
use super::scope::{Dimension, Facts};
use crate::vocabulary::BudgetId;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Budgets by scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BudgetIndex {
    /// How many budgets use each set of dimensions.
    masks: BTreeMap<u8, usize>,
    /// By the hash of their scope's values, in the order of their ids. Scopes whose hashes collide share a place.
    budgets: HashMap<u64, Vec<Arc<Budget>>>,
}

fn mask<'v>(get: impl Fn(Dimension) -> Option<&'v str>) -> u8 {
    let used = Dimension::ALL.into_iter().filter(|dimension| get(*dimension).is_some());
    used.fold(0, |mask, dimension| mask | (1 << (dimension as u8)))
}

/// The dimensions of a set, each with its value; `None` if one has none. The hash is the same in every process, so that
/// equal states are equal.
fn place<'v>(mask: u8, get: impl Fn(Dimension) -> Option<&'v str>) -> Option<u64> {
    let mut hash = DefaultHasher::new();
    mask.hash(&mut hash);
    for dimension in Dimension::ALL.into_iter().filter(|dimension| mask & (1 << (*dimension as u8)) != 0) {
        get(dimension)?.hash(&mut hash);
    }
    Some(hash.finish())
}

fn of_budget(budget: &Budget) -> (u8, u64) {
    let get = |dimension| budget.spec.scope.get(dimension);
    let mask = mask(get);
    (mask, place(mask, get).unwrap_or_default())
}

fn find(budgets: &[Arc<Budget>], id: &BudgetId) -> Result<usize, usize> {
    budgets.binary_search_by(|budget| budget.id().cmp(id))
}

impl BudgetIndex {
    /// Takes a budget in, in the place of its earlier revision.
    pub fn insert(&mut self, budget: Arc<Budget>) {
        let (mask, place) = of_budget(&budget);
        // most scopes are of one budget
        let budgets = self.budgets.entry(place).or_insert_with(|| Vec::with_capacity(1));
        match find(budgets, budget.id()) {
            Ok(at) => budgets[at] = budget,
            Err(at) => {
                budgets.insert(at, budget);
                *self.masks.entry(mask).or_default() += 1;
            }
        }
    }

    /// Takes it out.
    pub fn remove(&mut self, budget: &Budget) {
        let (mask, place) = of_budget(budget);
        let Some(budgets) = self.budgets.get_mut(&place) else { return };
        let Ok(at) = find(budgets, budget.id()) else { return };
        budgets.remove(at);
        if budgets.is_empty() {
            self.budgets.remove(&place);
        }
        if let Some(count) = self.masks.get_mut(&mask) {
            *count -= 1;
            if *count == 0 {
                self.masks.remove(&mask);
            }
        }
    }

    /// The budgets that an admission falls under, by id.
    pub fn matching(&self, facts: &Facts<'_>) -> Vec<Arc<Budget>> {
        let places = self.masks.keys().filter_map(|mask| place(*mask, |dimension| facts.get(dimension)));
        let found = places.filter_map(|place| self.budgets.get(&place)).flatten();
        let mut matching: Vec<_> = found.filter(|budget| budget.spec.scope.covers(facts)).cloned().collect();
        matching.sort_by(|a, b| a.id().cmp(b.id()));
        // two sets of dimensions may have come to one place
        matching.dedup_by(|a, b| Arc::ptr_eq(a, b));
        matching
    }
}
