//! Agents and entity types.

use super::super::caller::{Caller, Gate};
use super::super::extract::{Body, etag};
use super::super::problem::Problem;
use super::super::wire::record::List;
use super::super::wire::registry::{AgentAnswer, AgentRecordBody, EntityTypeAnswer, EntityTypeBody, ModeBody};
use super::table::{new_path_id, path_id};
use crate::operations;
use crate::registry::{Agent, EntityTypeRecord};
use actix_web::{HttpResponse, web};

fn agent_answer(gate: &Gate, agent: &Agent) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag(agent.revision)).json(AgentAnswer::at(agent, gate.now()))
}

fn type_answer(record: &EntityTypeRecord) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag(record.revision)).json(EntityTypeAnswer::from(record))
}

/// List agents
#[utoipa::path(get, path = "/api/v1/agents", operation_id = "list_agents", tag = "registry",
    responses((status = 200, description = "Every registered agent", body = List<AgentAnswer>)))]
pub async fn list_agents(gate: Gate, caller: Caller) -> Result<web::Json<List<AgentAnswer>>, Problem> {
    let now = gate.now();
    let agents = operations::agents(&gate, &caller.0)?;
    Ok(web::Json(List::whole(agents.iter().map(|agent| AgentAnswer::at(agent, now)).collect())))
}

/// Read an agent
#[utoipa::path(get, path = "/api/v1/agents/{id}", operation_id = "read_agent", tag = "registry", params(("id" = String, Path, description = "The agent")),
    responses((status = 200, description = "The agent", body = AgentAnswer)))]
pub async fn read_agent(gate: Gate, caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let agent = operations::agent(&gate, &caller.0, &path_id(&id)?)?;
    Ok(agent_answer(&gate, &agent))
}

/// Register an agent, or write its record anew
///
/// Its mode stays as it is.
#[utoipa::path(put, path = "/api/v1/agents/{id}", operation_id = "put_agent", tag = "registry", request_body = AgentRecordBody,
    params(("id" = String, Path, description = "The agent")), responses((status = 200, description = "The agent", body = AgentAnswer)))]
pub async fn put_agent(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    body: Body<AgentRecordBody>,
) -> Result<HttpResponse, Problem> {
    let spec = body.wire.spec()?;
    let agent = operations::put_agent(&gate, &caller.0, new_path_id(&id)?, spec).await?;
    Ok(agent_answer(&gate, &agent))
}

/// Remove an agent from the registry
///
/// It is judged all the same, without a team.
#[utoipa::path(delete, path = "/api/v1/agents/{id}", operation_id = "delete_agent", tag = "registry", params(("id" = String, Path, description = "The agent")),
    responses((status = 200, description = "The agent as it was", body = AgentAnswer)))]
pub async fn delete_agent(gate: Gate, caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let agent = operations::delete_agent(&gate, &caller.0, path_id(&id)?).await?;
    Ok(agent_answer(&gate, &agent))
}

/// Enforce, observe or pause an agent
#[utoipa::path(put, path = "/api/v1/agents/{id}/mode", operation_id = "set_agent_mode", tag = "registry", request_body = ModeBody,
    params(("id" = String, Path, description = "The agent")), responses((status = 200, description = "The agent", body = AgentAnswer)))]
pub async fn set_agent_mode(
    gate: Gate,
    caller: Caller,
    id: web::Path<String>,
    body: Body<ModeBody>,
) -> Result<HttpResponse, Problem> {
    let spec = body.wire.spec()?;
    let agent = operations::set_agent_mode(&gate, &caller.0, path_id(&id)?, spec).await?;
    Ok(agent_answer(&gate, &agent))
}

/// List entity types
#[utoipa::path(get, path = "/api/v1/entity-types", operation_id = "list_entity_types", tag = "registry",
    responses((status = 200, description = "Every registered entity type", body = List<EntityTypeAnswer>)))]
pub async fn list_entity_types(gate: Gate, caller: Caller) -> Result<web::Json<List<EntityTypeAnswer>>, Problem> {
    let records = operations::entity_types(&gate, &caller.0)?;
    Ok(web::Json(List::whole(records.iter().map(|record| EntityTypeAnswer::from(&**record)).collect())))
}

/// Read an entity type
#[utoipa::path(get, path = "/api/v1/entity-types/{type}", operation_id = "read_entity_type", tag = "registry", params(("type" = String, Path, description = "The entity type")),
    responses((status = 200, description = "The entity type", body = EntityTypeAnswer)))]
pub async fn read_entity_type(gate: Gate, caller: Caller, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    Ok(type_answer(&*operations::entity_type(&gate, &caller.0, &path_id(&name)?)?))
}

/// Register an entity type, or write it anew
#[utoipa::path(put, path = "/api/v1/entity-types/{type}", operation_id = "put_entity_type", tag = "registry", request_body = EntityTypeBody,
    params(("type" = String, Path, description = "The entity type")), responses((status = 200, description = "The entity type", body = EntityTypeAnswer)))]
pub async fn put_entity_type(
    gate: Gate,
    caller: Caller,
    name: web::Path<String>,
    body: Body<EntityTypeBody>,
) -> Result<HttpResponse, Problem> {
    let spec = body.wire.spec()?;
    let record = operations::put_entity_type(&gate, &caller.0, new_path_id(&name)?, spec).await?;
    Ok(type_answer(&record))
}

/// Remove an entity type from the registry
#[utoipa::path(delete, path = "/api/v1/entity-types/{type}", operation_id = "delete_entity_type", tag = "registry", params(("type" = String, Path, description = "The entity type")),
    responses((status = 200, description = "The entity type as it was", body = EntityTypeAnswer)))]
pub async fn delete_entity_type(gate: Gate, caller: Caller, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    Ok(type_answer(&*operations::delete_entity_type(&gate, &caller.0, path_id(&name)?).await?))
}
