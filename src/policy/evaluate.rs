//! Judges one input document by the layers that apply.
//!
//! Allowed when no layer denies, and the agent's layer and the entity type's layer both say `allow`; without an
//! entity, the agent's layer must say `allow_without_entity`. Whatever fails becomes a reason, and a reason denies:
//! there is no other way to say yes than to have none.

use super::attribute;
use super::compile::{self, Compiled, Failure, GATHERED, of_gathered, to_rego};
use super::engines::{Engines, Purpose};
use super::limits::{Limits, Quarantine, ThreadClock};
use super::output::{self, Entry, Invalid};
use super::rvm::EnginesInUse;
use super::set::{ContractRule, Head, Layer, PolicySet};
use super::tree::{LayerId, short};
use crate::vocabulary::{Code, Reason, Warning};
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
    /// CPU time of all layers.
    pub took: Duration,
}

impl Outcome {
    /// Whether nothing speaks against it.
    pub fn allowed(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// How often a layer is asked, if the machine was too busy to let it work.
const TRIES: usize = 3;
/// The most that the wall is moved out for a busy machine.
const WIDEST_WALL: f64 = 40.0;

/// Whether a layer that ran into the wall had most of its time all the same: it worked, and did not wait.
fn worked(used: Duration, limit: Duration) -> bool {
    used.as_secs_f64() > limit.as_secs_f64() * 0.8
}

/// The wall of the next try: as much further out as the machine was busy, so that a layer that goes on for ever gets little
/// more than its limit.
fn wider(wall: Duration, used: Duration) -> Duration {
    let busy = wall.as_secs_f64() / used.as_secs_f64().max(wall.as_secs_f64() / WIDEST_WALL);
    wall.mul_f64(busy.clamp(1.0, WIDEST_WALL) * 1.25)
}

/// One answer of the RVM in so many is judged by the interpreter too.
const SAMPLE: u32 = 512;

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

    /// The same for an input that is written already.
    pub fn evaluate_text(
        &mut self,
        set: &PolicySet,
        layers: &Layers<'_>,
        input: &str,
        conditions: &Conditions<'_>,
    ) -> Outcome {
        match serde_json::from_str(input) {
            Ok(input) => self.evaluate_value(set, layers, &input, conditions),
            Err(error) => {
                let message = format!("The input cannot be read: {error}.");
                let reason = Reason::of(Code::PolicyError, message, "policy:base.rego");
                Outcome { reasons: vec![reason], ..Outcome::default() }
            }
        }
    }

    fn evaluate_value(
        &mut self,
        set: &PolicySet,
        layers: &Layers<'_>,
        input: &Value,
        conditions: &Conditions<'_>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let started = conditions.clock.cpu();
        for (id, must_say) in applying(layers) {
            match set.layer(&id) {
                Some(layer) => self.layer(set, layer, must_say, input, conditions, &mut outcome),
                None => outcome.reasons.push(missing(&id)),
            }
        }
        outcome.took = conditions.clock.cpu().saturating_sub(started);
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
            let message = format!(
                "The policy of {} reached its limit several times in a row and is not run until {until}.",
                layer.id
            );
            outcome.reasons.push(Reason {
                retry_at: Some(until.to_string()),
                ..Reason::of(Code::PolicyQuarantined, message, target(layer))
            });
            return;
        }
        let answer = match self.answer(set, layer, must_say, input, conditions) {
            Ok(answer) => answer,
            Err(reason) => return outcome.reasons.push(*reason),
        };
        let judged = match &answer {
            Some(answer) => answer.judged(layer, must_say).map(|entries| (answer.says_yes(), entries)),
            None => Err(Invalid("a rule that always has a value has none".to_owned())),
        };
        let (says_yes, (denials, warnings)) = match judged {
            Ok(judged) => judged,
            Err(Invalid(why)) => {
                let message = format!("The policy of {} answered in a shape that is not allowed: {why}.", layer.id);
                return outcome.reasons.push(Reason::of(Code::PolicyOutputInvalid, message, target(layer)));
            }
        };
        if denials.is_empty() && must_say.is_some() && !says_yes {
            outcome.reasons.push(not_permitted(layer, must_say));
        }
        let mut own = OwnValues::default();
        for entry in denials {
            let rule = self.rule_of(set, layer, ContractRule::Deny, &entry, &mut own, input, conditions);
            let policy =
                rule.as_deref().and_then(|rule| rule.rsplit_once(':')).map(|(file, _)| format!("policy:{file}"));
            outcome.reasons.push(entry.into_reason(&policy.unwrap_or_else(|| target(layer)), rule));
        }
        for entry in warnings {
            let rule = self.rule_of(set, layer, ContractRule::Warn, &entry, &mut own, input, conditions);
            outcome.warnings.push(entry.into_warning(rule));
        }
    }

