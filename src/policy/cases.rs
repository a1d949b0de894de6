//! Decision cases as data: `*.case.yaml` anywhere under `policies/`, each a description, an input and the wanted
//! decision.
//!
//! A file holds one case, or a list under `cases`. `input` is merged over a plain admission (see [`defaults`]), so
//! that a case says only what it is about; a `null` there takes the default away.

use super::engines::Engines;
use super::evaluate::{Conditions, Layers};
use super::problem::Problem;
use super::set::PolicySet;
use super::tree::{Role, Tree, role};
use crate::vocabulary::Reason;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Many(Many),
    One(Box<Case>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    description: String,
    #[serde(default)]
    input: Value,
    /// The policy profile of the agent, where it has one.
    #[serde(default)]
    policy_profile: Option<String>,
    want: Want,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Want {
    decision: Decision,
    #[serde(default)]
    reasons: Vec<WantedReason>,
    /// Codes; not looked at where absent.
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WantedReason {
    Code(String),
    Detailed(Box<Detailed>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detailed {
    code: String,
    remedy: Option<String>,
    target: Option<String>,
    message: Option<String>,
    rule: Option<String>,
    details: Option<Value>,
}

/// One case, run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// The file that it is in.
    pub file: String,
    /// Its description.
    pub description: String,
    /// What was not as wanted; empty when it passed.
    pub differences: Vec<Difference>,
}

/// Something that was not as wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: `decision`, `reason not_permitted`, …
    pub what: String,
    /// What the case wanted, if it wanted anything there.
    pub wanted: Option<String>,
    /// What came.
    pub got: Option<String>,
}

/// Reads a case file for its form: the problem has code `case_syntax`.
pub(super) fn check_syntax(path: &str, text: &str) -> Result<(), Problem> {
    parse(path, text).map(drop)
}

fn parse(path: &str, text: &str) -> Result<Vec<Case>, Problem> {
    // an untagged file would say nothing of what is wrong in it
    let is_list = yaml_serde::from_str::<Value>(text).is_ok_and(|value| value.get("cases").is_some());
    let parsed = if is_list {
        yaml_serde::from_str(text).map(File::Many)
    } else {
        yaml_serde::from_str(text).map(|case| File::One(Box::new(case)))
    };
    match parsed {
        Ok(File::Many(many)) => Ok(many.cases),
        Ok(File::One(case)) => Ok(vec![*case]),
        Err(error) => {
            let place = error.location().map_or((1, 1), |at| (at.line(), at.column()));
            let place = (u32::try_from(place.0).unwrap_or(1), u32::try_from(place.1).unwrap_or(1));
            Err(Problem::at(path, place, "case_syntax", error.to_string()))
        }
    }
}

/// Runs all cases of a tree against the set that it makes.
pub fn run_cases(
    tree: &Tree,
    set: &PolicySet,
    engines: &mut Engines,
    conditions: &Conditions<'_>,
) -> Result<Vec<CaseResult>, Vec<Problem>> {
    let mut results = Vec::new();
    let mut problems = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| role(path) == Role::Case) {
        match parse(path, text) {
            Ok(cases) => {
                results.extend(cases.into_iter().map(|case| run(path, case, set, engines, conditions)));
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(results) } else { Err(problems) }
}

fn run(path: &str, case: Case, set: &PolicySet, engines: &mut Engines, conditions: &Conditions<'_>) -> CaseResult {
    let mut input = defaults();
    overlay(&mut input, case.input);
    let mut differences = Vec::new();
    let now = now_of(&mut input);
    let (text, kind) = (|pointer: &str| input.pointer(pointer).and_then(Value::as_str), "agent.id");
    let agent = case.policy_profile.as_deref().or_else(|| text("/agent/id")).unwrap_or_else(|| {
        differences.push(Difference { what: kind.to_owned(), wanted: Some("a string".to_owned()), got: None });
        ""
    });
    let layers = Layers { agent, entity_type: text("/entity/type") };
    let outcome = engines.evaluate(set, &layers, &input, &Conditions { now, ..*conditions });
    let decision = if outcome.allowed() { Decision::Allow } else { Decision::Deny };
    if decision != case.want.decision {
        differences.push(difference("decision", Some(&json!(case.want.decision)), Some(&json!(decision))));
    }
    reasons(&case.want.reasons, outcome.reasons, &mut differences);
    if let Some(mut wanted) = case.want.warnings {
        let mut got: Vec<String> = outcome.warnings.into_iter().map(|warning| warning.code).collect();
        wanted.sort();
        got.sort();
        if wanted != got {
            differences.push(difference("warnings", Some(&json!(wanted)), Some(&json!(got))));
        }
    }
    CaseResult { file: path.to_owned(), description: case.description, differences }
}

fn difference(what: &str, wanted: Option<&Value>, got: Option<&Value>) -> Difference {
    let text =
        |value: Option<&Value>| value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    Difference { what: what.to_owned(), wanted: text(wanted), got: text(got) }
}

/// Pairs wanted and given reasons by code.
fn reasons(wanted: &[WantedReason], mut given: Vec<Reason>, differences: &mut Vec<Difference>) {
    for wanted in wanted {
        let code = match wanted {
            WantedReason::Code(code) => code,
            WantedReason::Detailed(detailed) => &detailed.code,
        };
        let Some(at) = given.iter().position(|reason| reason.code == *code) else {
            differences.push(difference(&format!("reason {code}"), Some(&json!("given")), None));
            continue;
        };
        let reason = given.remove(at);
        if let WantedReason::Detailed(detailed) = wanted {
            compare(detailed, &reason, differences);
        }
    }
    for reason in given {
        let got = json!(format!("{} ({})", reason.message, reason.rule.as_deref().unwrap_or("no rule")));
        differences.push(difference(&format!("reason {}", reason.code), None, Some(&got)));
    }
}

fn compare(wanted: &Detailed, reason: &Reason, differences: &mut Vec<Difference>) {
    let as_json = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    for (what, wanted, got) in [
        ("remedy", as_json(&wanted.remedy), Some(json!(reason.remedy.kind.as_str()))),
        ("target", as_json(&wanted.target), as_json(&reason.remedy.target)),
        ("message", as_json(&wanted.message), Some(json!(reason.message))),
        ("rule", as_json(&wanted.rule), as_json(&reason.rule)),
        ("details", wanted.details.clone(), reason.details.clone()),
    ] {
        if wanted.is_some() && wanted != got {
            differences.push(difference(&format!("{what} of {}", reason.code), wanted.as_ref(), got.as_ref()));
        }
    }
}

/// What a case's input is laid over: an action of the agent `rfq-draft`, without an entity, on a day in 2026.
fn defaults() -> Value {
    json!({
        "kind": "action",
        "agent": {"id": "rfq-draft", "team": null, "labels": {}, "mode": "enforce"},
        "action": {"name": "act", "properties": {}},
        "run": {"id": "run-1", "attempt": 1, "step": "step-1", "same_step_failures": 0},
        "estimate": [],
        "budgets": [],
        "connectors": [],
        "now": {"rfc3339": "2026-11-24T12:00:00Z"},
        "context": {},
    })
}

/// Lays one document over another: objects merge, `null` takes away, all else replaces.
fn overlay(under: &mut Value, over: Value) {
    match (under, over) {
        (_, Value::Null) => {}
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    under.remove(&key);
                } else {
                    overlay(under.entry(key).or_insert(Value::Object(serde_json::Map::new())), value);
                }
            }
        }
        (under, over) => *under = over,
    }
}

/// The time of a case; both spellings of it agree.
fn now_of(input: &mut Value) -> Timestamp {
    let now = input.pointer("/now/rfc3339").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let now: Timestamp = now.unwrap_or(Timestamp::UNIX_EPOCH);
    if let Some(fields) = input.get_mut("now").and_then(Value::as_object_mut) {
        fields.insert("ns".to_owned(), json!(super::evaluate::nanoseconds(now)));
    }
    now
}
