//! Asks one layer, on the engine that it is on, within its limits.

use super::compile::{self, Failure};
use super::engines::{Engines, Purpose};
use super::evaluate::{Conditions, nanoseconds};
use super::limits::ThreadClock;
use super::output::{self, Entry, Invalid};
use super::refusals::{error_reason, memory_reason, time_reason};
use super::rvm::EnginesInUse;
use super::set::{ContractRule, Layer, PolicySet};
use crate::vocabulary::Reason;
use jiff::Timestamp;
use regorus::Value;
use std::time::Duration;

/// Who is asked about what.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) set: &'a PolicySet,
    pub(super) layer: &'a Layer,
    pub(super) input: &'a Value,
    pub(super) now: Timestamp,
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

/// Whether the answer of this number is judged by the interpreter too: one in 512, spread so that layers which are asked in
/// turn all have their share (Weyl's sequence).
const fn is_sampled(number: u32) -> bool {
    number.wrapping_mul(0x9e37_79b1) >> 23 == 0
}

impl Engines {
    /// Has one engine of a layer answer for the value of a rule, and tells how much CPU time that took. The engine is kept for
    /// the next time, but after a failure: then its state is not to be trusted.
    pub(super) fn ask(
        &mut self,
        question: &Question<'_>,
        purpose: Purpose,
        rule: &str,
        wall: Duration,
        clock: &dyn ThreadClock,
    ) -> (Result<Value, Failure>, Duration) {
        let mut compiled = match self.take(question.set, question.layer, purpose) {
            Ok(compiled) => compiled,
            Err(error) => return (Err(Failure::of_build(&error)), Duration::ZERO),
        };
        compiled.about(question.input, nanoseconds(question.now));
        let started = clock.cpu();
        let answer = compiled.ask(rule, wall);
        let used = clock.cpu().saturating_sub(started);
        if answer.is_ok() {
            self.put(question.layer, purpose, compiled);
        }
        (answer, used)
    }

    /// Asks a layer for all that it has to say.
    ///
    /// A machine that is taken away in the middle of an evaluation makes it look as if it had worked for all that time. So a
    /// layer is over its limit only if it was twice; `asked_again` counts the second times.
    pub(super) fn answer(
        &mut self,
        question: &Question<'_>,
        must_say: Option<ContractRule>,
        conditions: &Conditions<'_>,
        asked_again: &mut u32,
    ) -> Result<Option<Answer>, Box<Reason>> {
        let layer = question.layer;
        if let Some(in_use) = conditions.in_use
            && self.rvm.on_rvm(in_use, layer)
            && let Some(value) = self.by_machine(question, must_say, conditions, in_use)
        {
            return Ok(Answer::of(&value));
        }
        let limit = conditions.limits.time;
        let mut wall = limit;
        let mut waited = 0;
        let mut over = false;
        loop {
            let rule = compile::gathered_name(must_say);
            let (answer, used) = self.ask(question, Purpose::Decide, rule, wall, conditions.clock);
            match answer {
                Ok(answer) if used <= limit => {
                    conditions.quarantine.well(&layer.digest, conditions.now);
                    return Ok(Answer::of(&answer));
                }
                Err(Failure::Time) if !worked(used, limit) => {
                    waited += 1;
                    if waited == TRIES {
                        return Err(time_reason(layer, limit));
                    }
                    wall = wider(wall, used).min(limit.mul_f64(WIDEST_WALL));
                }
                Ok(_) | Err(Failure::Time) if !over => {
                    // with all the time that it had on a busy machine
                    over = true;
                    waited = 0;
                    *asked_again += 1;
                }
                Ok(_) | Err(Failure::Time) => {
                    conditions.quarantine.hit(&layer.digest, conditions.now, conditions.limits);
                    return Err(time_reason(layer, limit));
                }
                Err(Failure::Cap(why)) => {
                    conditions.quarantine.hit(&layer.digest, conditions.now, conditions.limits);
                    return Err(memory_reason(layer, &why));
                }
                Err(Failure::Error(why, place)) => return Err(error_reason(layer, &why, place)),
            }
        }
    }

    /// Asks the second engine. `None` where the interpreter has to answer: the first failure, and the first difference in
    /// the sample that is judged by both, end the trust in it.
    fn by_machine(
        &mut self,
        question: &Question<'_>,
        must_say: Option<ContractRule>,
        conditions: &Conditions<'_>,
        in_use: &EnginesInUse,
    ) -> Option<Value> {
        let Question { set, layer, input, now } = *question;
        let limit = conditions.limits.time;
        let mut machine = match self.take_machine(set, layer, in_use) {
            Ok(machine) => machine?,
            Err(error) => {
                in_use.distrust(layer, format!("its code cannot be run: {error}"));
                return None;
            }
        };
        // it cannot have worked for longer than it took; where it took too long, the interpreter says what it took
        let started = conditions.clock.wall();
        let answer = machine.ask(must_say, input, limit);
        let used = conditions.clock.wall().saturating_sub(started);
        let value = match answer {
            Ok(value) => value,
            // out of time, or so it looks on a machine that was taken away for a while: the interpreter says
            Err(Failure::Time) => return None,
            Err(Failure::Cap(why) | Failure::Error(why, _)) => {
                in_use.distrust(layer, format!("the RVM failed: {why}"));
                return None;
            }
        };
        self.put_machine(layer, machine);
        self.by_machine = self.by_machine.wrapping_add(1);
        if used <= limit && is_sampled(self.by_machine) && !self.agrees(question, must_say, &value, conditions) {
            in_use.distrust(layer, "the engines differed on a live decision".to_owned());
            return None;
        }
        if used > limit {
            return None;
        }
        conditions.quarantine.well(&layer.digest, now);
        Some(value)
    }

