//! What runs hang on: connectors, schedules, workers.

use super::super::caller::{Caller, Gate};
use super::super::extract::Body;
use super::super::problem::Problem;
use super::super::wire::record::List;
use super::super::wire::setup::{
    ConnectorAnswer, ConnectorBody, ScheduleAnswer, ScheduleBody, WorkerAnswer, WorkerBody,
};
use super::table::{new_path_id, path_id};
use crate::operations;
use crate::runs::Worker;
use actix_web::web;

/// List connectors
#[utoipa::path(get, path = "/api/v1/connectors", operation_id = "list_connectors", tag = "setup",
    responses((status = 200, description = "Every connector", body = List<ConnectorAnswer>)))]
pub async fn list_connectors(gate: Gate, caller: Caller) -> Result<web::Json<List<ConnectorAnswer>>, Problem> {
    let connectors = operations::connectors(&gate, &caller.0)?;
    Ok(web::Json(List::whole(connectors.iter().map(|connector| (&**connector).into()).collect())))
}

/// Read a connector
#[utoipa::path(get, path = "/api/v1/connectors/{id}", operation_id = "read_connector", tag = "setup", params(("id" = String, Path, description = "The connector")),
    responses((status = 200, description = "The connector", body = ConnectorAnswer)))]
pub async fn read_connector(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
) -> Result<web::Json<ConnectorAnswer>, Problem> {
    Ok(web::Json((&*operations::connector(&gate, &caller.0, &path_id(&id)?)?).into()))
}

/// Say how a connector is
///
/// From the next commit on an admission that names one that is down is denied with `connector_unavailable`.
#[utoipa::path(put, path = "/api/v1/connectors/{id}", operation_id = "put_connector", tag = "setup", params(("id" = String, Path, description = "The connector")),
    request_body = ConnectorBody, responses((status = 200, description = "The connector", body = ConnectorAnswer)))]
pub async fn put_connector(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    body: Body<ConnectorBody>,
) -> Result<web::Json<ConnectorAnswer>, Problem> {
    let (status, detail) = body.wire.asked()?;
    let connector = operations::put_connector(&gate, &caller.0, new_path_id(&id)?, status, detail).await?;
    Ok(web::Json((&*connector).into()))
}

/// List schedules
#[utoipa::path(get, path = "/api/v1/schedules", operation_id = "list_schedules", tag = "setup",
    responses((status = 200, description = "Every schedule", body = List<ScheduleAnswer>)))]
pub async fn list_schedules(gate: Gate, caller: Caller) -> Result<web::Json<List<ScheduleAnswer>>, Problem> {
    let schedules = operations::schedules(&gate, &caller.0)?;
    Ok(web::Json(List::whole(schedules.iter().map(|schedule| (&**schedule).into()).collect())))
}

/// Read a schedule
#[utoipa::path(get, path = "/api/v1/schedules/{id}", operation_id = "read_schedule", tag = "setup", params(("id" = String, Path, description = "The schedule")),
    responses((status = 200, description = "The schedule", body = ScheduleAnswer)))]
pub async fn read_schedule(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
) -> Result<web::Json<ScheduleAnswer>, Problem> {
    Ok(web::Json((&*operations::schedule(&gate, &caller.0, &path_id(&id)?)?).into()))
}

/// Write a schedule
///
/// Tollgate starts nothing: a run that names the schedule is its start, and a start that does not come is noticed.
#[utoipa::path(put, path = "/api/v1/schedules/{id}", operation_id = "put_schedule", tag = "setup", params(("id" = String, Path, description = "The schedule")),
    request_body = ScheduleBody, responses((status = 200, description = "The schedule", body = ScheduleAnswer)))]
pub async fn put_schedule(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    body: Body<ScheduleBody>,
) -> Result<web::Json<ScheduleAnswer>, Problem> {
    let spec = body.wire.spec()?;
    let schedule = operations::put_schedule(&gate, &caller.0, new_path_id(&id)?, spec).await?;
    Ok(web::Json((&*schedule).into()))
}

fn shown(gate: &Gate, worker: &Worker, held: usize) -> WorkerAnswer {
    WorkerAnswer::of(worker, held, worker.is_gone(gate.now(), gate.clocks.worker_gone_s))
}

/// List workers
#[utoipa::path(get, path = "/api/v1/workers", operation_id = "list_workers", tag = "setup",
    responses((status = 200, description = "Every worker", body = List<WorkerAnswer>)))]
pub async fn list_workers(gate: Gate, caller: Caller) -> Result<web::Json<List<WorkerAnswer>>, Problem> {
    let workers = operations::workers(&gate, &caller.0)?;
    Ok(web::Json(List::whole(workers.iter().map(|(worker, held)| shown(&gate, worker, *held)).collect())))
}

/// Read a worker
#[utoipa::path(get, path = "/api/v1/workers/{id}", operation_id = "read_worker", tag = "setup", params(("id" = String, Path, description = "The worker")),
    responses((status = 200, description = "The worker", body = WorkerAnswer)))]
pub async fn read_worker(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
) -> Result<web::Json<WorkerAnswer>, Problem> {
    let (worker, held) = operations::worker(&gate, &caller.0, &path_id(&id)?)?;
    Ok(web::Json(shown(&gate, &worker, held)))
}

/// Register a worker, or say that it is there
#[utoipa::path(put, path = "/api/v1/workers/{id}", operation_id = "put_worker", tag = "setup", params(("id" = String, Path, description = "The worker")),
    request_body = WorkerBody, responses((status = 200, description = "The worker", body = WorkerAnswer)))]
pub async fn put_worker(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    body: Body<WorkerBody>,
) -> Result<web::Json<WorkerAnswer>, Problem> {
    let spec = body.wire.spec()?;
    let id = new_path_id(&id)?;
    let worker = operations::put_worker(&gate, &caller.0, id, spec).await?;
    let held = gate.read(|state| state.runs().held_by(&worker.id));
    Ok(web::Json(shown(&gate, &worker, held)))
}
