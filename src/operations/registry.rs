//! Agents, their modes, entity types, and the stop button.

use super::app::App;
use super::error::OperationError;
use super::roles::{Operation, Principal};
use crate::decide::{Answer, Command, RegistryCommand};
use crate::registry::{Agent, AgentSpec, EntityTypeRecord, EntityTypeSpec, ModeSpec, Pause, PauseTarget};
use crate::vocabulary::{AgentId, EntityType, PauseId};
use jiff::Timestamp;
use std::sync::Arc;

/// Every registered agent, by id.
pub fn agents(app: &App, principal: &Principal) -> Result<Vec<Arc<Agent>>, OperationError> {
    principal.may(Operation::ReadRegistry)?;
    Ok(app.read(|state| state.agents().cloned().collect()))
}

/// One agent.
pub fn agent(app: &App, principal: &Principal, id: &AgentId) -> Result<Arc<Agent>, OperationError> {
    principal.may(Operation::ReadRegistry)?;
    let found = app.read(|state| state.agent(id).cloned());
    found.ok_or_else(|| OperationError::NotFound { what: "agent", id: id.to_string() })
}

/// Registers an agent, or writes its record anew; its mode stays.
pub async fn put_agent(
    app: &App,
    principal: &Principal,
    id: AgentId,
    spec: AgentSpec,
) -> Result<Arc<Agent>, OperationError> {
    principal.may(Operation::PutAgent)?;
    changed_agent(app, principal, RegistryCommand::PutAgent(id, spec)).await
}

/// Removes it: from then on it is judged without a team.
pub async fn delete_agent(app: &App, principal: &Principal, id: AgentId) -> Result<Arc<Agent>, OperationError> {
    principal.may(Operation::DeleteAgent)?;
    changed_agent(app, principal, RegistryCommand::RemoveAgent(id)).await
}

/// Enforces, observes or pauses it.
pub async fn set_agent_mode(
    app: &App,
    principal: &Principal,
    id: AgentId,
    mode: ModeSpec,
) -> Result<Arc<Agent>, OperationError> {
    principal.may(Operation::SetAgentMode)?;
    changed_agent(app, principal, RegistryCommand::SetMode(id, mode)).await
}

/// Every registered entity type, by name.
pub fn entity_types(app: &App, principal: &Principal) -> Result<Vec<Arc<EntityTypeRecord>>, OperationError> {
    principal.may(Operation::ReadRegistry)?;
    Ok(app.read(|state| state.entity_types().cloned().collect()))
}

/// One entity type.
pub fn entity_type(
    app: &App,
    principal: &Principal,
    name: &EntityType,
) -> Result<Arc<EntityTypeRecord>, OperationError> {
    principal.may(Operation::ReadRegistry)?;
    let found = app.read(|state| state.entity_type(name).cloned());
    found.ok_or_else(|| OperationError::NotFound { what: "entity type", id: name.to_string() })
}

/// Registers an entity type, or writes it anew.
pub async fn put_entity_type(
    app: &App,
    principal: &Principal,
    name: EntityType,
    spec: EntityTypeSpec,
) -> Result<Arc<EntityTypeRecord>, OperationError> {
    principal.may(Operation::PutEntityType)?;
    changed_type(app, principal, RegistryCommand::PutEntityType(name, spec)).await
}

/// Removes it.
pub async fn delete_entity_type(
    app: &App,
    principal: &Principal,
    name: EntityType,
) -> Result<Arc<EntityTypeRecord>, OperationError> {
    principal.may(Operation::DeleteEntityType)?;
    changed_type(app, principal, RegistryCommand::RemoveEntityType(name)).await
}

/// Every pause, newest first; the ended ones too, if asked for.
pub fn pauses(app: &App, principal: &Principal, ended_too: bool) -> Result<Vec<Arc<Pause>>, OperationError> {
    principal.may(Operation::ReadPauses)?;
    let now = app.now();
    let mut pauses: Vec<Arc<Pause>> =
        app.read(|state| state.pauses().filter(|pause| ended_too || pause.in_force(now)).cloned().collect());
    pauses.reverse();
    Ok(pauses)
}

/// Stops an agent, a team, an action, an entity type, or everything.
pub async fn create_pause(
    app: &App,
    principal: &Principal,
    target: PauseTarget,
    reason: String,
    ends_at: Option<Timestamp>,
) -> Result<Arc<Pause>, OperationError> {
    principal.may(Operation::CreatePause)?;
    changed_pause(app, principal, RegistryCommand::Pause { target, reason, ends_at }).await
}

/// Lets it go on.
pub async fn end_pause(app: &App, principal: &Principal, id: PauseId) -> Result<Arc<Pause>, OperationError> {
    principal.may(Operation::EndPause)?;
    changed_pause(app, principal, RegistryCommand::EndPause(id)).await
}

async fn changed_agent(
    app: &App,
    principal: &Principal,
    command: RegistryCommand,
) -> Result<Arc<Agent>, OperationError> {
    match app.commit(principal, Command::Registry(command)).await? {
        Answer::Agent(agent) => Ok(agent),
        other => Err(unexpected(&other)),
    }
}

async fn changed_type(
    app: &App,
    principal: &Principal,
    command: RegistryCommand,
) -> Result<Arc<EntityTypeRecord>, OperationError> {
    match app.commit(principal, Command::Registry(command)).await? {
        Answer::EntityType(record) => Ok(record),
        other => Err(unexpected(&other)),
    }
}

async fn changed_pause(
    app: &App,
    principal: &Principal,
    command: RegistryCommand,
) -> Result<Arc<Pause>, OperationError> {
    match app.commit(principal, Command::Registry(command)).await? {
        Answer::Pause(pause) => Ok(pause),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(answer: &Answer) -> OperationError {
    OperationError::Internal(format!("the registry was answered by {answer:?}"))
}
