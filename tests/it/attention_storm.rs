//! A retry storm over HTTP: the same failure thousands of times over 40 runs is an item a run, one group, and an alarm.

use crate::support::{Daemon, until};
use serde_json::{Value, json};
use std::time::Duration;

const RUNS: usize = 40;

/// A runtime that tries the step again and again, and begins another attempt when it has given up on one.
struct Shape {
    attempts: usize,
    tries: usize,
}

fn event(run: usize, id: &str, kind: &str, mut data: Value) -> Value {
    data["agent"] = json!({"id": "rfq-draft"});
    json!({"specversion": "1.0", "source": "storm", "id": id, "type": kind, "subject": format!("run-{run}"), "data": data})
}

/// All that one run reports. Messages differ in what a fingerprint leaves out.
fn course(run: usize, shape: &Shape) -> Vec<Value> {
    let mut events = Vec::new();
    for attempt in 1..=shape.attempts {
        let error = |n: usize| {
            let message = format!("The price service did not answer in {n} s (request {run}{attempt}{n}).");
            json!({"attempt": attempt, "step": "price-lookup", "error": {"code": "timeout", "message": message}})
        };
        events.push(event(run, &format!("{attempt}"), "tollgate.run.started", json!({"attempt": attempt})));
        for n in 1..shape.tries {
            events.push(event(run, &format!("{attempt}/{n}"), "tollgate.step.failed", error(n)));
        }
        events.push(event(run, &format!("{attempt}/end"), "tollgate.run.failed", error(shape.tries)));
    }
    events
}

/// How many storms the daemon says are under way.
fn storms(daemon: &Daemon) -> u64 {
    let text = daemon.admin().get("/metrics").expect(200);
    let line = text.text().lines().find_map(|line| line.strip_prefix("tollgate_attention_storm "));
    line.unwrap().parse().unwrap()
}

fn storm(daemon: &Daemon, shape: &Shape) {
    let courses: Vec<Vec<Value>> = (0..RUNS).map(|run| course(run, shape)).collect();
    // in turn, as 40 runtimes would
    let longest = courses.iter().map(Vec::len).max().unwrap();
    let events: Vec<&Value> =
        (0..longest).flat_map(|n| courses.iter().filter_map(move |course| course.get(n))).collect();
    for batch in events.chunks(1_000) {
        let answer = daemon.admin().post("/api/v1/events", &json!(batch)).expect(200);
        assert!(
            answer["items"].as_array().unwrap().iter().all(|item| item["standing"] == "counted"),
            "{}",
            answer.text()
        );
    }
}

fn is_an_item_a_run_one_group_and_an_alarm(shape: &Shape) {
    let daemon = Daemon::start();
    storm(&daemon, shape);
    until("the alarm is up", || storms(&daemon) == 1);
    let items = daemon.admin().get("/api/v1/attention?limit=500").expect(200);
    let items = items["items"].as_array().unwrap();
    assert_eq!(items.len(), RUNS, "an item a run");
    for item in items {
        assert_eq!((&item["kind"], &item["class"]), (&json!("failed_run"), &json!("temporary")), "{item}");
        assert_eq!(
            (&item["count"], &item["same_step_failures"]),
            (&json!(shape.attempts), &json!(shape.attempts)),
            "{item}"
        );
        assert_eq!(item["suggested_action"], "escalate", "a retry did not help: {item}");
    }
    let groups = daemon.admin().get("/api/v1/attention/groups").expect(200);
    let groups = groups["items"].as_array().unwrap();
    assert_eq!((groups.len(), &groups[0]["items"], &groups[0]["runs"]), (1, &json!(RUNS), &json!(RUNS)), "{groups:?}");
    // the alarm is where operators look: at the top, and at the group
    let alarm = daemon.admin().get("/api/v1/attention/headline").expect(200)["storms"].clone();
    assert_eq!((alarm.as_array().unwrap().len(), &alarm[0]["fingerprint"]), (1, &groups[0]["key"]), "{alarm}");
    assert_eq!((&alarm[0]["runs"], &alarm[0]), (&json!(RUNS), &groups[0]["storm"]), "{alarm}");
    assert_eq!(alarm[0]["failures"], RUNS * shape.attempts * shape.tries);
    let by_fix = daemon.admin().get("/api/v1/attention/groups?by=fix").expect(200);
    assert_eq!(by_fix["items"][0]["storm"], Value::Null);
    daemon.clock().advance(Duration::from_secs(61));
    until("the storm is over", || storms(&daemon) == 0);
    assert_eq!(daemon.admin().get("/api/v1/attention/headline").expect(200)["storms"], json!([]));
    assert_eq!(
        daemon.admin().get("/api/v1/attention/headline").expect(200)["without_decision"],
        RUNS,
        "the items stay"
    );
}

#[test]
fn a_storm_of_10_000_failures_is_an_item_a_run_one_group_and_an_alarm() {
    is_an_item_a_run_one_group_and_an_alarm(&Shape { attempts: 25, tries: 10 });
}

#[test]
fn fewer_failures_than_the_threshold_or_slower_ones_are_no_storm() {
    let daemon = Daemon::with().config(|config| config.attention.storm_failures = 81).start();
    storm(&daemon, &Shape { attempts: 1, tries: 2 });
    // the failure of another step is another trouble, and is counted behind all that was before it
    let other = json!({"attempt": 1, "step": "send", "error": {"code": "timeout", "message": "no answer"}});
    let events: Vec<Value> =
        (0..81).map(|n| event(99, &n.to_string(), "tollgate.step.failed", other.clone())).collect();
    daemon.admin().post("/api/v1/events", &json!(events[..80])).expect(200);
    daemon.clock().advance(Duration::from_secs(60));
    daemon.admin().post("/api/v1/events", &json!(events[80..])).expect(200);
    let more: Vec<Value> =
        (100..180).map(|n| event(99, &n.to_string(), "tollgate.step.failed", other.clone())).collect();
    assert_eq!(storms(&daemon), 0);
    daemon.admin().post("/api/v1/events", &json!(more)).expect(200);
    until("80 and one more behind the first 80 are a storm", || storms(&daemon) == 1);
}
