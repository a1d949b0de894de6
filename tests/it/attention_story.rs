//! The RFQ story of Metro Equipment in Command Center, over HTTP, both ways: a budget that blocks is raised and the retry
//! succeeds; and a provider that is out fails the same step again, so that it is escalated and overridden.

use crate::support::{Answer, Daemon, example, until};
use serde_json::{Value, json};

const RUN: &str = "rfq-1042";
const STEP: &str = "price-lookup";

fn daemon() -> Daemon {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let agent = json!({"team": "quotes", "owner": "Kim Osei", "escalation_contact": "Dana Reyes"});
    admin.put("/api/v1/agents/rfq-draft", &agent).expect(200);
    let budget = json!({"id": "rfq-draft-daily", "unit": "usd", "limit": "1", "window": {"kind": "day"},
        "scope": {"agent": "rfq-draft"}});
    admin.post("/api/v1/budgets", &budget).expect(201);
    daemon
}

/// Reports an event of the run's attempt.
fn report(daemon: &Daemon, id: &str, kind: &str, mut data: Value) {
    data["agent"] = json!({"id": "rfq-draft"});
    let kind_has_agent = kind == "tollgate.run.queued" || kind == "tollgate.run.started";
    if !kind_has_agent {
        data.as_object_mut().unwrap().remove("agent");
    }
    let event = json!({"specversion": "1.0", "source": "metro", "id": id, "type": kind, "subject": RUN, "data": data});
    let body = event.to_string();
    let headers = [("content-type", "application/cloudevents+json")];
    let answer = daemon.admin().send("POST", "/api/v1/events", &headers, body.as_bytes());
    assert!((200..300).contains(&answer.status()), "{}", answer.text());
}

fn ask(daemon: &Daemon, attempt: u32, key: &str, usd: &str) -> Answer {
    let mut body = example(key, usd);
    body["run"] = json!({"id": RUN, "attempt": attempt, "step": STEP});
    daemon.admin().admit(&body).expect(200)
}

fn item(daemon: &Daemon) -> Value {
    let list = daemon.admin().get(&format!("/api/v1/attention?run={RUN}")).expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "one item a run: {}", list.text());
    list["items"][0].clone()
}

fn plan(daemon: &Daemon) -> Value {
    daemon.admin().get(&format!("/api/v1/runs/{RUN}/retry-plan")).expect(200).json().clone()
}

fn retry(daemon: &Daemon, key: &str, overridden: bool) -> Answer {
    let plan = plan(daemon);
    let acknowledge: Vec<Value> =
        plan["side_effects"].as_array().unwrap().iter().map(|effect| effect["id"].clone()).collect();
    let mut body = json!({"plan_version": plan["plan_version"], "idempotency_key": key, "reason": "try again",
        "acknowledge": acknowledge});
    if overridden {
        body["override"] = json!(true);
    }
    daemon.admin().post(&format!("/api/v1/runs/{RUN}/retry"), &body)
}

