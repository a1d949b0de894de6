//! Command Center over HTTP: denials become items, operators decide, and what could lift a reason turns them ready.

use crate::support::{Answer, Caller, Daemon, example, until};
use serde_json::{Value, json};
use std::time::Duration;

/// A day's budget of 1 USD.
fn daemon() -> Daemon {
    let daemon = Daemon::start();
    daemon
        .admin()
        .post("/api/v1/budgets", &json!({"id": "daily", "unit": "usd", "limit": "1", "window": {"kind": "day"}}))
        .expect(201);
    daemon
}

fn ask(caller: &Caller, run: &str, key: &str, usd: &str) -> Answer {
    let mut body = example(key, usd);
    body["run"] = json!({"id": run, "attempt": 1, "step": "price-lookup"});
    caller.admit(&body)
}

/// Three denials of a run: an item.
fn blocked(daemon: &Daemon, run: &str, usd: &str) -> Value {
    for n in 0..3 {
        ask(&daemon.admin(), run, &format!("{run}/{n}"), usd).expect(200);
    }
    let list = daemon.admin().get(&format!("/api/v1/attention?run={run}")).expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{}", list.text());
    list["items"][0].clone()
}

fn path(item: &Value, act: &str) -> String {
    format!("/api/v1/attention/{}{act}", item["id"].as_str().unwrap())
}

/// The item once it is in that state, which comes by itself.
fn turned(daemon: &Daemon, item: &Value, state: &str) -> Answer {
    let read = || daemon.admin().get(&path(item, "")).expect(200);
    until(&format!("{item} is {state}"), || read()["state"] == state);
    read()
}

#[test]
fn a_denied_run_is_an_item_that_says_why_and_what_to_do() {
    let daemon = daemon();
    let item = blocked(&daemon, "run-17", "2");
    assert_eq!(item["kind"], "blocked_action");
    assert_eq!(item["state"], "waiting_on_setup");
    assert_eq!(item["class"], "setup");
    assert_eq!(item["suggested_action"], "fix_setup");
    assert_eq!(item["reasons"][0]["remedy"]["href"], "/budgets/daily");
    assert_eq!(item["href"], "/runs/run-17");
    assert_eq!(item["without_decision"], true);
    assert!(item["why"].as_str().unwrap().starts_with("Run run-17 is blocked at step price-lookup: "), "{item}");
    let read = daemon.admin().get(&path(&item, "")).expect(200);
    let changed = read["changed"].as_array().unwrap();
    assert!(changed.iter().any(|change| change["op"] == "budget.create"), "{}", read.text());
    let line = daemon.admin().get("/api/v1/attention/headline").expect(200);
    assert_eq!((&line["without_decision"], &line["by_kind"]["blocked_action"]), (&json!(1), &json!(1)));
}

#[test]
fn a_raise_turns_the_oldest_ready_and_only_as_many_as_it_covers() {
    let daemon = daemon();
    let items: Vec<Value> = ["run-1", "run-2", "run-3"]
        .iter()
        .map(|run| {
            daemon.clock().advance(Duration::from_secs(1));
            blocked(&daemon, run, "2")
        })
        .collect();
    daemon
        .admin()
        .post(
            "/api/v1/budgets/daily/raises",
            &json!({"limit": "5", "reason": "worth it", "idempotency_key": "raise-1"}),
        )
        .expect(201);
    turned(&daemon, &items[0], "ready_to_retry");
    let second = turned(&daemon, &items[1], "ready_to_retry");
    assert_eq!(second["suggested_action"], "retry");
    let third = daemon.admin().get(&path(&items[2], "")).expect(200);
    assert_eq!(third["state"], "waiting_on_setup", "two of three fit into the raise: {}", third.text());
    let trail = daemon.admin().get("/api/v1/audit?op=attention.recheck").expect(200);
    assert_eq!(trail["items"].as_array().unwrap().len(), 3, "ready, ready, and a new figure: {}", trail.text());
}

