//! An interpreter engine for one layer, and what comes out of asking it for a rule.

use super::builtins::{self, Shared};
use super::growth;
use super::problem::Problem;
use super::rvm::Code;
use super::set::{ContractRule, Layer, PolicySet};
use super::syntax;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Steps between two looks at the clock; a step of the interpreter is well under a microsecond.
const STEPS_PER_CHECK: NonZeroU32 = NonZeroU32::MIN.saturating_add(63);

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

impl Failure {
    /// An engine could not be built.
    pub(super) fn of_build(error: &anyhow::Error) -> Self {
        Self::Error(syntax::message(&error.to_string()), None)
    }
}

impl Compiled {
    /// An interpreter over modules, libraries and data.
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
        Self::new(all_sources(set, layer, value), data)
    }

    /// The same for the other engine. It has no built-ins of ours: a layer that it may run needs none.
    pub(super) fn code(set: &PolicySet, layer: &Layer, data: &Value) -> anyhow::Result<Code> {
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        for (path, text) in all_sources(set, layer, value_on_rvm) {
            engine.add_policy(path.to_owned(), text)?;
        }
        engine.add_data(data.clone())?;
        Code::compile(&mut engine, data)
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

/// The modules and libraries of a layer, and the rules that ask for all it says.
fn all_sources<'a>(
    set: &'a PolicySet,
    layer: &'a Layer,
    value: fn(&Layer, ContractRule) -> String,
) -> impl Iterator<Item = (&'a str, String)> {
    let rules = [None, Some(ContractRule::Allow), Some(ContractRule::AllowWithoutEntity)].map(|must_say| {
        let heard = [must_say, Some(ContractRule::Deny), Some(ContractRule::Warn)];
        let values = heard.map(|name| name.map_or_else(|| "[]".to_owned(), |name| value(layer, name)));
        format!("{} := [{}]\n", answer(must_say), values.join(", "))
    });
    let asked = ("answer", format!("package {GATHERED}\n{}", rules.concat()));
    sources(set, layer.files.iter().chain(&layer.libraries)).chain([asked])
}

/// The reference to all that a layer says.
pub(super) fn gathered_name(must_say: Option<ContractRule>) -> &'static str {
    match must_say {
        Some(ContractRule::Allow) => "data.tollgate.gathered.with_allow",
        Some(ContractRule::AllowWithoutEntity) => "data.tollgate.gathered.with_allow_without_entity",
        _ => "data.tollgate.gathered.alone",
    }
}

/// The name, in [`GATHERED`], of all that a layer says: the rule by which it must agree, `deny` and `warn`, each as an
/// array with its value, or without one where it is undefined.
fn answer(must_say: Option<ContractRule>) -> &'static str {
    gathered_name(must_say).trim_start_matches("data.tollgate.gathered.")
}

/// A rule's value in such an array. A rule that cannot be undefined is named as it is, which is cheaper; if it were
/// undefined all the same, so would be the whole answer, and that is a denial.
fn value(layer: &Layer, name: ContractRule) -> String {
    let reference = layer.id.rule(name.as_str());
    if !layer.defines(name) {
        "[]".to_owned()
    } else if layer.always_defines(name) {
        format!("[{reference}]")
    } else {
        format!("[value | value := {reference}]")
    }
}

/// The same for the RVM, where `:=` of what is undefined does not end the query. What it may run gives `true` or nothing;
/// anything else is a difference that the comparison finds.
fn value_on_rvm(layer: &Layer, name: ContractRule) -> String {
    if layer.defines(name) && !layer.always_defines(name) {
        format!("[true | {}]", layer.id.rule(name.as_str()))
    } else {
        value(layer, name)
    }
}

/// Path and text of some files of a set.
pub(super) fn sources<'a>(
    set: &'a PolicySet,
    files: impl Iterator<Item = &'a String>,
) -> impl Iterator<Item = (&'a str, String)> {
    files.filter_map(|path| set.tree.files.get(path).map(|text| (path.as_str(), text.to_string())))
}

/// The data of a set as the interpreter wants it.
pub(super) fn data_of(set: &PolicySet) -> Value {
    to_rego(&set.data.all)
}

/// What a layer can see of it.
pub(super) fn data_of_layer(set: &PolicySet, layer: &Layer) -> Value {
    to_rego(&set.data.part(&layer.sees))
}

/// JSON as a Rego value.
pub(super) fn to_rego(value: &serde_json::Value) -> Value {
    use serde::Deserialize as _;
    Value::deserialize(value).unwrap_or(Value::Undefined)
}

/// What speaks against a layer when its modules are taken together: what regorus has to say, or what is too dear.
pub(super) fn problems_of(set: &PolicySet, layer: &Layer, data: Value) -> Vec<Problem> {
    let file = layer.files.first().map_or("policies", String::as_str);
    let compiled = Compiled::of_layer(set, layer, data).and_then(|mut compiled| {
        compiled.prepare()?;
        Ok(growth::problems(compiled.engine.get_modules()))
    });
    compiled.unwrap_or_else(|error| vec![syntax::of_error(file, "compile", &error)])
}
