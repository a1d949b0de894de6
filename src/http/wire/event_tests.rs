//! What is taken as an event, and where it is at fault where it is not.

use super::*;
use crate::runs::event_schema;
use serde_json::json;

fn event(kind: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "s", "type": kind, "subject": "run-1", "data": data})
}

/// What is taken and what is not, by the reader and by the schema that is served: they agree.
#[test]
fn the_reader_and_the_schemas_agree() {
    let error = json!({"code": "timeout", "message": "slow", "details": {"ms": 5}});
    for (kind, data, good) in [
        ("tollgate.run.queued", json!({"agent": {"id": "a"}, "dispatch": "claim", "input": [1], "title": "T"}), true),
        ("tollgate.run.queued", json!({"dispatch": "push"}), false),
        ("tollgate.run.queued", json!({"titel": "T"}), false),
        (
            "tollgate.run.started",
            json!({"entity": {"type": "rfq", "id": "1", "properties": {}}, "schedule": "s", "agent_version": "1"}),
            true,
        ),
        ("tollgate.run.started", json!({"dispatch": "claim"}), false),
        ("tollgate.run.started", json!({"entity": {"type": "rfq"}}), false),
        ("tollgate.run.heartbeat", json!({"attempt": 2, "lease": "tg_x", "worker": "w", "step": "s"}), true),
        ("tollgate.run.heartbeat", json!({"attempt": 0}), false),
        ("tollgate.run.heartbeat", json!({"attempt": 1_000_000}), true),
        ("tollgate.run.heartbeat", json!({"attempt": 1_000_001}), false),
        ("tollgate.run.heartbeat", json!({"attempt": u32::MAX}), false),
        ("tollgate.run.heartbeat", json!({"attempt": "1"}), false),
        ("tollgate.run.heartbeat", json!({"error": error}), false),
        ("tollgate.run.dispatched", json!({}), true),
        ("tollgate.run.acknowledged", json!({}), true),
        ("tollgate.run.completed", json!({}), true),
        ("tollgate.run.cancelled", json!({}), true),
        ("tollgate.run.failed", json!({"error": error}), true),
        ("tollgate.run.failed", json!({}), false),
        ("tollgate.run.failed", json!({"error": {"code": "x"}}), false),
        ("tollgate.run.blocked", json!({"error": error, "step": "s"}), true),
        ("tollgate.step.started", json!({"step": "s"}), true),
        ("tollgate.step.started", json!({}), false),
        ("tollgate.step.completed", json!({"step": "s"}), true),
        ("tollgate.step.failed", json!({"step": "s", "error": error}), true),
        ("tollgate.step.failed", json!({"step": "s"}), true),
        (
            "tollgate.checkpoint.saved",
            json!({"checkpoint": {"id": "c", "step": "s", "note": "n", "state": {"x": 1}}}),
            true,
        ),
        ("tollgate.checkpoint.saved", json!({"checkpoint": {"note": "n"}}), false),
        (
            "tollgate.artifact.produced",
            json!({"artifact": {"name": "n", "media_type": "text/plain", "content": "aGk="}}),
            true,
        ),
        (
            "tollgate.artifact.produced",
            json!({"artifact": {"name": "n", "media_type": "text/plain", "href": "javascript:x"}}),
            false,
        ),
        (
            "tollgate.artifact.produced",
            json!({"artifact": {"name": "n", "media_type": "text/plain", "digest": "md5:x"}}),
            false,
        ),
    ] {
        let event = event(kind, data);
        assert_eq!(incoming(&event, "").is_ok(), good, "read: {event} {:?}", incoming(&event, "").err());
        let schema = event_schema(EventType::parse(kind).unwrap());
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert_eq!(validator.is_valid(&event), good, "schema: {event}");
    }
}

#[test]
fn envelopes_and_where_they_are_at_fault() {
    let change = |field: &str, value: Value| {
        let mut event = event("tollgate.run.heartbeat", json!({}));
        if value.is_null() {
            event.as_object_mut().unwrap().remove(field);
        } else {
            event[field] = value;
        }
        event
    };
    for (event, pointer) in [
        (change("specversion", json!("0.3")), Some("/3/specversion")),
        (change("type", json!("tollgate.run.retried")), Some("/3/type")),
        (change("type", json!("com.example")), Some("/3/type")),
        (change("subject", Value::Null), Some("/3/subject")),
        (change("source", json!(7)), Some("/3/source")),
        (change("id", json!("")), Some("/3/id")),
        (change("time", json!("yesterday")), Some("/3/time")),
        (change("data_base64", json!("aGk=")), Some("/3/data_base64")),
        (change("datacontenttype", json!("text/xml")), Some("/3/datacontenttype")),
        (change("traceparent", json!("00-x")), None),
        (change("data", Value::Null), None),
        (change("time", json!("2026-11-23T17:00:00+01:00")), None),
        (json!([]), Some("/3")),
    ] {
        let found = incoming(&event, "/3").err().map(|problem| problem.errors[0].pointer.clone());
        assert_eq!(found.as_deref(), pointer, "{event}");
    }
}

#[test]
fn what_is_kept_holds_neither_lease_nor_content() {
    let data = json!({"lease": "tg_secret", "artifact": {"name": "n", "media_type": "text/plain", "content": "aGk="}});
    let read = incoming(&event("tollgate.artifact.produced", data), "").unwrap();
    assert_eq!(read.content.as_deref(), Some(&b"hi"[..]));
    assert!(!read.reported.data.to_string().contains("aGk") && !read.reported.data.to_string().contains("tg_secret"));
    assert!(!read.whole.to_string().contains("tg_secret"));
    assert_eq!(read.reported.lease, Some(sha256("tg_secret")));
    let large = STANDARD.encode(vec![0; LARGEST_ARTIFACT + 1]);
    let data = json!({"artifact": {"name": "n", "media_type": "text/plain", "content": large}});
    let problem = incoming(&event("tollgate.artifact.produced", data), "").unwrap_err();
    assert_eq!(problem.errors[0].pointer, "/data/artifact/content");
}
