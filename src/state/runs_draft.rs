//! What a batch changes of runs, over the state below it. Connectors are not overlaid: writing one ends its batch.

use super::claim_queue::ClaimQueue;
use super::effect::Effect;
use super::open_runs::Opened;
use super::run_holds::RunHolds;
use super::run_seen::{EventName, Seen, SeenEvents};
use super::runs::Runs;
use crate::budget::Hold;
use crate::runs::{Run, Schedule, Worker};
use crate::vocabulary::{AgentId, HoldId, RunId, ScheduleId, WorkerId};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A batch's own changes.
#[derive(Debug, Default)]
pub struct RunsDraft {
    runs: BTreeMap<RunId, Arc<Run>>,
    queue: ClaimQueue,
    opened: Opened,
    seen: HashMap<(RunId, EventName), Seen>,
    schedules: BTreeMap<ScheduleId, Arc<Schedule>>,
    workers: BTreeMap<WorkerId, Arc<Worker>>,
    holds: HashMap<RunId, BTreeMap<HoldId, Arc<Hold>>>,
}

impl RunsDraft {
    pub(super) fn overlay(&mut self, effect: &Effect, below: &Runs) {
        match effect {
            Effect::Run(run) => {
                let own = self.runs.insert(run.id.clone(), Arc::clone(run));
                if let Some(own) = &own {
                    self.queue.remove(own);
                }
                self.queue.put(run);
                self.opened.note(own.as_ref().or_else(|| below.run(&run.id)).map(AsRef::as_ref), run);
            }
            Effect::RunEvent(event) => {
                if let Some((name, seen)) = SeenEvents::of(event) {
                    self.seen.insert((event.run.clone(), name), seen);
                }
            }
            Effect::Schedule(schedule) => {
                self.schedules.insert(schedule.id.clone(), Arc::clone(schedule));
            }
            Effect::Worker(worker) => {
                self.workers.insert(worker.id.clone(), Arc::clone(worker));
            }
            Effect::Hold(hold) => {
                if let Some(of) = &hold.run {
                    self.holds.entry(of.id.clone()).or_default().insert(hold.id.clone(), Arc::clone(hold));
                }
            }
            _ => {}
        }
    }
}

/// The state with a batch's changes over it.
#[derive(Clone, Copy, Debug)]
pub struct RunsView<'a> {
    pub(super) below: &'a Runs,
    pub(super) own: &'a RunsDraft,
}

impl<'a> RunsView<'a> {
    /// A run.
    pub fn run(&self, id: &RunId) -> Option<&'a Arc<Run>> {
        self.own.runs.get(id).or_else(|| self.below.run(id))
    }

    /// An event that is known.
    pub fn seen(&self, run: &RunId, name: EventName) -> Option<Seen> {
        if self.own.seen.is_empty() {
            return self.below.seen(run, name);
        }
        self.own.seen.get(&(run.clone(), name)).copied().or_else(|| self.below.seen(run, name))
    }

    /// A schedule.
    pub fn schedule(&self, id: &ScheduleId) -> Option<&'a Arc<Schedule>> {
        self.own.schedules.get(id).or_else(|| self.below.schedule(id))
    }

    /// A worker.
    pub fn worker(&self, id: &WorkerId) -> Option<&'a Arc<Worker>> {
        self.own.workers.get(id).or_else(|| self.below.worker(id))
    }

    /// The holds that a run's admissions placed.
    pub fn holds_of(&self, run: &RunId) -> Vec<Arc<Hold>> {
        let own = self.own.holds.get(run);
        let known = self.below.holds_of(run).into_iter().flat_map(RunHolds::iter);
        let untouched = known.filter(|hold| own.is_none_or(|own| !own.contains_key(&hold.id)));
        untouched.chain(own.into_iter().flat_map(BTreeMap::values)).cloned().collect()
    }

    /// The oldest attempt of these agents that workers may claim: of those of the state, then of the batch's own.
    pub fn claimable(&self, agents: &[AgentId]) -> Option<&'a Arc<Run>> {
        let own = self.own;
        let below = self.below.claimable(agents, |run| !own.runs.contains_key(run));
        below.or_else(|| own.queue.oldest(agents, |_| true).and_then(|run| own.runs.get(run)))
    }

    /// How many runs are open.
    pub fn open_count(&self) -> usize {
        self.below.open_count().saturating_add_signed(self.own.opened.all())
    }

    /// How many of one agent are open.
    pub fn open_count_of(&self, agent: &AgentId) -> usize {
        self.below.open_count_of(agent).saturating_add_signed(self.own.opened.of(agent))
    }

    /// How many attempts a worker holds.
    pub fn held_by(&self, worker: &WorkerId) -> usize {
        let holds = |run: &Run| {
            let latest = run.latest().filter(|attempt| attempt.is_alive() && attempt.lease.is_some());
            latest.is_some_and(|attempt| attempt.worker.as_ref() == Some(worker))
        };
        let mut held = self.below.held_by(worker);
        for run in self.own.runs.values() {
            let before = self.below.run(&run.id).is_some_and(|run| holds(run));
            held = held.saturating_add(usize::from(holds(run))).saturating_sub(usize::from(before));
        }
        held
    }

    /// Runs one of whose clocks may ring, and that the batch has not touched: a touched one was wound anew.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &'a RunId> + use<'a> {
        let own = self.own;
        self.below.due(now).filter(|id| !own.runs.contains_key(*id))
    }
}
