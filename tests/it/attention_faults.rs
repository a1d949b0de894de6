//! What must not confuse Command Center: clocks that are set, summer time, people and runtimes that act at one moment.

use crate::support::{Daemon, Runtime, example, until};
use serde_json::{Value, json};
use std::sync::Barrier;
use std::time::Duration;

fn runtime(daemon: &Daemon) -> Runtime {
    Runtime::new(daemon.admin(), "w", "rfq-draft")
}

fn items(daemon: &Daemon) -> Vec<Value> {
    daemon.admin().get("/api/v1/attention?limit=500").expect(200)["items"].as_array().unwrap().clone()
}

fn item(daemon: &Daemon, run: &str) -> Value {
    let list = daemon.admin().get(&format!("/api/v1/attention?run={run}")).expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{}", list.text());
    list["items"][0].clone()
}

/// Three denials of a run: an item of an attempt that lives.
fn blocked(daemon: &Daemon, run: &str) -> Value {
    for n in 0..3 {
        let mut body = example(&format!("{run}/{n}"), "2");
        body["run"] = json!({"id": run, "attempt": 1});
        daemon.admin().admit(&body).denied("budget_exceeded");
    }
    item(daemon, run)
}

fn with_budget() -> Daemon {
    let daemon = Daemon::start();
    daemon
        .admin()
        .post("/api/v1/budgets", &json!({"id": "daily", "unit": "usd", "limit": "1", "window": {"kind": "day"}}))
        .expect(201);
    daemon
}

/// One run works, one waits for a worker, one is held by a worker, and a schedule is due every hour.
#[test]
fn a_clock_that_is_set_opens_no_item() {
    let daemon = Daemon::start();
    let (admin, runtime) = (daemon.admin(), runtime(&daemon));
    let hourly = json!({"agent": "rfq-draft", "cron": "30 * * * *", "time_zone": "UTC", "grace_s": 60});
    admin.put("/api/v1/schedules/hourly", &hourly).expect(200);
    runtime.report("works", "tollgate.run.started", json!({})).expect(200);
    runtime.queue("held", json!({}));
    let held = runtime.claim(0).unwrap();
    runtime.tell(&held, "tollgate.run.acknowledged", json!({}));
    runtime.queue("waits", json!({}));
    admin.daily_budget("daily", "1.00").expect(201);
    let mut denied = example("denied", "2");
    denied["run"] = json!({"id": "works", "attempt": 1, "step": "price"});
    admin.admit(&denied).denied("budget_exceeded");
    let right = daemon.now();
    // each batch looks at the clocks; these are of another run
    let batch = |n: &str| runtime.report(&format!("other-{n}"), "tollgate.run.completed", json!({})).expect(200);
    for (n, step_s) in [-7_200i64, -59, 59, 7_200].into_iter().enumerate() {
        daemon.clock().set_wall(right + jiff::SignedDuration::from_secs(step_s));
        batch(&n.to_string());
        assert_eq!(items(&daemon), Vec::<Value>::new(), "a step of {step_s} s");
        daemon.clock().set_wall(right);
        batch(&format!("{n}-back"));
        assert_eq!(items(&daemon), Vec::<Value>::new(), "back from a step of {step_s} s");
    }
    daemon.clock().set_wall(right + Duration::from_secs(7_200));
    admin.post("/api/v1/clock/confirm", &json!({})).expect(200);
    batch("confirmed");
    assert_eq!(
        items(&daemon),
        Vec::<Value>::new(),
        "nobody was silent, and no start was missed, in hours that never were"
    );
    runtime.tell(&held, "tollgate.run.heartbeat", json!({}));
    daemon.clock().advance(Duration::from_secs(130));
    until("who really is late is found", || items(&daemon).iter().any(|item| item["run_id"] == "waits"));
}

#[test]
fn what_could_not_follow_a_denial_while_tollgate_was_down_is_waited_for_anew() {
    let daemon = with_budget();
    let mut denied = example("denied", "2");
    denied["run"] = json!({"id": "run-1", "attempt": 1, "step": "price"});
    daemon.admin().admit(&denied).denied("budget_exceeded");
    daemon.clock().advance(Duration::from_secs(200));
    let daemon = daemon.restart();
    daemon.clock().advance(Duration::from_secs(200));
    runtime(&daemon).report("other", "tollgate.run.completed", json!({})).expect(200);
    assert_eq!(items(&daemon), Vec::<Value>::new(), "it was heard for 200 s only");
    daemon.clock().advance(Duration::from_secs(101));
    until("nothing followed", || items(&daemon).len() == 1);
    assert_eq!(item(&daemon, "run-1")["kind"], "blocked_action");
}

