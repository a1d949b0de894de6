//! Agents, entity types, modes and pauses: written, removed, begun and ended.

use super::command::{Answer, Context, Refusal, RegistryCommand};
use crate::registry::{
    Actor, Agent, AgentSpec, EntityTypeRecord, EntityTypeSpec, Mode, ModeSpec, Pause, PauseEnd, PauseTarget,
};
use crate::state::{Draft, Effect, Entry};
use crate::vocabulary::{AgentId, EntityType, PauseId};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// Decides one change of the registry.
pub(super) fn change(
    draft: &mut Draft<'_>,
    command: &RegistryCommand,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    match command {
        RegistryCommand::PutAgent(id, spec) => Ok(put_agent(draft, id, spec, actor, ctx)),
        RegistryCommand::RemoveAgent(id) => remove_agent(draft, id, actor, ctx),
        RegistryCommand::SetMode(id, spec) => set_mode(draft, id, spec, actor, ctx),
        RegistryCommand::PutEntityType(name, spec) => put_entity_type(draft, name, spec, actor, ctx),
        RegistryCommand::RemoveEntityType(name) => remove_entity_type(draft, name, actor, ctx),
        RegistryCommand::Pause { target, reason, ends_at } => pause(draft, target, reason, *ends_at, actor, ctx),
        RegistryCommand::EndPause(id) => end_pause(draft, id, actor, ctx),
    }
}

fn entry(
    op: &str,
    actor: &Actor,
    subject: String,
    reason: Option<String>,
    before: Option<Value>,
    effect: Effect,
) -> Entry {
    Entry { op: op.to_owned(), actor: actor.clone(), subject, reason, before, effects: vec![effect] }
}

fn as_json(value: Option<&impl serde::Serialize>) -> Option<Value> {
    value.and_then(|value| serde_json::to_value(value).ok())
}

fn put_agent(draft: &mut Draft<'_>, id: &AgentId, spec: &AgentSpec, actor: &Actor, ctx: &Context<'_>) -> Answer {
    let old = draft.state().agent(id).cloned();
    if let Some(old) = &old
        && old.spec == *spec
    {
        return Answer::Agent(Arc::clone(old));
    }
    let agent = Arc::new(Agent {
        id: id.clone(),
        spec: spec.clone(),
        mode: old.as_ref().map_or(Mode::Enforce, |old| old.mode),
        mode_reason: old.as_ref().and_then(|old| old.mode_reason.clone()),
        mode_ends_at: old.as_ref().and_then(|old| old.mode_ends_at),
        revision: draft.state().agent_revision(id) + 1,
        updated_at: ctx.now,
        removed: false,
    });
    let effect = Effect::Agent(Arc::clone(&agent));
    draft.push(entry("agent.put", actor, format!("agent:{id}"), None, as_json(old.as_ref()), effect));
    Answer::Agent(agent)
}

fn known_agent(draft: &Draft<'_>, id: &AgentId) -> Result<Arc<Agent>, Refusal> {
    draft.state().agent(id).cloned().ok_or_else(|| Refusal::NotFound { what: "agent", id: id.to_string() })
}

fn remove_agent(draft: &mut Draft<'_>, id: &AgentId, actor: &Actor, ctx: &Context<'_>) -> Result<Answer, Refusal> {
    let old = known_agent(draft, id)?;
    let agent = Agent { removed: true, revision: old.revision + 1, updated_at: ctx.now, ..(*old).clone() };
    let agent = Arc::new(agent);
    let effect = Effect::Agent(Arc::clone(&agent));
    draft.push(entry("agent.remove", actor, format!("agent:{id}"), None, as_json(Some(&old)), effect));
    Ok(Answer::Agent(agent))
}

