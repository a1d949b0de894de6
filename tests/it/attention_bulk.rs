//! Bulk retry and bulk cancel: frozen by their preview, refused where they do not fit, answered item by item.

use crate::support::{Answer, Caller, Daemon, example};
use serde_json::{Value, json};
use std::sync::Barrier;

fn daemon() -> Daemon {
    let policy =
        "package tollgate.agents[\"rfq-draft\"]\n\nimport rego.v1\n\nallow if true\n\nallow_without_entity if true\n";
    let daemon = Daemon::with().file("policies/agents/rfq_draft.rego", policy).start();
    daemon
        .admin()
        .post("/api/v1/budgets", &json!({"id": "daily", "unit": "usd", "limit": "1", "window": {"kind": "day"}}))
        .expect(201);
    daemon
}

fn report(daemon: &Daemon, run: &str, events: &[(&str, &str, Value)]) {
    let event = |(id, kind, data): &(&str, &str, Value)| {
        let mut data = data.clone();
        data["agent"] = json!({"id": "rfq-draft"});
        json!({"specversion": "1.0", "source": "bulk", "id": id, "type": format!("tollgate.{kind}"), "subject": run, "data": data})
    };
    let batch: Vec<Value> = events.iter().map(event).collect();
    let answer = daemon.admin().post("/api/v1/events", &json!(batch)).expect(200);
    assert!(answer["items"].as_array().unwrap().iter().all(|item| item["status"] == 200), "{}", answer.text());
}

/// A run that fails at the price lookup with this code; its item.
fn failed(daemon: &Daemon, run: &str, code: &str) -> Value {
    let error = json!({"step": "price-lookup", "error": {"code": code, "message": "The ERP did not answer."}});
    report(daemon, run, &[("1", "run.started", json!({})), ("2", "run.failed", error)]);
    item(daemon, run)
}

fn item(daemon: &Daemon, run: &str) -> Value {
    let list = daemon.admin().get(&format!("/api/v1/attention?run={run}")).expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{}", list.text());
    list["items"][0].clone()
}

/// What a bulk call answered for the item of that run.
fn of<'a>(answer: &'a Answer, item: &Value) -> &'a Value {
    answer["items"].as_array().unwrap().iter().find(|outcome| outcome["id"] == item["id"]).unwrap()
}

fn preview(caller: &Caller, asked: &Value) -> Answer {
    caller.post("/api/v1/attention/bulk/preview", asked).expect(200)
}

/// The list that a preview froze, what it refused too.
fn frozen(preview: &Answer) -> Vec<Value> {
    let items = preview["items"].as_array().unwrap().iter();
    items
        .map(|item| json!({"id": item["id"], "revision": item["revision"], "plan_version": item["plan_version"]}))
        .collect()
}

fn attempts(daemon: &Daemon, run: &str) -> usize {
    daemon.admin().get(&format!("/api/v1/runs/{run}")).expect(200)["attempts"].as_array().unwrap().len()
}