    /// Asks a layer for all that it has to say, within its limits.
    fn answer(
        &mut self,
        set: &PolicySet,
        layer: &Layer,
        must_say: Option<ContractRule>,
        input: &Value,
        conditions: &Conditions<'_>,
    ) -> Result<Option<Answer>, Box<Reason>> {
        if let Some(in_use) = conditions.in_use
            && self.rvm.on_rvm(in_use, layer)
            && let Some(answer) = self.by_machine(set, layer, must_say, input, conditions, in_use)
        {
            return answer;
        }
        let limit = conditions.limits.time;
        let mut wall = limit;
        for _ in 0..TRIES {
            // an engine that is not put back is dropped: after a failure its state is not to be trusted
            let mut compiled = self
                .take(set, layer, Purpose::Decide)
                .map_err(|error| error_reason(layer, &super::syntax::message(&error.to_string()), None))?;
            compiled.about(input, nanoseconds(conditions.now));
            let started = conditions.clock.cpu();
            let answer = Answer::ask(&mut compiled, must_say, wall);
            let used = conditions.clock.cpu().saturating_sub(started);
            match answer {
                Ok(answer) if used <= limit => {
                    self.put(layer, Purpose::Decide, compiled);
                    conditions.quarantine.well(&layer.digest, conditions.now);
                    return Ok(answer);
                }
                Err(Failure::Time) if !worked(used, limit) => wall = wider(wall, used).min(limit.mul_f64(WIDEST_WALL)),
                Ok(_) | Err(Failure::Time) => {
                    conditions.quarantine.hit(&layer.digest, conditions.now, conditions.limits);
                    return Err(time_reason(layer, limit));
                }
                Err(Failure::Cap(why)) => {
                    conditions.quarantine.hit(&layer.digest, conditions.now, conditions.limits);
                    let message = format!("The policy of {} reached its limit of memory: {why}.", layer.id);
                    return Err(Box::new(Reason::of(Code::PolicyTimeout, message, target(layer))));
                }
                Err(Failure::Error(why, place)) => return Err(error_reason(layer, &why, place)),
            }
        }
        Err(time_reason(layer, limit))
    }

    /// Asks the second engine. `None` where the interpreter has to answer: the first failure, and the first difference in
    /// the sample that is judged by both, end the trust in it.
    fn by_machine(
        &mut self,
        set: &PolicySet,
        layer: &Layer,
        must_say: Option<ContractRule>,
        input: &Value,
        conditions: &Conditions<'_>,
        in_use: &EnginesInUse,
    ) -> Option<Result<Option<Answer>, Box<Reason>>> {
        let limit = conditions.limits.time;
        let mut compiled = self.take(set, layer, Purpose::Decide).ok()?;
        let mut machine = match compiled.machine.take() {
            Some(machine) => machine,
            None => match Compiled::machine(set, layer, self.data(set, layer)) {
                Ok(machine) => Box::new(machine),
                Err(error) => {
                    in_use.distrust(layer, format!("it cannot be compiled for the RVM: {error}"));
                    return None;
                }
            },
        };
        let started = conditions.clock.cpu();
        let answer = machine.ask(must_say, input, limit);
        let used = conditions.clock.cpu().saturating_sub(started);
        match answer {
            Ok(value) if used <= limit => {
                self.by_machine = self.by_machine.wrapping_add(1);
                if self.by_machine.is_multiple_of(SAMPLE) {
                    compiled.about(input, nanoseconds(conditions.now));
                    let wanted = compiled.ask(&compile::gathered_name(must_say), limit.mul_f64(WIDEST_WALL));
                    let same = match wanted {
                        Ok(wanted) => wanted == value,
                        // too busy to tell
                        Err(Failure::Time) => true,
                        Err(Failure::Cap(_) | Failure::Error(..)) => false,
                    };
                    if !same {
                        in_use.distrust(layer, "the engines differed on a live decision".to_owned());
                        return None;
                    }
                }
                compiled.machine = Some(machine);
                self.put(layer, Purpose::Decide, compiled);
                conditions.quarantine.well(&layer.digest, conditions.now);
                Some(Ok(Answer::of(&value)))
            }
            // out of time, or so it looks on a machine that was taken away for a while: the interpreter says
            Ok(_) | Err(Failure::Time) => None,
            Err(Failure::Cap(why) | Failure::Error(why, _)) => {
                in_use.distrust(layer, format!("the RVM failed: {why}"));
                None
            }
        }
    }

