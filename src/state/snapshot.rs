//! The state as a list of the same self-describing effects that rebuild it: what a checkpoint is made of.
//!
//! A new kind of thing that outlives old segments needs a line in [`State::as_effects`], and nothing else.

use super::effect::{Effect, JournalNote};
use super::hot::State;
use crate::budget::Account;
use jiff::Timestamp;
use std::sync::Arc;

impl State {
    /// Effects that make this state out of an empty one, but for the accounts, for used keys and for holds that ended,
    /// which are read from behind.
    pub fn as_effects(&self) -> impl Iterator<Item = Effect> {
        let budgets = self.budgets.values().map(|budget| Effect::Budget(Arc::clone(budget)));
        let holds = self.holds.pending().map(|hold| Effect::Hold(Arc::clone(hold)));
        let agents = self.agents.values().map(|agent| Effect::Agent(Arc::clone(agent)));
        let types = self.entity_types.values().map(|record| Effect::EntityType(Arc::clone(record)));
        let pauses = self.pauses.values().map(|pause| Effect::Pause(Arc::clone(pause)));
        let api_keys = self.api_keys.values().map(|key| Effect::ApiKey(Arc::clone(key)));
        let sets = self.policy_sets.iter().map(|head| Effect::PolicySet(head.clone()));
        let seed = |(file, sha256): (&String, &String)| Effect::Seed { file: file.clone(), sha256: sha256.clone() };
        let seeds = self.seeds.iter().map(seed);
        let note = |note: &_| Effect::Journal(JournalNote::Checkpoint(Clone::clone(note)));
        let notes = self.checkpoints.iter().map(note);
        let dropped = (!self.dropped.is_empty()).then(|| Effect::Journal(JournalNote::Dropped(self.dropped.clone())));
        budgets
            .chain(agents)
            .chain(types)
            .chain(pauses)
            .chain(api_keys)
            .chain(sets)
            .chain(seeds)
            .chain(notes)
            .chain(dropped)
            .chain(holds)
            // behind the holds, for they say which of them the runs remember
            .chain(self.runs.as_effects())
            .chain(self.attention.as_effects())
    }

    /// Every account in memory.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter()
    }

    /// Takes in effects of a checkpoint that covers the records up to `seq`.
    pub fn restore(&mut self, effects: &[Effect], seq: u64) {
        for effect in effects {
            self.apply_effect(effect, seq);
        }
    }

    /// Takes in accounts of a checkpoint whose last record was decided at `time`.
    pub fn restore_accounts(&mut self, accounts: Vec<Account>, seq: u64, time: Timestamp) {
        for account in accounts {
            self.put_account_at(account, seq, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::effect::DroppedSegment;
    use super::*;

    /// The record that says so may be dropped itself one day: then the checkpoint is what says it.
    #[test]
    fn what_was_dropped_last_outlives_the_segment_that_says_so() {
        let segment = |first_seq, last_seq| DroppedSegment { first_seq, last_seq, head: "ab".repeat(32) };
        let mut state = State::default();
        assert_eq!(state.as_effects().count(), 0);
        for segments in [vec![segment(1, 9)], vec![segment(10, 20), segment(21, 30)]] {
            state.restore(&[Effect::Journal(JournalNote::Dropped(segments))], 40);
        }
        let mut again = State::default();
        again.restore(&state.as_effects().collect::<Vec<_>>(), 40);
        assert_eq!(again.dropped(), [segment(10, 20), segment(21, 30)]);
    }
}
