//! Reported events, taken one by one: a refused one does not touch the others.

use super::cap::full;
use super::command::{Reporting, RunAnswer};
use super::put::{release_holds, wound};
use super::setup::seen;
use crate::decide::command::Context;
use crate::registry::Actor;
use crate::runs::{EventRefusal, EventType, Reported, Run, RunEvent, Schedule, Worker, take};
use crate::state::{Draft, Effect, Entry, EventName, Opened, Seen, SeenEvents, body_name, event_name};
use crate::vocabulary::{RunId, ScheduleId, WorkerId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What the events of one command change, before it is pushed as one operation.
#[derive(Default)]
struct Work {
    runs: BTreeMap<RunId, Run>,
    opened: Opened,
    schedules: BTreeMap<ScheduleId, Schedule>,
    workers: BTreeMap<WorkerId, Worker>,
    seen: HashMap<(RunId, EventName), Seen>,
    effects: Vec<Effect>,
}

/// Takes events in order. All that is taken is one operation.
pub(super) fn report(draft: &mut Draft<'_>, events: &[Reported], actor: &Actor, ctx: &Context<'_>) -> RunAnswer {
    let mut work = Work::default();
    let outcomes = events.iter().map(|event| one(draft, &mut work, event, actor, ctx)).collect();
    if work.runs.is_empty() {
        return RunAnswer::Reported(outcomes);
    }
    let subject = match work.runs.keys().next() {
        Some(run) if work.runs.len() == 1 => format!("run:{run}"),
        _ => format!("runs:{}", work.runs.len()),
    };
    let Work { runs, schedules, workers, mut effects, .. } = work;
    effects.extend(runs.into_values().map(|run| Effect::Run(wound(draft, run, ctx))));
    effects.extend(schedules.into_values().map(Arc::new).map(Effect::Schedule));
    effects.extend(workers.into_values().map(Arc::new).map(Effect::Worker));
    let op = "run.report".to_owned();
    draft.push(Entry { op, actor: actor.clone(), subject, reason: None, before: None, effects });
    RunAnswer::Reported(outcomes)
}

fn one(draft: &mut Draft<'_>, work: &mut Work, reported: &Reported, actor: &Actor, ctx: &Context<'_>) -> Reporting {
    let run = &reported.run;
    let name = event_name(&reported.source, &reported.id);
    let known = work.seen.get(&(run.clone(), name)).copied().or_else(|| draft.runs().seen(run, name));
    if let Some(known) = known {
        let same = known.body == body_name(&reported.body);
        return if same { Reporting::Repeated { run: run.clone(), number: known.number } } else { Reporting::Conflict };
    }
    let before = work.runs.get(run).or_else(|| draft.runs().run(run).map(|run| &**run));
    let had_schedule = before.is_some_and(|run| run.schedule.is_some());
    let taken = match take(before, reported, ctx.now) {
        Ok(taken) => taken,
        Err(refusal) => return Reporting::Refused(refusal),
    };
    let opens = !taken.run.is_over() && before.is_none_or(Run::is_over);
    if opens && let Some(full) = full(draft, &taken.run.agent, &work.opened, ctx) {
        return Reporting::Refused(EventRefusal::TooManyRuns(full.sentence()));
    }
    work.opened.note(before, &taken.run);
    let event = taken.event;
    let outcome = Reporting::Taken {
        run: run.clone(),
        number: event.number,
        attempt: event.attempt,
        standing: event.standing,
        cancelled: taken.run.is_cancelled(),
    };
    if event.standing.counts() {
        if !had_schedule {
            fire(draft, work, &taken.run, ctx);
        }
        see_worker(draft, work, &taken.run, ctx);
    }
    let proof = event.kind == EventType::Cancelled && event.standing.counts();
    remember(work, event);
    work.runs.insert(run.clone(), taken.run);
    if proof {
        let released = release_holds(draft, run, actor, ctx);
        work.effects.extend(released);
    }
    outcome
}

fn remember(work: &mut Work, event: RunEvent) {
    if let Some((name, seen)) = SeenEvents::of(&event) {
        work.seen.insert((event.run.clone(), name), seen);
    }
    work.effects.push(Effect::RunEvent(Arc::new(event)));
}

/// A run that says which schedule made it is that schedule's start.
fn fire(draft: &Draft<'_>, work: &mut Work, run: &Run, ctx: &Context<'_>) {
    let Some(id) = &run.schedule else { return };
    let known = work.schedules.get(id).or_else(|| draft.runs().schedule(id).map(|schedule| &**schedule));
    if let Some(schedule) = known.filter(|schedule| schedule.spec.agent == run.agent) {
        let fired = schedule.fired(&run.id, ctx.now);
        work.schedules.insert(id.clone(), fired);
    }
}

/// Who reports is there.
fn see_worker(draft: &Draft<'_>, work: &mut Work, run: &Run, ctx: &Context<'_>) {
    let Some(id) = run.latest().and_then(|attempt| attempt.worker.as_ref()) else { return };
    if work.workers.contains_key(id) {
        return;
    }
    if let Some(worker) = draft.runs().worker(id).and_then(|worker| seen(worker, ctx.now)) {
        work.workers.insert(id.clone(), worker);
    }
}
