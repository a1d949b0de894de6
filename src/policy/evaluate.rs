//! Judges one input document by the layers that apply.
//!
//! Allowed when no layer denies, and the agent's layer and the entity type's layer both say `allow`; without an
//! entity, the agent's layer must say `allow_without_entity`. Whatever fails becomes a reason, and a reason denies:
//! there is no other way to say yes than to have none.

use super::asking::Question;
use super::attribute;
use super::compile::{GATHERED, of_gathered, to_rego};
use super::engines::{Engines, Purpose};
use super::input::Input;
use super::limits::{Limits, Quarantine, ThreadClock};
use super::output::{Entry, Invalid};
use super::refusals::{invalid, missing, not_permitted, quarantined, target};
use super::rvm::EnginesInUse;
use super::set::{ContractRule, Head, Layer, PolicySet};
use super::tree::{LayerId, short};
use crate::vocabulary::{Reason, Warning};
use jiff::Timestamp;
use regorus::Value;
use std::time::Duration;

/// Which layers apply.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// The agent's id, or its policy profile if the registry gives it one.
    pub agent: &'a str,
    /// The entity's type, `None` for an action on nothing in particular.
    pub entity_type: Option<&'a str>,
}

/// Everything beside policy and input that an evaluation depends on.
#[derive(Clone, Copy)]
pub struct Conditions<'a> {
    /// The time: `input.now`, and the time of the quarantine.
    pub now: Timestamp,
    /// What a layer may take.
    pub limits: &'a Limits,
    /// The layers that keep hitting their limit.
    pub quarantine: &'a Quarantine,
    /// What the worker's thread has used.
    pub clock: &'a dyn ThreadClock,
    /// Which layers the second engine may run; `None`, and the interpreter runs all.
    pub in_use: Option<&'a EnginesInUse>,
}

/// What the layers say.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Why not; all reasons of all layers.
    pub reasons: Vec<Reason>,
    /// What the caller should know beside.
    pub warnings: Vec<Warning>,
    /// How long all layers took.
    pub took: Duration,
    /// Layers that were asked once more because they seemed to be over their limit.
    pub asked_again: u32,
}

impl Outcome {
    /// Whether nothing speaks against it.
    pub fn allowed(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl Engines {
    /// Judges an input by a set's layers.
    pub fn evaluate(
        &mut self,
        set: &PolicySet,
        layers: &Layers<'_>,
        input: &serde_json::Value,
        conditions: &Conditions<'_>,
    ) -> Outcome {
        self.evaluate_value(set, layers, &to_rego(input), conditions)
    }

    /// The same for an input that is in the engines' form already.
    pub fn evaluate_input(
        &mut self,
        set: &PolicySet,
        layers: &Layers<'_>,
        input: &Input,
        conditions: &Conditions<'_>,
    ) -> Outcome {
        self.evaluate_value(set, layers, &input.0, conditions)
    }

    fn evaluate_value(
        &mut self,
        set: &PolicySet,
        layers: &Layers<'_>,
        input: &Value,
        conditions: &Conditions<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let started = conditions.clock.wall();
        for (id, must_say) in applying(layers) {
            match set.layer(&id) {
                Some(layer) => self.layer(set, layer, must_say, input, conditions, &mut outcome),
                None => outcome.reasons.push(missing(&id)),
            }
        }
        outcome.took = conditions.clock.wall().saturating_sub(started);
        outcome
    }

    /// One layer's part of the outcome.
    fn layer(
        &mut self,
        set: &PolicySet,
        layer: &Layer,
        must_say: Option<ContractRule>,
        input: &Value,
        conditions: &Conditions<'_>,
        outcome: &mut Outcome,
    ) {
        if let Some(until) = conditions.quarantine.until(&layer.digest, conditions.now) {
            return outcome.reasons.push(quarantined(layer, until));
        }
        let question = Question { set, layer, input, now: conditions.now };
        let answer = match self.answer(&question, must_say, conditions, &mut outcome.asked_again) {
            Ok(answer) => answer,
            Err(reason) => return outcome.reasons.push(*reason),
        };
        let judged = match &answer {
            Some(answer) => answer.judged(layer, must_say).map(|entries| (answer.says_yes(), entries)),
            None => Err(Invalid("a rule that always has a value has none".to_owned())),
        };
        let (says_yes, (denials, warnings)) = match judged {
            Ok(judged) => judged,
            Err(Invalid(why)) => return outcome.reasons.push(invalid(layer, &why)),
        };
        if denials.is_empty() && must_say.is_some() && !says_yes {
            outcome.reasons.push(not_permitted(layer, must_say));
        }
        let mut own = OwnValues::default();
        for entry in denials {
            let rule = self.rule_of(&question, ContractRule::Deny, &entry, &mut own, conditions);
            let policy =
                rule.as_deref().and_then(|rule| rule.rsplit_once(':')).map(|(file, _)| format!("policy:{file}"));
            outcome.reasons.push(entry.into_reason(&policy.unwrap_or_else(|| target(layer)), rule));
        }
        for entry in warnings {
            let rule = self.rule_of(&question, ContractRule::Warn, &entry, &mut own, conditions);
            outcome.warnings.push(entry.into_warning(rule));
        }
    }

    /// The place of the rule that gave an entry: `entities/rfq.rego:12`, or the file alone if it cannot be told.
    fn rule_of(
        &mut self,
        question: &Question<'_>,
        name: ContractRule,
        entry: &Entry,
        own: &mut OwnValues,
        conditions: &Conditions<'_>,
    ) -> Option<String> {
        let layer = question.layer;
        if let Some(place) = attribute::by_code(layer, name, entry.code.as_deref()) {
            return Some(place);
        }
        let own = own.get_or_insert_with(|| {
            let rule = format!("data.{GATHERED}.{}", attribute::OWN);
            self.ask(question, Purpose::Attribute, &rule, conditions.limits.time, conditions.clock).0.ok()
        });
        let gave = |(number, head): &(usize, &Head)| {
            let own = own.as_ref().map(|own| of_gathered(own, &attribute::own_name(head.name, *number)));
            head.name == name && own.is_some_and(|own| attribute::gave(&own, &entry.value))
        };
        let place = attribute::single(layer).find(gave).map(|(_, head)| attribute::place(head));
        place.or_else(|| layer.files.first().map(|file| short(file).to_owned()))
    }
}

/// What each rule of a layer gives by itself, asked for when the first reason needs it; `Some(None)` if it could not be
/// told.
type OwnValues = Option<Option<Value>>;

/// The layers that apply, each with the rule by which it must agree.
pub(super) fn applying(layers: &Layers<'_>) -> Vec<(LayerId, Option<ContractRule>)> {
    let agent = LayerId::Agent(layers.agent.to_owned());
    let mut all = vec![(LayerId::Base, None)];
    match layers.entity_type {
        Some(entity) => {
            all.push((agent, Some(ContractRule::Allow)));
            all.push((LayerId::Entity(entity.to_owned()), Some(ContractRule::Allow)));
        }
        None => all.push((agent, Some(ContractRule::AllowWithoutEntity))),
    }
    all
}

/// Nanoseconds since the epoch, as far as they fit.
pub(super) fn nanoseconds(now: Timestamp) -> i64 {
    i64::try_from(now.as_nanosecond()).unwrap_or(if now < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX })
}
