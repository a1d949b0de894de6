//! What was decided and done: recorded decisions, why they were so, the audit trail.

use super::app::App;
use super::error::OperationError;
use super::roles::{Operation, Principal};
use crate::admission::DecisionRecord;
use crate::policy::{Explanation, LayerId, Layers, PolicySet, StoredSetError};
use crate::store::{AuditFilter, AuditRecord, DecisionFilter, Page, StoreStatus};
use crate::vocabulary::{AdmissionId, AgentId, EntityType};
use serde_json::Value;
use std::sync::Arc;

/// One recorded decision.
pub fn admission(app: &App, principal: &Principal, id: &AdmissionId) -> Result<Arc<DecisionRecord>, OperationError> {
    principal.may(Operation::ReadAdmissions)?;
    let record = app.store.decision(id)?;
    let seen = record.filter(|record| principal.may_for(Operation::ReadAdmissions, &record.agent).is_ok());
    seen.ok_or_else(|| OperationError::NotFound { what: "admission", id: id.to_string() })
}

/// Recorded decisions, newest first. A bound key sees its own agents'.
pub fn admissions(
    app: &App,
    principal: &Principal,
    mut filter: DecisionFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<Arc<DecisionRecord>>, OperationError> {
    principal.may(Operation::ReadAdmissions)?;
    if let Some(bound) = principal.bound_agents(Operation::ReadAdmissions) {
        let wanted = filter.agents.take().unwrap_or_else(|| bound.to_vec());
        filter.agents = Some(wanted.into_iter().filter(|agent| bound.contains(agent)).collect());
    }
    if let Some(run) = &filter.run {
        // nothing was decided in it before it was known: what is older need not be looked through
        let known_since = app.read(|state| state.runs().run(run).map(|run| run.created_at));
        filter.since = filter.since.max(known_since);
    }
    Ok(app.store.decisions(&filter, cursor, limit)?)
}

/// The rules that fired on a recorded decision, by replaying its input on the set that judged it.
pub fn explain_admission(
    app: &App,
    principal: &Principal,
    record: &DecisionRecord,
) -> Result<Explanation, OperationError> {
    principal.may_for(Operation::ExplainAdmission, &record.agent)?;
    let digest = &record.judged.policy_set;
    let set = match app.policy.set(digest) {
        Some(set) => set,
        None => stored_set(app, digest)?,
    };
    let input: Value = serde_json::from_str(record.input.get())
        .map_err(|error| OperationError::Internal(format!("the input of {} cannot be read: {error}", record.id)))?;
    let now = input.pointer("/now/rfc3339").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let now = now.unwrap_or(record.decided_at);
    let layers = Layers {
        agent: record.judged.policy_profile.as_deref().unwrap_or(record.agent.as_str()),
        entity_type: record.entity_type.as_ref().map(EntityType::as_str),
    };
    Ok(app.policy.explain(&set, &layers, &input, now))
}

/// The last inputs that a layer has judged, as far as they were recorded whole.
pub fn recorded_inputs(app: &App, layer: &LayerId, most: usize) -> Vec<Value> {
    let mut filter = DecisionFilter::default();
    match layer {
        LayerId::Base => {}
        LayerId::Agent(agent) => match AgentId::new(agent.as_str()) {
            Ok(agent) => filter.agents = Some(vec![agent]),
            Err(_) => return Vec::new(),
        },
        LayerId::Entity(kind) => match EntityType::new(kind.as_str()) {
            Ok(kind) => filter.entity_type = Some(kind),
            Err(_) => return Vec::new(),
        },
    }
    // without any the comparison goes by inputs of its own
    let Ok(page) = app.store.decisions(&filter, None, most) else { return Vec::new() };
    let whole = page.items.iter().filter(|record| record.replayable);
    whole.filter_map(|record| serde_json::from_str(record.input.get()).ok()).collect()
}

/// A policy set of the past, from beside the journal.
pub(super) fn stored_set(app: &App, digest: &str) -> Result<Arc<PolicySet>, OperationError> {
    match PolicySet::from_stored(digest, |address| app.store.blob(address))? {
        Ok(set) => Ok(Arc::new(set)),
        Err(StoredSetError::Missing { what, .. }) if what == digest => {
            Err(OperationError::NotFound { what: "policy set", id: digest.to_owned() })
        }
        Err(error) => Err(OperationError::Internal(error.to_string())),
    }
}

/// How the store is.
pub fn store_status(app: &App, principal: &Principal) -> Result<StoreStatus, OperationError> {
    principal.may(Operation::ReadState)?;
    Ok(app.store.status())
}

/// The audit trail, newest first.
pub fn audit(
    app: &App,
    principal: &Principal,
    filter: &AuditFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<AuditRecord>, OperationError> {
    principal.may(Operation::ReadAudit)?;
    Ok(app.store.audit(filter, cursor, limit)?)
}
