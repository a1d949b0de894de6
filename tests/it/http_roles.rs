//! Every route of the API × every role, against the one table of roles; and keys that are bound to agents.

use crate::support::{Daemon, body, filled};
use serde_json::json;
use tollgate::http::routes::ROUTES;
use tollgate::registry::Role;

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
