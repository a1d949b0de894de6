//! Connectors, schedules and workers: written and read.

use super::act::{commit, unexpected};
use crate::decide::{RunAnswer, RunCommand, WorkerSpec};
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::runs::{Connector, ConnectorStatus, Schedule, ScheduleSpec, Worker};
use crate::vocabulary::{ConnectorId, ScheduleId, WorkerId};
use std::sync::Arc;

/// Notes how a connector is: from the next commit on what needs one that is down is denied.
pub async fn put_connector(
    app: &App,
    principal: &Principal,
    id: ConnectorId,
    status: ConnectorStatus,
    detail: Option<String>,
) -> Result<Arc<Connector>, OperationError> {
    principal.may(Operation::PutConnector)?;
    match commit(app, principal, RunCommand::PutConnector(id, status, detail)).await? {
        RunAnswer::Connector(connector) => Ok(connector),
        other => Err(unexpected(&other)),
    }
}

/// Every connector, by id.
pub fn connectors(app: &App, principal: &Principal) -> Result<Vec<Arc<Connector>>, OperationError> {
    principal.may(Operation::ReadConnectors)?;
    Ok(app.read(|state| state.runs().connectors().cloned().collect()))
}

/// One connector.
pub fn connector(app: &App, principal: &Principal, id: &ConnectorId) -> Result<Arc<Connector>, OperationError> {
    principal.may(Operation::ReadConnectors)?;
    let found = app.read(|state| state.runs().connector(id.as_str()).cloned());
    found.ok_or_else(|| OperationError::NotFound { what: "connector", id: id.to_string() })
}

/// Writes a schedule.
pub async fn put_schedule(
    app: &App,
    principal: &Principal,
    id: ScheduleId,
    spec: ScheduleSpec,
) -> Result<Arc<Schedule>, OperationError> {
    principal.may(Operation::PutSchedule)?;
    match commit(app, principal, RunCommand::PutSchedule(id, spec)).await? {
        RunAnswer::Schedule(schedule) => Ok(schedule),
        other => Err(unexpected(&other)),
    }
}

/// Every schedule, by id.
pub fn schedules(app: &App, principal: &Principal) -> Result<Vec<Arc<Schedule>>, OperationError> {
    principal.may(Operation::ReadSchedules)?;
    Ok(app.read(|state| state.runs().schedules().cloned().collect()))
}

/// One schedule.
pub fn schedule(app: &App, principal: &Principal, id: &ScheduleId) -> Result<Arc<Schedule>, OperationError> {
    principal.may(Operation::ReadSchedules)?;
    let found = app.read(|state| state.runs().schedule(id).cloned());
    found.ok_or_else(|| OperationError::NotFound { what: "schedule", id: id.to_string() })
}

/// Registers a worker, or says that it is there. A worker is of its agents' runtimes alone, before and after.
pub async fn put_worker(
    app: &App,
    principal: &Principal,
    id: WorkerId,
    spec: WorkerSpec,
) -> Result<Arc<Worker>, OperationError> {
    principal.may(Operation::PutWorker)?;
    let known = app.read(|state| state.runs().worker(&id).cloned());
    for agent in spec.agents.iter().chain(known.iter().flat_map(|worker| &worker.agents)) {
        principal.may_for(Operation::PutWorker, agent)?;
    }
    let answer = commit(app, principal, RunCommand::PutWorker(id, spec)).await?;
    app.dispatch.notify_waiters();
    match answer {
        RunAnswer::Worker(worker) => Ok(worker),
        other => Err(unexpected(&other)),
    }
}

/// Every worker that the principal may know of, by id, with how many attempts it holds.
pub fn workers(app: &App, principal: &Principal) -> Result<Vec<(Arc<Worker>, usize)>, OperationError> {
    principal.may(Operation::ReadWorkers)?;
    Ok(app.read(|state| {
        let seen = state.runs().workers().filter(|worker| may_see(principal, worker));
        seen.map(|worker| (Arc::clone(worker), state.runs().held_by(&worker.id))).collect()
    }))
}

/// One worker, with how many attempts it holds.
pub fn worker(app: &App, principal: &Principal, id: &WorkerId) -> Result<(Arc<Worker>, usize), OperationError> {
    principal.may(Operation::ReadWorkers)?;
    let found = app.read(|state| Some((state.runs().worker(id).cloned()?, state.runs().held_by(id))));
    let seen = found.filter(|(worker, _)| may_see(principal, worker));
    seen.ok_or_else(|| OperationError::NotFound { what: "worker", id: id.to_string() })
}

fn may_see(principal: &Principal, worker: &Worker) -> bool {
    let bound = principal.bound_agents(Operation::ReadWorkers);
    bound.is_none_or(|bound| worker.agents.iter().all(|agent| bound.contains(agent)))
}
