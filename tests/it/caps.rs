//! How much memory holds: said before it is full, refused when it is, and room made again.

use crate::support::{Answer, Caller, Daemon, example, until};
use serde_json::{Value, json};
use std::time::Duration;

fn in_run(key: &str, run: &str) -> Value {
    let mut body = example(key, "0.01");
    body["run"] = json!({"id": run});
    body
}

fn started(id: &str, run: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "test", "type": "tollgate.run.started", "subject": run,
        "data": {"agent": {"id": "rfq-draft"}}})
}

fn nearly_full(caller: &Caller) -> Vec<String> {
    let state = caller.get("/api/v1/state").expect(200);
    let list = state["nearly_full"].as_array().unwrap().iter();
    list.map(|found| format!("{}: {} of {}", found["what"].as_str().unwrap(), found["used"], found["cap"])).collect()
}

fn open_runs(daemon: &Daemon) -> String {
    let text = daemon.admin().get("/metrics").text().to_owned();
    text.lines().find_map(|line| line.strip_prefix("tollgate_open_runs ").map(str::to_owned)).unwrap()
}

fn bulk(caller: &Caller, act: &Value, query: &Value) -> Answer {
    let preview = caller.post("/api/v1/attention/bulk/preview", &json!({"act": act, "query": query})).expect(200);
    let frozen: Vec<Value> = preview["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| json!({"id": item["id"], "revision": item["revision"]}))
        .collect();
    caller.post("/api/v1/attention/bulk", &json!({"act": act, "items": frozen})).expect(200)
}

#[test]
fn open_runs_are_capped_and_those_that_nobody_works_on_are_ended_in_bulk() {
    let daemon = Daemon::with().config(|config| config.runs.max_open_per_agent = 10).start();
    let runtime = daemon.holder(&["runtime"], &["rfq-draft"]);
    assert_eq!(nearly_full(&daemon.admin()), Vec::<String>::new());
    // five by events, five by admissions
    let events: Vec<Value> = (0..5).map(|n| started(&n.to_string(), &format!("run-{n}"))).collect();
    runtime.post("/api/v1/events", &json!(events)).expect(200);
    for n in 5..10 {
        runtime.admit(&in_run(&format!("k{n}"), &format!("run-{n}"))).allowed();
    }
    assert_eq!(nearly_full(&daemon.admin()), ["open runs of agent rfq-draft: 10 of 10"]);
    daemon.admin().get("/readyz").expect(200);
    let denied = runtime.admit(&in_run("one more", "run-10")).denied("run_limit");
    let reason = &denied["reasons"][0];
    assert_eq!((&reason["source"], &reason["remedy"]["kind"]), (&json!("system"), &json!("repair")));
    assert_eq!(reason["remedy"]["href"], "/runs?agent=rfq-draft");
    runtime.get("/api/v1/runs/run-10").problem(404, "not_found");
    // in a list the others are taken, also those of known runs
    let list = json!([started("a", "run-11"), started("b", "run-3"), started("c", "run-5")]);
    let answer = runtime.post("/api/v1/events", &list).expect(200);
    let statuses: Vec<u64> = (0..3).map(|n| answer["items"][n]["status"].as_u64().unwrap()).collect();
    assert_eq!((statuses, &answer["items"][0]["problem"]["code"]), (vec![429, 200, 200], &json!("run_limit")));
    runtime.post("/api/v1/events", &started("a", "run-11")).problem(429, "run_limit");
    runtime.admit(&in_run("known", "run-7")).allowed();
    let mut outside = example("outside", "0.01");
    outside.as_object_mut().unwrap().remove("run");
    runtime.admit(&outside).allowed();

    // a restart counts the same
    let daemon = daemon.restart();
    assert_eq!(open_runs(&daemon), "10");
    daemon.admin().admit(&in_run("one more", "run-10")).denied("run_limit");

    // nobody works on them: that is seen, and what nobody proves is stopped
    daemon.clock().advance(Duration::from_secs(1_000));
    let operator = daemon.holder(&["operator"], &[]);
    let stuck = json!({"kind": "stuck_run", "agent": "rfq-draft"});
    until("the silence is noticed", || {
        operator.get("/api/v1/attention?kind=stuck_run&limit=100").expect(200)["items"].as_array().unwrap().len() == 10
    });
    bulk(&operator, &json!({"cancel": {"category": "noise", "reason": "A test."}}), &stuck);
    assert_eq!(open_runs(&daemon), "10", "their runtimes may still prove it");
    let stopped = bulk(&operator, &json!({"force_stop": {"reason": "Their runtime is gone."}}), &stuck);
    let outcomes = stopped["items"].as_array().unwrap().iter().map(|item| (&item["status"], &item["state"]));
    assert!(outcomes.clone().count() == 10 && outcomes.clone().all(|all| all == (&json!(200), &json!("resolved"))));
    assert_eq!((open_runs(&daemon).as_str(), nearly_full(&daemon.admin())), ("0", Vec::new()));
    daemon.admin().admit(&in_run("one more", "run-10")).allowed();
    // doing it again is refused one by one
    let again: Vec<Value> = stopped["items"].as_array().unwrap().clone();
    let list: Vec<Value> = again.iter().map(|item| json!({"id": item["id"], "revision": 1})).collect();
    let act = json!({"force_stop": {"reason": "Again."}});
    let answer = operator.post("/api/v1/attention/bulk", &json!({"act": act, "items": list})).expect(200);
    assert!(answer["items"].as_array().unwrap().iter().all(|item| item["status"] == 409), "{}", answer.text());
    let runtime = daemon.holder(&["runtime"], &["rfq-draft", "other"]);
    runtime.post("/api/v1/attention/bulk", &json!({"act": act, "items": list})).problem(403, "forbidden");
}

#[test]
fn accounts_under_each_are_capped() {
    let daemon = Daemon::with().config(|config| config.budgets.max_accounts_per_budget = 10).start();
    let window = json!({"kind": "lifetime"});
    let budget = json!({"id": "per-run", "unit": "usd", "limit": "1", "window": window, "each": ["run"]});
    daemon.admin().post("/api/v1/budgets", &budget).expect(201);
    for n in 0..10 {
        daemon.admin().admit(&in_run(&format!("k{n}"), &format!("run-{n}"))).allowed();
    }
    let denied = daemon.admin().admit(&in_run("k10", "run-10")).denied("too_many_accounts");
    assert_eq!(denied["reasons"][0]["remedy"]["target"], "budget:per-run");
    daemon.admin().admit(&in_run("k11", "run-9")).allowed();
    assert_eq!(nearly_full(&daemon.admin()), ["accounts of budget per-run: 10 of 10"]);
}
