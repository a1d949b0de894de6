//! A connector that is down, over HTTP: what needs it is denied, its return frees what waited for it, and nothing else.

use crate::support::{Daemon, End, Runtime, Step, until};
use serde_json::{Value, json};

fn item(daemon: &Daemon, run: &str) -> Value {
    let list = daemon.admin().get(&format!("/api/v1/attention?run={run}")).expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{}", list.text());
    list["items"][0].clone()
}

fn put(daemon: &Daemon, connector: &str, status: &str) {
    daemon
        .admin()
        .put(&format!("/api/v1/connectors/{connector}"), &json!({"status": status, "detail": "upgrade"}))
        .expect(200);
}

fn report(daemon: &Daemon, run: &str, error: &Value) {
    let agent = json!({"id": "rfq-draft"});
    let event = |id: &str, kind: &str, data: Value| json!({"specversion": "1.0", "source": "connector", "id": id, "type": kind, "subject": run, "data": data});
    let events = [
        event("1", "tollgate.run.started", json!({"agent": agent})),
        event("2", "tollgate.run.failed", json!({"agent": agent, "step": "price", "error": error})),
    ];
    daemon.admin().post("/api/v1/events", &json!(events)).expect(200);
}

#[test]
fn what_needs_a_connector_waits_for_it_and_its_return_frees_that_alone() {
    let policy =
        "package tollgate.agents[\"rfq-draft\"]\n\nimport rego.v1\n\nallow if true\n\nallow_without_entity if true\n";
    let daemon = Daemon::with().file("policies/agents/rfq_draft.rego", policy).start();
    let admin = daemon.admin();
    admin.daily_budget("daily", "5.00").expect(201);
    let runtime = Runtime::new(daemon.holder(&["runtime"], &["rfq-draft"]), "w", "rfq-draft").paced(daemon.clock());
    let price = || [Step::good("price", "0.10")];
    put(&daemon, "erp", "down");
    put(&daemon, "crm", "down");
    for run in ["one", "two"] {
        runtime.queue(run, json!({}));
        let held = runtime.claim(0).unwrap();
        assert_eq!(runtime.work(&held, &price()), End::Blocked, "the gate denies what needs it");
    }
    // what a runtime found out by itself waits for its connector as well
    let told = |connector: &str| json!({"code": "connector_unavailable", "message": "refused", "details": {"connector": connector}});
    report(&daemon, "told-erp", &told("erp"));
    report(&daemon, "told-crm", &told("crm"));
    report(
        &daemon,
        "data",
        &json!({"code": "missing_data", "message": "no date", "details": {"field": "/entity/properties/due_date"}}),
    );
    let (waiting, others) = (["one", "two", "told-erp"], ["told-crm", "data"]);
    for run in waiting {
        let item = item(&daemon, run);
        assert_eq!((&item["state"], &item["class"]), (&json!("waiting_on_setup"), &json!("setup")), "{item}");
        let reason = &item["reasons"][0];
        assert_eq!(
            (&reason["code"], &reason["remedy"]["target"]),
            (&json!("connector_unavailable"), &json!("connector:erp"))
        );
        assert_eq!(reason["remedy"]["kind"], "restore_connector", "{item}");
    }
    let groups = admin.get("/api/v1/attention/groups?by=fix").expect(200);
    assert_eq!((&groups["items"][0]["key"], &groups["items"][0]["items"]), (&json!("connector:erp"), &json!(3)));
    let before = others.map(|run| item(&daemon, run));
    let plan = admin.get("/api/v1/runs/one/retry-plan").expect(200);
    assert_eq!(plan["refusal"]["code"], "setup_required", "{}", plan.text());

    put(&daemon, "erp", "up");
    until("all that waited for it is ready", || {
        waiting.iter().all(|run| item(&daemon, run)["state"] == "ready_to_retry")
    });
    for run in waiting {
        assert_eq!(item(&daemon, run)["suggested_action"], "retry");
    }
    assert_eq!(others.map(|run| item(&daemon, run)), before, "nothing else was touched");
    let trail = admin.get("/api/v1/audit?op=attention.recheck").expect(200);
    let rechecked: Vec<&Value> = trail["items"].as_array().unwrap().iter().map(|entry| &entry["reason"]).collect();
    assert_eq!(rechecked, ["the connector is back"; 3]);

    // down again before anybody retried: it has to wait anew
    put(&daemon, "erp", "down");
    let act = json!({"retry": {"reason": "The ERP is back.", "acknowledge_side_effects": true}});
    let ready = json!({"act": act, "query": {"state": "ready_to_retry"}});
    let seen = admin.post("/api/v1/attention/bulk/preview", &ready).expect(200);
    assert!(
        seen["items"].as_array().unwrap().iter().any(|item| item["problem"]["code"] == "setup_required"),
        "{}",
        seen.text()
    );
    put(&daemon, "erp", "degraded");
    let seen = admin.post("/api/v1/attention/bulk/preview", &ready).expect(200);
    let frozen: Vec<Value> = seen["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["status"] == 200)
        .map(|item| json!({"id": item["id"], "revision": item["revision"], "plan_version": item["plan_version"]}))
        .collect();
    assert_eq!(frozen.len(), 3, "{}", seen.text());
    let done = admin.post("/api/v1/attention/bulk", &json!({"act": act, "items": frozen})).expect(200);
    assert!(done["items"].as_array().unwrap().iter().all(|item| item["state"] == "retrying"), "{}", done.text());
    for _ in 0..2 {
        let held = runtime.claim(0).unwrap();
        assert_eq!(
            (held.attempt, &held.claim["lifted"][0]["code"]),
            (2, &json!("connector_unavailable")),
            "{}",
            held.claim
        );
        assert_eq!(runtime.work(&held, &price()), End::Completed);
        assert_eq!(item(&daemon, &held.run)["resolution"]["category"], "succeeded");
    }
}
