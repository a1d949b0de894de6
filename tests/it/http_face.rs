//! How the API behaves as HTTP: errors, headers, bounds, hosts, methods.

use crate::support::{Daemon, example};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

#[test]
fn every_error_is_a_problem_document() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let json_body = [("content-type", "application/json")];
    admin.get("/api/v1/nothing").problem(404, "not_found");
    admin.get("/api/v1/admissions/").problem(404, "not_found");
    admin.get("/").problem(404, "not_found");
    admin.get("/api/v1/admissions/adm_nothing").problem(404, "not_found");
    admin.get("/api/v1/admissions/..%2f..%2fetc").problem(404, "not_found");
    admin.get("/api/v1/holds/hold_nothing").problem(404, "not_found");
    admin.get("/api/v1/budgets/nothing").problem(404, "not_found");
    admin.get("/api/v1/policy-sets/sha256:00").problem(404, "not_found");
    admin.get(&format!("/api/v1/policy-sets/sha256:{}", "0".repeat(64))).problem(404, "not_found");
    admin.get("/api/v1/admissions?limit=0").problem(400, "invalid_request");
    admin.get("/api/v1/admissions?limt=5").problem(400, "unknown_field");
    admin.get("/api/v1/admissions?cursor=%00%ff").problem(400, "invalid_request");
    let refused = admin.delete("/api/v1/admissions").problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET, POST, HEAD"));
    assert_eq!(admin.send("OPTIONS", "/healthz", &[], b"").expect(204).header("allow"), Some("GET, HEAD"));
    admin
        .send("POST", "/api/v1/admissions", &[("content-type", "text/plain")], b"{}")
        .problem(415, "unsupported_media_type");
    admin.send("POST", "/api/v1/admissions", &[], b"{}").problem(415, "unsupported_media_type");
    for (body, code) in [
        (&b""[..], "malformed_json"),
        (b"{", "malformed_json"),
        (b"\xff", "malformed_json"),
        (b"{\"agent\": 1, \"agent\": 2}", "malformed_json"),
        (b"[]", "invalid_request"),
        (b"null", "invalid_request"),
    ] {
        admin.send("POST", "/api/v1/admissions", &json_body, body).problem(400, code);
    }
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    admin.send("POST", "/api/v1/admissions", &json_body, deep.as_bytes()).problem(400, "too_deep");
    let large = format!("{{\"context\": {{\"x\": \"{}\"}}}}", "x".repeat(1024 * 1024));
    admin.send("POST", "/api/v1/admissions", &json_body, large.as_bytes()).problem(413, "payload_too_large");
    admin.admit(&json!({"estimat": []})).problem(400, "unknown_field");
}

#[test]
fn amounts_that_are_none_are_named_by_pointer() {
    let daemon = Daemon::start();
    for amount in ["-1", "1e400", "0.0000000001", "9223372036854775807", "", "NaN", "١"] {
        let refused = daemon.admin().ask("k", amount).problem(400, "invalid_request");
        assert_eq!(refused["errors"][0]["pointer"], "/estimate/0/amount", "{amount}: {}", refused.text());
    }
    let body = example("k", "1").to_string().replace("\"amount\":\"1\"", "\"amount\":1e400");
    let refused =
        daemon.admin().send("POST", "/api/v1/admissions", &[("content-type", "application/json")], body.as_bytes());
    assert_eq!(refused.problem(400, "malformed_json")["errors"][0]["pointer"], "/estimate/0/amount");
}

#[test]
fn without_a_key_nothing_is_open_but_health_and_docs() {
    let daemon = Daemon::start();
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/problems", "/metrics"] {
        daemon.nobody().get(path).expect(200);
    }
    let refused = daemon.nobody().get("/api/v1/budgets").problem(401, "unauthorized");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"tollgate\""));
    for header in ["Bearer", "Bearer ", "Basic YTpi", "bearer wrong-key-0123456789-0123456789"] {
        daemon.nobody().send("GET", "/api/v1/budgets", &[("authorization", header)], b"").problem(401, "unauthorized");
    }
    daemon.nobody().send("GET", "/api/v1/budgets", &[("cookie", "session=x")], b"").problem(401, "unauthorized");
    // a stranger's body is not even read
    daemon.nobody().send("POST", "/api/v1/admissions", &[], b"{").problem(401, "unauthorized");
}

#[test]
fn a_clock_is_confirmed_without_fields_and_any_revision_is_matched_by_a_star() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.post("/api/v1/clock/confirm", &json!({"wall": "2001-01-01T00:00:00Z"})).problem(400, "unknown_field");
    admin.post("/api/v1/clock/confirm", &json!({})).expect(200);
    assert_eq!(admin.send("POST", "/api/v1/clock/confirm", &[], b"").status(), 200);
    let budget = json!({"id": "starred", "unit": "usd", "limit": "1", "window": {"kind": "day"}});
    admin.post("/api/v1/budgets", &budget).expect(201);
    assert_eq!(admin.send("DELETE", "/api/v1/budgets/starred", &[("if-match", "*")], b"").status(), 200);
}

