//! Rates by agent and key: who asks too often is told when to ask again, at no cost and without a trace.

use super::of_agent;
use crate::support::{Answer, Daemon, example};
use serde_json::{Value, json};
use std::time::Duration;

/// Ten admissions a second of one agent, three at once.
fn daemon() -> Daemon {
    let rates = |config: &mut tollgate::config::Config| {
        config.rate.agent_per_s = 10;
        config.rate.agent_burst = 3;
    };
    Daemon::with()
        .config(rates)
        .file("policies/agents/other.rego", "package tollgate.agents.other\n\nimport rego.v1\n\nallow if true\n")
        .start()
}

fn seq(daemon: &Daemon) -> Value {
    daemon.admin().get("/api/v1/state").expect(200)["seq"].clone()
}

#[track_caller]
fn refused(answer: Answer, retry_at: &str) {
    let answer = answer.problem(429, "rate_limited");
    assert_eq!((answer.header("retry-after"), answer["retry_at"].as_str()), (Some("1"), Some(retry_at)));
}

#[test]
fn a_storming_agent_is_told_when_to_ask_again() {
    let daemon = daemon();
    let admin = daemon.admin();
    let holds: Vec<_> = ["one", "two", "three"].map(|key| admin.ask(key, "0.01").allowed().hold()).into();
    let before = seq(&daemon);
    for _ in 0..50 {
        refused(admin.ask("four", "0.01"), "2026-11-23T17:00:00.1Z");
    }
    let mut dry = example("dry", "0.01");
    dry["dry_run"] = json!(true);
    refused(admin.admit(&dry), "2026-11-23T17:00:00.1Z");
    assert_eq!(seq(&daemon), before, "a storm does not fill the journal");
    assert_eq!(admin.get("/api/v1/admissions").expect(200)["items"].as_array().map(Vec::len), Some(3));
    // neither other agents nor other keys are touched, and what is held can be settled
    admin.admit(&of_agent("other", "one")).allowed();
    daemon.holder(&["runtime"], &["rfq-draft"]).ask("five", "0.01").allowed();
    admin.settle(&holds[0], "0.01").expect(200);
    // then, under the same key: it stands for nothing yet
    daemon.clock().advance(Duration::from_millis(100));
    admin.ask("four", "0.01").allowed();
    refused(admin.ask("six", "0.01"), "2026-11-23T17:00:00.2Z");
}

#[test]
fn in_a_batch_each_item_counts() {
    let daemon = daemon();
    let items: Vec<_> = (0..6).map(|n| example(&format!("k{n}"), "0.01")).collect();
    let answer = daemon.admin().post("/api/v1/admissions/batch", &json!({"items": items})).expect(200);
    let statuses: Vec<_> = answer["items"].as_array().unwrap().iter().map(|item| item["status"].as_u64()).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429].map(Some));
    assert_eq!(answer["items"][5]["problem"]["retry_at"], "2026-11-23T17:00:00.1Z");
}

#[test]
fn a_key_as_a_whole_has_a_rate_too() {
    let rates = |config: &mut tollgate::config::Config| {
        config.rate.key_per_s = 1;
        config.rate.key_burst = 5;
    };
    let daemon = Daemon::with().config(rates).start();
    let holder = daemon.holder(&["runtime"], &[]);
    // a name of its own for each admission is no way around it, and neither is a batch
    holder.admit(&of_agent("a1", "one")).denied("agent_policy_missing");
    let items: Vec<_> = (0..3).map(|n| of_agent(&format!("b{n}"), "one")).collect();
    holder.post("/api/v1/admissions/batch", &json!({"items": items})).expect(200);
    holder.get("/api/v1/admissions").expect(200);
    let refused = holder.get("/api/v1/admissions").problem(429, "too_many_requests");
    assert_eq!((refused.header("retry-after"), &refused["retry_at"]), (Some("1"), &json!("2026-11-23T17:00:01Z")));
    holder.admit(&of_agent("a2", "one")).problem(429, "too_many_requests");
    daemon.admin().get("/api/v1/admissions").expect(200);
    daemon.clock().advance(Duration::from_secs(2));
    let answer = holder.post("/api/v1/admissions/batch", &json!({"items": items})).expect(200);
    let statuses: Vec<_> = answer["items"].as_array().unwrap().iter().map(|item| item["status"].as_u64()).collect();
    assert_eq!(statuses, [200, 200, 429].map(Some));
}