#[test]
fn a_retry_of_all_that_fits_a_query_refuses_what_waits_for_a_fix() {
    let daemon = daemon();
    let one = failed(&daemon, "run-1", "timeout");
    let two = failed(&daemon, "run-2", "timeout");
    // something happened in this one: it must be acknowledged
    let mut ask = example("k", "0.4");
    ask["run"] = json!({"id": "run-3", "attempt": 1, "step": "price-lookup"});
    let hold = daemon.admin().admit(&ask).allowed().hold();
    daemon.admin().settle(&hold, "0.4").expect(200);
    let three = failed(&daemon, "run-3", "timeout");
    let setup = failed(&daemon, "run-4", "missing_data");
    // the budget blocks this one, which turns ready when it is raised
    ask["run"]["id"] = json!("run-5");
    ask["estimate"] = json!([{"unit": "usd", "amount": "9"}]);
    ask["idempotency_key"] = json!("k5");
    daemon.admin().admit(&ask).denied("budget_exceeded");
    let error = json!({"step": "price-lookup", "error": {"code": "budget_exceeded", "message": "no"}});
    report(&daemon, "run-5", &[("1", "run.blocked", error)]);
    let blocked = item(&daemon, "run-5");
    let alarm = json!({"target": {"kind": "agent", "id": "airline"}, "reason": "an item without a run"});
    daemon.admin().post("/api/v1/pauses", &alarm).expect(201);

    let operator = daemon.holder(&["operator"], &[]);
    let act = json!({"retry": {"reason": "The ERP is back."}});
    let seen = preview(&operator, &json!({"act": act, "query": {"agent": "rfq-draft"}}));
    assert_eq!((seen["items"].as_array().unwrap().len(), &seen["more"]), (5, &json!(false)), "{}", seen.text());
    for (item, status, code) in [
        (&one, 200, Value::Null),
        (&two, 200, Value::Null),
        (&three, 409, json!("not_acknowledged")),
        (&setup, 409, json!("setup_required")),
        (&blocked, 409, json!("setup_required")),
    ] {
        let outcome = of(&seen, item);
        assert_eq!((&outcome["status"], &outcome["problem"]["code"]), (&json!(status), &code), "{outcome}");
    }
    assert_eq!(of(&seen, &three)["side_effects"][0]["id"], hold);
    assert_eq!(attempts(&daemon, "run-1"), 1, "a preview does nothing");

    // somebody changes one meanwhile; and what the preview refused is refused again
    let path = format!("/api/v1/attention/{}/assign", two["id"].as_str().unwrap());
    daemon.admin().post(&path, &json!({"owner": "Lee"})).expect(200);
    let mut list = frozen(&seen);
    for item in &mut list {
        if item["plan_version"].is_null() {
            item["plan_version"] = json!("plan_0");
        }
    }
    let commit = json!({"act": act, "items": list});
    let done = operator.post("/api/v1/attention/bulk", &commit).expect(200);
    assert_eq!((&of(&done, &one)["status"], &of(&done, &one)["state"]), (&json!(200), &json!("retrying")));
    for (item, code) in
        [(&two, "conflict"), (&three, "not_acknowledged"), (&setup, "setup_required"), (&blocked, "setup_required")]
    {
        assert_eq!(of(&done, item)["problem"]["code"], code, "{}", done.text());
    }
    let again = operator.post("/api/v1/attention/bulk", &commit).expect(200);
    assert_eq!(of(&again, &one)["status"], 200, "handed in again, it answers the same: {}", again.text());
    assert_eq!([1, 2, 3, 4, 5].map(|n| attempts(&daemon, &format!("run-{n}"))), [2, 1, 1, 1, 1]);
    let trail = daemon.admin().get("/api/v1/audit?op=run.retry").expect(200);
    assert_eq!(
        (&trail["items"][0]["actor"]["name"], &trail["items"][0]["reason"]),
        (&json!("a test"), &json!("The ERP is back."))
    );

    let act = json!({"retry": {"reason": "The ERP is back.", "acknowledge_side_effects": true}});
    let seen = preview(&operator, &json!({"act": act, "ids": [three["id"], two["id"]]}));
    assert_eq!((&seen["items"][0]["status"], &seen["more"]), (&json!(200), &Value::Null), "{}", seen.text());
    let done = operator.post("/api/v1/attention/bulk", &json!({"act": act, "items": frozen(&seen)})).expect(200);
    assert_eq!(
        (&done["items"][0]["status"], &done["items"][1]["status"]),
        (&json!(200), &json!(200)),
        "{}",
        done.text()
    );
}

