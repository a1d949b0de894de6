//! The queue to the writer has room for everybody: a storm fills its own share of it. The disk is held, so what is counted
//! does not hang on who is faster.

use super::{at_once, of_agent, waiting};
use crate::support::{Answer, Daemon, example, until};
use serde_json::json;

/// A queue of 64, of which an agent may fill 16 and a key 48; and the first command is being flushed until the disk is
/// calm again.
fn held() -> (Daemon, std::thread::JoinHandle<Answer>) {
    let daemon = Daemon::with()
        .config(|config| config.store.queue = 64)
        .file("policies/agents/other.rego", "package tollgate.agents.other\n\nimport rego.v1\n\nallow if true\n")
        .start();
    daemon.disk().order(|trouble| trouble.held = true);
    let admin = daemon.admin();
    let first = std::thread::spawn(move || admin.admit(&of_agent("rfq-draft", "first")));
    daemon.disk().until_a_flush_waits();
    (daemon, first)
}

#[test]
fn a_storm_of_one_agent_leaves_room_for_the_others() {
    let (daemon, first) = held();
    let storm = at_once((0..200).map(|n| (daemon.admin(), of_agent("rfq-draft", &format!("storm-{n}")))).collect());
    for _ in 0..185 {
        let refused = storm.recv().unwrap().problem(429, "rate_limited");
        assert_eq!((refused.header("retry-after"), refused["retry_at"].is_string()), (Some("1"), true));
    }
    assert_eq!(waiting(&daemon), 15, "and the first is being flushed");
    let others = at_once((0..10).map(|n| (daemon.admin(), of_agent("other", &format!("o{n}")))).collect());
    until("the others wait too", || waiting(&daemon) == 25);
    daemon.disk().calm();
    for _ in 0..10 {
        others.recv().unwrap().allowed();
    }
    for _ in 0..15 {
        storm.recv().unwrap().allowed();
    }
    first.join().unwrap().allowed();
    // every place was given back
    let again = at_once((0..16).map(|n| (daemon.admin(), of_agent("rfq-draft", &format!("again-{n}")))).collect());
    (0..16).for_each(|_| drop(again.recv().unwrap().allowed()));
}

#[test]
fn a_storm_of_one_key_leaves_room_for_other_keys() {
    let (daemon, first) = held();
    let stormy = daemon_holder(&daemon);
    let storm = at_once((0..60).map(|n| (stormy.clone(), of_agent(&format!("invented-{n}"), "storm"))).collect());
    for _ in 0..12 {
        storm.recv().unwrap().problem(429, "too_many_requests");
    }
    let others = at_once((0..10).map(|n| (daemon.admin(), of_agent("other", &format!("o{n}")))).collect());
    until("the others wait too", || waiting(&daemon) == 58);
    daemon.disk().calm();
    (0..10).for_each(|_| drop(others.recv().unwrap().allowed()));
    (0..48).for_each(|_| drop(storm.recv().unwrap().denied("agent_policy_missing")));
    first.join().unwrap().allowed();
}

/// A key for all agents, made before the disk is held: the holder is made while it is calm for a moment.
fn daemon_holder(daemon: &Daemon) -> crate::support::Caller {
    daemon.disk().calm();
    let holder = daemon.holder(&["runtime"], &[]);
    daemon.disk().order(|trouble| trouble.held = true);
    let admin = daemon.admin();
    std::thread::spawn(move || admin.admit(&of_agent("rfq-draft", "second")));
    daemon.disk().until_a_flush_waits();
    holder
}

#[test]
fn a_batch_that_is_larger_than_its_share_is_decided_bit_by_bit() {
    let daemon = Daemon::with().config(|config| config.store.queue = 8).start();
    let items: Vec<_> = (0..40).map(|n| example(&format!("k{n}"), "0.01")).collect();
    let answer = daemon.admin().post("/api/v1/admissions/batch", &json!({"items": items})).expect(200);
    let items = answer["items"].as_array().unwrap();
    assert!(items.len() == 40 && items.iter().all(|item| item["status"] == 200), "{}", answer.text());
}
