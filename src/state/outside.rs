//! How many open items are about no run: about what an agent was denied outside of any, or about a budget's account. Who
//! asks names what they are about, so there is a bound; items of runs have that of the runs.

use crate::attention::Subject;
use crate::vocabulary::AgentId;
use std::collections::HashMap;

/// So many items of denials outside of runs are open at once, and so many of budgets.
pub const ITEMS_OUTSIDE_RUNS: usize = 100_000;

/// So many of denials of one agent.
pub const ITEMS_OF_AGENT: usize = 10_000;

/// Open items about no run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outside {
    denials: usize,
    budgets: usize,
    by_agent: HashMap<AgentId, usize>,
}

impl Outside {
    pub(super) fn add(&mut self, subject: &Subject) {
        match subject {
            Subject::Denial { agent, .. } => {
                self.denials += 1;
                *self.by_agent.entry(agent.clone()).or_default() += 1;
            }
            Subject::Budget { .. } => self.budgets += 1,
            Subject::Run(_) | Subject::Schedule(_) => {}
        }
    }

    /// One that was added is resolved, or goes.
    pub(super) fn remove(&mut self, subject: &Subject) {
        match subject {
            Subject::Denial { agent, .. } => {
                self.denials = self.denials.saturating_sub(1);
                if let Some(open) = self.by_agent.get_mut(agent) {
                    *open = open.saturating_sub(1);
                    if *open == 0 {
                        self.by_agent.remove(agent);
                    }
                }
            }
            Subject::Budget { .. } => self.budgets = self.budgets.saturating_sub(1),
            Subject::Run(_) | Subject::Schedule(_) => {}
        }
    }

    pub(super) fn is_full_for(&self, subject: &Subject) -> bool {
        self.is_full_within(subject, ITEMS_OUTSIDE_RUNS, ITEMS_OF_AGENT)
    }

    fn is_full_within(&self, subject: &Subject, most: usize, most_of_agent: usize) -> bool {
        match subject {
            Subject::Denial { agent, .. } => {
                self.denials >= most || self.by_agent.get(agent).is_some_and(|open| *open >= most_of_agent)
            }
            Subject::Budget { .. } => self.budgets >= most,
            Subject::Run(_) | Subject::Schedule(_) => false,
        }
    }

    /// Of denials, and of budgets.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.denials, self.budgets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agent_has_a_share_and_runs_have_their_own_bound() {
        let denial = |agent: &str| Subject::Denial {
            agent: agent.parse().unwrap(),
            action: "pay".parse().unwrap(),
            entity_type: None,
            entity_id: None,
        };
        let budget = Subject::Budget { budget: "b".parse().unwrap(), account: "lifetime".to_owned() };
        let (run, schedule) = (Subject::Run("r".parse().unwrap()), Subject::Schedule("s".to_owned()));
        let mut outside = Outside::default();
        let all = [denial("a"), denial("b"), denial("c"), budget.clone(), run, schedule];
        let full = |outside: &Outside| all.clone().map(|subject| outside.is_full_within(&subject, 3, 2));
        assert_eq!(full(&outside), [false; 6]);
        outside.add(&denial("a"));
        outside.add(&denial("a"));
        assert_eq!(full(&outside), [true, false, false, false, false, false], "a has its share");
        outside.add(&denial("b"));
        assert_eq!(full(&outside), [true, true, true, false, false, false]);
        (0..3).for_each(|_| outside.add(&budget));
        assert_eq!((full(&outside), outside.counts()), ([true, true, true, true, false, false], (3, 3)));
        outside.remove(&denial("a"));
        outside.remove(&budget);
        assert_eq!(full(&outside), [false; 6]);
        [denial("a"), denial("b"), budget.clone(), budget].iter().for_each(|subject| outside.remove(subject));
        assert_eq!(outside, Outside::default());
    }
}