#[test]
fn a_cancel_of_a_group_ends_every_run_of_it_and_says_who_did() {
    let daemon = daemon();
    let items: Vec<Value> = (0..40).map(|n| failed(&daemon, &format!("run-{n}"), "timeout")).collect();
    let other = failed(&daemon, "other", "rate_limited");
    let operator = daemon.holder(&["operator"], &[]);
    let act = json!({"cancel": {"category": "noise", "reason": "A test of the runtime."}});
    let seen = preview(&operator, &json!({"act": act, "query": {"fingerprint": items[0]["fingerprint"]}}));
    assert_eq!(seen["items"].as_array().unwrap().len(), 40);
    assert!(seen["items"].as_array().unwrap().iter().all(|item| item["state"] == "resolved"), "{}", seen.text());
    let commit = json!({"act": act, "items": frozen(&seen)});
    for _ in 0..2 {
        let done = operator.post("/api/v1/attention/bulk", &commit).expect(200);
        assert!(done["items"].as_array().unwrap().iter().all(|item| item["state"] == "resolved"), "{}", done.text());
    }
    let run = daemon.admin().get("/api/v1/runs/run-39").expect(200);
    assert_eq!((&run["status"], &run["cancel"]["by"]["name"]), (&json!("cancelled"), &json!("a test")));
    assert_eq!(item(&daemon, "run-0")["resolution"]["category"], "cancelled");
    assert_eq!(item(&daemon, "other")["state"], other["state"]);
    let trail = daemon.admin().get("/api/v1/audit?op=run.cancel&limit=100").expect(200);
    assert_eq!(trail["items"].as_array().unwrap().len(), 40, "the second time changed nothing");
    let gone = preview(&operator, &json!({"act": act, "ids": [items[0]["id"]]}));
    assert_eq!(gone["items"][0]["status"], 409, "{}", gone.text());
}

#[test]
fn many_operators_with_one_list_make_one_attempt_each_run() {
    let daemon = daemon();
    for n in 0..40 {
        failed(&daemon, &format!("run-{n}"), "timeout");
    }
    let act = json!({"retry": {"reason": "It was temporary."}});
    let seen = preview(&daemon.admin(), &json!({"act": act, "query": {"class": "temporary"}}));
    let commit = json!({"act": act, "items": frozen(&seen)});
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                let done = daemon.admin().post("/api/v1/attention/bulk", &commit).expect(200);
                assert!(done["items"].as_array().unwrap().iter().all(|item| item["status"] == 200), "{}", done.text());
            });
        }
    });
    assert!((0..40).all(|n| attempts(&daemon, &format!("run-{n}")) == 2));
}

#[test]
fn what_is_wrongly_asked_is_named_and_roles_are_asked_for() {
    let daemon = daemon();
    let item = failed(&daemon, "run-1", "timeout");
    let retry = json!({"retry": {"reason": "again"}});
    let admin = daemon.admin();
    let both = json!({"retry": {"reason": "again"}, "cancel": {"category": "noise", "reason": "x"}});
    for (body, pointer) in [
        (json!({"act": both, "ids": [item["id"]]}), "/act"),
        (json!({"act": {"retry": {"reason": ""}}, "ids": [item["id"]]}), "/act/retry/reason"),
        (json!({"act": retry}), ""),
        (json!({"act": retry, "ids": [item["id"]], "query": {}}), ""),
        (json!({"act": retry, "ids": []}), "/ids"),
        (json!({"act": retry, "query": {"state": "asleep"}}), "/query/state"),
    ] {
        let problem = admin.post("/api/v1/attention/bulk/preview", &body).problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {}", problem.text());
    }
    admin
        .post("/api/v1/attention/bulk/preview", &json!({"act": retry, "query": {"stat": "open"}}))
        .problem(400, "unknown_field");
    let no_plan = json!({"act": retry, "items": [{"id": item["id"], "revision": item["revision"]}]});
    let problem = admin.post("/api/v1/attention/bulk", &no_plan).problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/items/0/plan_version");
    let auditor = daemon.holder(&["auditor"], &[]);
    auditor.post("/api/v1/attention/bulk/preview", &json!({"act": retry, "query": {}})).problem(403, "forbidden");
}