    /// The place of the rule that gave an entry: `entities/rfq.rego:12`, or the file alone if it cannot be told.
    fn rule_of(
        &mut self,
        set: &PolicySet,
        layer: &Layer,
        name: ContractRule,
        entry: &Entry,
        own: &mut OwnValues,
        input: &Value,
        conditions: &Conditions<'_>,
    ) -> Option<String> {
        if let Some(place) = attribute::by_code(layer, name, entry.code.as_deref()) {
            return Some(place);
        }
        let own = own.get_or_insert_with(|| {
            let mut compiled = self.take(set, layer, Purpose::Attribute).ok()?;
            compiled.about(input, nanoseconds(conditions.now));
            let own = compiled.ask(&format!("data.{GATHERED}.{}", attribute::OWN), conditions.limits.time).ok()?;
            self.put(layer, Purpose::Attribute, compiled);
            Some(own)
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

/// What a layer said, as it said it.
struct Answer {
    yes: Value,
    deny: Value,
    warn: Value,
}

impl Answer {
    fn ask(compiled: &mut Compiled, must_say: Option<ContractRule>, limit: Duration) -> Result<Option<Self>, Failure> {
        Ok(Self::of(&compiled.ask(&compile::gathered_name(must_say), limit)?))
    }

    /// Out of the three arrays that `compile::answer` describes.
    fn of(value: &Value) -> Option<Self> {
        let Value::Array(said) = value else { return None };
        let [yes, deny, warn] = said.as_slice() else { return None };
        let value = |said: &Value| match said {
            Value::Array(said) => Some(said.first().cloned().unwrap_or(Value::Undefined)),
            _ => None,
        };
        Some(Self { yes: value(yes)?, deny: value(deny)?, warn: value(warn)? })
    }

    fn judged(&self, layer: &Layer, must_say: Option<ContractRule>) -> Result<(Vec<Entry>, Vec<Entry>), Invalid> {
        let denials = output::entries("deny", &self.deny)?;
        let warnings = output::entries("warn", &self.warn)?;
        output::boolean(must_say.map_or("allow", ContractRule::as_str), &self.yes)?;
        // a defined set is always a set: what is undefined although it is there has been lost on the way
        if layer.defines(ContractRule::Deny) && self.deny == Value::Undefined {
            return Err(Invalid("`deny` has no value".to_owned()));
        }
        Ok((denials, warnings))
    }

    fn says_yes(&self) -> bool {
        self.yes == Value::Bool(true)
    }
}

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

/// `policy:entities/rfq.rego`
fn target(layer: &Layer) -> String {
    let file = layer.files.first().map_or_else(|| layer.id.usual_file(), |file| short(file).to_owned());
    format!("policy:{file}")
}

fn missing(id: &LayerId) -> Reason {
    let target = format!("policy:{}", id.usual_file());
    match id {
        LayerId::Agent(agent) => {
            Reason::of(Code::AgentPolicyMissing, format!("There is no policy for the agent {agent}."), target)
        }
        LayerId::Entity(entity) => {
            Reason::of(Code::EntityPolicyMissing, format!("There is no policy for the entity type {entity}."), target)
        }
        LayerId::Base => Reason::of(Code::PolicyError, "The policy set has no base.", target),
    }
}

fn not_permitted(layer: &Layer, must_say: Option<ContractRule>) -> Reason {
    let rule = must_say.map_or("allow", ContractRule::as_str);
    let message = match (&layer.id, must_say) {
        (_, Some(ContractRule::AllowWithoutEntity)) => {
            format!("The policy of {} does not allow this action without an entity (`{rule}`).", layer.id)
        }
        _ => format!("The policy of {} does not allow this action (`{rule}`).", layer.id),
    };
    Reason::of(Code::NotPermitted, message, target(layer))
}

fn error_reason(layer: &Layer, why: &str, place: Option<(String, u32)>) -> Box<Reason> {
    let message = format!("The policy of {} failed: {why}.", layer.id);
    let (target, rule) = match place {
        Some((file, line)) if file.starts_with("policies/") => {
            (format!("policy:{}", short(&file)), Some(format!("{}:{line}", short(&file))))
        }
        _ => (target(layer), None),
    };
    Box::new(Reason { rule, ..Reason::of(Code::PolicyError, message, target) })
}

fn time_reason(layer: &Layer, limit: Duration) -> Box<Reason> {
    let message = format!("The policy of {} took longer than its limit of {} ms.", layer.id, limit.as_millis());
    Box::new(Reason::of(Code::PolicyTimeout, message, target(layer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_moves_out_as_far_as_the_machine_was_busy() {
        let ms = Duration::from_millis;
        // (wall, used, whether it worked, the next wall in ms)
        for (wall, used, had_its_time, next) in [
            (10, 10, true, 12.5),
            (10, 9, true, 13.9),
            (10, 8, false, 15.6),
            (10, 5, false, 25.0),
            (10, 0, false, 500.0),
            (25, 6, false, 130.2),
        ] {
            assert_eq!(worked(ms(used), ms(10)), had_its_time, "{used} of 10 ms");
            let wider = wider(ms(wall), ms(used)).as_secs_f64() * 1e3;
            assert!((wider - next).abs() < 0.1, "{wall} ms, of which {used}: {wider}");
        }
    }
}
