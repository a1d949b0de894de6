//! Runs in memory, with an index for each question that is asked of them; and what they hang on: connectors, schedules,
//! workers.

use super::claim_queue::ClaimQueue;
use super::effect::Effect;
use super::open_runs::OpenRuns;
use super::run_holds::RunHolds;
use super::run_memory::RunMemory;
use super::run_seen::{EventName, Seen, SeenEvents};
use super::workers::Workers;
use crate::budget::Hold;
use crate::runs::{AttemptState, Connector, Run, RunEvent, Schedule, Worker};
use crate::vocabulary::{AgentId, ConnectorId, RunId, ScheduleId, WorkerId};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// For how long the events of a run that is over for good are told from repeats, in hours.
const SEEN_FOR_H: i64 = 24;

/// How many runs that are over for good are kept at hand, the last ones, however long ago they ended. Of those before them
/// the audit trail tells, and the recorded decisions and events.
pub const RUNS_KEPT: usize = 1_000_000;

/// A moment and a run: what indexes are made of.
type Entry = (Timestamp, RunId);

/// Everything that decisions on runs depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    runs: HashMap<RunId, Arc<Run>>,
    by_time: BTreeSet<Entry>,
    by_status: BTreeMap<AttemptState, BTreeSet<Entry>>,
    moved: BTreeSet<Entry>,
    queue: ClaimQueue,
    open: OpenRuns,
    due: BTreeSet<Entry>,
    held: HashMap<WorkerId, usize>,
    /// Completed runs, by when only their outcome is kept.
    over: BTreeSet<Entry>,
    /// The same of cancelled ones.
    cancelled: BTreeSet<Entry>,
    /// Runs of which only the outcome is kept.
    past: BTreeSet<Entry>,
    asked: HashMap<RunId, Timestamp>,
    seen: HashMap<RunId, SeenEvents>,
    holds: HashMap<RunId, RunHolds>,
    connectors: BTreeMap<ConnectorId, Arc<Connector>>,
    schedules: BTreeMap<ScheduleId, Arc<Schedule>>,
    schedules_due: BTreeSet<(Timestamp, ScheduleId)>,
    workers: Workers,
    hearing_since: Option<Timestamp>,
}

