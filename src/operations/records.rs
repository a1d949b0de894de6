//! What was decided and done: recorded decisions, why they were so, the audit trail.

use super::app::App;
use super::error::OperationError;
use super::roles::{Operation, Principal};
use crate::admission::DecisionRecord;
use crate::policy::{Explanation, LayerId, Layers, PolicySet, StoredSetError};
use crate::store::{AuditFilter, AuditRecord, DecisionFilter, Page, StoreStatus};
use crate::vocabulary::{AdmissionId, EntityType};
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

/// The decisions that were recorded last. One look serves many layers, for it reads each of them.
pub fn newest_decisions(app: &App, most: usize) -> Vec<Arc<DecisionRecord>> {
    // without any the comparison goes by inputs of its own
    app.store.decisions(&DecisionFilter::default(), None, most).map(|page| page.items).unwrap_or_default()
}

/// The inputs among them that a layer has judged, as far as they were recorded whole.
pub fn inputs_of(records: &[Arc<DecisionRecord>], layer: &LayerId, most: usize) -> Vec<Value> {
    let judged = |record: &DecisionRecord| match layer {
        LayerId::Base => true,
        LayerId::Agent(name) => record.judged.policy_profile.as_deref().unwrap_or(record.agent.as_str()) == name,
        LayerId::Entity(name) => record.entity_type.as_ref().is_some_and(|entity| entity.as_str() == name),
    };
    let whole = records.iter().filter(|record| record.replayable && judged(record)).take(most);
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(
        agent: &str,
        profile: Option<&str>,
        entity_type: Option<&str>,
        replayable: bool,
        n: u32,
    ) -> Arc<DecisionRecord> {
        let record = json!({
            "id": format!("adm_{n}"), "kind": "action", "agent": agent, "action": "act", "decision": "allow", "codes": [],
            "entity_type": entity_type, "decided_at": "2026-11-23T12:00:00Z", "replayable": replayable, "input": n,
            "answer": {}, "judged": {"policy_set": "sha256:0", "agent_revision": 0, "entity_type_revision": 0,
            "policy_profile": profile},
        });
        Arc::new(serde_json::from_value(record).unwrap())
    }

    #[test]
    fn a_layer_is_compared_on_what_it_has_judged() {
        let records = [
            record("a", None, None, true, 1),
            record("a", None, Some("rfq"), true, 2),
            record("a", None, Some("rfq"), false, 3),
            record("b", Some("a"), None, true, 4),
            record("a", Some("b"), None, true, 5),
        ];
        let agent = |name: &str| LayerId::Agent(name.to_owned());
        for (layer, most, inputs) in [
            (LayerId::Base, 9, json!([1, 2, 4, 5])),
            (LayerId::Base, 2, json!([1, 2])),
            (agent("a"), 9, json!([1, 2, 4])),
            (agent("b"), 9, json!([5])),
            (agent("c"), 9, json!([])),
            (LayerId::Entity("rfq".to_owned()), 9, json!([2])),
        ] {
            assert_eq!(json!(inputs_of(&records, &layer, most)), inputs, "{layer} {most}");
        }
    }
}
