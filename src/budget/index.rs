//! Which budgets an admission falls under, without looking at all of them: budgets by the exact values of their scope,
//! and one look-up for each set of dimensions that some scope uses (32 at most).

use super::definition::Budget;
use super::scope::{Dimension, Facts};
use crate::vocabulary::BudgetId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The values of a scope's dimensions, absent ones as `None`.
type ScopeValues = [Option<Box<str>>; 5];

/// Budgets by scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BudgetIndex {
    /// How many budgets use each set of dimensions.
    masks: BTreeMap<u8, usize>,
    budgets: HashMap<ScopeValues, BTreeMap<BudgetId, Arc<Budget>>>,
}

fn values(get: impl Fn(Dimension) -> Option<Box<str>>) -> ScopeValues {
    Dimension::ALL.map(get)
}

fn mask(values: &ScopeValues) -> u8 {
    values.iter().enumerate().filter(|(_, value)| value.is_some()).fold(0, |mask, (n, _)| mask | (1 << n))
}

impl BudgetIndex {
    /// Takes a budget in, in the place of its earlier revision.
    pub fn insert(&mut self, budget: Arc<Budget>) {
        let values = values(|dimension| budget.spec.scope.get(dimension).map(Into::into));
        let mask = mask(&values);
        let replaced = self.budgets.entry(values).or_default().insert(budget.id().clone(), budget);
        if replaced.is_none() {
            *self.masks.entry(mask).or_default() += 1;
        }
    }

    /// Takes it out.
    pub fn remove(&mut self, budget: &Budget) {
        let values = values(|dimension| budget.spec.scope.get(dimension).map(Into::into));
        let Some(budgets) = self.budgets.get_mut(&values) else { return };
        let removed = usize::from(budgets.remove(budget.id()).is_some());
        if budgets.is_empty() {
            self.budgets.remove(&values);
        }
        let mask = mask(&values);
        if let Some(count) = self.masks.get_mut(&mask) {
            *count -= removed;
            if *count == 0 {
                self.masks.remove(&mask);
            }
        }
    }

    /// The budgets that an admission falls under, by id.
    pub fn matching(&self, facts: &Facts<'_>) -> Vec<Arc<Budget>> {
        let mut matching = Vec::new();
        for mask in self.masks.keys() {
            let bit = |dimension: Dimension| mask & (1 << (dimension as u8)) != 0;
            if Dimension::ALL.into_iter().any(|dimension| bit(dimension) && facts.get(dimension).is_none()) {
                continue;
            }
            let wanted = values(|dimension| if bit(dimension) { facts.get(dimension).map(Into::into) } else { None });
            matching.extend(self.budgets.get(&wanted).into_iter().flat_map(BTreeMap::values).cloned());
        }
        matching.sort_by(|a, b| a.id().cmp(b.id()));
        matching
    }
}
