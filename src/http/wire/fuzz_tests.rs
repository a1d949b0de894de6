//! Any JSON in the place of any part of any body: read, or refused with a 4xx that names the place.

use super::{attention_act, budget, claim, event, hold, registry, run_act, setup};
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::read::read;
use proptest::prelude::*;
use serde_json::{Value, json};

type Reader = fn(&Value) -> Result<(), Problem>;

macro_rules! reader {
    ($body:ty, $method:ident $(, $argument:expr)*) => {
        (|value: &Value| read::<$body>(value, "")?.$method($($argument),*).map(drop)) as Reader
    };
}

/// Each body with an example that is read, and what becomes of it.
fn bodies() -> Vec<(Value, Reader)> {
    vec![
        (
            json!({"id": "daily", "unit": "usd", "limit": "5.00", "scope": {"agent": "a"}, "each": ["run"],
                "window": {"kind": "day", "time_zone": "America/New_York"}, "enforcement": "hard",
                "alert_at_percent": [50, 100], "require_estimate": true, "count_unsettled": false}),
            reader!(budget::BudgetBody, spec, "", None),
        ),
        (
            json!({"limit": "9", "reason": "r", "ends_at": "2026-12-01T00:00:00Z", "evidence": "e",
                "idempotency_key": "k"}),
            reader!(budget::RaiseBody, asked),
        ),
        (json!({"actual": [{"unit": "usd", "amount": "0.42"}]}), reader!(hold::SettleBody, actual)),
        (json!({"reason": "not needed"}), reader!(hold::ReleaseBody, reason)),
        (json!({"ttl_s": 60}), reader!(hold::ExtendBody, ttl_s)),
        (
            json!({"specversion": "1.0", "id": "17", "source": "rfq-runtime", "type": "tollgate.step.failed",
                "subject": "run-17", "time": "2026-11-23T17:00:00Z",
                "data": {"attempt": 1, "step": "s", "agent": {"id": "a"},
                    "error": {"code": "timeout", "message": "It did not answer.", "details": {"n": 1}}}}),
            |value| event::incoming(value, "").map(drop),
        ),
        (
            json!({"specversion": "1.0", "id": "18", "source": "rfq-runtime", "type": "tollgate.artifact.produced",
                "subject": "run-17", "data": {"attempt": 1, "artifact": {"name": "quote.txt",
                    "media_type": "text/plain", "content": "aGVsbG8="}}}),
            |value| event::incoming(value, "").map(drop),
        ),
        (json!({"category": "noise", "reason": "r"}), reader!(run_act::CancelBody, asked, "")),
        (json!({"reason": "r"}), reader!(run_act::ForceStopBody, asked, "")),
        (
            json!({"plan_version": "plan_1", "idempotency_key": "k", "reason": "r", "acknowledge": ["hold_1"]}),
            reader!(run_act::RetryBody, asked),
        ),
        (json!({"worker": "w", "agents": ["a"], "wait_s": 1}), reader!(claim::ClaimBody, asked)),
        (json!({"status": "down", "detail": "d"}), reader!(setup::ConnectorBody, asked)),
        (
            json!({"agent": "a", "cron": "0 * * * *", "time_zone": "UTC", "grace_s": 60}),
            reader!(setup::ScheduleBody, spec),
        ),
        (json!({"agents": ["a"], "capacity": 2, "version": "1"}), reader!(setup::WorkerBody, spec)),
        (
            json!({"team": "sales", "labels": {"a": "b"}, "owner": "Mia", "escalation_contact": "Kim"}),
            reader!(registry::AgentRecordBody, spec),
        ),
        (
            json!({"mode": "observe", "reason": "r", "ends_at": "2026-12-01T00:00:00Z"}),
            reader!(registry::ModeBody, spec),
        ),
        (
            json!({"description": "d", "schema": {"type": "object", "properties": {"iban": {"type": "string",
                "pattern": "^[A-Z]+$", "x-tollgate-mask": true}}}, "link_template": "https://erp/{id}"}),
            reader!(registry::EntityTypeBody, spec),
        ),
        (
            json!({"target": {"kind": "agent", "id": "a"}, "reason": "r", "ends_at": "2026-12-01T00:00:00Z"}),
            reader!(registry::PauseBody, asked),
        ),
        (json!({"id": "k", "holder": "Mia", "roles": ["runtime"], "agents": ["a"]}), reader!(registry::KeyBody, asked)),
        (
            json!({"owner": "Kim", "due_at": "2026-12-01T00:00:00Z", "fix": "budget:daily"}),
            reader!(attention_act::AssignBody, act, ""),
        ),
        (json!({"fields": {"/entity/properties/due_date": "2026-12-01"}}), reader!(attention_act::SupplyBody, act, "")),
        (json!({"category": "noise", "reason": "r"}), reader!(attention_act::ResolveBody, act, "")),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("1e400")),
        Just(json!("99999999999999999999")),
        Just(json!("9999-12-31T23:59:59.999999999Z")),
        Just(json!("x".repeat(70_000))),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z/~]{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let below: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, inner)| (key.replace('~', "~0").replace('/', "~1"), inner)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(n, inner)| (n.to_string(), inner)).collect(),
        _ => Vec::new(),
    };
    below.into_iter().for_each(|(key, inner)| pointers(inner, &format!("{at}/{key}"), found));
}

#[test]
fn the_examples_are_read() {
    for (example, read) in bodies() {
        if let Err(problem) = read(&example) {
            panic!("{example}: {problem:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_body_is_read_or_refused_with_a_4xx(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), anything()), 1..3),
    ) {
        let mut bodies = bodies();
        let (mut body, read) = bodies.swap_remove(which.index(bodies.len()));
        for (place, value) in changes {
            let mut all = Vec::new();
            pointers(&body, "", &mut all);
            *body.pointer_mut(&all[place.index(all.len())]).unwrap() = value;
        }
        // as it comes in, by its text
        let Ok(body) = json::parse(body.to_string().as_bytes()) else { return Ok(()) };
        if let Err(problem) = read(&body) {
            let status = problem.code.row().status;
            prop_assert!((400..500).contains(&status), "{}: {:?}", body, problem);
        }
    }
}
