//! A question out of a recorded decision: what a retry repeats, and what a re-check asks again.

use super::error::OperationError;
use crate::admission::{Action, DecisionRecord, Entity};
use crate::vocabulary::{Amount, Source, Unit, Warning};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Question {
    pub(super) action: Action,
    pub(super) entity: Option<Entity>,
    pub(super) estimate: BTreeMap<Unit, Amount>,
    pub(super) connectors: Vec<String>,
    pub(super) context: Map<String, Value>,
    /// Some of its values are masked: a rule that reads them may judge otherwise than it did.
    pub(super) masked: bool,
}

impl Question {
    /// Out of the input that was recorded.
    pub(super) fn of(record: &DecisionRecord) -> Result<Self, OperationError> {
        let unreadable = |why: String| OperationError::Internal(format!("the recorded input of {}: {why}", record.id));
        let input: Value = serde_json::from_str(record.input.get()).map_err(|error| unreadable(error.to_string()))?;
        let part = |name: &str| input.get(name).cloned().unwrap_or(Value::Null);
        let read = |error: serde_json::Error| unreadable(error.to_string());
        Ok(Self {
            action: serde_json::from_value(part("action")).map_err(read)?,
            entity: serde_json::from_value(part("entity")).map_err(read)?,
            estimate: amounts(&part("estimate")).ok_or_else(|| unreadable("a malformed estimate".to_owned()))?,
            connectors: connectors_of(&input),
            context: serde_json::from_value::<Option<_>>(part("context")).map_err(read)?.unwrap_or_default(),
            masked: !record.replayable,
        })
    }
}

/// Said where a question is judged on masked values.
pub(super) fn masked_input() -> Warning {
    Warning {
        code: "masked_input".to_owned(),
        source: Source::System,
        message: "Values of what is repeated were masked before they were recorded: a rule that reads them may say \
                  otherwise when the action itself is asked for."
            .to_owned(),
        rule: None,
        details: None,
    }
}

/// The connectors that a recorded input names; the first versions wrote their names alone.
fn connectors_of(input: &Value) -> Vec<String> {
    let listed = input.get("connectors").and_then(Value::as_array).into_iter().flatten();
    let name = |item: &Value| item.as_str().or_else(|| item.get("id")?.as_str()).map(str::to_owned);
    listed.filter_map(name).collect()
}

fn amounts(estimate: &Value) -> Option<BTreeMap<Unit, Amount>> {
    let amount = |item: &Value| {
        let unit = Unit::new(item.get("unit")?.as_str()?).ok()?;
        Some((unit, item.get("amount")?.as_str()?.parse().ok()?))
    };
    estimate.as_array().unwrap_or(&Vec::new()).iter().map(amount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(input: Value, replayable: bool) -> DecisionRecord {
        serde_json::from_value(json!({
            "id": "adm_1", "kind": "action", "agent": "a", "action": "act", "decision": "deny",
            "codes": ["not_permitted"], "decided_at": "2026-11-23T12:00:00Z",
            "judged": {"policy_set": "sha256:0", "agent_revision": 0, "entity_type_revision": 0},
            "replayable": replayable, "input": input, "answer": {},
        }))
        .unwrap()
    }

    #[test]
    fn what_was_recorded_is_asked_again_whichever_version_wrote_it() {
        let now = json!({
            "action": {"name": "act", "properties": {"n": 1}},
            "entity": {"id": "e", "type": "rfq", "properties": {}},
            "estimate": [{"unit": "usd", "amount": "0.5"}], "context": {"c": true},
            "connectors": [{"id": "erp", "status": "down", "detail": null, "since": null}],
        });
        let question = Question::of(&record(now.clone(), false)).unwrap();
        assert_eq!((question.connectors, question.masked), (vec!["erp".to_owned()], true));
        assert_eq!((question.context["c"].clone(), question.estimate.len()), (json!(true), 1));
        let mut first = now;
        first["connectors"] = json!(["erp", "mail"]);
        first["entity"] = Value::Null;
        let question = Question::of(&record(first.clone(), true)).unwrap();
        assert_eq!(
            (question.connectors, question.entity, question.masked),
            (vec!["erp".into(), "mail".into()], None, false)
        );
        first["estimate"] = json!([{"unit": "usd", "amount": "a lot"}]);
        let error = Question::of(&record(first, true)).unwrap_err();
        assert!(error.to_string().contains("malformed estimate"), "{error}");
    }
}
