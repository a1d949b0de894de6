//! Runs over the real HTTP: what is reported, kept and refused.

use crate::support::{Answer, Caller, Daemon, Held, Runtime};
use serde_json::{Value, json};
use std::time::Duration;

fn event(id: &str, kind: &str, run: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "test", "type": kind, "subject": run, "data": data})
}

fn opening(id: &str, run: &str) -> Value {
    event(id, "tollgate.run.started", run, json!({"agent": {"id": "rfq-draft"}, "title": "Quote for Metro"}))
}

fn send(caller: &Caller, events: &Value) -> Answer {
    caller.post("/api/v1/events", events)
}

/// Each outcome as status and standing.
fn outcomes(answer: &Answer) -> Vec<(u64, Option<String>)> {
    let items = answer["items"].as_array().unwrap().iter();
    items.map(|item| (item["status"].as_u64().unwrap(), item["standing"].as_str().map(str::to_owned))).collect()
}

#[test]
fn events_make_a_run_and_repeats_are_harmless() {
    let daemon = Daemon::start();
    let runtime = daemon.holder(&["runtime"], &["rfq-draft"]);
    let batch = json!([
        opening("1", "run-1"),
        event("2", "tollgate.step.started", "run-1", json!({"step": "price"})),
        event("3", "tollgate.step.completed", "run-1", json!({"step": "price"})),
        event("4", "tollgate.step.failed", "run-1", json!({"stpe": "send"})),
        event("5", "tollgate.step.started", "run-1", json!({"step": "send"})),
        event("5", "tollgate.step.started", "run-1", json!({"step": "other"})),
        event("6", "tollgate.run.heartbeat", "run-2", json!({})),
        "no event",
    ]);
    let answer = send(&runtime, &batch).expect(200);
    let counted = |n| (200, Some(n));
    let wanted: Vec<(u64, Option<&str>)> = vec![
        counted("counted"),
        counted("counted"),
        counted("counted"),
        (400, None),
        counted("counted"),
        (409, None),
        counted("counted"),
        (400, None),
    ];
    let found = outcomes(&answer);
    let found: Vec<_> = found.iter().map(|(status, standing)| (*status, standing.as_deref())).collect();
    assert_eq!(found, wanted, "{}", answer.text());
    let faults: Vec<_> = answer["items"][3]["problem"]["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert!(faults.contains(&"/3/data/stpe"), "{faults:?}");

    let again = send(&runtime, &batch).expect(200);
    let repeated = outcomes(&again).into_iter().filter(|(_, standing)| standing.as_deref() == Some("repeated"));
    assert_eq!(repeated.count(), 5);
    let run = runtime.get("/api/v1/runs/run-1").expect(200);
    assert_eq!((&run["status"], &run["events"]), (&json!("running"), &json!(4)));
    assert_eq!((&run["title"], &run["last_good_step"]), (&json!("Quote for Metro"), &json!("price")));
    assert_eq!(run["attempts"][0]["current_step"], "send");
    assert_eq!(runtime.get("/api/v1/runs/run-2").expect(200)["agent"], "rfq-draft", "a key of one agent speaks for it");

    let page = runtime.get("/api/v1/runs/run-1/events?limit=3").expect(200);
    let next = page["next"].as_str().unwrap();
    let rest = runtime.get(&format!("/api/v1/runs/run-1/events?limit=3&cursor={next}")).expect(200);
    let numbers = |page: &Answer| {
        page["items"].as_array().unwrap().iter().map(|e| e["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((numbers(&page), numbers(&rest), &rest["next"]), (vec![1, 2, 3], vec![4], &Value::Null));

    let daemon = daemon.restart();
    let runtime = daemon.admin();
    let after = runtime.get("/api/v1/runs/run-1").expect(200);
    assert_eq!(after["attempts"], run["attempts"], "as it was before the restart");
    assert_eq!(numbers(&runtime.get("/api/v1/runs/run-1/events").expect(200)), vec![1, 2, 3, 4]);
    let late = send(&runtime, &opening("1", "run-1")).expect(200);
    assert_eq!(late["items"][0]["standing"], "repeated", "known after a restart too");
}

#[test]
fn a_single_event_that_is_refused_is_a_problem() {
    let daemon = Daemon::start();
    let runtime = daemon.holder(&["runtime"], &["rfq-draft"]);
    send(&runtime, &opening("1", "run-1")).expect(200);
    let other = event("1", "tollgate.run.heartbeat", "run-1", json!({}));
    send(&runtime, &other).problem(409, "idempotency_conflict");
    send(&runtime, &event("2", "tollgate.run.started", "run-9", json!({"attempt": 0}))).problem(400, "invalid_request");
    send(&runtime, &event("3", "tollgate.run.heartbeat", "run-1", json!({"attempt": 2}))).problem(409, "conflict");
    send(&runtime, &json!([])).problem(400, "invalid_request");
    send(&daemon.admin(), &event("4", "tollgate.run.heartbeat", "run-9", json!({}))).problem(400, "invalid_request");
    let foreign = daemon.holder(&["runtime"], &["other"]);
    send(&foreign, &event("5", "tollgate.run.heartbeat", "run-1", json!({}))).problem(404, "not_found");
    let claims = event("6", "tollgate.run.heartbeat", "run-1", json!({"agent": {"id": "other"}}));
    send(&foreign, &claims).problem(404, "not_found");
    let takes = event("7", "tollgate.run.heartbeat", "run-8", json!({"agent": {"id": "rfq-draft"}}));
    send(&foreign, &takes).problem(403, "forbidden");
    foreign.get("/api/v1/runs/run-1").problem(404, "not_found");
    foreign.get("/api/v1/runs/run-1/events").problem(404, "not_found");
    assert_eq!(foreign.get("/api/v1/runs").expect(200)["items"], json!([]));
    let sent = runtime.send(
        "POST",
        "/api/v1/events",
        &[("content-type", "application/cloudevents+json")],
        opening("8", "run-3").to_string().as_bytes(),
    );
    sent.expect(200);
}

#[test]
fn late_events_are_kept_and_nothing_that_is_over_changes() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let failed = json!({"error": {"code": "timeout", "message": "slow"}});
    send(&admin, &json!([opening("1", "run-1"), event("2", "tollgate.run.completed", "run-1", json!({}))])).expect(200);
    let late = send(&admin, &event("3", "tollgate.run.failed", "run-1", failed.clone())).expect(200);
    assert_eq!(late["items"][0]["standing"], "after_end");
    let run = admin.get("/api/v1/runs/run-1").expect(200);
    assert_eq!((&run["status"], &run["events"]), (&json!("completed"), &json!(3)));
    send(&admin, &json!([opening("1", "run-2"), event("2", "tollgate.run.failed", "run-2", failed)])).expect(200);
    send(&admin, &event("3", "tollgate.run.started", "run-2", json!({"attempt": 2}))).expect(200);
    let old = send(&admin, &event("4", "tollgate.run.completed", "run-2", json!({"attempt": 1}))).expect(200);
    assert_eq!(old["items"][0]["standing"], "old_attempt");
    let run = admin.get("/api/v1/runs/run-2").expect(200);
    assert_eq!(
        (&run["status"], &run["attempts"][0]["state"], &run["attempts"][1]["cause"]),
        (&json!("running"), &json!("failed"), &json!("reported"))
    );
}

#[test]
fn runs_are_listed_by_status_and_cursor() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    for n in 0..7 {
        daemon.clock().advance(Duration::from_secs(1));
        send(&admin, &opening("1", &format!("run-{n}"))).expect(200);
        if n % 2 == 0 {
            send(&admin, &event("2", "tollgate.run.completed", &format!("run-{n}"), json!({}))).expect(200);
        }
    }
    let ids = |query: &str| -> Vec<String> {
        let mut ids = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = admin.get(&format!("/api/v1/runs?limit=2{query}{cursor}")).expect(200);
            ids.extend(page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    };
    assert_eq!(ids(""), ["run-6", "run-5", "run-4", "run-3", "run-2", "run-1", "run-0"]);
    assert_eq!(ids("&status=completed"), ["run-6", "run-4", "run-2", "run-0"]);
    assert_eq!(ids("&agent=nobody"), [""; 0]);
    admin.get("/api/v1/runs?status=odd").problem(400, "invalid_request");
    admin.get("/api/v1/runs?cursor=odd").problem(400, "invalid_request");
}

#[test]
fn types_of_events_come_with_their_schemas() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let types = admin.get("/api/v1/event-types").expect(200);
    for kind in types["items"].as_array().unwrap() {
        let path = format!("/api/v1/event-types/{}", kind["type"].as_str().unwrap());
        if kind["reported"] == true {
            let schema = admin.get(&path).expect(200);
            assert_eq!(schema["properties"]["type"]["const"], kind["type"]);
        } else {
            admin.get(&path).problem(404, "not_found");
        }
    }
}

#[test]
fn an_artifact_is_kept_and_served_as_an_attachment() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    send(&admin, &opening("1", "run 1/ä")).expect(200);
    let artifact = json!({"name": "quote <1>.html", "media_type": "text/html", "content": "PGI+aGk8L2I+"});
    let told = event("2", "tollgate.artifact.produced", "run 1/ä", json!({"step": "draft", "artifact": artifact}));
    send(&admin, &told).expect(200);
    let run = admin.get("/api/v1/runs/run%201%2F%C3%A4").expect(200);
    let made = &run["artifacts"][0];
    assert_eq!((&made["size"], &made["step"]), (&json!(9), &json!("draft")));
    let content = admin.get(made["href"].as_str().unwrap()).expect(200);
    assert_eq!(content.text(), "<b>hi</b>");
    assert_eq!(content.header("content-disposition"), Some("attachment; filename=\"quote__1_.html\""));
    assert_eq!(content.header("x-content-type-options"), Some("nosniff"));
    assert!(content.header("content-security-policy").unwrap().starts_with("sandbox;"));
    let foreign = daemon.holder(&["runtime"], &["other"]);
    foreign.get(made["href"].as_str().unwrap()).problem(404, "not_found");
    let other = format!("/api/v1/runs/run%201%2F%C3%A4/artifacts/sha256:{}", "0".repeat(64));
    admin.get(&other).problem(404, "not_found");
    let wrong = json!({"name": "x", "media_type": "text/plain", "content": "aGk=", "digest": format!("sha256:{}", "0".repeat(64))});
    send(&admin, &event("3", "tollgate.artifact.produced", "run 1/ä", json!({"artifact": wrong})))
        .problem(400, "invalid_request");
    let events = admin.get("/api/v1/runs/run%201%2F%C3%A4/events").expect(200);
    assert!(!events.text().contains("PGI+"), "the content is not in the journal");
}

#[test]
fn what_is_masked_is_not_in_events_either() {
    let daemon =
        Daemon::with().config(|config| config.mask.pointers = vec!["/entity/properties/iban".to_owned()]).start();
    let admin = daemon.admin();
    let data = json!({
        "agent": {"id": "rfq-draft"}, "title": "Pay DE02 1203",
        "entity": {"type": "rfq", "id": "1", "properties": {"iban": "DE02 1203"}}
    });
    send(&admin, &event("1", "tollgate.run.started", "run-1", data)).expect(200);
    let shown = format!("{}{}", admin.get("/api/v1/runs/run-1").text(), admin.get("/api/v1/runs/run-1/events").text());
    assert!(shown.contains("masked:") && !shown.contains("DE02"), "{shown}");
}

#[test]
fn an_admission_makes_its_run_known_and_an_old_attempt_is_fenced() {
    let daemon = Daemon::with()
        .file("policies/agents/other.rego", "package tollgate.agents.other\n\nimport rego.v1\n\nallow if true\n")
        .start();
    let admin = daemon.admin();
    admin.ask("one", "1").allowed();
    let run = admin.get("/api/v1/runs/run-17").expect(200);
    assert_eq!(
        (&run["status"], &run["agent"], &run["dispatch"]),
        (&json!("running"), &json!("rfq-draft"), &json!("external"))
    );
    let of = |key: &str, change: &dyn Fn(&mut Value)| {
        let mut body = crate::support::example(key, "1");
        change(&mut body);
        admin.admit(&body)
    };
    of("other-agent", &|body| body["agent"]["id"] = "other".into()).denied("attempt_fenced");
    of("too-early", &|body| body["run"]["attempt"] = 2.into()).denied("attempt_fenced");
    send(
        &admin,
        &event(
            "1",
            "tollgate.run.failed",
            "run-17",
            json!({"step": "price-lookup", "error": {"code": "timeout", "message": "x"}}),
        ),
    )
    .expect(200);
    of("over", &|_| ()).denied("attempt_fenced");
    of("next", &|body| body["run"]["attempt"] = 2.into()).allowed();
    of("old", &|_| ()).denied("attempt_fenced");
    let run = admin.get("/api/v1/runs/run-17").expect(200);
    assert_eq!((&run["attempts"][1]["state"], &run["attempts"][1]["cause"]), (&json!("running"), &json!("reported")));
    let records = admin.get("/api/v1/admissions?run=run-17&decision=allow").expect(200);
    let input = &records["items"][0]["input"];
    assert_eq!(
        (&input["run"]["same_step_failures"], &input["connectors"][0]["status"]),
        (&json!(1), &json!("unknown")),
        "{input}"
    );
}

#[test]
fn a_connector_that_is_down_denies_what_needs_it() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.ask("up", "1").allowed();
    let down = admin.put("/api/v1/connectors/erp", &json!({"status": "down", "detail": "upgrade"})).expect(200);
    daemon.clock().advance(Duration::from_secs(5));
    let denied = admin.ask("down", "1").denied("connector_unavailable");
    assert_eq!(denied["reasons"][0]["remedy"]["target"], "connector:erp");
    let again = admin.put("/api/v1/connectors/erp", &json!({"status": "down", "detail": "still"})).expect(200);
    assert_eq!(again["since"], down["since"], "down all the time");
    admin.put("/api/v1/connectors/erp", &json!({"status": "degraded"})).expect(200);
    admin.ask("back", "1").allowed();
    let operator = daemon.holder(&["operator"], &[]);
    assert_eq!(operator.get("/api/v1/connectors/erp").expect(200)["status"], "degraded");
    let daemon = daemon.restart();
    assert_eq!(daemon.admin().get("/api/v1/connectors").expect(200)["items"][0]["status"], "degraded");
}