#[test]
fn a_budget_blocks_is_raised_and_the_retry_succeeds() {
    let daemon = daemon();
    report(&daemon, "e1", "tollgate.run.started", json!({"attempt": 1, "title": "Quote for Metro Equipment"}));
    report(&daemon, "e2", "tollgate.step.started", json!({"attempt": 1, "step": STEP}));
    let denied = ask(&daemon, 1, "a1", "2");
    assert_eq!(denied["decision"], "deny");
    let error = json!({"code": "budget_exceeded", "message": "the gate said no"});
    report(&daemon, "e3", "tollgate.run.blocked", json!({"attempt": 1, "step": STEP, "error": error}));
    let blocked = item(&daemon);
    assert_eq!((&blocked["kind"], &blocked["state"]), (&json!("blocked_action"), &json!("waiting_on_setup")));
    assert_eq!(blocked["reasons"][0]["remedy"]["target"], "budget:rfq-draft-daily");
    assert_eq!(blocked["suggested_action"], "fix_setup");

    let raise = json!({"limit": "5", "reason": "worth it", "idempotency_key": "raise-1"});
    daemon.admin().post("/api/v1/budgets/rfq-draft-daily/raises", &raise).expect(201);
    until("the item is ready by itself", || item(&daemon)["state"] == "ready_to_retry");
    assert_eq!(item(&daemon)["suggested_action"], "retry");

    retry(&daemon, "r1", false).expect(200);
    assert_eq!(item(&daemon)["state"], "retrying");
    report(&daemon, "e4", "tollgate.step.started", json!({"attempt": 2, "step": STEP}));
    assert_eq!(ask(&daemon, 2, "a2", "2")["decision"], "allow");
    report(&daemon, "e5", "tollgate.step.completed", json!({"attempt": 2, "step": STEP}));
    report(&daemon, "e6", "tollgate.run.completed", json!({"attempt": 2}));
    let done = item(&daemon);
    assert_eq!((&done["state"], &done["resolution"]["category"]), (&json!("resolved"), &json!("succeeded")));

    let page = daemon.admin().get(&format!("/api/v1/runs/{RUN}")).expect(200);
    assert_eq!(page["attention"]["id"], done["id"]);
    let runtime = daemon.holder(&["runtime"], &["rfq-draft"]).get(&format!("/api/v1/runs/{RUN}")).expect(200);
    assert_eq!(runtime["attention"], Value::Null, "a runtime is no operator");

    let diff = daemon.admin().get(&format!("/api/v1/runs/{RUN}/diff?from=1&to=2")).expect(200);
    assert_eq!((&diff["from"]["code"], &diff["to"]["code"]), (&json!("budget_exceeded"), &Value::Null));
    assert_eq!((&diff["to"]["last_good_step"], &diff["from"]["failed_step"]), (&json!(STEP), &json!(STEP)));
    let changed: Vec<&str> = diff["changed"].as_array().unwrap().iter().filter_map(|c| c["op"].as_str()).collect();
    assert!(changed.contains(&"budget.raise"), "{}", diff.text());
    let different: Vec<&str> = diff["different"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(different.contains(&"error") && !different.contains(&"policy_set"), "{different:?}");
    daemon.admin().get(&format!("/api/v1/runs/{RUN}/diff?from=1&to=9")).problem(404, "not_found");
    daemon.admin().get(&format!("/api/v1/runs/{RUN}/diff")).problem(400, "invalid_request");
}

#[test]
fn a_provider_is_out_the_same_step_fails_again_and_it_is_escalated_and_overridden() {
    let daemon = daemon();
    report(&daemon, "e1", "tollgate.run.started", json!({"attempt": 1}));
    assert_eq!(ask(&daemon, 1, "a1", "0.1")["decision"], "allow");
    let outage = json!({"code": "503", "message": "provider outage"});
    report(&daemon, "e2", "tollgate.run.failed", json!({"attempt": 1, "step": STEP, "error": outage}));
    let failed = item(&daemon);
    assert_eq!((&failed["kind"], &failed["class"]), (&json!("failed_run"), &json!("temporary")));
    assert_eq!(failed["suggested_action"], "retry");
    retry(&daemon, "r1", false).expect(200);
    report(&daemon, "e3", "tollgate.run.failed", json!({"attempt": 2, "step": STEP, "error": outage}));
    let again = item(&daemon);
    assert_eq!((&again["suggested_action"], &again["same_step_failures"]), (&json!("escalate"), &json!(2)));
    assert!(again["why_suggested"].as_str().unwrap().contains("Dana Reyes"), "{again}");
    assert_eq!(again["count"], 2);

    retry(&daemon, "r2", false).problem(409, "same_step_failed");
    let path = format!("/api/v1/attention/{}/escalate", again["id"].as_str().unwrap());
    let escalated = daemon.admin().post(&path, &json!({"reason": "failed twice"})).expect(200);
    assert_eq!((&escalated["state"], &escalated["escalated_to"]), (&json!("escalated"), &json!("Dana Reyes")));
    retry(&daemon, "r3", true).expect(200);
    report(&daemon, "e4", "tollgate.run.completed", json!({"attempt": 3}));
    assert_eq!(item(&daemon)["state"], "resolved");
    let trail = daemon.admin().get("/api/v1/audit?op=attention.escalate").expect(200);
    assert_eq!(trail["items"][0]["reason"], "failed twice");
}

#[test]
fn data_that_is_missing_is_supplied_and_handed_to_the_next_attempt() {
    let daemon = daemon();
    report(&daemon, "e1", "tollgate.run.started", json!({"attempt": 1}));
    let error =
        json!({"code": "missing_data", "message": "no due date", "details": {"field": "/entity/properties/due_date"}});
    report(&daemon, "e2", "tollgate.run.failed", json!({"attempt": 1, "step": STEP, "error": error}));
    let waiting = item(&daemon);
    assert_eq!(waiting["supply"], json!(["/entity/properties/due_date"]));
    let path = format!("/api/v1/attention/{}/supply", waiting["id"].as_str().unwrap());
    daemon.admin().post(&path, &json!({"fields": {"/entity/properties/due_date": "2026-12-01"}})).expect(200);
    let events = daemon.admin().get(&format!("/api/v1/runs/{RUN}/events")).expect(200);
    let supplied = events["items"].as_array().unwrap().iter().find(|e| e["type"] == "tollgate.run.data_supplied");
    assert!(supplied.is_some(), "{}", events.text());
}

#[test]
fn a_cancel_ends_the_item_and_the_trail_says_who() {
    let daemon = daemon();
    report(&daemon, "e1", "tollgate.run.started", json!({"attempt": 1}));
    let odd = json!({"code": "E_ODD", "message": "odd"});
    report(&daemon, "e2", "tollgate.run.failed", json!({"attempt": 1, "step": STEP, "error": odd}));
    assert_eq!((&item(&daemon)["class"], &item(&daemon)["suggested_action"]), (&json!("unknown"), &json!("inspect")));
    let cancel = json!({"category": "wrong_record", "reason": "RFQ-1040 was meant"});
    daemon.admin().post(&format!("/api/v1/runs/{RUN}/cancel"), &cancel).expect(200);
    let ended = item(&daemon);
    assert_eq!((&ended["state"], &ended["resolution"]["category"]), (&json!("resolved"), &json!("cancelled")));
    let trail = daemon.admin().get("/api/v1/audit?op=run.cancel").expect(200);
    assert_eq!(trail["items"][0]["actor"]["name"], ended["resolution"]["by"]);
}

#[test]
fn items_outlive_a_restart() {
    let daemon = daemon();
    report(&daemon, "e1", "tollgate.run.started", json!({"attempt": 1}));
    let outage = json!({"code": "503", "message": "provider outage"});
    report(&daemon, "e2", "tollgate.run.failed", json!({"attempt": 1, "step": STEP, "error": outage}));
    let before = item(&daemon);
    let daemon = daemon.restart();
    assert_eq!(item(&daemon), before);
}
