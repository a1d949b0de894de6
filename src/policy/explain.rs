//! Which rules fired, by file and line: the same input replayed, each rule asked by itself.

use super::asking::Question;
use super::attribute;
use super::compile::to_rego;
use super::engines::{Engines, Purpose};
use super::evaluate::{Conditions, Layers, applying};
use super::output::to_json;
use super::set::{ContractRule, PolicySet};
use super::tree::LayerId;
use regorus::Value;
use serde::{Deserialize, Serialize};

/// A rule of the contract that had something to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FiredRule {
    /// The layer.
    pub layer: LayerId,
    /// `allow`, `deny`, …
    pub name: ContractRule,
    /// `entities/rfq.rego:12`
    pub rule: String,
    /// The constant code in its head, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What it said: `true`, or the entries it gave.
    pub value: serde_json::Value,
}

/// The fired rules, or, for a layer that could not be replayed, why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// In order of layer, file and line.
    pub fired: Vec<FiredRule>,
    /// Rules that failed or took too long.
    pub failed: Vec<String>,
}

impl Engines {
    /// Replays an input and tells which rules fired.
    pub fn explain(
        &mut self,
        set: &PolicySet,
        layers: &Layers<'_>,
        input: &serde_json::Value,
        conditions: &Conditions<'_>,
    ) -> Explanation {
        let mut explanation = Explanation::default();
        let input = to_rego(input);
        for (id, must_say) in applying(layers) {
            let Some(layer) = set.layer(&id) else { continue };
            let heard = |name| matches!(name, ContractRule::Deny | ContractRule::Warn) || Some(name) == must_say;
            for (number, head) in attribute::single(layer).filter(|(_, head)| heard(head.name)) {
                let place = attribute::place(head);
                let rule = attribute::reference(layer, number, head);
                let question = Question { set, layer, input: &input, now: conditions.now };
                let (wall, clock) = (conditions.limits.time, conditions.clock);
                let (Ok(value), _) = self.ask(&question, Purpose::Attribute, &rule, wall, clock) else {
                    explanation.failed.push(place);
                    continue;
                };
                if fired(&value) {
                    explanation.fired.push(FiredRule {
                        layer: id.clone(),
                        name: head.name,
                        rule: place,
                        code: head.code.clone(),
                        value: to_json(&value).unwrap_or_default(),
                    });
                }
            }
        }
        explanation
    }
}

/// Whether a rule said anything: an empty set is silence.
fn fired(value: &Value) -> bool {
    match value {
        Value::Undefined => false,
        Value::Set(set) => !set.is_empty(),
        _ => true,
    }
}
