//! What an operator is shown besides the trouble: what changed around it, what is left of the budgets, why nobody has it.

use crate::support::{Answer, Daemon, Runtime, example, until};
use serde_json::{Value, json};
use std::time::Duration;

fn runtime(daemon: &Daemon) -> Runtime {
    Runtime::new(daemon.admin(), "w", "rfq-draft")
}

fn item(daemon: &Daemon, run: &str) -> Answer {
    let list = daemon.admin().get(&format!("/api/v1/attention?run={run}")).expect(200);
    let id = list["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{run} has no item"));
    daemon.admin().get(&format!("/api/v1/attention/{id}")).expect(200)
}

fn fails(daemon: &Daemon, run: &str, version: &str) {
    let error = json!({"step": "price", "error": {"code": "timeout", "message": "no answer"}});
    runtime(daemon).report(run, "tollgate.run.started", json!({"agent_version": version})).expect(200);
    Runtime::new(daemon.admin(), "w2", "rfq-draft").report(run, "tollgate.run.failed", error).expect(200);
}

#[test]
fn an_item_shows_what_changed_around_its_beginning_and_no_noise_hides_it() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    fails(&daemon, "run-0", "1.3");
    daemon.clock().advance(Duration::from_secs(3_000));
    admin.daily_budget("daily", "5.00").expect(201);
    admin.put("/api/v1/connectors/erp", &json!({"status": "degraded"})).expect(200);
    admin.put("/api/v1/workers/w9", &json!({"agents": ["rfq-draft"], "capacity": 2})).expect(200);
    admin.put("/api/v1/workers/other", &json!({"agents": ["airline"], "capacity": 2})).expect(200);
    admin.put("/api/v1/agents/rfq-draft", &json!({"team": "quotes"})).expect(200);
    let path = format!("/api/v1/attention/{}/assign", item(&daemon, "run-0")["id"].as_str().unwrap());
    for n in 0..210 {
        admin.post(&path, &json!({"owner": format!("person {n}")})).expect(200);
    }
    daemon.clock().advance(Duration::from_secs(200));
    fails(&daemon, "run-1", "1.4");
    let page = item(&daemon, "run-1");
    let changed: Vec<(&str, &str)> = page["changed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["op"].as_str().unwrap(), change["subject"].as_str().unwrap()))
        .collect();
    assert_eq!(changed[0], ("agent.version", "agent:rfq-draft"), "newest first: {changed:?}");
    for wanted in [
        ("worker.gone", "worker:w9"),
        ("agent.put", "agent:rfq-draft"),
        ("worker.put", "worker:w9"),
        ("connector.put", "connector:erp"),
        ("budget.create", "budget:daily"),
    ] {
        assert!(changed.contains(&wanted), "{wanted:?} is not among {changed:?}");
    }
    assert!(!changed.contains(&("worker.gone", "worker:other")), "of another agent: {changed:?}");
    assert!(changed.iter().any(|(op, _)| op.starts_with("policy_set.")), "{changed:?}");
    assert_eq!((&page["changed"][0]["reason"], &page["changed"][0]["by"]), (&json!("1.3 → 1.4"), &json!("run:run-1")));
    let list = admin.get("/api/v1/attention?run=run-1").expect(200);
    assert_eq!(list["items"][0]["changed"], Value::Null, "on its own page alone");
}

#[test]
fn a_retry_plan_and_a_diff_tell_of_another_version_of_the_agent() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    fails(&daemon, "run-1", "1.4");
    let changed = || admin.get("/api/v1/runs/run-1/retry-plan").expect(200)["changed"].clone();
    assert_eq!(changed(), json!([]));
    daemon.clock().advance(Duration::from_secs(60));
    runtime(&daemon).report("run-2", "tollgate.run.started", json!({"agent_version": "1.5"})).expect(200);
    assert_eq!(changed(), json!(["agent_version:1.5"]));
}

#[test]
fn a_run_that_a_budget_stopped_shows_what_is_left_though_it_spent_nothing() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.daily_budget("daily", "1.00").expect(201);
    let mut body = example("k", "2");
    body["run"] = json!({"id": "run-1", "attempt": 1, "step": "price"});
    admin.admit(&body).denied("budget_exceeded");
    let error = json!({"step": "price", "error": {"code": "budget_exceeded", "message": "The gate said no."}});
    runtime(&daemon).report("run-1", "tollgate.run.blocked", error).expect(200);
    let usage = admin.get("/api/v1/runs/run-1").expect(200)["budget_usage"].clone();
    assert_eq!(usage["budgets"][0]["id"], "daily", "{usage}");
    assert_eq!(
        (&usage["budgets"][0]["limit"], &usage["budgets"][0]["remaining"]),
        (&json!("1"), &json!("1")),
        "{usage}"
    );
}

#[test]
fn an_item_of_a_run_that_nobody_picked_up_says_why() {
    let daemon = Daemon::start();
    runtime(&daemon).queue("waits", json!({}));
    daemon.clock().advance(Duration::from_secs(121));
    let listed = || daemon.admin().get("/api/v1/attention?run=waits").expect(200)["items"].clone();
    until("it is an item", || listed()[0]["kind"] == "stuck_run");
    let page = item(&daemon, "waits");
    assert_eq!((&page["not_picked_up"]["kind"], &page["others_moved"]), (&json!("no_worker_ever"), &json!(0)));
    assert_eq!(listed()[0]["not_picked_up"], Value::Null, "on its own page alone");
}
