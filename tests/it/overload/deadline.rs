//! Deadlines: what waited too long is not decided, so nobody holds money for a question that was given up.

use super::waiting;
use crate::support::{Answer, Daemon, example, until};
use serde_json::{Value, json};
use std::time::Duration;

/// Sends an admission that waits behind a flush.
fn ask(
    daemon: &Daemon,
    key: &str,
    headers: &'static [(&'static str, &'static str)],
) -> std::thread::JoinHandle<Answer> {
    let (caller, body) = (daemon.admin(), example(key, "0.10").to_string());
    std::thread::spawn(move || {
        let headers = [&[("content-type", "application/json")], headers].concat();
        caller.send("POST", "/api/v1/admissions", &headers, body.as_bytes())
    })
}

fn held_money(daemon: &Daemon) -> Value {
    daemon.admin().get("/api/v1/budgets/rfq-draft-daily").expect(200)["held"].clone()
}

#[test]
fn what_waited_beyond_its_deadline_is_not_decided() {
    let daemon = Daemon::with().config(|config| config.store.deadline_ms = 5_000).start();
    daemon.admin().daily_budget("rfq-draft-daily", "5.00").expect(201);
    daemon.disk().order(|trouble| trouble.held = true);
    let first = ask(&daemon, "first", &[("request-timeout-ms", "1")]);
    daemon.disk().until_a_flush_waits();
    let late = [
        ask(&daemon, "own", &[("request-timeout-ms", "900")]),
        ask(&daemon, "envoy", &[("x-envoy-expected-rq-timeout-ms", "900"), ("request-timeout-ms", "3000")]),
    ];
    let patient = [ask(&daemon, "longer", &[("request-timeout-ms", "3000")]), ask(&daemon, "usual", &[])];
    until("they wait", || waiting(&daemon) == 4);
    daemon.clock().advance(Duration::from_secs(1));
    daemon.disk().calm();
    for late in late {
        let refused = late.join().unwrap().problem(503, "deadline_exceeded");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    patient.into_iter().for_each(|patient| drop(patient.join().unwrap().allowed()));
    first.join().unwrap().allowed();
    assert_eq!(held_money(&daemon), "0.30", "what is decided is heard, however late; and nothing else is held");
    // their keys stand for nothing: they may be asked again
    daemon.admin().ask("own", "0.10").allowed();
    assert_eq!(held_money(&daemon), "0.40");
}

#[test]
fn nobody_waits_longer_than_the_daemon_lets_them() {
    let daemon = Daemon::with().config(|config| config.store.deadline_ms = 500).start();
    let hold = daemon.admin().ask("held", "0.10").allowed().hold();
    daemon.disk().order(|trouble| trouble.held = true);
    let first = ask(&daemon, "first", &[]);
    daemon.disk().until_a_flush_waits();
    let longer = ask(&daemon, "longer", &[("request-timeout-ms", "60000")]);
    let settle = {
        let (caller, hold) = (daemon.admin(), hold.clone());
        std::thread::spawn(move || caller.settle(&hold, "0.10"))
    };
    until("they wait", || waiting(&daemon) == 2);
    daemon.clock().advance(Duration::from_secs(1));
    daemon.disk().calm();
    longer.join().unwrap().problem(503, "deadline_exceeded");
    settle.join().unwrap().problem(503, "deadline_exceeded");
    first.join().unwrap().allowed();
    assert_eq!(daemon.admin().get(&format!("/api/v1/holds/{hold}")).expect(200)["state"], "pending");
    daemon.admin().settle(&hold, "0.10").expect(200);
}

#[test]
fn a_deadline_that_is_none_is_refused() {
    let daemon = Daemon::start();
    for wrong in ["0", "-1", "1s", "1.5"] {
        let headers = [("content-type", "application/json"), ("request-timeout-ms", wrong)];
        let body = json!({}).to_string();
        let refused = daemon.admin().send("POST", "/api/v1/admissions", &headers, body.as_bytes());
        refused.problem(400, "invalid_request");
    }
}

#[test]
fn a_stopping_daemon_answers_what_it_has_begun() {
    let daemon = Daemon::start();
    let (disk, url) = (daemon.disk().clone(), daemon.url().to_owned());
    disk.order(|trouble| trouble.held = true);
    let first = ask(&daemon, "first", &[]);
    disk.until_a_flush_waits();
    let stopping = std::thread::spawn(move || drop(daemon));
    let address = url.trim_start_matches("http://");
    until("it takes nobody in any more", || std::net::TcpStream::connect(address).is_err());
    disk.calm();
    first.join().unwrap().allowed();
    stopping.join().unwrap();
}
