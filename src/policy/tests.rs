//! The room as a whole: trees in, decisions out.

use super::*;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// A clock that has worked for nothing: limits are then regorus' own, on the wall.
pub(super) struct Steady;

impl ThreadClock for Steady {
    fn cpu(&self) -> Duration {
        Duration::ZERO
    }
}

/// What the thread has really used.
pub(super) struct Real;

impl ThreadClock for Real {
    fn cpu(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
    }
}

/// One worker with its limits.
pub(super) struct Bench {
    pub(super) engines: Engines,
    pub(super) limits: Limits,
    pub(super) quarantine: Quarantine,
    pub(super) now: Timestamp,
}

impl Default for Bench {
    fn default() -> Self {
        // tests run unoptimised and in parallel; what they measure sets its own limit
        let limits = Limits { time: Duration::from_secs(2), ..Limits::default() };
        Self {
            engines: Engines::default(),
            limits,
            quarantine: Quarantine::default(),
            now: "2026-11-24T12:00:00Z".parse().unwrap(),
        }
    }
}

impl Bench {
    pub(super) fn judge(&mut self, set: &PolicySet, agent: &str, entity_type: Option<&str>, input: &Value) -> Outcome {
        let Self { engines, limits, quarantine, now } = self;
        let conditions = Conditions { now: *now, limits, quarantine, clock: &Real };
        engines.evaluate(set, &Layers { agent, entity_type }, input, &conditions)
    }
}

/// `policies/` of the package.
pub(super) fn shipped() -> Tree {
    fn read(directory: &std::path::Path, root: &std::path::Path, files: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, root, files);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    read(&root.join("policies"), root, &mut files);
    Tree::of(files)
}

pub(super) fn set(files: &[(&str, &str)]) -> PolicySet {
    check(&Tree::of(files.iter().copied())).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>());
    })
}

pub(super) fn codes(outcome: &Outcome) -> Vec<&str> {
    outcome.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

fn metro() -> Value {
    json!({
        "kind": "action",
        "agent": {"id": "rfq-draft"},
        "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
        "entity": {"type": "rfq", "id": "RFQ-1042",
                   "properties": {"customer_id": "metro-equipment", "due_date": "2026-12-01"}},
        "run": {"id": "run-17", "attempt": 1, "step": "price-lookup", "same_step_failures": 0},
        "estimate": [{"unit": "usd", "amount": "0.42"}, {"unit": "tokens", "amount": "12000"}],
        "connectors": ["erp"], "context": {}, "budgets": [],
        "now": {"rfc3339": "2026-11-24T12:00:00Z", "ns": 1_795_521_600_000_000_000_i64},
    })
}

#[test]
fn the_story_of_the_quote() {
    let set = check(&shipped()).unwrap();
    let mut bench = Bench::default();
    let outcome = bench.judge(&set, "rfq-draft", Some("rfq"), &metro());
    assert!(outcome.allowed(), "{:?}", outcome.reasons);

    let mut input = metro();
    input["entity"]["properties"].as_object_mut().unwrap().remove("due_date");
    let outcome = bench.judge(&set, "rfq-draft", Some("rfq"), &input);
    assert_eq!(codes(&outcome), ["missing_data"]);
    let reason = &outcome.reasons[0];
    assert_eq!(reason.remedy.target.as_deref(), Some("field:/entity/properties/due_date"));
    assert_eq!(reason.rule.as_deref(), Some("entities/rfq.rego:27"));
}