fn set_mode(
    draft: &mut Draft<'_>,
    id: &AgentId,
    spec: &ModeSpec,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    let old = known_agent(draft, id)?;
    let invalid = |message: &str| Refusal::Invalid { pointer: "/ends_at".to_owned(), message: message.to_owned() };
    match (spec.mode, spec.ends_at) {
        (Mode::Observe, None) => return Err(invalid("observe needs an end")),
        (Mode::Observe, Some(ends_at)) if ends_at <= ctx.now => return Err(invalid("is over already")),
        (Mode::Observe, Some(_)) | (_, None) => {}
        (_, Some(_)) => return Err(invalid("only observe has an end; to stop an agent for a while, pause it")),
    }
    let agent = Arc::new(Agent {
        mode: spec.mode,
        mode_reason: Some(spec.reason.clone()),
        mode_ends_at: spec.ends_at,
        revision: old.revision + 1,
        updated_at: ctx.now,
        ..(*old).clone()
    });
    let effect = Effect::Agent(Arc::clone(&agent));
    let reason = Some(spec.reason.clone());
    draft.push(entry("agent.mode", actor, format!("agent:{id}"), reason, as_json(Some(&old)), effect));
    Ok(Answer::Agent(agent))
}

fn put_entity_type(
    draft: &mut Draft<'_>,
    name: &EntityType,
    spec: &EntityTypeSpec,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    spec.validate().map_err(|error| Refusal::Invalid { pointer: error.pointer(), message: error.to_string() })?;
    let old = draft.state().entity_type(name).cloned();
    if let Some(old) = &old
        && old.spec == *spec
    {
        return Ok(Answer::EntityType(Arc::clone(old)));
    }
    let record = Arc::new(EntityTypeRecord {
        name: name.clone(),
        spec: spec.clone(),
        revision: draft.state().entity_type_revision(name) + 1,
        updated_at: ctx.now,
        removed: false,
    });
    let effect = Effect::EntityType(Arc::clone(&record));
    draft.push(entry("entity_type.put", actor, format!("entity_type:{name}"), None, as_json(old.as_ref()), effect));
    Ok(Answer::EntityType(record))
}

fn remove_entity_type(
    draft: &mut Draft<'_>,
    name: &EntityType,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    let found = draft.state().entity_type(name).cloned();
    let old = found.ok_or_else(|| Refusal::NotFound { what: "entity type", id: name.to_string() })?;
    let record = EntityTypeRecord { removed: true, revision: old.revision + 1, updated_at: ctx.now, ..(*old).clone() };
    let record = Arc::new(record);
    let effect = Effect::EntityType(Arc::clone(&record));
    draft.push(entry("entity_type.remove", actor, format!("entity_type:{name}"), None, as_json(Some(&old)), effect));
    Ok(Answer::EntityType(record))
}

fn pause(
    draft: &mut Draft<'_>,
    target: &PauseTarget,
    reason: &str,
    ends_at: Option<Timestamp>,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    if ends_at.is_some_and(|end| end <= ctx.now) {
        return Err(Refusal::Invalid { pointer: "/ends_at".to_owned(), message: "is over already".to_owned() });
    }
    let id = PauseId::new(ctx.id("pause_"))
        .map_err(|error| Refusal::Invalid { pointer: String::new(), message: error.to_string() })?;
    let pause = Arc::new(Pause {
        id,
        target: target.clone(),
        reason: reason.to_owned(),
        author: actor.clone(),
        started_at: ctx.now,
        ends_at,
        ended: None,
    });
    let effect = Effect::Pause(Arc::clone(&pause));
    draft.push(entry("pause.start", actor, format!("pause:{}", pause.id), Some(reason.to_owned()), None, effect));
    Ok(Answer::Pause(pause))
}

fn end_pause(draft: &mut Draft<'_>, id: &PauseId, actor: &Actor, ctx: &Context<'_>) -> Result<Answer, Refusal> {
    let found = draft.state().pause(id).cloned();
    let old = found.ok_or_else(|| Refusal::NotFound { what: "pause", id: id.to_string() })?;
    if !old.in_force(ctx.now) {
        return Err(Refusal::Over("this pause has ended already".to_owned()));
    }
    let pause = Pause { ended: Some(PauseEnd { at: ctx.now, by: actor.clone() }), ..(*old).clone() };
    let pause = Arc::new(pause);
    let effect = Effect::Pause(Arc::clone(&pause));
    draft.push(entry("pause.end", actor, format!("pause:{id}"), None, as_json(Some(&old)), effect));
    Ok(Answer::Pause(pause))
}
