//! Has both engines judge many inputs, made so that whatever a layer looks at takes on every type and every constant that
//! the layer knows.

use super::{ALWAYS_ARRAYS, Code, Machine};
use crate::policy::compile::{Compiled, Failure, data_of_layer, gathered_name, to_rego};
use crate::policy::set::{ContractRule, Layer, PolicySet};
use crate::policy::tree::LayerId;
use regorus::Value;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// The longest that one answer may take here.
const LIMIT: Duration = Duration::from_secs(1);
/// Pairs of changes that are tried beside the single ones, on the usual input and on each recorded one.
const PAIRS: (usize, usize) = (400, 50);
/// Constants of a layer that are tried.
const MOST_CONSTANTS: usize = 60;

/// What both engines said of a layer was the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// So many answers.
    pub answers: usize,
    /// What gave those of the RVM.
    pub code: Code,
}

/// Compares the engines on these inputs and what is derived from them, and gives the code that may serve, or the first
/// answer that was not the same.
pub fn agree(set: &PolicySet, layer: &Layer, recorded: &[Json]) -> Result<Agreed, String> {
    if let Some(why) = &layer.interpreted {
        return Err(why.clone());
    }
    let broken = |error: anyhow::Error| format!("it cannot be compiled for the RVM: {error}");
    let data = data_of_layer(set, layer);
    let mut interpreter = Compiled::of_layer(set, layer, data.clone()).map_err(broken)?;
    interpreter.prepare().map_err(broken)?;
    let code = Compiled::code(set, layer, &data).map_err(broken)?;
    // as a worker reads it
    let machine = Machine::new(&code, data).map_err(broken)?;
    let mut pair = Pair { interpreter, machine, answers: 0 };
    let questions = questions(&layer.id);
    let changes = changes(layer);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let recorded = recorded.iter().map(|input| (to_rego(input), PAIRS.1));
    for (input, pairs) in std::iter::once((to_rego(&usual()), PAIRS.0)).chain(recorded) {
        pair.ask(questions, &input)?;
        for change in &changes {
            pair.ask(questions, &change.on(&input))?;
        }
        // of many changes each question has its share
        for (_, question) in (0..pairs.min(changes.len() * changes.len())).zip(questions.iter().cycle()) {
            let (one, other) = (&changes[random.below(changes.len())], &changes[random.below(changes.len())]);
            pair.ask(&[*question], &other.on(&one.on(&input)))?;
        }
    }
    Ok(Agreed { answers: pair.answers, code })
}

/// What a layer is ever asked.
fn questions(id: &LayerId) -> &'static [Option<ContractRule>] {
    match id {
        LayerId::Base => &[None],
        LayerId::Agent(_) => &[Some(ContractRule::Allow), Some(ContractRule::AllowWithoutEntity)],
        LayerId::Entity(_) => &[Some(ContractRule::Allow)],
    }
}

struct Pair {
    interpreter: Compiled,
    machine: Machine,
    answers: usize,
}

impl Pair {
    fn ask(&mut self, questions: &[Option<ContractRule>], input: &Value) -> Result<(), String> {
        for question in questions {
            self.interpreter.about(input, 0);
            let wanted = self.interpreter.ask(gathered_name(*question), LIMIT);
            let found = self.machine.ask(*question, input, LIMIT);
            match (wanted, found) {
                (Ok(wanted), Ok(found)) if wanted == found => self.answers += 1,
                (Ok(wanted), Ok(found)) => {
                    return Err(format!("the interpreter answers {wanted} and the RVM {found} on {input}"));
                }
                (Err(failure), _) => return Err(format!("the interpreter fails ({}) on {input}", words(&failure))),
                (Ok(_), Err(failure)) => return Err(format!("the RVM fails ({}) on {input}", words(&failure))),
            }
        }
        Ok(())
    }
}

fn words(failure: &Failure) -> String {
    match failure {
        Failure::Time => "out of time".to_owned(),
        Failure::Cap(why) | Failure::Error(why, _) => why.clone(),
    }
}

/// Something that the layer reads, made another.
struct Change {
    path: Vec<Value>,
    /// `None`: it is not there.
    to: Option<Value>,
}

impl Change {
    fn on(&self, input: &Value) -> Value {
        let mut changed = input.clone();
        set_at(&mut changed, &self.path, self.to.as_ref());
        changed
    }
}

/// Puts a value at a path, and what is missing on the way; a value of another type on the way makes room.
fn set_at(value: &mut Value, path: &[Value], to: Option<&Value>) {
    let Some((name, rest)) = path.split_first() else { return };
    if let Ok(items) = value.as_array_mut() {
        // read of each entry of a list
        return items.iter_mut().for_each(|item| set_at(item, path, to));
    }
    if value.as_object().is_err() {
        if to.is_none() {
            return;
        }
        *value = Value::new_object();
    }
    let Ok(fields) = value.as_object_mut() else { return };
    match (rest.is_empty(), to) {
        (true, Some(to)) => drop(fields.insert(name.clone(), to.clone())),
        (true, None) => drop(fields.remove(name)),
        (false, _) => set_at(fields.get_or_insert_with(name.clone(), || Value::Null), rest, to),
    }
}

fn changes(layer: &Layer) -> Vec<Change> {
    let types = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-7.5),
        json!(1_000_000_000_000_i64),
        json!(""),
        json!("abc"),
        json!([]),
        json!(["abc", 1, null]),
        json!({}),
        json!({"abc": "abc"}),
    ];
    let constants = layer.constants.iter().take(MOST_CONSTANTS);
    let values: Vec<Value> = types.iter().chain(constants).map(to_rego).collect();
    let mut changes = Vec::new();
    for path in layer.reads.iter().filter(|path| !is_made_by_tollgate(path)) {
        let path: Vec<Value> = path.iter().map(|name| Value::from(name.as_str())).collect();
        changes.push(Change { path: path.clone(), to: None });
        changes.extend(values.iter().map(|value| Change { path: path.clone(), to: Some(value.clone()) }));
    }
    changes
}

/// Whether Tollgate itself always puts an array there, so that no policy ever sees anything else.
fn is_made_by_tollgate(path: &[String]) -> bool {
    path.is_empty() || matches!(path, [name] if ALWAYS_ARRAYS.contains(&name.as_str()))
}

/// A usual input, for a layer that has seen none.
fn usual() -> Json {
    json!({
        "kind": "action",
        "agent": {"id": "agent", "registered": true, "team": "team", "labels": {}, "owner": "owner", "mode": "enforce"},
        "action": {"name": "action", "properties": {}},
        "entity": {"type": "type", "id": "id", "properties": {}},
        "run": {"id": "run", "attempt": 1, "step": "step", "same_step_failures": 0},
        "estimate": [{"unit": "usd", "amount": "1"}, {"unit": "tokens", "amount": "100"}],
        "budgets": [{"id": "budget", "unit": "usd", "limit": "10", "remaining": "5", "resets_at": null,
                     "as_of": "2026-01-01T00:00:00Z"}],
        "connectors": [{"id": "erp", "status": "up", "detail": null, "since": "2026-01-01T00:00:00Z"}],
        "now": {"rfc3339": "2026-01-01T00:00:00Z", "ns": 1_767_225_600_000_000_000_i64},
        "context": {},
    })
}

/// The same row of numbers every time: a comparison can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*, Vigna 2016
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        usize::try_from(number).unwrap_or(0) % bound.max(1)
    }
}

/// Constants as they stand in JSON.
pub(in crate::policy) fn constant(value: &Value) -> Option<Json> {
    serde_json::to_value(value).ok()
}
