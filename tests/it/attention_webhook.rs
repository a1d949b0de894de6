//! The webhook: signed, once for each state of an item, and again until it is taken.

use crate::support::{Daemon, HANGS_UP, Receiver, example, until};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tollgate::config::WebhookConfig;

/// A daemon that tells this receiver, with a budget of 1 USD a day.
fn telling(other: &Receiver) -> Daemon {
    let webhook = WebhookConfig {
        url: other.url(),
        secret_file: other.secret_file(),
        allow: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
    };
    let daemon = Daemon::with().config(|config| config.attention.webhook = Some(webhook)).start();
    daemon
        .admin()
        .post("/api/v1/budgets", &json!({"id": "daily", "unit": "usd", "limit": "1", "window": {"kind": "day"}}))
        .expect(201);
    daemon
}

fn states(other: &Receiver) -> Vec<String> {
    other.heard().iter().map(|one| one.body["data"]["state"].as_str().unwrap().to_owned()).collect()
}

/// Three denials of a run: an item.
fn block(daemon: &Daemon, run: &str) -> Value {
    for n in 0..3 {
        let mut body = example(&format!("{run}/{n}"), "2");
        body["run"] = json!({"id": run, "attempt": 1});
        daemon.admin().admit(&body).expect(200);
    }
    daemon.admin().get(&format!("/api/v1/attention?run={run}")).expect(200)["items"][0].clone()
}

/// A run that fails: an item, and no clock of the run rings later.
fn fail(daemon: &Daemon, run: &str) -> Value {
    let agent = json!({"id": "rfq-draft"});
    let error = json!({"agent": agent, "error": {"code": "timeout", "message": "no answer"}});
    let event = |id: &str, kind: &str, data: &Value| json!({"specversion": "1.0", "source": "webhook", "id": id, "type": kind, "subject": run, "data": data});
    let started = event("1", "tollgate.run.started", &json!({"agent": agent}));
    let events = json!([started, event("2", "tollgate.run.failed", &error)]);
    daemon.admin().post("/api/v1/events", &events).expect(200);
    daemon.admin().get(&format!("/api/v1/attention?run={run}")).expect(200)["items"][0].clone()
}

fn resolve(daemon: &Daemon, item: &Value) {
    let path = format!("/api/v1/attention/{}/resolve", item["id"].as_str().unwrap());
    daemon.admin().post(&path, &json!({"category": "noise", "reason": "a test"})).expect(200);
}

fn record(daemon: &Daemon) -> Vec<Value> {
    daemon.admin().get("/api/v1/attention/deliveries").expect(200)["items"].as_array().unwrap().clone()
}

#[test]
fn each_state_of_an_item_is_told_once_and_signed() {
    let other = Receiver::listen();
    let daemon = telling(&other);
    let item = block(&daemon, "run-1");
    until("it was told", || states(&other) == ["waiting_on_setup"]);
    let path = format!("/api/v1/attention/{}", item["id"].as_str().unwrap());
    // the state stays: nothing to tell
    daemon.admin().post(&format!("{path}/assign"), &json!({"owner": "Kim"})).expect(200);
    resolve(&daemon, &item);
    until("its end was told", || states(&other) == ["waiting_on_setup", "resolved"]);
    let heard = other.heard();
    let (headers, body) = (&heard[0].headers, &heard[0].body);
    assert_eq!((&body["type"], &body["data"]["id"]), (&json!("attention.item.waiting_on_setup"), &item["id"]));
    assert!(headers["webhook-signature"].starts_with("v1,") && headers.contains_key("webhook-timestamp"));
    assert_ne!(headers["webhook-id"], heard[1].headers["webhook-id"]);
}

#[test]
fn what_is_not_taken_is_tried_again_under_the_same_id_also_behind_a_restart() {
    let other = Receiver::listen();
    other.answer(302);
    let daemon = telling(&other);
    block(&daemon, "run-1");
    until("a try failed", || record(&daemon)[0]["tries"] == 1);
    assert_eq!(record(&daemon)[0]["last_failure"], "it answered 302", "a redirect is not followed");
    let daemon = daemon.restart();
    assert_eq!((&record(&daemon)[0]["tries"], &record(&daemon)[0]["delivered_at"]), (&json!(1), &Value::Null));
    other.answer(204);
    daemon.clock().advance(Duration::from_secs(6));
    until("it was taken", || record(&daemon)[0]["delivered_at"].is_string());
    let heard = other.heard();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].headers["webhook-id"], heard[1].headers["webhook-id"]);
}

/// Three items come while the other side is down, one is resolved meanwhile, and the daemon is restarted in the middle.
#[test]
fn a_target_that_is_down_for_an_hour_gets_everything_once() {
    let other = Receiver::listen();
    other.answer(HANGS_UP);
    let daemon = telling(&other);
    let gone_down = daemon.now();
    let items = ["run-1", "run-2", "run-3"].map(|run| fail(&daemon, run));
    let tries = |daemon: &Daemon| record(daemon).iter().map(|one| one["tries"].as_u64().unwrap()).min().unwrap();
    until("each was tried", || tries(&daemon) == 1);
    for (wait_s, so_many) in [(6, 2), (31, 3), (121, 4)] {
        daemon.clock().advance(Duration::from_secs(wait_s));
        until("each was tried again", || tries(&daemon) == so_many);
    }
    resolve(&daemon, &items[0]);
    until("its end was tried", || tries(&daemon) == 1);
    let daemon = daemon.restart();
    daemon.clock().advance_to(gone_down + Duration::from_secs(3_600));
    let waits =
        |one: &Value| one["delivered_at"].is_null() && one["next_at"].is_string() && one["last_failure"].is_string();
    // none is under way any more, so that none fails behind the other side's return
    let waits_longer =
        |one: &Value| one["next_at"].as_str().is_some_and(|at| at.parse::<Timestamp>().unwrap() > daemon.now());
    until("each was tried", || record(&daemon).iter().all(waits_longer));
    let kept = record(&daemon);
    assert!(kept.len() == 4 && kept.iter().all(waits), "what waits is there to be seen: {kept:?}");
    assert_eq!(other.taken(), [""; 0]);

    other.answer(200);
    // the longest wait that any of them may be in by now
    daemon.clock().advance(Duration::from_secs(3_600));
    until("everything was taken", || record(&daemon).iter().all(|one| one["delivered_at"].is_string()));
    let taken = other.taken();
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 4, "{taken:?}");
    daemon.clock().advance(Duration::from_secs(24 * 3_600));
    // one more is told behind them, so nothing of before is on its way any more
    let late = fail(&daemon, "run-4");
    until("the late one was told", || other.heard().last().unwrap().body["data"]["id"] == late["id"]);
    assert_eq!(other.taken().len(), 5, "each once: {:?}", other.taken());
    let ids: BTreeSet<String> = other.heard().iter().map(|one| one.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 5, "every try of a delivery under its own id");
}