impl Runs {
    /// Makes one change; what is none of runs changes nothing.
    pub(super) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Run(run) => self.put_run(run),
            Effect::RunEvent(event) => self.see(event),
            Effect::Hold(hold) => self.put_hold(hold),
            Effect::Decision(record) => {
                // a question of who does not have the run is no sign of its life
                if let Some(run) = record.action_of().filter(|run| self.runs.contains_key(*run)) {
                    let asked = self.asked.entry(run.clone()).or_insert(record.decided_at);
                    *asked = record.decided_at.max(*asked);
                    self.over_again(run);
                }
            }
            Effect::RunMemory(memory) => self.remember(memory),
            Effect::Connector(connector) => {
                self.connectors.insert(connector.id.clone(), Arc::clone(connector));
            }
            Effect::Schedule(schedule) => self.put_schedule(schedule),
            Effect::Worker(worker) => self.workers.put(worker, &self.held),
            Effect::ClockConfirmed { wall } => self.hearing_since = self.hearing_since.max(Some(*wall)),
            _ => {}
        }
    }

    fn put_run(&mut self, run: &Arc<Run>) {
        if let Some(old) = self.runs.insert(run.id.clone(), Arc::clone(run)) {
            self.leave_indexes(&old);
        }
        let entry = |at| (at, run.id.clone());
        self.by_time.insert(entry(run.created_at));
        self.by_status.entry(run.status()).or_default().insert(entry(run.created_at));
        self.moved.insert(entry(run.updated_at));
        self.queue.put(run);
        if !run.is_over() {
            self.open.add(&run.agent);
        }
        if let Some(due) = run.due_at {
            self.due.insert(entry(due));
        }
        if let Some(worker) = holder(run) {
            *self.held.entry(worker.clone()).or_default() += 1;
        }
        self.over_again(&run.id);
    }

    fn leave_indexes(&mut self, old: &Run) {
        let entry = |at| (at, old.id.clone());
        if let Some(status) = self.by_status.get_mut(&old.status()) {
            status.remove(&entry(old.created_at));
            if status.is_empty() {
                self.by_status.remove(&old.status());
            }
        }
        self.moved.remove(&entry(old.updated_at));
        self.queue.remove(old);
        if !old.is_over() {
            self.open.remove(&old.agent);
        }
        if let Some(due) = old.due_at {
            self.due.remove(&entry(due));
        }
        if let Some(worker) = holder(old)
            && let Some(held) = self.held.get_mut(worker)
        {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held.remove(worker);
            }
        }
        if let Some(at) = over_at(old) {
            self.over.remove(&entry(at));
            self.cancelled.remove(&entry(at));
            self.past.remove(&entry(at));
        }
    }

    fn see(&mut self, event: &RunEvent) {
        if let Some((name, seen)) = SeenEvents::of(event) {
            self.seen.entry(event.run.clone()).or_default().insert(name, seen);
            self.over_again(&event.run);
        }
    }

    fn remember(&mut self, memory: &RunMemory) {
        let run = &memory.run;
        self.asked.extend(memory.asked_at().map(|at| (run.clone(), at)));
        let seen = memory.seen_events();
        if !seen.is_empty() {
            self.seen.insert(run.clone(), seen);
        }
        if let Some(holds) = memory.run_holds() {
            self.holds.insert(run.clone(), holds);
        }
    }

    /// Effects that make all this out of nothing.
    pub(super) fn as_effects(&self) -> impl Iterator<Item = Effect> {
        let runs = self.runs.values().map(|run| Effect::Run(Arc::clone(run)));
        let remembered: BTreeSet<&RunId> =
            self.runs.keys().chain(self.seen.keys()).chain(self.holds.keys()).chain(self.asked.keys()).collect();
        let memory = remembered.into_iter().filter_map(|run| {
            let (seen, holds) = (self.seen.get(run), self.holds.get(run));
            let memory = RunMemory::of(run.clone(), self.asked_at(run), seen, holds)?;
            Some(Effect::RunMemory(Arc::new(memory)))
        });
        let connectors = self.connectors.values().map(|connector| Effect::Connector(Arc::clone(connector)));
        let schedules = self.schedules.values().map(|schedule| Effect::Schedule(Arc::clone(schedule)));
        let workers = self.workers.all().map(|worker| Effect::Worker(Arc::clone(worker)));
        let clock = self.hearing_since.map(|wall| Effect::ClockConfirmed { wall });
        runs.chain(memory).chain(connectors).chain(schedules).chain(workers).chain(clock)
    }

    fn put_hold(&mut self, hold: &Arc<Hold>) {
        // of a run that has left, nothing is remembered
        if let Some(of) = hold.run.as_ref().filter(|of| self.runs.contains_key(&of.id)) {
            self.holds.entry(of.id.clone()).or_default().put(hold);
            self.over_again(&of.id);
        }
    }

    /// Something was added to a run. Where that is over for good, it is let go of again.
    fn over_again(&mut self, run: &RunId) {
        if let Some(known) = self.runs.get(run)
            && let Some(at) = over_at(known)
        {
            let over = if known.status() == AttemptState::Cancelled { &mut self.cancelled } else { &mut self.over };
            over.insert((at, run.clone()));
        }
    }

    fn put_schedule(&mut self, schedule: &Arc<Schedule>) {
        let due = |schedule: &Schedule| Some((schedule.missed_at(Timestamp::MIN)?, schedule.id.clone()));
        if let Some(old) = self.schedules.insert(schedule.id.clone(), Arc::clone(schedule))
            && let Some(due) = due(&old)
        {
            self.schedules_due.remove(&due);
        }
        self.schedules_due.extend(due(schedule));
    }

    /// Lets go of what only helps while a run may still go on: which of its events are known, and its holds one by one; and
    /// of the oldest runs that are over, where there are too many.
    /// Which those were is handed back.
    pub(super) fn forget(&mut self, now: Timestamp) -> Vec<RunId> {
        self.forget_beyond(now, RUNS_KEPT)
    }

    fn forget_beyond(&mut self, now: Timestamp, most: usize) -> Vec<RunId> {
        for over in [&mut self.over, &mut self.cancelled] {
            while over.first().is_some_and(|(at, _)| *at <= now)
                && let Some((at, run)) = over.pop_first()
            {
                self.seen.remove(&run);
                self.asked.remove(&run);
                if let Some(holds) = self.holds.get_mut(&run) {
                    holds.fold(at);
                }
                self.past.insert((at, run));
            }
        }
        let mut gone = Vec::new();
        while self.over_count() > most {
            // of what ended lately, what was completed goes first: of what was cancelled nothing more is to be admitted
            let first = self.past.first().or_else(|| self.over.first()).or_else(|| self.cancelled.first());
            let Some(first) = first.cloned() else { break };
            for ended in [&mut self.past, &mut self.over, &mut self.cancelled] {
                ended.remove(&first);
            }
            self.let_go(&first.1);
            gone.push(first.1);
        }
        gone
    }

    fn let_go(&mut self, run: &RunId) {
        if let Some(old) = self.runs.remove(run) {
            self.leave_indexes(&old);
            self.by_time.remove(&(old.created_at, run.clone()));
        }
        self.seen.remove(run);
        self.asked.remove(run);
        self.holds.remove(run);
    }

    /// How many runs are over for good.
    pub fn over_count(&self) -> usize {
        self.runs.len() - self.open.all()
    }

    /// How many are not over for good: they wait for somebody, or go on.
    pub fn open_count(&self) -> usize {
        self.open.all()
    }

    /// The same of one agent.
    pub fn open_count_of(&self, agent: &AgentId) -> usize {
        self.open.of(agent)
    }

    /// The agent that has most of them, and how many.
    pub fn most_open(&self) -> Option<(&AgentId, usize)> {
        self.open.most()
    }

    /// A run.
    pub fn run(&self, id: &RunId) -> Option<&Arc<Run>> {
        self.runs.get(id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.runs.len()
    }

    /// How many have each status.
    pub fn counts(&self) -> impl Iterator<Item = (AttemptState, usize)> {
        self.by_status.iter().map(|(status, runs)| (*status, runs.len())).filter(|(_, count)| *count > 0)
    }

    /// Runs before a moment of creation and id (or all), newest first; of one status if one is named.
    pub fn back<'a>(
        &'a self,
        status: Option<AttemptState>,
        before: Option<&Entry>,
    ) -> impl Iterator<Item = &'a Arc<Run>> + use<'a> {
        let index = match status {
            Some(status) => self.by_status.get(&status),
            None => Some(&self.by_time),
        };
        let entries = index.map(|index| match before {
            Some(before) => index.range(..before.clone()),
            None => index.range::<Entry, _>(..),
        });
        entries.into_iter().flatten().rev().filter_map(|(_, id)| self.runs.get(id))
    }

    /// How many runs, this one apart, have moved since then: as many as are looked at, at most.
    pub fn moved_since(&self, since: Timestamp, apart_from: &RunId, most: usize) -> usize {
        let recent = self.moved.iter().rev().take_while(|(at, _)| *at >= since);
        recent.filter(|(_, id)| id != apart_from).take(most).count()
    }

    /// The oldest attempt of these agents that workers may claim, among the runs that pass.
    pub fn claimable(&self, agents: &[AgentId], passes: impl Fn(&RunId) -> bool) -> Option<&Arc<Run>> {
        self.queue.oldest(agents, passes).and_then(|run| self.runs.get(run))
    }

    /// Runs one of whose clocks may ring, earliest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &RunId> {
        self.due.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| id)
    }

    /// Schedules whose start may be missed.
    pub fn schedules_due(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Schedule>> {
        let due = self.schedules_due.iter().take_while(move |(at, _)| *at <= now);
        due.filter_map(|(_, id)| self.schedules.get(id))
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        let runs = self.due.first().map(|(at, _)| *at);
        let schedules = self.schedules_due.first().map(|(at, _)| *at);
        runs.into_iter().chain(schedules).min()
    }

    /// How many attempts a worker holds.
    pub fn held_by(&self, worker: &WorkerId) -> usize {
        self.held.get(worker).copied().unwrap_or(0)
    }

    /// When an admission of a run was last asked for.
    pub fn asked_at(&self, run: &RunId) -> Option<Timestamp> {
        self.asked.get(run).copied()
    }

    /// An event that is known.
    pub fn seen(&self, run: &RunId, name: EventName) -> Option<Seen> {
        self.seen.get(run)?.get(name)
    }

    /// The holds that a run's admissions placed.
    pub fn holds_of(&self, run: &RunId) -> Option<&RunHolds> {
        self.holds.get(run)
    }

    /// A connector.
    pub fn connector(&self, id: &str) -> Option<&Arc<Connector>> {
        self.connectors.get(id)
    }

    /// Every connector, by id.
    pub fn connectors(&self) -> impl Iterator<Item = &Arc<Connector>> {
        self.connectors.values()
    }

    /// A schedule.
    pub fn schedule(&self, id: &ScheduleId) -> Option<&Arc<Schedule>> {
        self.schedules.get(id)
    }

    /// Every schedule, by id.
    pub fn schedules(&self) -> impl Iterator<Item = &Arc<Schedule>> {
        self.schedules.values()
    }

    /// A worker.
    pub fn worker(&self, id: &WorkerId) -> Option<&Arc<Worker>> {
        self.workers.get(id)
    }

    /// Every worker, by id.
    pub fn workers(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.workers.all()
    }

    /// Workers of an agent, with how many attempts each holds.
    pub fn workers_of<'a>(&'a self, agent: &'a AgentId) -> impl Iterator<Item = (&'a Worker, usize)> {
        let of = self.workers.all().filter(move |worker| worker.agents.contains(agent));
        of.map(|worker| (&**worker, self.held_by(&worker.id)))
    }

    /// Since when Tollgate has heard everything, as far as the journal knows: a jump of the clock is no silence.
    pub fn hearing_since(&self) -> Option<Timestamp> {
        self.hearing_since
    }
}

/// Who holds the latest attempt.
fn holder(run: &Run) -> Option<&WorkerId> {
    let attempt = run.latest().filter(|attempt| attempt.is_alive() && attempt.lease.is_some())?;
    attempt.worker.as_ref()
}

/// When a run that cannot go on is let go of.
fn over_at(run: &Run) -> Option<Timestamp> {
    let after = SignedDuration::from_hours(SEEN_FOR_H);
    run.is_over().then(|| run.updated_at.checked_add(after).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests;