#[test]
fn another_record_of_the_agent_frees_what_it_permits() {
    let daemon = Daemon::with()
        .file("policies/agents/lenient.rego", "package tollgate.agents.lenient\n\nimport rego.v1\n\nallow if true\n")
        .start();
    let mut body = example("k", "0.1");
    body["action"]["name"] = json!("delete_everything");
    body["run"] = json!({"id": "run-9", "attempt": 1});
    for n in 0..3 {
        body["idempotency_key"] = json!(format!("k{n}"));
        daemon.admin().admit(&body).expect(200);
    }
    let item = daemon.admin().get("/api/v1/attention?run=run-9").expect(200)["items"][0].clone();
    assert_eq!(item["reasons"][0]["code"], "not_permitted");
    daemon.admin().put("/api/v1/agents/rfq-draft", &json!({"policy_profile": "lenient"})).expect(200);
    turned(&daemon, &item, "ready_to_retry");
    daemon.admin().put("/api/v1/agents/rfq-draft", &json!({"team": "sales"})).expect(200);
    let back = turned(&daemon, &item, "waiting_on_setup");
    assert_eq!(back["reasons"][0]["code"], "not_permitted", "what freed it was taken from it again");
}

#[test]
fn a_pause_that_ends_frees_what_it_stopped() {
    let daemon = daemon();
    let pause = json!({"target": {"kind": "agent", "id": "rfq-draft"}, "reason": "a look at its quotes"});
    let pause = daemon.admin().post("/api/v1/pauses", &pause).expect(201);
    let item = blocked(&daemon, "run-5", "0.1");
    assert_eq!(item["reasons"][0]["code"], "paused");
    daemon.admin().delete(&format!("/api/v1/pauses/{}", pause["id"].as_str().unwrap())).expect(200);
    turned(&daemon, &item, "ready_to_retry");
}

#[test]
fn the_days_end_frees_what_the_budget_stopped() {
    let daemon = daemon();
    let hold = ask(&daemon.admin(), "run-0", "first", "1").allowed().hold();
    daemon.admin().settle(&hold, "1").expect(200);
    let item = blocked(&daemon, "run-6", "0.5");
    assert!(item["reasons"][0]["retry_at"].is_string(), "{item}");
    daemon.clock().advance(Duration::from_secs(8 * 60 * 60));
    turned(&daemon, &item, "ready_to_retry");
}

#[test]
fn operators_decide() {
    let daemon = daemon();
    let item = blocked(&daemon, "run-17", "2");
    let operator = daemon.holder(&["operator"], &[]);
    operator.post(&path(&item, "/assign"), &json!({"owner": "Kim"})).expect(200);
    let assigned =
        operator.post(&path(&item, "/assign"), &json!({"owner": "Kim", "due_at": "2026-11-24T17:00:00Z"})).expect(200);
    assert_eq!(assigned["decision"]["fix"], "budget:daily");
    assert_eq!(assigned["without_decision"], false);
    let mine = operator.get("/api/v1/attention?owner=Kim&without_decision=false").expect(200);
    assert_eq!(mine["items"].as_array().unwrap().len(), 1);
    operator.post(&path(&item, "/assign"), &json!({"owner": ""})).problem(400, "invalid_request");
    operator.post(&path(&item, "/snooze"), &json!({"until": "2026-11-01T00:00:00Z"})).problem(400, "invalid_request");
    operator.post(&path(&item, "/escalate"), &json!({"reason": "beyond me"})).problem(400, "invalid_request");
    operator.post(&path(&item, "/supply"), &json!({"fields": {"/entity/id": "x"}})).problem(400, "invalid_request");
    daemon.admin().put("/api/v1/agents/rfq-draft", &json!({"escalation_contact": "Dana Reyes"})).expect(200);
    let escalated = operator.post(&path(&item, "/escalate"), &json!({"reason": "beyond me"})).expect(200);
    assert_eq!((&escalated["state"], &escalated["escalated_to"]), (&json!("escalated"), &json!("Dana Reyes")));
    operator
        .post(&path(&item, "/resolve"), &json!({"category": "succeeded", "reason": "it did"}))
        .problem(400, "invalid_request");
    let resolve = json!({"category": "denial_was_right", "reason": "too dear"});
    let resolved = operator.post(&path(&item, "/resolve"), &resolve).expect(200);
    assert_eq!(resolved["resolution"]["category"], "denial_was_right");
    operator.post(&path(&item, "/resolve"), &resolve).problem(409, "conflict");
    assert_eq!(operator.get("/api/v1/attention").expect(200)["items"], json!([]));
    assert_eq!(operator.get("/api/v1/attention?state=resolved").expect(200)["items"].as_array().unwrap().len(), 1);
}

