//! What an admission request may look like, as a table; and that no JSON at all brings the reader down.

use super::*;
use crate::http::json;
use crate::http::read::read;
use proptest::prelude::*;
use serde_json::json;

fn example() -> Value {
    json!({
        "idempotency_key": "run-17/price-lookup/1", "kind": "action",
        "agent": {"id": "rfq-draft"},
        "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
        "entity": {"type": "rfq", "id": "RFQ-1042", "properties": {"customer_id": "metro-equipment", "due_date": "2026-12-01"}},
        "run": {"id": "run-17", "attempt": 1, "step": "price-lookup"},
        "estimate": [{"unit": "usd", "amount": "0.42"}, {"unit": "tokens", "amount": "12000"}],
        "connectors": ["erp"], "context": {}, "hold_ttl_s": 600, "dry_run": false
    })
}

fn parse(text: &str) -> Result<Request, Problem> {
    read::<AdmissionBody>(&json::parse(text.as_bytes())?, "")?.request("")
}

/// The example with the value at a pointer replaced, or removed, or added.
fn with(pointer: &str, value: Option<Value>) -> Value {
    let mut body = example();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match (body.pointer_mut(parent).unwrap(), value) {
        (Value::Object(map), Some(value)) => drop(map.insert(last.to_owned(), value)),
        (Value::Object(map), None) => drop(map.remove(last)),
        (Value::Array(items), Some(value)) => items[last.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer}"),
    }
    body
}

#[test]
fn the_design_s_example_is_read() {
    let request = parse(&example().to_string()).unwrap();
    assert_eq!(request.agent.as_str(), "rfq-draft");
    assert_eq!(request.estimate.values().map(|amount| amount.nanos()).sum::<i64>(), 12_000_420_000_000);
    assert_eq!((request.hold_ttl_s, request.dry_run, request.kind), (600, false, Kind::Action));
}

