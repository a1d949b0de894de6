//! Workers in memory. Whoever may claim can name as many as it likes, so those that hold nothing and have been silent for
//! longest leave, where there are too many; one that asks again is known again, as if for the first time.

use crate::runs::Worker;
use crate::vocabulary::WorkerId;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How many are kept at hand.
pub const WORKERS_KEPT: usize = 10_000;

/// So many are looked at, for one that may leave.
const LOOKED_AT: usize = 64;

/// Workers by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Workers {
    by_id: BTreeMap<WorkerId, Arc<Worker>>,
    by_seen: BTreeSet<(Timestamp, WorkerId)>,
}

impl Workers {
    /// Takes in a worker as it stands now. `held` says how many attempts each holds.
    pub(super) fn put(&mut self, worker: &Arc<Worker>, held: &HashMap<WorkerId, usize>) {
        self.put_within(worker, held, WORKERS_KEPT);
    }

    fn put_within(&mut self, worker: &Arc<Worker>, held: &HashMap<WorkerId, usize>, most: usize) {
        if let Some(old) = self.by_id.insert(worker.id.clone(), Arc::clone(worker)) {
            self.by_seen.remove(&(old.last_seen, old.id.clone()));
        }
        self.by_seen.insert((worker.last_seen, worker.id.clone()));
        while self.by_id.len() > most {
            let idle = |(_, id): &&(Timestamp, WorkerId)| !held.contains_key(id);
            let Some(gone) = self.by_seen.iter().take(LOOKED_AT).find(idle).cloned() else { return };
            self.by_seen.remove(&gone);
            self.by_id.remove(&gone.1);
        }
    }

    pub(super) fn get(&self, id: &WorkerId) -> Option<&Arc<Worker>> {
        self.by_id.get(id)
    }

    /// Every worker, by id.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.by_id.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_the_one_that_was_silent_for_longest_and_holds_nothing_leaves() {
        let id = |n: i64| WorkerId::new(format!("w{n}")).unwrap();
        let worker = |n: i64, seen: i64| {
            let at = Timestamp::from_second(1_800_000_000 + seen).unwrap();
            let agents = vec!["a".parse().unwrap()];
            Arc::new(Worker { id: id(n), agents, capacity: 1, version: None, first_seen: at, last_seen: at })
        };
        let held = HashMap::from([(id(0), 2)]);
        let mut workers = Workers::default();
        let left = |workers: &Workers| workers.all().map(|worker| worker.id.to_string()).collect::<Vec<_>>().join(" ");
        (0..3).for_each(|n| workers.put_within(&worker(n, n), &held, 3));
        workers.put_within(&worker(1, 9), &held, 3);
        assert_eq!(left(&workers), "w0 w1 w2");
        workers.put_within(&worker(3, 10), &held, 3);
        assert_eq!(left(&workers), "w0 w1 w3", "w0 holds attempts, and w1 was seen since");
        let once = workers.clone();
        workers.put_within(&worker(3, 10), &held, 3);
        assert_eq!(workers, once, "applied twice, nothing changes");
        workers.put_within(&worker(2, 11), &held, 3);
        assert_eq!((left(&workers).as_str(), workers.by_seen.len()), ("w0 w2 w3", 3));
    }
}
