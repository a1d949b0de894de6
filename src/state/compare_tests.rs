//! Two states compared by what decisions depend on, whatever has left memory of the one or the other: for tests of recovery.

use super::{Effect, State};
use crate::budget::{Account, AccountKey, Figures, Window};
use crate::vocabulary::Balance;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

impl State {
    /// What differs, in words; nothing where decisions at `now` would be the same.
    pub(crate) fn differences(&self, other: &Self, now: Timestamp) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, same: bool| {
            if !same {
                found.push(what.to_owned());
            }
        };
        compare("budgets", self.budgets == other.budgets);
        compare("agents", self.agents == other.agents);
        compare("entity types", self.entity_types == other.entity_types);
        compare("pauses", self.pauses == other.pauses);
        compare("API keys", self.api_keys == other.api_keys);
        compare("policy sets", self.policy_sets == other.policy_sets);
        compare("seeds", self.seeds == other.seeds);
        compare("checkpoints", self.checkpoints == other.checkpoints);
        if self.runs != other.runs {
            let effects = |state: &Self| as_text(state.runs.as_effects());
            let apart: Vec<String> = effects(self).symmetric_difference(&effects(other)).cloned().collect();
            compare(&format!("runs: {apart:?}"), false);
        }
        if self.attention != other.attention {
            let effects = |state: &Self| as_text(state.attention.as_effects());
            let apart: Vec<String> = effects(self).symmetric_difference(&effects(other)).cloned().collect();
            compare(&format!("items: {apart:?}"), false);
        }
        compare("pending holds", self.holds.pending().eq(other.holds.pending()));
        compare("pauses in force", self.pauses_in_force(now).eq(other.pauses_in_force(now)));
        let (ours, theirs) = (by_key(self), by_key(other));
        for (key, account) in &ours {
            if let Some(same) = theirs.get(key) {
                compare(&format!("account {} {key}", key.budget), account == same);
            } else {
                let over = self.is_over(account, now);
                compare(&format!("account {} {key}, which is there no more", key.budget), over);
            }
        }
        for (key, account) in theirs.iter().filter(|(key, _)| !ours.contains_key(*key)) {
            let over = other.is_over(account, now);
            compare(&format!("account {} {key}, which was not there", key.budget), over);
        }
        found
    }

    /// It may have left memory.
    fn is_over(&self, account: &Account, now: Timestamp) -> bool {
        let window = self.budgets.get(&account.key.budget).map(|budget| &budget.spec.window);
        if let Some(window @ Window::Rolling { .. }) = window {
            return account.figures(window, now) == Figures::default();
        }
        account.end.is_some_and(|end| end <= now) && account.sums.held == Balance::ZERO
    }
}

fn as_text(effects: impl Iterator<Item = Effect>) -> BTreeSet<String> {
    effects.map(|effect| serde_json::to_string(&effect).unwrap()).collect()
}

fn by_key(state: &State) -> BTreeMap<&AccountKey, &Account> {
    state.accounts().map(|account| (&account.key, account)).collect()
}