    /// Whether the interpreter gives this answer too.
    fn agrees(
        &mut self,
        question: &Question<'_>,
        must_say: Option<ContractRule>,
        value: &Value,
        conditions: &Conditions<'_>,
    ) -> bool {
        let (rule, wall) = (compile::gathered_name(must_say), conditions.limits.time.mul_f64(WIDEST_WALL));
        match self.ask(question, Purpose::Decide, rule, wall, conditions.clock).0 {
            Ok(wanted) => wanted == *value,
            // too busy to tell
            Err(Failure::Time) => true,
            Err(Failure::Cap(_) | Failure::Error(..)) => false,
        }
    }
}

/// What a layer said, as it said it.
pub(super) struct Answer {
    yes: Value,
    deny: Value,
    warn: Value,
}

impl Answer {
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

    pub(super) fn judged(
        &self,
        layer: &Layer,
        must_say: Option<ContractRule>,
    ) -> Result<(Vec<Entry>, Vec<Entry>), Invalid> {
        let denials = output::entries("deny", &self.deny)?;
        let warnings = output::entries("warn", &self.warn)?;
        output::boolean(must_say.map_or("allow", ContractRule::as_str), &self.yes)?;
        // a defined set is always a set: what is undefined although it is there has been lost on the way
        if layer.defines(ContractRule::Deny) && self.deny == Value::Undefined {
            return Err(Invalid("`deny` has no value".to_owned()));
        }
        Ok((denials, warnings))
    }

    pub(super) fn says_yes(&self) -> bool {
        self.yes == Value::Bool(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::set;
    use super::*;

    #[test]
    fn layers_asked_in_turn_are_all_sampled() {
        for layers in 1..=8 {
            for layer in 0..layers {
                let asked = (0..512_000_u32).filter(|number| number % layers == layer);
                let (asked, sampled) =
                    asked.fold((0, 0), |(asked, hit), number| (asked + 1, hit + u32::from(is_sampled(number))));
                assert!((asked / 1_024..asked / 256).contains(&sampled), "{sampled} of {asked}, {layer} of {layers}");
            }
        }
    }

    use crate::policy::{Layers, Limits, Quarantine};
    use std::cell::Cell;

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

    /// A clock that stands, but for what is taken at some of its readings.
    struct Stolen {
        at: &'static [u32],
        readings: Cell<u32>,
        used: Cell<Duration>,
    }

    impl ThreadClock for Stolen {
        fn cpu(&self) -> Duration {
            self.readings.set(self.readings.get() + 1);
            if self.at.contains(&self.readings.get()) {
                self.used.set(self.used.get() + Duration::from_secs(70));
            }
            self.used.get()
        }
    }

    #[test]
    fn only_a_layer_that_is_over_its_limit_twice_is_over_it() {
        let set = set(&[
            ("policies/base.rego", "package tollgate.base\n"),
            ("policies/agents/a.rego", "package tollgate.agents.a\nallow_without_entity := true\n"),
        ]);
        // readings: 1 the beginning, 2 and 3 around the base, 4 and 5 around the agent's layer, then one more pair for each
        // that is asked again, and the end
        for (at, codes, asked_again, hits) in [
            (&[][..], &[][..], 0, 0),
            (&[5], &[], 1, 0),
            (&[3], &[], 1, 0),
            (&[3, 7], &[], 2, 0),
            (&[3, 7, 9], &["policy_timeout"], 2, 1),
            (&[5, 7], &["policy_timeout"], 1, 1),
            (&[3, 5], &["policy_timeout"], 1, 1),
            // between two layers it is nobody's
            (&[2, 4, 6], &[], 0, 0),
        ] {
            let limits = Limits { time: Duration::from_secs(60), quarantine_after: 1, ..Limits::default() };
            let quarantine = Quarantine::default();
            let clock = Stolen { at, readings: Cell::new(0), used: Cell::new(Duration::ZERO) };
            let now = Timestamp::UNIX_EPOCH;
            let conditions = Conditions { now, limits: &limits, quarantine: &quarantine, clock: &clock, in_use: None };
            let layers = Layers { agent: "a", entity_type: None };
            let outcome = Engines::default().evaluate(&set, &layers, &serde_json::json!({}), &conditions);
            let found: Vec<_> = outcome.reasons.iter().map(|reason| reason.code.as_str()).collect();
            assert_eq!(found, codes, "{at:?}");
            assert_eq!(outcome.asked_again, asked_again, "{at:?}");
            assert_eq!(quarantine.list(now).len(), hits, "{at:?}");
        }
    }
}
