//! A request for every route that gets past its reader.

use super::caller::example;
use serde_json::json;

/// A path with something in place of its parameters.
pub(crate) fn filled(path: &str) -> String {
    path.replace("{id}", "x")
        .replace("{raise}", "x")
        .replace("{digest}", &format!("sha256:{}", "0".repeat(64)))
        .replace("{type}", "x")
}

/// A body that gets past the reader of that route.
pub(crate) fn body(method: &str, path: &str) -> serde_json::Value {
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
