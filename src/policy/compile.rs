//! An interpreter engine for one layer, and what comes out of asking it for a rule.

use super::builtins::{self, Shared};
use super::problem::Problem;
use super::set::{ContractRule, Layer, PolicySet};
use super::syntax;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Steps between two looks at the clock; a step of the interpreter is well under a microsecond.
const STEPS_PER_CHECK: NonZeroU32 = NonZeroU32::MIN.saturating_add(15);

/// An engine, ready to be asked.
pub(super) struct Compiled {
    engine: Engine,
    shared: Shared,
}

/// Why a rule has no value to go on with.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Out of time, as the wall clock has it.
    Time,
    /// A built-in was stopped at its cap.
    Cap(String),
    /// A run-time error: the message, and file and line where it happened, if known.
    Error(String, Option<(String, u32)>),
}

impl Compiled {
    /// An engine over modules, libraries and data.
    pub(super) fn new<'a>(modules: impl Iterator<Item = (&'a str, String)>, data: Value) -> anyhow::Result<Self> {
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        engine.set_gather_prints(true);
        for (path, text) in modules {
            engine.add_policy(path.to_owned(), text)?;
        }
        engine.add_data(data)?;
        let shared = Shared::default();
        builtins::install(&mut engine, &shared)?;
        Ok(Self { engine, shared })
    }

    /// The engine of a layer, which can be asked for [`answer`] too.
    pub(super) fn of_layer(set: &PolicySet, layer: &Layer, data: Value) -> anyhow::Result<Self> {
        let rules = [None, Some(ContractRule::Allow), Some(ContractRule::AllowWithoutEntity)].map(|must_say| {
            let heard = [Some(ContractRule::Deny), Some(ContractRule::Warn), must_say];
            let heard = heard.into_iter().flatten().filter(|name| layer.defines(*name));
            let values = heard.map(|name| (name.as_str().to_owned(), layer.id.rule(name.as_str())));
            gathered(answer(must_say), values)
        });
        let asked = ("answer", format!("package {GATHERED}\n{}", rules.concat()));
        Self::new(sources(set, layer.files.iter().chain(&set.libraries)).chain([asked]), data)
    }

    /// Makes regorus analyse what it was given; it does so before its first answer.
    pub(super) fn prepare(&mut self) -> anyhow::Result<()> {
        self.engine.eval_query("true".to_owned(), false).map(drop)
    }

    /// Sets what the next questions are about.
    pub(super) fn about(&mut self, input: &Value, now_ns: i64) {
        self.shared.now_ns.store(now_ns, Ordering::Relaxed);
        self.engine.set_input(input.clone());
    }

    /// The value of a rule (`data.tollgate.base.deny`), within `limit` of wall time.
    ///
    /// After a failure the engine may hold half of a state, and must not be asked again.
    pub(super) fn ask(&mut self, rule: &str, limit: Duration) -> Result<Value, Failure> {
        self.shared.capped.store(false, Ordering::Relaxed);
        self.engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval: STEPS_PER_CHECK });
        let engine = &mut self.engine;
        // regorus is not written to panic, but a panic must be a denial too, not a lost worker
        let answer = catch_unwind(AssertUnwindSafe(|| engine.eval_rule(rule.to_owned())));
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failure(&error)),
            Err(_) => Err(Failure::Error("the interpreter failed".to_owned(), None)),
        }
    }

    /// The engine itself, for tests in Rego.
    pub(super) fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn failure(&self, error: &anyhow::Error) -> Failure {
        let text = error.to_string();
        let message = syntax::message(&text);
        if self.shared.capped.load(Ordering::Relaxed) {
            return Failure::Cap(message);
        }
        // an error in a function comes back as text alone; a text of the agent's choosing may look the same, so
        // whoever hears `Time` looks at the clock too
        let timed_out = matches!(error.downcast_ref(), Some(LimitError::TimeLimitExceeded { .. }))
            || text.contains("execution exceeded time limit");
        if timed_out {
            return Failure::Time;
        }
        Failure::Error(message, syntax::place(&text).map(|(file, (line, _))| (file.to_owned(), line)))
    }
}

/// The package of the rules that ask for several others at once. Every question to an engine begins from nothing, so
/// asked one by one they would make each their own way through what they share. No file of a set is of this package.
pub(super) const GATHERED: &str = "tollgate.gathered";

/// Rules of [`GATHERED`] that make `name` the set of these keys, each with its value; one whose value is undefined is
/// not in it.
pub(super) fn gathered(name: &str, values: impl Iterator<Item = (String, String)>) -> String {
    // the first rule keeps the set defined whatever the others are
    let rules = values.map(|(key, reference)| format!("{name} contains [\"{key}\", {reference}]\n"));
    format!("{name} contains [] if true\n{}", rules.collect::<String>())
}

/// The value of a key in such a set.
pub(super) fn of_gathered(set: &Value, key: &str) -> Value {
    let Value::Set(pairs) = set else { return Value::Undefined };
    let pair = pairs.iter().find(|pair| pair[0] == Value::from(key));
    pair.map_or(Value::Undefined, |pair| pair[1].clone())
}

/// The name, in [`GATHERED`], of all that a layer says: `deny`, `warn`, and the rule by which it must agree.
pub(super) fn answer(must_say: Option<ContractRule>) -> &'static str {
    match must_say {
        Some(ContractRule::Allow) => "with_allow",
        Some(ContractRule::AllowWithoutEntity) => "with_allow_without_entity",
        _ => "alone",
    }
}

/// Path and text of some files of a set.
pub(super) fn sources<'a>(
    set: &'a PolicySet,
    files: impl Iterator<Item = &'a String>,
) -> impl Iterator<Item = (&'a str, String)> {
    files.filter_map(|path| set.tree.files.get(path).map(|text| (path.as_str(), text.clone())))
}

/// The data of a set as the interpreter wants it.
pub(super) fn data_of(set: &PolicySet) -> Value {
    to_rego(&set.data)
}

/// JSON as a Rego value.
pub(super) fn to_rego(value: &serde_json::Value) -> Value {
    use serde::Deserialize as _;
    Value::deserialize(value).unwrap_or(Value::Undefined)
}

/// What regorus has against a layer, if anything.
pub(super) fn problem_of(set: &PolicySet, layer: &Layer) -> Option<Problem> {
    let file = layer.files.first().map_or("policies", String::as_str);
    let compiled = Compiled::of_layer(set, layer, data_of(set)).and_then(|mut compiled| compiled.prepare());
    compiled.err().map(|error| syntax::of_error(file, "compile", &error))
}
