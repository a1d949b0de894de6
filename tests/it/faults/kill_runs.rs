//! Killed under a load of events, retries and operators' acts: nothing of runs and items that was acknowledged is lost or
//! doubled.

use super::load::{Random, acked};
use super::process::{Process, Site};
use crate::support::{Answer, Caller, example};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};

const KILLS: u64 = 4;
const CALLERS: u64 = 6;
const STEP: &str = "price-lookup";

/// What was acknowledged of one run. What was asked last may have happened as well.
#[derive(Debug, Default)]
struct Known {
    run: String,
    /// Events that were taken.
    events: Vec<Value>,
    /// It failed: there is an item.
    failed: bool,
    /// The item's owner.
    owner: Option<String>,
    /// The retry's body.
    retry: Option<Value>,
    /// Its second attempt completed.
    completed: bool,
}

#[test]
fn killed_under_load_no_event_item_retry_or_assignment_is_lost_or_doubled() {
    let mut random = Random::seeded();
    let site = Site::new();
    let mut process = site.start();
    let mut all = Vec::new();
    for round in 0..KILLS {
        let answers = 60 + random.below(150);
        let known = loaded(process, round, &random, answers);
        site.verify();
        process = site.start();
        is_there_once(&process.admin(), &known);
        all.extend(known);
    }
    is_there_once(&process.admin(), &all);
    let finished = all.iter().filter(|known| known.completed).count();
    let (owned, retried) = (all.iter().filter(|known| known.owner.is_some()), all.iter().filter(|k| k.retry.is_some()));
    assert!(finished > 0 && owned.count() > 0 && retried.count() > 0, "the load does it all");
    process.kill();
    site.verify();
}

/// Loads a daemon until so many answers have come, and kills it.
fn loaded(process: Process, round: u64, random: &Random, answers: u64) -> Vec<Known> {
    let (sender, ticks) = channel();
    let threads: Vec<_> = (0..CALLERS)
        .map(|n| {
            let (caller, sender) = (process.admin(), sender.clone());
            let mut random = random.forked(round * CALLERS + n + 1);
            std::thread::spawn(move || {
                let mut all = Vec::new();
                for run in 0.. {
                    let mut known = Known { run: format!("run-{round}-{n}-{run}"), ..Known::default() };
                    let done = course(&caller, &mut known, &mut random, &sender).is_some();
                    all.push(known);
                    if !done {
                        break;
                    }
                }
                all
            })
        })
        .collect();
    for _ in 0..answers {
        ticks.recv().expect("the callers are not at their end");
    }
    process.kill();
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

/// A run begins, asks, fails, is given to somebody, is retried, and mostly completes. `None` when the daemon is gone.
fn course(caller: &Caller, known: &mut Known, random: &mut Random, ticks: &Sender<()>) -> Option<()> {
    let tick = |answer: Answer| {
        let _ = ticks.send(());
        answer
    };
    let run = known.run.clone();
    tick(report(
        caller,
        known,
        &[("started", "run.started", json!({})), ("step", "step.started", json!({"step": STEP}))],
    )?);
    let mut ask = example(&format!("{run}/ask"), "0.1");
    ask["run"] = json!({"id": run, "attempt": 1, "step": STEP});
    tick(acked(caller.try_post("/api/v1/admissions", &ask))?).allowed();
    let error = json!({"step": STEP, "error": {"code": "timeout", "message": "no answer"}});
    tick(report(caller, known, &[("step-failed", "step.failed", error.clone()), ("failed", "run.failed", error)])?);
    known.failed = true;

    let item = acked(caller.try_send("GET", &format!("/api/v1/attention?run={run}"), &[], b""))?;
    let owner = format!("owner-{}", random.below(1_000));
    let path = format!("/api/v1/attention/{}/assign", item["items"][0]["id"].as_str().unwrap());
    tick(acked(caller.try_post(&path, &json!({"owner": owner})))?);
    known.owner = Some(owner);

    let plan = acked(caller.try_send("GET", &format!("/api/v1/runs/{run}/retry-plan"), &[], b""))?;
    let effects: Vec<&Value> = plan["side_effects"].as_array().unwrap().iter().map(|effect| &effect["id"]).collect();
    let retry = json!({"plan_version": plan["plan_version"], "idempotency_key": format!("{run}/retry"),
        "reason": "It was temporary.", "acknowledge": effects});
    tick(acked(caller.try_post(&format!("/api/v1/runs/{run}/retry"), &retry))?);
    known.retry = Some(retry);

    if random.below(4) > 0 {
        tick(report(caller, known, &[("completed", "run.completed", json!({"attempt": 2}))])?);
        known.completed = true;
    }
    Some(())
}

/// Reports events, and remembers them once they are taken.
fn report(caller: &Caller, known: &mut Known, events: &[(&str, &str, Value)]) -> Option<Answer> {
    let event = |(id, kind, data): &(&str, &str, Value)| {
        let mut data = data.clone();
        data["agent"] = json!({"id": "rfq-draft"});
        json!({"specversion": "1.0", "source": "load", "id": id, "type": format!("tollgate.{kind}"),
            "subject": known.run, "data": data})
    };
    let batch: Vec<Value> = events.iter().map(event).collect();
    let answer = acked(caller.try_post("/api/v1/events", &json!(batch)))?;
    assert!(answer["items"].as_array().unwrap().iter().all(|item| item["standing"] == "counted"), "{}", answer.text());
    known.events.extend(batch);
    Some(answer)
}

/// By asking again and by reading: each event once, one item with its owner, one retry.
fn is_there_once(caller: &Caller, all: &[Known]) {
    for known in all.iter().filter(|known| !known.events.is_empty()) {
        let run = &known.run;
        let again = caller.post("/api/v1/events", &json!(known.events)).expect(200);
        let again = again["items"].as_array().unwrap();
        assert!(again.iter().all(|item| item["standing"] == "repeated"), "{run}: an event was lost: {again:?}");

        let events = caller.get(&format!("/api/v1/runs/{run}/events?limit=500")).expect(200);
        let events = events["items"].as_array().unwrap();
        let ids: BTreeSet<_> = events.iter().map(|event| (event["source"].as_str(), event["id"].as_str())).collect();
        assert_eq!(ids.len(), events.len(), "{run}: an event is there twice");

        let items = caller.get(&format!("/api/v1/attention?run={run}")).expect(200);
        let items = items["items"].as_array().unwrap();
        assert!(items.len() <= 1 && (!known.failed || items.len() == 1), "{run}: {items:?}");
        if let Some(owner) = &known.owner {
            assert_eq!(items[0]["owner"], **owner, "{run}");
        }
        let page = caller.get(&format!("/api/v1/runs/{run}")).expect(200);
        let attempts = page["attempts"].as_array().unwrap().len();
        assert!(attempts <= 2, "{run}: {}", page.text());
        if let Some(retry) = &known.retry {
            let again = caller.post(&format!("/api/v1/runs/{run}/retry"), retry).expect(200);
            assert_eq!((attempts, again["attempts"].as_array().unwrap().len()), (2, 2), "{run}: one retry");
        }
        if known.completed {
            assert_eq!((&page["status"], &items[0]["state"]), (&json!("completed"), &json!("resolved")), "{run}");
        }
    }
}
