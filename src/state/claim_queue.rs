//! Attempts that workers may claim, by agent: a claim looks at the head of each of its agents' queues, however many wait.

use crate::runs::{Run, is_claimable};
use crate::vocabulary::{AgentId, RunId};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};

/// When an attempt was queued, and its run.
type Place = (Timestamp, RunId);

/// The queues of all agents.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ClaimQueue(HashMap<AgentId, BTreeSet<Place>>);

fn place(run: &Run) -> Option<Place> {
    let attempt = run.latest().filter(|_| is_claimable(run))?;
    Some((attempt.queued_at, run.id.clone()))
}

impl ClaimQueue {
    /// Takes in a run as it stands now, if it can be claimed.
    pub(super) fn put(&mut self, run: &Run) {
        if let Some(place) = place(run) {
            self.0.entry(run.agent.clone()).or_default().insert(place);
        }
    }

    /// Takes out a run, as it stood when it was put.
    pub(super) fn remove(&mut self, run: &Run) {
        if let Some(place) = place(run)
            && let Some(queue) = self.0.get_mut(&run.agent)
        {
            queue.remove(&place);
            if queue.is_empty() {
                self.0.remove(&run.agent);
            }
        }
    }

    /// The run of these agents that was queued first, among those that pass.
    pub(super) fn oldest(&self, agents: &[AgentId], passes: impl Fn(&RunId) -> bool) -> Option<&RunId> {
        let heads = agents.iter().filter_map(|agent| self.0.get(agent)?.iter().find(|(_, run)| passes(run)));
        heads.min().map(|(_, run)| run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::cell::Cell;
    use std::collections::BTreeMap;

    fn agent(n: u8) -> AgentId {
        AgentId::new(format!("a{n}")).unwrap()
    }

    fn run(n: u32, of: u8, state: &str, dispatch: &str, queued: i64) -> Run {
        let at = Timestamp::from_second(1_800_000_000 + queued).unwrap();
        let attempt =
            json!({"number": 1, "state": state, "cause": {"kind": "first"}, "queued_at": at, "last_seen": at});
        let run = json!({"id": format!("run-{n:06}"), "agent": agent(of), "dispatch": dispatch, "attempts": [attempt],
            "events": 1, "created_at": at, "updated_at": at});
        serde_json::from_value(run).unwrap()
    }

    /// What is claimed next, by a look at every run.
    fn scan<'a>(
        runs: &'a BTreeMap<RunId, Run>,
        agents: &[AgentId],
        passes: impl Fn(&RunId) -> bool,
    ) -> Option<&'a RunId> {
        let fit = |run: &&Run| is_claimable(run) && agents.contains(&run.agent) && passes(&run.id);
        let first = runs.values().filter(fit).min_by_key(|run| (run.attempts[0].queued_at, run.id.clone()));
        first.map(|run| &run.id)
    }

    proptest! {
        #[test]
        fn the_head_is_what_a_scan_would_find(
            puts in prop::collection::vec((0u32..12, 0usize..3, 0usize..2, 0i64..5), 1..60),
            asked in prop::collection::vec(0u8..5, 0..4),
            taken in prop::collection::btree_set(0u32..12, 0..6),
        ) {
            let (mut queue, mut runs) = (ClaimQueue::default(), BTreeMap::new());
            let agents: Vec<AgentId> = asked.into_iter().map(agent).collect();
            let free = |run: &RunId| !taken.iter().any(|n| run.as_str() == format!("run-{n:06}"));
            for (n, state, dispatch, queued) in puts {
                let state = ["queued", "running", "completed"][state];
                // a run is one agent's for ever
                let next = run(n, u8::try_from(n % 4).unwrap(), state, ["claim", "external"][dispatch], queued);
                if let Some(old) = runs.insert(next.id.clone(), next.clone()) {
                    queue.remove(&old);
                }
                queue.put(&next);
                prop_assert_eq!(queue.oldest(&agents, free), scan(&runs, &agents, free));
                let mut fresh = ClaimQueue::default();
                runs.values().for_each(|run| fresh.put(run));
                prop_assert_eq!(&fresh, &queue, "as a checkpoint makes it");
            }
        }
    }

    #[test]
    fn the_work_of_a_claim_is_that_of_its_agents_heads() {
        let mut queue = ClaimQueue::default();
        (0..20_000).for_each(|n| queue.put(&run(n, 0, "queued", "claim", i64::from(n))));
        queue.put(&run(30_000, 1, "queued", "claim", 50_000));
        let looks = Cell::new(0);
        let look = |_: &RunId| {
            looks.set(looks.get() + 1);
            true
        };
        assert_eq!(queue.oldest(&[agent(1)], look).map(RunId::as_str), Some("run-030000"));
        assert_eq!(queue.oldest(&[agent(2)], look), None);
        assert_eq!(queue.oldest(&[agent(1), agent(0)], look).map(RunId::as_str), Some("run-000000"));
        assert_eq!(looks.get(), 3);
    }
}