#[test]
fn summer_time_begins_and_ends_without_a_missed_start() {
    let daemon = Daemon::start();
    let (admin, runtime) = (daemon.admin(), runtime(&daemon));
    // 01:30 comes twice on the one night, and 02:30 never on the other
    for (night, cron, due, next) in [
        ("2027-11-07T04:00:00Z", "30 1 * * *", "2027-11-07T05:30:00Z", "2027-11-08T06:30:00Z"),
        ("2028-03-12T06:00:00Z", "30 2 * * *", "2028-03-12T07:30:00Z", "2028-03-13T06:30:00Z"),
    ] {
        daemon.clock().advance_to(night.parse().unwrap());
        let body = json!({"agent": "rfq-draft", "cron": cron, "time_zone": "America/New_York", "grace_s": 60});
        let written = admin.put("/api/v1/schedules/nightly", &body).expect(200);
        assert_eq!(written["next_due"], due);
        daemon.clock().advance_to(due.parse().unwrap());
        let run = format!("run-of-{night}");
        runtime.report(&run, "tollgate.run.started", json!({"schedule": "nightly"})).expect(200);
        runtime.report(&run, "tollgate.run.completed", json!({})).expect(200);
        for hours in 1..=4 {
            daemon.clock().advance(Duration::from_secs(3_600));
            runtime.report(&format!("{run}-{hours}"), "tollgate.run.completed", json!({})).expect(200);
        }
        let schedule = admin.get("/api/v1/schedules/nightly").expect(200);
        assert_eq!((&schedule["next_due"], &schedule["missed"]), (&json!(next), &Value::Null));
        assert_eq!(items(&daemon), Vec::<Value>::new());
        admin
            .put(
                "/api/v1/schedules/nightly",
                &json!({"agent": "rfq-draft", "cron": cron, "time_zone": "UTC", "paused": true}),
            )
            .expect(200);
    }
}

#[test]
fn of_two_operators_at_one_moment_one_has_it_and_the_other_is_told() {
    let daemon = with_budget();
    for round in 0..5 {
        let item = blocked(&daemon, &format!("run-{round}"));
        let path = format!("/api/v1/attention/{}/assign", item["id"].as_str().unwrap());
        let tag = format!("\"{}\"", item["revision"]);
        let barrier = Barrier::new(2);
        let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
            let threads: Vec<_> = ["Kim", "Lee"]
                .into_iter()
                .map(|owner| {
                    let (barrier, caller, path, tag) = (&barrier, daemon.admin(), &path, &tag);
                    scope.spawn(move || {
                        caller.get("/healthz").expect(200);
                        barrier.wait();
                        let headers = [("content-type", "application/json"), ("if-match", tag.as_str())];
                        let answer =
                            caller.send("POST", path, &headers, json!({"owner": owner}).to_string().as_bytes());
                        (answer.status(), answer.json().clone())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "{answers:?}");
        let won = answers.iter().find(|(status, _)| *status == 200).map(|(_, body)| body["owner"].clone());
        let now = self::item(&daemon, &format!("run-{round}"));
        assert_eq!(
            (Some(&now["owner"]), now["revision"].as_u64()),
            (won.as_ref(), item["revision"].as_u64().map(|n| n + 1))
        );
    }
}

#[test]
fn a_cancel_that_races_a_completion_ends_the_item_once() {
    let daemon = with_budget();
    let runtime = runtime(&daemon);
    for n in 0..10 {
        let run = format!("run-{n}");
        let before = blocked(&daemon, &run);
        let done = runtime.event(&run, "tollgate.run.completed", json!({}));
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                daemon.admin().post("/api/v1/events", &done).expect(200);
            });
            barrier.wait();
            let body = json!({"category": "noise", "reason": "not needed"});
            daemon.admin().post(&format!("/api/v1/runs/{run}/cancel"), &body).expect(200);
        });
        let over = item(&daemon, &run);
        let status = daemon.admin().get(&format!("/api/v1/runs/{run}")).expect(200);
        let category = over["resolution"]["category"].as_str().unwrap();
        assert!(["succeeded", "cancelled"].contains(&category), "{over}");
        // what was completed first had ended the item already
        assert!(status["status"] != "completed" || category == "succeeded", "{over} {}", status.text());
        assert_eq!((&over["state"], &over["came_back"]), (&json!("resolved"), &json!(0)));
        assert_eq!(over["revision"].as_u64(), before["revision"].as_u64().map(|revision| revision + 1), "{over}");
    }
}
