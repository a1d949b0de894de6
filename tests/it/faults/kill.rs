//! Killed and terminated under load, and a second daemon on one state directory.

use super::load::{Acknowledged, Load, Random};
use super::process::Site;
use crate::support::Caller;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const KILLS: u64 = 6;

/// Two hard budgets: one that never binds, one that soon does and is raised now and then.
fn budgets(caller: &Caller) {
    for (id, limit) in [("wide", "1000000"), ("tight", "20")] {
        let body = json!({"id": id, "unit": "usd", "limit": limit, "window": {"kind": "lifetime"}});
        caller.post("/api/v1/budgets", &body).expect(201);
    }
}

/// Seen to fail with the writer answering before it appends (`store/sled/writer/thread.rs`, `commit`).
#[test]
fn killed_at_random_moments_nothing_acknowledged_is_lost() {
    let mut random = Random::seeded();
    let site = Site::new();
    let mut process = site.start();
    budgets(&process.admin());
    let mut all = Vec::new();
    for round in 0..KILLS {
        let load = Load::on(&process, round, &random);
        load.until(60 + random.below(200));
        process.kill();
        let acknowledged = load.end();
        site.verify();
        process = site.start();
        everything_is_there(&process.admin(), &acknowledged);
        all.extend(acknowledged);
        nothing_is_held_beyond_a_limit(&process.admin());
    }
    everything_is_there(&process.admin(), &all);
    the_figures_are_the_sum_of_the_holds(&process.admin());
    process.kill();
    site.verify();
    assert!(std::fs::read_dir(site.state().join("journal")).unwrap().count() > 1, "the journal began several segments");
}

#[test]
fn terminated_under_load_it_answers_what_it_began_and_keeps_it() {
    let mut random = Random::seeded();
    let site = Site::new();
    let process = site.start();
    budgets(&process.admin());
    let load = Load::on(&process, 0, &random);
    load.until(200 + random.below(200));
    process.terminate();
    assert_eq!(process.wait().code(), Some(0), "{}", site.log());
    // a caller whose answer breaks off fails here: it would have got a status and no body
    let acknowledged = load.end();
    site.verify();
    let process = site.start();
    everything_is_there(&process.admin(), &acknowledged);
    the_figures_are_the_sum_of_the_holds(&process.admin());
}

#[test]
fn a_second_daemon_on_one_state_directory_is_refused() {
    let site = Site::new();
    let first = site.start();
    let second = site.cannot_start();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(second.stdout.is_empty());
    assert!(said.contains("in use by another Tollgate daemon") && said.contains("state"), "{said}");
    first.admin().ask("one", "1").allowed();
    first.kill();
    // the lock of a daemon that was killed is no lock
    site.start().admin().ask("one", "1").allowed();
}

/// Word for word: admissions and raises by asking again, holds by reading them.
fn everything_is_there(caller: &Caller, acknowledged: &[Acknowledged]) {
    assert!(!acknowledged.is_empty());
    for one in acknowledged {
        match one {
            Acknowledged::Admission(body, answer) => assert_eq!(caller.admit(body).expect(200).text(), answer),
            Acknowledged::Hold(id, hold) => {
                assert_eq!(caller.get(&format!("/api/v1/holds/{id}")).expect(200).json(), hold);
            }
            Acknowledged::Raise(body, id) => {
                let again = caller.post("/api/v1/budgets/tight/raises", body).expect(201);
                assert_eq!(again["id"], **id);
            }
        }
    }
}

fn nothing_is_held_beyond_a_limit(caller: &Caller) {
    let budgets = caller.get("/api/v1/budgets").expect(200);
    for budget in budgets["items"].as_array().unwrap() {
        let figure = |name: &str| nanos(&budget[name]);
        assert!(figure("held") + figure("spent") <= figure("limit_in_force"), "{budget}");
    }
}

/// What the budgets say is what the recorded admissions hold and the settlements booked, to the last billionth.
fn the_figures_are_the_sum_of_the_holds(caller: &Caller) {
    let (mut held, mut spent) = (BTreeMap::new(), BTreeMap::new());
    let mut path = "/api/v1/admissions?decision=allow&limit=500".to_owned();
    loop {
        let page = caller.get(&path).expect(200);
        for admission in page["items"].as_array().unwrap() {
            let id = admission["answer"]["hold"]["id"].as_str().unwrap_or_else(|| panic!("{admission}"));
            let hold = caller.get(&format!("/api/v1/holds/{id}")).expect(200);
            for line in hold["lines"].as_array().unwrap() {
                let budget = line["budget"].as_str().unwrap().to_owned();
                match hold["state"].as_str().unwrap() {
                    "pending" => *held.entry(budget).or_default() += nanos(&line["held"]),
                    "settled" => {
                        *spent.entry(budget).or_default() += nanos(&hold["settlement"]["actual"][0]["amount"]);
                    }
                    _ => {}
                }
            }
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/admissions?decision=allow&limit=500&cursor={next}"),
            None => break,
        }
    }
    for id in ["wide", "tight"] {
        let budget = caller.get(&format!("/api/v1/budgets/{id}")).expect(200);
        let figures = (nanos(&budget["held"]), nanos(&budget["spent"]));
        let of = |sums: &BTreeMap<String, i128>| sums.get(id).copied().unwrap_or_default();
        assert_eq!(figures, (of(&held), of(&spent)), "{}", budget.text());
    }
}

/// A decimal text in billionths.
fn nanos(text: &Value) -> i128 {
    let text = text.as_str().unwrap();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<9}").parse().unwrap()
}