#[test]
fn a_revoked_key_opens_nothing_from_the_next_request_on() {
    let daemon = Daemon::start();
    let auditor = daemon.holder(&["auditor"], &[]);
    auditor.get("/api/v1/audit").expect(200);
    let made = daemon.admin().get("/api/v1/keys").expect(200);
    assert!(!made.text().contains("secret") && !made.text().contains("sha256"), "{}", made.text());
    daemon.admin().delete("/api/v1/keys/test-auditor").expect(200);
    auditor.get("/api/v1/audit").problem(401, "unauthorized");
}

#[test]
fn hosts_that_are_not_ours_are_refused() {
    let daemon =
        Daemon::with().config(|config| config.http.allowed_hosts = vec!["gate.example.com".to_owned()]).start();
    for (host, status) in [("evil.example", 421), ("gate.example.com", 200), ("localhost", 200), ("10.1.2.3:99", 200)] {
        let mut stream = TcpStream::connect(daemon.url().trim_start_matches("http://")).unwrap();
        write!(stream, "GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
}

#[test]
fn a_request_keeps_its_id_if_that_is_harmless() {
    let daemon = Daemon::start();
    let answer = daemon.nobody().send("GET", "/healthz", &[("x-request-id", "trace-7.a")], b"");
    assert_eq!(answer.header("x-request-id"), Some("trace-7.a"));
    for id in ["a b", "<script>", &"x".repeat(65)] {
        let answer = daemon.nobody().send("GET", "/healthz", &[("x-request-id", id)], b"");
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"), "{id}");
    }
}

#[test]
fn every_answer_carries_security_headers() {
    let daemon = Daemon::start();
    for path in ["/healthz", "/docs", "/nothing"] {
        let answer = daemon.nobody().get(path);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[test]
fn head_is_get_without_a_body() {
    let daemon = Daemon::start();
    let head = daemon.nobody().send("HEAD", "/healthz", &[], b"").expect(200);
    assert_eq!((head.text(), head.header("content-type")), ("", Some("application/json")));
}

#[test]
fn the_docs_show_every_route_and_load_nothing() {
    let daemon = Daemon::start();
    let page = daemon.nobody().get("/docs").expect(200);
    for route in tollgate::http::routes::ROUTES.iter().filter(|route| route.operation.is_some()) {
        assert!(page.text().contains(&format!("{}</span>{}", route.method, route.path)), "{route:?}");
    }
    assert!(!page.text().contains("<script") && !page.text().contains("http://") && !page.text().contains("src="));
    let problems = daemon.nobody().get("/docs/problems").expect(200);
    for row in tollgate::http::problem::PROBLEMS {
        assert!(problems.text().contains(&format!("id=\"{}\"", row.text)), "{}", row.text);
    }
    let openapi = daemon.nobody().get("/openapi.json").expect(200);
    assert_eq!(openapi["openapi"], "3.1.0");
}

#[test]
fn a_client_that_never_sends_its_body_is_let_go() {
    let daemon = Daemon::with().config(|config| config.http.body_timeout_ms = 50).start();
    let mut stream = TcpStream::connect(daemon.url().trim_start_matches("http://")).unwrap();
    let key = "an-admin-key-of-the-tests-0123456789";
    write!(
        stream,
        "POST /api/v1/admissions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    )
    .unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 408");
}

#[test]
fn metrics_count_decisions_and_show_budgets() {
    let daemon = Daemon::start();
    daemon.admin().daily_budget("rfq-draft-daily", "5.00").expect(201);
    daemon.admin().ask("one", "0.42").allowed();
    let metrics = daemon.nobody().get("/metrics").expect(200);
    for line in [
        "tollgate_budget_held_units{budget=\"rfq-draft-daily\",unit=\"usd\"} 0.42\n",
        "tollgate_budget_limit_units{budget=\"rfq-draft-daily\",unit=\"usd\"} 5\n",
        "tollgate_open_holds 1\n",
    ] {
        assert!(metrics.text().contains(line), "{line}\n{}", metrics.text());
    }
    assert!(metrics.text().contains("tollgate_http_request_seconds_bucket{route=\"/api/v1/admissions\""));
}

#[test]
fn names_with_slashes_and_spaces_are_ids_too() {
    let daemon = Daemon::start();
    let path = "/api/v1/agents/team%2Fa%20b%C3%A9";
    assert_eq!(daemon.admin().put(path, &json!({"team": "quotes"})).expect(200)["id"], "team/a bé");
    assert_eq!(daemon.admin().get(path).expect(200)["team"], "quotes");
    assert_eq!(
        daemon.admin().put("/api/v1/agents/%00", &json!({})).problem(400, "invalid_request")["errors"],
        Value::Null
    );
}

#[test]
fn the_state_is_told_to_who_may_know() {
    let daemon = Daemon::start();
    daemon.admin().ask("one", "1").allowed();
    let state = daemon.admin().get("/api/v1/state").expect(200);
    assert_eq!(state["index"]["state"], "in_step", "{}", state.text());
    assert_eq!(
        (&state["memory"]["open_holds"], &state["checkpoint"], &state["findings"]),
        (&json!(1), &Value::Null, &json!([]))
    );
    assert!(state["seq"].as_u64() > Some(1) && state["journal"]["segments"] == 1, "{}", state.text());
    let metrics = daemon.admin().get("/metrics").expect(200);
    assert!(metrics.text().contains("tollgate_holds_in_memory 1"), "{}", metrics.text());
}