#[test]
fn two_operators_on_one_item() {
    let daemon = daemon();
    let item = blocked(&daemon, "run-17", "2");
    let tag = format!("\"{}\"", item["revision"]);
    let headers = [("content-type", "application/json"), ("if-match", tag.as_str())];
    let send = |owner: &str| {
        let body = json!({"owner": owner}).to_string();
        daemon.admin().send("POST", &path(&item, "/assign"), &headers, body.as_bytes())
    };
    send("Kim").expect(200);
    send("Lee").problem(412, "revision_conflict");
}

#[test]
fn bulk_acts_are_frozen_by_their_preview() {
    let daemon = daemon();
    let ids: Vec<Value> = ["run-1", "run-2"].iter().map(|run| blocked(&daemon, run, "2")["id"].clone()).collect();
    let act = json!({"snooze": {"until": "2026-12-01T00:00:00Z"}});
    let mut asked = ids.clone();
    asked.push(json!("item_nobody"));
    let preview = daemon.admin().post("/api/v1/attention/bulk/preview", &json!({"act": act, "ids": asked})).expect(200);
    assert_eq!(preview["items"][0]["status"], 200);
    assert_eq!(preview["items"][2]["status"], 404);
    let state = daemon.admin().get(&format!("/api/v1/attention/{}", ids[0].as_str().unwrap())).expect(200);
    assert_eq!(state["state"], "waiting_on_setup", "a preview does nothing");
    daemon
        .admin()
        .post(&format!("/api/v1/attention/{}/assign", ids[1].as_str().unwrap()), &json!({"owner": "Lee"}))
        .expect(200);
    let frozen: Vec<Value> =
        (0..2).map(|n| json!({"id": preview["items"][n]["id"], "revision": preview["items"][n]["revision"]})).collect();
    let done = daemon.admin().post("/api/v1/attention/bulk", &json!({"act": act, "items": frozen})).expect(200);
    assert_eq!((&done["items"][0]["status"], &done["items"][0]["state"]), (&json!(200), &json!("snoozed")));
    assert_eq!(done["items"][1]["status"], 409, "changed since the preview: {}", done.text());
    let none = json!({"act": {}, "ids": ["item_x"]});
    daemon.admin().post("/api/v1/attention/bulk/preview", &none).problem(400, "invalid_request");
}

#[test]
fn groups_by_trouble_and_by_fix() {
    let daemon = daemon();
    for run in ["run-1", "run-2", "run-3"] {
        blocked(&daemon, run, "2");
    }
    let fixes = daemon.admin().get("/api/v1/attention/groups?by=fix").expect(200);
    assert_eq!((&fixes["items"][0]["key"], &fixes["items"][0]["items"]), (&json!("budget:daily"), &json!(3)));
    let troubles = daemon.admin().get("/api/v1/attention/groups").expect(200);
    assert_eq!(troubles["items"][0]["items"], 3);
    let fingerprint = troubles["items"][0]["key"].as_str().unwrap();
    let same = daemon.admin().get(&format!("/api/v1/attention?fingerprint={fingerprint}&limit=2")).expect(200);
    assert_eq!(same["items"].as_array().unwrap().len(), 2);
    let next = same["next"].as_str().unwrap();
    let rest =
        daemon.admin().get(&format!("/api/v1/attention?fingerprint={fingerprint}&limit=2&cursor={next}")).expect(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    daemon.admin().get("/api/v1/attention?state=asleep").problem(400, "invalid_request");
    daemon.admin().get("/api/v1/attention?cursor=x").problem(400, "invalid_request");
}
