//! Killed while another Command Center is being told: nothing is forgotten, and what may have been heard already comes again
//! under the same id.

use super::process::{Process, Site};
use crate::support::{HANGS, HANGS_UP, Receiver, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn fail(process: &Process, run: &str) {
    let event = |id: &str, kind: &str, data: Value| json!({"specversion": "1.0", "source": "webhook", "id": id, "type": kind, "subject": run, "data": data});
    let agent = json!({"id": "rfq-draft"});
    let error = json!({"agent": agent, "error": {"code": "timeout", "message": "no answer"}});
    let events =
        [event("1", "tollgate.run.started", json!({"agent": agent})), event("2", "tollgate.run.failed", error)];
    process.admin().post("/api/v1/events", &json!(events)).expect(200);
}

fn record(process: &Process) -> Vec<Value> {
    process.admin().get("/api/v1/attention/deliveries").expect(200)["items"].as_array().unwrap().clone()
}

#[test]
fn killed_while_the_target_is_down_or_has_just_heard_it_nothing_is_lost_and_repeats_have_one_id() {
    let other = Receiver::listen();
    let site = Site::new();
    site.configure(&format!(
        "[attention.webhook]\nurl = {:?}\nsecret_file = {:?}\nallow = [\"127.0.0.1\"]\n",
        other.url(),
        other.secret_file()
    ));
    // down: the try and its failure are kept
    other.answer(HANGS_UP);
    let process = site.start();
    fail(&process, "run-1");
    until("a try was noted", || record(&process)[0]["tries"] == 1);
    process.kill();

    // it hears the next one, and the daemon is killed before that is noted
    other.answer(HANGS);
    let process = site.start();
    assert_eq!((record(&process).len(), &record(&process)[0]["tries"]), (1, &json!(1)));
    let before = other.heard().len();
    fail(&process, "run-2");
    until("it was heard", || other.heard().len() > before);
    process.kill();

    other.answer(200);
    let process = site.start();
    until("both were taken", || record(&process).iter().all(|one| one["delivered_at"].is_string()));
    assert_eq!(record(&process).len(), 2);
    let (taken, heard) = (other.taken(), other.heard());
    assert_eq!(taken.len(), 2, "each was taken once: {taken:?}");
    let ids: BTreeSet<&str> = heard.iter().map(|one| one.headers["webhook-id"].as_str()).collect();
    assert_eq!(ids.len(), 2, "and what was heard before came again under its id: {heard:?}");
    assert!(heard.len() >= 4, "{heard:?}");
    process.kill();
    site.verify();
}