#[test]
fn a_run_spends_against_each_budget_by_attempt_and_step() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.daily_budget("rfq-draft-daily", "5.00").expect(201);
    let runtime = Runtime::new(daemon.holder(&["runtime"], &["rfq-draft"]), "w", "rfq-draft");
    runtime.report("run-1", "tollgate.run.started", json!({})).expect(200);
    let held = Held { run: "run-1".to_owned(), attempt: 1, lease: None, claim: Value::Null };
    let ask = |name: &str, usd: &str| {
        let step = crate::support::Step::good(name, usd);
        runtime.ask(&held, &step).allowed().hold()
    };
    let settled = ask("price", "0.40");
    admin.settle(&settled, "0.50").expect(200);
    ask("draft", "1.00");
    let released = ask("send", "0.30");
    admin.release(&released).expect(200);
    let usage = admin.get("/api/v1/runs/run-1").expect(200)["budget_usage"].clone();
    let sums =
        |held: &str, settled: &str, unsettled: &str| json!({"held": held, "settled": settled, "unsettled": unsettled});
    let total = usage["totals"].as_array().unwrap().iter().find(|total| total["unit"] == "usd").unwrap();
    assert_eq!(
        json!({"held": total["held"], "settled": total["settled"], "unsettled": total["unsettled"]}),
        sums("1", "0.50", "0")
    );
    let line = |budget: Value, step: &str| {
        let lines = usage["lines"].as_array().unwrap().iter();
        lines.clone().find(|line| line["budget"] == budget && line["step"] == step).unwrap_or(&Value::Null).clone()
    };
    assert_eq!(line(json!("rfq-draft-daily"), "price")["settled"], "0.50");
    assert_eq!(line(json!("rfq-draft-daily"), "draft")["held"], "1");
    assert_eq!(line(json!("rfq-draft-daily"), "price")["window"], "2026-11-23@America/New_York");
    assert_eq!(usage["budgets"][0]["remaining"], "3.50");
    daemon.clock().advance(Duration::from_secs(601));
    let unsettled = || admin.get("/api/v1/runs/run-1").expect(200)["budget_usage"]["totals"][0]["unsettled"] == "1";
    crate::support::until("the hold expired", unsettled);
}
