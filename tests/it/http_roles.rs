//! Every route of the API × every role, against the one table of roles; and keys that are bound to agents.

use crate::support::{Daemon, example};
use serde_json::json;
use tollgate::http::routes::ROUTES;
use tollgate::registry::Role;

/// A path with something in place of its parameters.
fn filled(path: &str) -> String {
    path.replace("{id}", "x")
        .replace("{raise}", "x")
        .replace("{digest}", &format!("sha256:{}", "0".repeat(64)))
        .replace("{type}", "x")
}

/// A body that gets past the reader of that route.
fn body(method: &str, path: &str) -> serde_json::Value {
    match (method, path) {
        ("POST", "/api/v1/admissions") => example("roles", "0"),
        ("POST", "/api/v1/admissions/batch") => json!({"items": [example("roles-batch", "0")]}),
        (_, "/api/v1/holds/{id}/settle") => json!({"actual": [{"unit": "usd", "amount": "1"}]}),
        (_, "/api/v1/holds/{id}/extend") => json!({"ttl_s": 60}),
        ("POST", "/api/v1/budgets") | ("PUT", "/api/v1/budgets/{id}") => {
            json!({"id": "x", "unit": "usd", "limit": "1", "window": {"kind": "day"}})
        }
        ("PUT", "/api/v1/budgets") => json!({"budgets": []}),
        ("POST", "/api/v1/budgets/{id}/raises") => json!({"limit": "2", "reason": "a test"}),
        (_, "/api/v1/agents/{id}/mode") => json!({"mode": "enforce", "reason": "a test"}),
        ("POST", "/api/v1/pauses") => json!({"target": {"kind": "agent", "id": "nobody"}, "reason": "a test"}),
        ("POST", "/api/v1/events") => json!({
            "specversion": "1.0", "id": "1", "source": "roles", "type": "tollgate.run.heartbeat", "subject": "roles",
            "data": {"agent": {"id": "rfq-draft"}}
        }),
        (_, "/api/v1/runs/{id}/retry") => json!({"plan_version": "plan_x", "idempotency_key": "k", "reason": "a test"}),
        (_, "/api/v1/runs/{id}/cancel" | "/api/v1/attention/{id}/resolve") => {
            json!({"category": "noise", "reason": "a test"})
        }
        (_, "/api/v1/attempts/claim") => json!({"worker": "w", "agents": ["rfq-draft"]}),
        ("PUT", "/api/v1/connectors/{id}") => json!({"status": "up"}),
        ("PUT", "/api/v1/schedules/{id}") => json!({"agent": "rfq-draft", "cron": "0 9 * * *"}),
        ("PUT", "/api/v1/workers/{id}") => json!({"agents": ["rfq-draft"]}),
        (_, "/api/v1/attention/{id}/assign") => json!({"owner": "Kim"}),
        (_, "/api/v1/attention/{id}/snooze") => json!({"until": "2999-01-01T00:00:00Z"}),
        (_, "/api/v1/attention/{id}/supply") => json!({"fields": {"/a": 1}}),
        (_, "/api/v1/attention/bulk") => {
            json!({"act": {"escalate": {"reason": "a test"}}, "items": [{"id": "x", "revision": 1}]})
        }
        (_, "/api/v1/attention/bulk/preview") => json!({"act": {"escalate": {"reason": "a test"}}, "ids": ["x"]}),
        ("POST", "/api/v1/keys") => json!({"id": "made", "holder": "a test", "roles": ["auditor"]}),
        ("PUT", _) | ("POST", "/api/v1/clock/confirm") => json!({}),
        _ => json!({"reason": "a test"}),
    }
}

#[test]
fn each_route_asks_for_the_roles_of_the_table() {
    let daemon = Daemon::start();
    for role in Role::ALL {
        let holder = daemon.holder(&[role.as_str()], &[]);
        for route in ROUTES {
            let Some(operation) = route.operation else { continue };
            let may = role == Role::Admin || operation.row().roles.contains(&role);
            let body = body(route.method, route.path).to_string();
            let headers = [("content-type", "application/json"), ("if-match", "\"1\"")];
            // the stream has no end: its head is enough
            let method = if route.path == "/api/v1/stream" { "HEAD" } else { route.method };
            let answer = holder.send(method, &filled(route.path), &headers, body.as_bytes());
            // in a batch each item has a status of its own
            let status = match answer["items"][0]["status"].as_u64() {
                Some(status) if route.path.ends_with("/batch") => u16::try_from(status).unwrap(),
                _ => answer.status(),
            };
            assert_eq!(status != 403, may, "{role:?} {route:?}: {}", answer.text());
            assert!(status != 401 && status < 500, "{role:?} {route:?}: {}", answer.text());
        }
    }
}

#[test]
fn a_missing_role_is_told_before_a_faulty_request() {
    let daemon = Daemon::start();
    let auditor = daemon.holder(&["auditor"], &[]);
    for route in ROUTES {
        let Some(operation) = route.operation else { continue };
        if operation.row().roles.contains(&Role::Auditor) {
            continue;
        }
        let headers = [("content-type", "text/plain")];
        let answer = auditor.send(route.method, &filled(route.path), &headers, b"{ no body");
        assert_eq!(answer.status(), 403, "{route:?}: {}", answer.text());
    }
}

#[test]
fn a_bound_key_sees_and_acts_for_its_agents_alone() {
    let daemon = Daemon::with()
        .file("policies/agents/other.rego", "package tollgate.agents.other\n\nimport rego.v1\n\nallow if true\n")
        .start();
    let (mine, other) = (daemon.holder(&["runtime"], &["rfq-draft"]), daemon.holder(&["runtime"], &["other"]));
    let asked = mine.ask("one", "1").allowed();
    let id = asked["id"].as_str().unwrap().to_owned();
    mine.get(&format!("/api/v1/admissions/{id}")).expect(200);
    other.get(&format!("/api/v1/admissions/{id}")).problem(404, "not_found");
    assert_eq!(other.get("/api/v1/admissions").expect(200)["items"], json!([]));
    assert_eq!(other.get("/api/v1/admissions?agent=rfq-draft").expect(200)["items"], json!([]));
    other.ask("one", "1").problem(403, "forbidden");
    let hold = asked.hold();
    other.get(&format!("/api/v1/holds/{hold}")).problem(404, "not_found");
    other.settle(&hold, "1").problem(404, "not_found");
    mine.settle(&hold, "1").expect(200);
    mine.get(&format!("/api/v1/admissions/{id}?explain=true")).problem(403, "forbidden");
}
