//! The audit trail, the clock, and how the daemon is.

use super::super::caller::{Caller, Gate};
use super::super::extract::{NoFields, Query};
use super::super::problem::{Problem, ProblemCode};
use super::super::wire::record::{AuditAnswer, AuditQuery, List};
use super::super::wire::state::{MemoryAnswer, StateAnswer};
use super::admissions::off_thread;
use crate::operations;
use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

/// Read the audit trail
///
/// Newest first; without admissions and holds unless asked for. A page may be short and still have a `next`.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "read_audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "A page of entries", body = List<AuditAnswer>)))]
pub async fn read_audit(
    gate: Gate,
    caller: Caller,
    query: Query<AuditQuery>,
) -> Result<web::Json<List<AuditAnswer>>, Problem> {
    let (filter, limit) = query.0.filter()?;
    let cursor = query.0.cursor;
    let page = off_thread(move || operations::audit(&gate, &caller.0, &filter, cursor.as_deref(), limit)).await?;
    Ok(web::Json(List { items: page.items.into_iter().map(AuditAnswer::from).collect(), next: page.next }))
}

/// Read how the store is
///
/// Sizes, lags, the last checkpoint, what the database behind is doing, what comes near its cap, and what was found wrong in the files.
#[utoipa::path(get, path = "/api/v1/state", operation_id = "read_state", tag = "system",
    responses((status = 200, description = "How it is", body = StateAnswer)))]
pub async fn read_state(gate: Gate, caller: Caller) -> Result<web::Json<StateAnswer>, Problem> {
    let status = operations::store_status(&gate, &caller.0)?;
    let memory = gate.read(|state| MemoryAnswer::of(state, status.used_keys));
    Ok(web::Json(StateAnswer::new(status, memory, operations::cap_uses(&gate))))
}

/// The time that is trusted now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClockAnswer {
    /// The wall clock.
    pub now: String,
}

/// Say that the wall clock is right
///
/// After a jump of more than a minute admissions wait (503 `clock_jumped`) until the clocks agree or this is said.
#[utoipa::path(post, path = "/api/v1/clock/confirm", operation_id = "confirm_clock", tag = "clock",
    responses((status = 200, description = "Admissions go on", body = ClockAnswer)))]
pub async fn confirm_clock(gate: Gate, caller: Caller, _: NoFields) -> Result<web::Json<ClockAnswer>, Problem> {
    let now = operations::confirm_clock(&gate, &caller.0).await?;
    Ok(web::Json(ClockAnswer { now: now.to_string() }))
}

/// How the daemon is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HealthAnswer {
    /// `ok`.
    pub status: &'static str,
}

/// Whether the process answers
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "system", security(()),
    responses((status = 200, description = "It does", body = HealthAnswer)))]
pub async fn healthz() -> web::Json<HealthAnswer> {
    web::Json(HealthAnswer { status: "ok" })
}

/// Whether admissions can be decided
///
/// A policy set is in force, the store takes writes, and the clock is trusted. A set that was refused does not make the
/// daemon unready: the old one goes on serving.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "system", security(()),
    responses((status = 200, description = "They can", body = HealthAnswer)))]
pub async fn readyz(gate: Gate) -> Result<web::Json<HealthAnswer>, Problem> {
    if gate.store.status().failed.is_some() {
        return Err(Problem::new(ProblemCode::NotReady, "the store takes no writes"));
    }
    if gate.read(|state| state.policy_set().is_none()) {
        return Err(Problem::new(ProblemCode::NotReady, "no policy set is in force"));
    }
    if gate.guard.now().is_err() {
        return Err(Problem::new(ProblemCode::NotReady, "the wall clock jumped and is not confirmed"));
    }
    Ok(web::Json(HealthAnswer { status: "ok" }))
}
