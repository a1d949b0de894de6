//! Connectors, schedules and workers, written.

use super::command::{RunAnswer, WorkerSpec};
use crate::decide::command::{Context, Refusal};
use crate::registry::Actor;
use crate::runs::{Connector, ConnectorStatus, Schedule, ScheduleError, ScheduleSpec, Worker};
use crate::state::{Draft, Effect, Entry};
use crate::vocabulary::{AgentId, ConnectorId, ScheduleId, WorkerId};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// A worker's last sign of life is journalled at most so often.
const SEEN_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// The worker with a newer sign of life, if that is worth a record.
pub(super) fn seen(worker: &Worker, now: Timestamp) -> Option<Worker> {
    let stale = now.duration_since(worker.last_seen) >= SEEN_EVERY;
    stale.then(|| Worker { last_seen: now, ..worker.clone() })
}

/// A worker that asks without having been registered.
pub(super) fn first_seen(id: WorkerId, agents: Vec<AgentId>, now: Timestamp) -> Worker {
    Worker { id, agents, capacity: 1, version: None, first_seen: now, last_seen: now }
}

fn push(draft: &mut Draft<'_>, op: &str, subject: String, before: Option<Value>, effect: Effect, actor: &Actor) {
    let op = op.to_owned();
    draft.push(Entry { op, actor: actor.clone(), subject, reason: None, before, effects: vec![effect] });
}

fn as_json(value: Option<&impl Serialize>) -> Option<Value> {
    value.and_then(|value| serde_json::to_value(value).ok())
}

/// Notes how a connector is. `since` moves only where its status does.
pub(super) fn put_connector(
    draft: &mut Draft<'_>,
    id: &ConnectorId,
    status: ConnectorStatus,
    detail: Option<&str>,
    actor: &Actor,
    ctx: &Context<'_>,
) -> RunAnswer {
    let old = draft.state().runs().connector(id.as_str()).cloned();
    let detail = detail.map(str::to_owned);
    if let Some(old) = old.as_ref().filter(|old| old.status == status && old.detail == detail) {
        return RunAnswer::Connector(Arc::clone(old));
    }
    let since = old.as_ref().filter(|old| old.status == status).map_or(ctx.now, |old| old.since);
    let connector = Connector { id: id.clone(), status, detail, since, by: actor.clone(), updated_at: ctx.now };
    let connector = Arc::new(connector);
    let effect = Effect::Connector(Arc::clone(&connector));
    push(draft, "connector.put", format!("connector:{id}"), as_json(old.as_ref()), effect, actor);
    RunAnswer::Connector(connector)
}

/// Writes a schedule.
pub(super) fn put_schedule(
    draft: &mut Draft<'_>,
    id: &ScheduleId,
    spec: &ScheduleSpec,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<RunAnswer, Refusal> {
    let old = draft.runs().schedule(id).cloned();
    if let Some(old) = old.as_ref().filter(|old| old.spec == *spec) {
        return Ok(RunAnswer::Schedule(Arc::clone(old)));
    }
    let schedule = Schedule::put(id.clone(), spec.clone(), old.as_deref(), ctx.now).map_err(|error| {
        let pointer = match &error {
            ScheduleError::Cron(_) => "/cron",
            ScheduleError::Zone(_) => "/time_zone",
        };
        Refusal::Invalid { pointer: pointer.to_owned(), message: error.to_string() }
    })?;
    let schedule = Arc::new(schedule);
    let effect = Effect::Schedule(Arc::clone(&schedule));
    push(draft, "schedule.put", format!("schedule:{id}"), as_json(old.as_ref()), effect, actor);
    Ok(RunAnswer::Schedule(schedule))
}

/// Registers a worker, or notes that it is there.
pub(super) fn put_worker(
    draft: &mut Draft<'_>,
    id: &WorkerId,
    spec: &WorkerSpec,
    actor: &Actor,
    ctx: &Context<'_>,
) -> RunAnswer {
    let old = draft.runs().worker(id).cloned();
    let same = old
        .as_ref()
        .filter(|old| old.agents == spec.agents && old.capacity == spec.capacity && old.version == spec.version);
    if let Some(old) = same
        && seen(old, ctx.now).is_none()
    {
        return RunAnswer::Worker(Arc::clone(old));
    }
    let op = if same.is_some() { "worker.seen" } else { "worker.put" };
    let worker = Arc::new(Worker {
        id: id.clone(),
        agents: spec.agents.clone(),
        capacity: spec.capacity,
        version: spec.version.clone(),
        first_seen: old.as_ref().map_or(ctx.now, |old| old.first_seen),
        last_seen: ctx.now,
    });
    let before = as_json(old.as_ref().filter(|_| same.is_none()));
    push(draft, op, format!("worker:{id}"), before, Effect::Worker(Arc::clone(&worker)), actor);
    RunAnswer::Worker(worker)
}
