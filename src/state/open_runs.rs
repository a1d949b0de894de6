//! How many runs are open, in all and by agent; and how that changes in a batch.

use crate::runs::Run;
use crate::vocabulary::AgentId;
use std::collections::HashMap;

/// Runs that are not over for good.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct OpenRuns {
    all: usize,
    by_agent: HashMap<AgentId, usize>,
}

impl OpenRuns {
    pub(super) fn add(&mut self, agent: &AgentId) {
        self.all += 1;
        *self.by_agent.entry(agent.clone()).or_default() += 1;
    }

    /// One that was added is over, or goes.
    pub(super) fn remove(&mut self, agent: &AgentId) {
        self.all = self.all.saturating_sub(1);
        if let Some(open) = self.by_agent.get_mut(agent) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.by_agent.remove(agent);
            }
        }
    }

    pub(super) fn all(&self) -> usize {
        self.all
    }

    pub(super) fn of(&self, agent: &AgentId) -> usize {
        self.by_agent.get(agent).copied().unwrap_or(0)
    }

    /// The agent with most of them.
    pub(super) fn most(&self) -> Option<(&AgentId, usize)> {
        self.by_agent.iter().max_by_key(|(_, open)| **open).map(|(agent, open)| (agent, *open))
    }
}

/// How many more are open by what was not applied yet.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    all: isize,
    by_agent: HashMap<AgentId, isize>,
}

impl Opened {
    /// A run stood so before, and stands so now.
    pub fn note(&mut self, before: Option<&Run>, after: &Run) {
        let change = isize::from(!after.is_over()) - isize::from(before.is_some_and(|run| !run.is_over()));
        if change != 0 {
            self.all += change;
            *self.by_agent.entry(after.agent.clone()).or_default() += change;
        }
    }

    /// In all.
    pub fn all(&self) -> isize {
        self.all
    }

    /// Of one agent.
    pub fn of(&self, agent: &AgentId) -> isize {
        self.by_agent.get(agent).copied().unwrap_or(0)
    }
}