#[test]
fn the_least_is_an_agent_and_an_action() {
    let request = parse(r#"{"agent": {"id": "a"}, "action": {"name": "think"}, "dry_run": true}"#).unwrap();
    assert_eq!((request.hold_ttl_s, request.entity, request.run, request.idempotency_key), (600, None, None, None));
}

#[test]
fn what_is_refused_and_where() {
    for (pointer, value, at) in [
        ("/estimate/0/amount", Some(json!("-1")), "/estimate/0/amount"),
        ("/estimate/0/amount", Some(json!("1e400")), "/estimate/0/amount"),
        ("/estimate/0/amount", Some(json!("0.0000000001")), "/estimate/0/amount"),
        ("/estimate/0/amount", Some(json!("9223372036854775807")), "/estimate/0/amount"),
        ("/estimate/0/amount", Some(json!(-1)), "/estimate/0/amount"),
        ("/estimate/0/amount", Some(json!(0.42)), "/estimate/0/amount"),
        ("/estimate/0/amount", Some(json!(9_223_372_036_854_775_807_i64)), "/estimate/0/amount"),
        ("/estimate/0/amount", Some(Value::Null), "/estimate/0/amount"),
        ("/estimate/1/unit", Some(json!("usd")), "/estimate/1/unit"),
        ("/estimate/1/unit", Some(json!("US$")), "/estimate/1/unit"),
        ("/estimate/1", Some(json!(["usd", "1"])), "/estimate/1"),
        ("/estimate", Some(json!({"usd": "1"})), "/estimate"),
        ("/estimat", Some(json!([])), "/estimat"),
        ("/estimate/0/amout", Some(json!("1")), "/estimate/0/amout"),
        ("/idempotency_key", None, "/idempotency_key"),
        ("/idempotency_key", Some(json!("")), "/idempotency_key"),
        ("/agent", None, "/agent"),
        ("/agent", Some(json!("rfq-draft")), "/agent"),
        ("/agent", Some(json!(["rfq-draft"])), "/agent"),
        ("/agent/team", Some(json!("rich")), "/agent/team"),
        ("/agent/id", Some(json!("a\u{0}b")), "/agent/id"),
        ("/action", None, "/action"),
        ("/action/properties", Some(json!([])), "/action/properties"),
        ("/entity/type", None, "/entity/type"),
        ("/run/attempt", Some(json!(0)), "/run/attempt"),
        ("/run/attempt", Some(json!(-1)), "/run/attempt"),
        ("/run/attempt", Some(json!(4_294_967_296_i64)), "/run/attempt"),
        ("/run/attempt", Some(json!(u32::MAX)), "/run/attempt"),
        ("/run/attempt", Some(json!(1_000_001)), "/run/attempt"),
        ("/hold_ttl_s", Some(json!(0)), "/hold_ttl_s"),
        ("/hold_ttl_s", Some(json!(86_401)), "/hold_ttl_s"),
        ("/hold_ttl_s", Some(json!(1.5)), "/hold_ttl_s"),
        ("/dry_run", Some(json!("yes")), "/dry_run"),
        ("/connectors/0", Some(json!("")), "/connectors/0"),
        ("/kind", Some(json!("rerun")), "/kind"),
        ("/context", Some(json!("x")), "/context"),
    ] {
        let body = with(pointer, value.clone());
        let problem = parse(&body.to_string()).expect_err(&body.to_string());
        assert_eq!(problem.code.row().status, 400);
        assert_eq!(problem.errors[0].pointer, at, "{pointer} {value:?}: {problem:?}");
    }
}

#[test]
fn every_fault_is_named_at_once() {
    let mut body = with("/estimate/0/amount", Some(json!("-1")));
    body["agent"]["id"] = json!("");
    body["run"]["id"] = json!(" x");
    body["hold_ttl_s"] = json!(0);
    let pointers: Vec<_> = parse(&body.to_string()).unwrap_err().errors.into_iter().map(|e| e.pointer).collect();
    assert_eq!(pointers, ["/agent/id", "/run/id", "/estimate/0/amount", "/hold_ttl_s"]);
}

#[test]
fn a_retry_names_its_run_and_nothing_else() {
    let retry =
        r#"{"idempotency_key": "k", "kind": "retry", "agent": {"id": "a"}, "run": {"id": "run-17", "attempt": 2}}"#;
    assert_eq!(parse(retry).unwrap().action.name.as_str(), "start_run");
    let mut body = example();
    body["kind"] = json!("retry");
    body.as_object_mut().unwrap().remove("run");
    let pointers: Vec<_> = parse(&body.to_string()).unwrap_err().errors.into_iter().map(|e| e.pointer).collect();
    assert_eq!(pointers, ["/action", "/entity", "/estimate", "/run"]);
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(json!("1e400")),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| {
            found.push(format!("{at}/{key}"));
            pointers(inner, &format!("{at}/{key}"), found);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, inner)| {
            found.push(format!("{at}/{n}"));
            pointers(inner, &format!("{at}/{n}"), found);
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in the place of whatever part: read, or refused with 400 and a pointer to it or into it.
    #[test]
    fn a_mutated_example_is_read_or_refused_with_its_pointer(place in any::<prop::sample::Index>(), value in anything()) {
        let mut all = Vec::new();
        pointers(&example(), "", &mut all);
        let pointer = &all[place.index(all.len())];
        let body = with(pointer, Some(value));
        if let Err(problem) = parse(&body.to_string()) {
            prop_assert_eq!(problem.code.row().status, 400);
            prop_assert!(!problem.errors.is_empty());
            for error in &problem.errors {
                prop_assert!(error.pointer.starts_with(pointer.as_str()) || pointer.ends_with("kind") || pointer.starts_with("/estimate"), "{}: {:?}", pointer, problem);
            }
        }
    }

    /// Any bytes, and any cut of the example.
    #[test]
    fn no_bytes_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
        let _ = json::parse(&bytes).and_then(|value| read::<AdmissionBody>(&value, "")?.request(""));
        let text = example().to_string();
        let cut = &text.as_bytes()[..cut.index(text.len())];
        prop_assert!(json::parse(cut).is_err());
    }
}
