//! What an operator does about runs, and what the clocks do, against a real runtime on the other side.

use crate::support::{Answer, Caller, Daemon, End, Held, Runtime, Step, until};
use serde_json::{Value, json};
use std::sync::{Arc, Barrier};
use std::time::Duration;

fn runtime(daemon: &Daemon, worker: &str) -> Runtime {
    Runtime::new(daemon.holder(&["runtime"], &["rfq-draft"]), worker, "rfq-draft")
}

fn run(caller: &Caller, id: &str) -> Answer {
    caller.get(&format!("/api/v1/runs/{id}")).expect(200)
}

fn plan(caller: &Caller, id: &str) -> Answer {
    caller.get(&format!("/api/v1/runs/{id}/retry-plan")).expect(200)
}

/// A retry as the plan says, every side effect acknowledged.
fn retry(caller: &Caller, id: &str, plan: &Answer, key: &str, more: &Value) -> Answer {
    let effects = plan["side_effects"].as_array().unwrap().iter().map(|effect| effect["id"].clone());
    let mut body = json!({
        "plan_version": plan["plan_version"], "idempotency_key": key, "reason": "It was temporary.",
        "acknowledge": effects.collect::<Vec<_>>(),
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    caller.post(&format!("/api/v1/runs/{id}/retry"), &body)
}

fn cancel(caller: &Caller, id: &str) -> Answer {
    caller.post(&format!("/api/v1/runs/{id}/cancel"), &json!({"category": "wrong_record", "reason": "Merged."}))
}

/// Nothing has a wait of its own: the writer looks every quarter of a second.
fn until_alarm(caller: &Caller, id: &str, clock: &str) {
    until(clock, || {
        let run = run(caller, id);
        let latest = run["attempts"].as_array().unwrap().last().unwrap();
        latest["alarms"].as_array().unwrap().iter().any(|alarm| alarm["clock"] == clock)
    });
}

#[test]
fn a_temporary_failure_is_retried_and_goes_on_from_its_checkpoint() {
    let daemon = Daemon::start();
    let operator = daemon.holder(&["operator"], &[]);
    let runtime = runtime(&daemon, "w").paced(daemon.clock());
    runtime.queue("run-1", json!({"rfq": "RFQ-1042"}));
    let first = runtime.claim(0).unwrap();
    assert_eq!(first.claim["input"], json!({"rfq": "RFQ-1042"}));
    let steps = [Step::good("read", "0.10"), Step { name: "price", usd: "0.20", fails: Some("timeout") }];
    assert_eq!(runtime.work(&first, &steps), End::Failed);

    let seen = plan(&operator, "run-1");
    assert_eq!(
        (&seen["error"]["code"], &seen["last_good_step"], &seen["step"]),
        (&json!("timeout"), &json!("read"), &json!("price"))
    );
    assert_eq!((&seen["from_checkpoint"]["id"], &seen["attempt"]), (&json!("after-read"), &json!(2)));
    assert_eq!(
        (&seen["verdict"]["decision"], &seen["refusal"], &seen["same_step_failures"]),
        (&json!("allow"), &Value::Null, &json!(1))
    );
    assert_eq!(seen["side_effects"], json!([]), "what came before the checkpoint is not repeated");

    let made = retry(&operator, "run-1", &seen, "key", &json!({})).expect(200);
    assert_eq!((&made["status"], &made["attempts"][1]["cause"]), (&json!("queued"), &json!("retry")));
    let again = retry(&operator, "run-1", &seen, "key", &json!({})).expect(200);
    assert_eq!(again["attempts"].as_array().unwrap().len(), 2, "once for each key");
    retry(&operator, "run-1", &seen, "key", &json!({"reason": "Another."})).problem(409, "idempotency_conflict");
    retry(&operator, "run-1", &seen, "other", &json!({})).problem(409, "already_retried");

    let second = runtime.claim(0).unwrap();
    assert_eq!((second.attempt, &second.claim["checkpoint"]["id"]), (2, &json!("after-read")));
    assert_eq!(
        (&second.claim["checkpoint_state"], &second.claim["input"]),
        (&json!({"done": "read"}), &json!({"rfq": "RFQ-1042"}))
    );
    assert_eq!(runtime.work(&second, &[Step::good("price", "0.20")]), End::Completed);
    let run = run(&operator, "run-1");
    let states: Vec<_> =
        run["attempts"].as_array().unwrap().iter().map(|attempt| attempt["state"].as_str().unwrap()).collect();
    assert_eq!((states, &run["status"]), (vec!["failed", "completed"], &json!("completed")));
    let seen = plan(&operator, "run-1");
    assert_eq!(seen["refusal"]["code"], "completed");
    let audit = daemon.admin().get("/api/v1/audit?subject=run:run-1").expect(200);
    assert_eq!(
        (&audit["items"][0]["op"], &audit["items"][0]["actor"]["name"]),
        (&json!("run.retry"), &json!("a test"))
    );
}

#[test]
fn a_block_by_budget_is_lifted_by_a_raise_and_told_to_the_worker() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.daily_budget("rfq-draft-daily", "0.30").expect(201);
    let runtime = runtime(&daemon, "w");
    runtime.queue("run-1", json!({}));
    let first = runtime.claim(0).unwrap();
    assert_eq!(runtime.work(&first, &[Step::good("read", "0.10"), Step::good("price", "0.42")]), End::Blocked);
    let seen = plan(&admin, "run-1");
    assert_eq!(
        (&seen["refusal"]["code"], &seen["error"]["code"]),
        (&json!("budget_exceeded"), &json!("budget_exceeded"))
    );
    retry(&admin, "run-1", &seen, "one", &json!({})).problem(409, "budget_exceeded");
    assert_eq!(run(&admin, "run-1")["attempts"].as_array().unwrap().len(), 1);
    daemon.clock().advance(Duration::from_secs(1));
    admin.post("/api/v1/budgets/rfq-draft-daily/raises", &json!({"limit": "2.00", "reason": "Worth it."})).expect(201);
    let seen = plan(&admin, "run-1");
    assert_eq!((&seen["refusal"], &seen["changed"]), (&Value::Null, &json!(["budget:rfq-draft-daily"])));
    retry(&admin, "run-1", &seen, "one", &json!({})).expect(200);
    let second = runtime.claim(0).unwrap();
    assert_eq!(second.claim["lifted"][0]["code"], "budget_exceeded");
    assert_eq!(runtime.work(&second, &[Step::good("price", "0.42")]), End::Completed);
    let retries = admin.get("/api/v1/admissions?run=run-1&kind=retry").expect(200);
    let decisions: Vec<_> =
        retries["items"].as_array().unwrap().iter().map(|item| item["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["allow", "deny"], "the denied one is recorded too");
}

#[test]
fn every_refusal_of_a_retry_has_its_code() {
    let daemon = Daemon::start();
    let (admin, operator) = (daemon.admin(), daemon.holder(&["operator"], &[]));
    let runtime = runtime(&daemon, "w");
    let fail = |id: &str, code: &str| {
        let held = runtime.claim(0).unwrap_or_else(|| panic!("{id} is queued"));
        assert_eq!(runtime.work(&held, &[Step { name: "price", usd: "0.20", fails: Some(code) }]), End::Failed);
    };
    runtime.queue("run-1", json!({}));
    let seen = plan(&operator, "run-1");
    retry(&operator, "run-1", &seen, "living", &json!({})).problem(409, "not_stopped");
    fail("run-1", "timeout");
    retry(&operator, "run-1", &seen, "old", &json!({})).problem(409, "plan_changed");

    let seen = plan(&operator, "run-1");
    retry(&operator, "run-1", &seen, "first", &json!({})).expect(200);
    fail("run-1", "timeout");
    let seen = plan(&operator, "run-1");
    assert_eq!((&seen["refusal"]["code"], &seen["same_step_failures"]), (&json!("same_step_failed"), &json!(2)));
    retry(&operator, "run-1", &seen, "second", &json!({})).problem(409, "same_step_failed");
    retry(&operator, "run-1", &seen, "second", &json!({"override": true})).problem(403, "forbidden");
    retry(&admin, "run-1", &seen, "second", &json!({"override": true})).expect(200);
    fail("run-1", "missing_data");
    let seen = plan(&operator, "run-1");
    retry(&admin, "run-1", &seen, "third", &json!({"override": true})).problem(409, "setup_required");
    retry(&admin, "run-1", &seen, "third", &json!({"override": true, "acknowledge": ["setup:missing_data"]}))
        .expect(200);

    runtime.report("run-2", "tollgate.run.started", json!({})).expect(200);
    let held = Held { run: "run-2".to_owned(), attempt: 1, lease: None, claim: Value::Null };
    let spent = runtime.ask(&held, &Step::good("send", "0.10")).allowed().hold();
    admin.settle(&spent, "0.10").expect(200);
    let error = json!({"code": "timeout", "message": "x"});
    runtime.report("run-2", "tollgate.run.failed", json!({"step": "send", "error": error})).expect(200);
    let seen = plan(&operator, "run-2");
    assert_eq!(
        (&seen["side_effects"][0]["what"], &seen["side_effects"][0]["hold"]),
        (&json!("draft_quote"), &json!("settled"))
    );
    retry(&operator, "run-2", &seen, "blind", &json!({"acknowledge": []})).problem(409, "not_acknowledged");
    cancel(&operator, "run-2").expect(200);
    let seen = plan(&operator, "run-2");
    retry(&operator, "run-2", &seen, "cancelled", &json!({})).problem(409, "run_cancelled");
    operator.get("/api/v1/runs/none/retry-plan").problem(404, "not_found");

    runtime.report("run-3", "tollgate.run.started", json!({})).expect(200);
    let held = Held { run: "run-3".to_owned(), attempt: 1, lease: None, claim: Value::Null };
    let hold = runtime.ask(&held, &Step::good("send", "0.10")).allowed().hold();
    admin.release(&hold).expect(200);
    let error = json!({"code": "timeout", "message": "x"});
    runtime.report("run-3", "tollgate.run.failed", json!({"step": "send", "error": error})).expect(200);
    admin
        .post("/api/v1/pauses", &json!({"target": {"kind": "agent", "id": "rfq-draft"}, "reason": "stop"}))
        .expect(201);
    let seen = plan(&operator, "run-3");
    retry(&operator, "run-3", &seen, "paused", &json!({})).problem(409, "policy_denied");
}

#[test]
fn a_cancellation_stops_admissions_at_once_and_is_proved_by_the_runtime() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.daily_budget("rfq-draft-daily", "5.00").expect(201);
    let runtime = runtime(&daemon, "w");
    runtime.queue("run-1", json!({}));
    let held = runtime.claim(0).unwrap();
    runtime.tell(&held, "tollgate.run.acknowledged", json!({}));
    let hold = runtime.ask(&held, &Step::good("read", "1.00")).allowed().hold();
    let asked = cancel(&admin, "run-1").expect(200);
    assert_eq!((&asked["status"], &asked["cancel"]["category"]), (&json!("cancelling"), &json!("wrong_record")));
    runtime.ask(&held, &Step::good("price", "1.00")).denied("run_cancelled");
    assert!(runtime.tell(&held, "tollgate.run.heartbeat", json!({})), "it is told to stop");
    daemon.clock().advance(Duration::from_secs(121));
    until_alarm(&admin, "run-1", "cancel_not_confirmed");
    runtime.tell(&held, "tollgate.run.cancelled", json!({}));
    let run_now = run(&admin, "run-1");
    assert_eq!((&run_now["status"], &run_now["cancel"]["too_late"]), (&json!("cancelled"), &json!(false)));
    assert_eq!(admin.get(&format!("/api/v1/holds/{hold}")).expect(200)["state"], "released");
    assert_eq!(admin.get("/api/v1/budgets/rfq-draft-daily").expect(200)["held"], "0");
    let audit = admin.get("/api/v1/audit?op=run.cancel").expect(200);
    assert_eq!(
        (&audit["items"][0]["before"]["status"], &audit["items"][0]["reason"]),
        (&json!("dispatched"), &json!("wrong_record: Merged."))
    );

    runtime.queue("run-2", json!({}));
    assert_eq!(cancel(&admin, "run-2").expect(200)["status"], "cancelled", "nobody has it: at once");
    assert!(runtime.claim(0).is_none(), "and nobody gets it");
    runtime.queue("run-3", json!({}));
    let held = runtime.claim(0).unwrap();
    cancel(&admin, "run-3").expect(200);
    runtime.tell(&held, "tollgate.run.completed", json!({}));
    let late = run(&admin, "run-3");
    assert_eq!((&late["status"], &late["cancel"]["too_late"]), (&json!("completed"), &json!(true)));
}

#[test]
fn a_force_stop_leaves_the_holds_to_expire() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.daily_budget("rfq-draft-daily", "5.00").expect(201);
    let runtime = runtime(&daemon, "w");
    runtime.queue("run-1", json!({}));
    let held = runtime.claim(0).unwrap();
    let hold = runtime.ask(&held, &Step::good("read", "1.00")).allowed().hold();
    let stop = |id: &str| admin.post(&format!("/api/v1/runs/{id}/force-stop"), &json!({"reason": "dead"}));
    cancel(&admin, "run-1").expect(200);
    let stopped = stop("run-1").expect(200);
    assert_eq!(
        (&stopped["status"], &stopped["attempts"][0]["forced_by"]["name"]),
        (&json!("cancelled"), &json!("first admin"))
    );
    assert_eq!(admin.get(&format!("/api/v1/holds/{hold}")).expect(200)["state"], "pending");
    stop("run-1").problem(409, "not_alive");
    let late =
        runtime.report("run-1", "tollgate.run.completed", json!({"attempt": 1, "lease": held.lease})).expect(200);
    assert_eq!(late["items"][0]["standing"], "after_end");
    runtime.report("run-2", "tollgate.step.started", json!({"step": "read"})).expect(200);
    let held = Held { run: "run-2".to_owned(), attempt: 1, lease: None, claim: Value::Null };
    let hold = runtime.ask(&held, &Step::good("read", "0.10")).allowed().hold();
    admin.release(&hold).expect(200);
    let failed = stop("run-2").expect(200);
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("force_stopped")));
    let seen = plan(&admin, "run-2");
    retry(&admin, "run-2", &seen, "on", &json!({})).expect(200);
}

#[test]
fn exactly_one_of_many_workers_gets_an_attempt() {
    let daemon = Daemon::start();
    let key = daemon.admin();
    let queue = runtime(&daemon, "queue");
    let workers = 8;
    for round in 0..5 {
        let id = format!("run-{round}");
        queue.queue(&id, json!({}));
        let barrier = Arc::new(Barrier::new(workers));
        let got: Vec<Held> = std::thread::scope(|scope| {
            let claims: Vec<_> = (0..workers)
                .map(|n| {
                    let (barrier, worker) =
                        (Arc::clone(&barrier), Runtime::new(key.clone(), &format!("r{round}w{n}"), "rfq-draft"));
                    scope.spawn(move || {
                        barrier.wait();
                        worker.claim(0)
                    })
                })
                .collect();
            claims.into_iter().filter_map(|claim| claim.join().unwrap()).collect()
        });
        assert_eq!(got.len(), 1, "{got:?}");
        assert_eq!(got[0].run, id);
    }
}

#[test]
fn a_waiting_worker_hears_of_an_attempt_and_takes_no_more_than_it_can() {
    let daemon = Daemon::start();
    let key = daemon.holder(&["runtime"], &["rfq-draft"]);
    let worker = Runtime::new(key.clone(), "w", "rfq-draft");
    let queued = Runtime::new(key.clone(), "q", "rfq-draft");
    let held = std::thread::scope(|scope| {
        let waiting = scope.spawn(move || worker.claim(20));
        until("the worker waits", || key.get("/api/v1/workers/w").status() == 200);
        queued.queue("run-1", json!({}));
        waiting.join().unwrap()
    });
    assert_eq!(held.unwrap().run, "run-1");
    let queued = Runtime::new(daemon.admin(), "q2", "rfq-draft");
    let worker = Runtime::new(daemon.admin(), "w", "rfq-draft");
    queued.queue("run-2", json!({}));
    assert!(worker.claim(0).is_none(), "it holds one and takes one");
    let why = &run(&daemon.admin(), "run-2")["not_picked_up"];
    assert_eq!(why["kind"], "all_busy", "{why}");
    daemon.admin().put("/api/v1/workers/w", &json!({"agents": ["rfq-draft"], "capacity": 2})).expect(200);
    assert_eq!(worker.claim(0).unwrap().run, "run-2");
    let shown = daemon.admin().get("/api/v1/workers/w").expect(200);
    assert_eq!((&shown["held"], &shown["gone"]), (&json!(2), &json!(false)));
    let foreign = daemon.holder(&["runtime"], &["other"]);
    foreign.get("/api/v1/workers/w").problem(404, "not_found");
    foreign.put("/api/v1/workers/w", &json!({"agents": ["other"]})).problem(403, "forbidden");
    foreign.post("/api/v1/attempts/claim", &json!({"worker": "x", "agents": ["rfq-draft"]})).problem(403, "forbidden");
}

#[test]
fn a_worker_that_dies_before_it_acknowledges_loses_the_attempt_and_after_it_stalls_it() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let (one, two) = (Runtime::new(admin.clone(), "one", "rfq-draft"), Runtime::new(admin.clone(), "two", "rfq-draft"));
    one.queue("run-1", json!({}));
    let dead = one.claim(0).unwrap();
    daemon.clock().advance(Duration::from_secs(61));
    until("it is queued again", || run(&admin, "run-1")["status"] == "queued");
    let held = two.claim(0).unwrap();
    assert_eq!((held.attempt, &run(&admin, "run-1")["attempts"][0]["requeued"]), (1, &json!(1)));
    let late = one.report("run-1", "tollgate.run.acknowledged", json!({"attempt": 1, "lease": dead.lease})).expect(200);
    assert_eq!(late["items"][0]["standing"], "fenced");
    one.ask(&dead, &Step::good("read", "0.10")).denied("attempt_fenced");
    two.tell(&held, "tollgate.run.acknowledged", json!({}));
    two.ask(&held, &Step::good("read", "0.10")).allowed();
    daemon.clock().advance(Duration::from_secs(61));
    until("it is stalled", || run(&admin, "run-1")["status"] == "stalled");
    assert!(one.claim(0).is_none(), "never dispatched again by itself");
    two.tell(&held, "tollgate.step.started", json!({"step": "read"}));
    assert_eq!(run(&admin, "run-1")["status"], "running", "a sign of life");
}

#[test]
fn the_clocks_ring_in_a_quiet_hour_and_a_jump_opens_nothing() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let runtime = runtime(&daemon, "w");
    runtime.report("run-1", "tollgate.run.started", json!({})).expect(200);
    let alarms = || run(&admin, "run-1")["attempts"][0]["alarms"].as_array().unwrap().len();

    let right = daemon.now();
    daemon.clock().set_wall(right + Duration::from_secs(7_200));
    runtime.report("run-2", "tollgate.run.started", json!({})).expect(200);
    assert_eq!(alarms(), 0, "the wall clock jumped, and nobody was silent");
    admin.post("/api/v1/clock/confirm", &json!({})).expect(200);
    runtime.report("run-3", "tollgate.run.started", json!({})).expect(200);
    runtime.report("run-3", "tollgate.run.heartbeat", json!({})).expect(200);
    assert_eq!(alarms(), 0, "confirmed, and still nobody was silent");

    daemon.clock().advance(Duration::from_secs(299));
    runtime.report("run-3", "tollgate.run.heartbeat", json!({})).expect(200);
    assert_eq!(alarms(), 0);
    daemon.clock().advance(Duration::from_secs(2));
    until_alarm(&admin, "run-1", "silent");
    daemon.clock().advance(Duration::from_secs(600));
    until_alarm(&admin, "run-1", "silent_critical");
    assert_eq!(run(&admin, "run-1")["status"], "stalled");

    let daemon = daemon.restart();
    let admin = daemon.admin();
    runtime_of(&admin).report("run-4", "tollgate.run.started", json!({})).expect(200);
    daemon.clock().advance(Duration::from_secs(200));
    let daemon = daemon.restart();
    daemon.clock().advance(Duration::from_secs(200));
    let admin = daemon.admin();
    runtime_of(&admin).report("run-5", "tollgate.run.started", json!({})).expect(200);
    assert_eq!(
        run(&admin, "run-4")["attempts"][0]["alarms"],
        json!([]),
        "it could not be heard while Tollgate was down"
    );
}

fn runtime_of(caller: &Caller) -> Runtime {
    Runtime::new(caller.clone(), "again", "rfq-draft")
}

#[test]
fn an_admission_is_a_sign_of_life() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let runtime = runtime(&daemon, "w");
    runtime.report("run-1", "tollgate.run.started", json!({})).expect(200);
    let held = Held { run: "run-1".to_owned(), attempt: 1, lease: None, claim: Value::Null };
    daemon.clock().advance(Duration::from_secs(250));
    runtime.ask(&held, &Step::good("read", "0.10")).allowed();
    daemon.clock().advance(Duration::from_secs(100));
    runtime.report("run-2", "tollgate.run.started", json!({})).expect(200);
    assert_eq!(run(&admin, "run-1")["attempts"][0]["alarms"], json!([]));
    daemon.clock().advance(Duration::from_secs(201));
    until_alarm(&admin, "run-1", "silent");
}

#[test]
fn a_run_that_nobody_picked_up_says_why() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let runtime = runtime(&daemon, "w");
    runtime.queue("run-1", json!({}));
    let why = |id: &str| run(&admin, id)["not_picked_up"]["kind"].clone();
    assert_eq!(why("run-1"), "no_worker_ever");
    daemon.clock().advance(Duration::from_secs(121));
    until_alarm(&admin, "run-1", "not_picked_up");
    assert_eq!(run(&admin, "run-1")["others_moved"], 0);
    admin.put("/api/v1/workers/other", &json!({"agents": ["rfq-draft"]})).expect(200);
    assert_eq!(why("run-1"), "worker_free");
    daemon.clock().advance(Duration::from_secs(121));
    assert_eq!(why("run-1"), "workers_gone");
    runtime.report("run-2", "tollgate.run.queued", json!({"schedule": "nightly"})).expect(200);
    assert_eq!(why("run-2"), "external_runtime");
    assert_eq!(run(&admin, "run-1")["others_moved"], 1, "others move");
    let body = json!({"agent": "rfq-draft", "cron": "0 * * * *", "paused": true});
    admin.put("/api/v1/schedules/nightly", &body).expect(200);
    assert_eq!(why("run-2"), "schedule_paused");
}

#[test]
fn a_start_that_never_came_is_noticed() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let body = json!({"agent": "rfq-draft", "cron": "30 12 * * *", "time_zone": "America/New_York", "grace_s": 60});
    let written = admin.put("/api/v1/schedules/noon", &body).expect(200);
    assert_eq!(written["next_due"], "2026-11-23T17:30:00Z");
    daemon.clock().advance(Duration::from_secs(1_800));
    runtime_of(&admin)
        .report("run-1", "tollgate.run.started", json!({"agent": {"id": "rfq-draft"}, "schedule": "noon"}))
        .expect(200);
    let fired = admin.get("/api/v1/schedules/noon").expect(200);
    assert_eq!(
        (&fired["last_run"], &fired["next_due"], &fired["missed"]),
        (&json!("run-1"), &json!("2026-11-24T17:30:00Z"), &Value::Null)
    );
    daemon.clock().advance(Duration::from_secs(24 * 3_600 + 61));
    until("it is missed", || admin.get("/api/v1/schedules/noon").expect(200)["missed"]["count"] == 1);
    let missed = admin.get("/api/v1/schedules/noon").expect(200);
    assert_eq!(
        (&missed["missed"]["due"], &missed["next_due"]),
        (&json!("2026-11-24T17:30:00Z"), &json!("2026-11-25T17:30:00Z"))
    );
    let audit = admin.get("/api/v1/audit?op=schedule.missed").expect(200);
    assert_eq!(audit["items"].as_array().unwrap().len(), 1);
    Runtime::new(admin.clone(), "third", "rfq-draft")
        .report("run-2", "tollgate.run.started", json!({"agent": {"id": "rfq-draft"}, "schedule": "noon"}))
        .expect(200);
    assert_eq!(admin.get("/api/v1/schedules/noon").expect(200)["missed"], Value::Null, "it came");
    for (field, value) in [("cron", "never"), ("time_zone", "Mars/Olympus")] {
        let mut wrong = body.clone();
        wrong[field] = value.into();
        let problem = admin.put("/api/v1/schedules/noon", &wrong).problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
    }
}

#[test]
fn a_retry_pressed_at_once_by_many_makes_one_attempt() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let runtime = runtime(&daemon, "w");
    runtime.queue("run-1", json!({}));
    let held = runtime.claim(0).unwrap();
    runtime.work(&held, &[Step { name: "price", usd: "0.20", fails: Some("timeout") }]);
    let seen = plan(&admin, "run-1");
    let barrier = Barrier::new(8);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|n| {
                let (barrier, admin, seen) = (&barrier, admin.clone(), &seen);
                scope.spawn(move || {
                    barrier.wait();
                    retry(&admin, "run-1", seen, &format!("key-{n}"), &json!({})).status()
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert_eq!(run(&admin, "run-1")["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn a_cancel_that_races_a_completion_has_one_outcome() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    for n in 0..10 {
        let id = format!("run-{n}");
        let runtime = Runtime::new(admin.clone(), &format!("w{n}"), "rfq-draft");
        runtime.report(&id, "tollgate.run.started", json!({"agent": {"id": "rfq-draft"}})).expect(200);
        let done = runtime.event(&id, "tollgate.run.completed", json!({}));
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            let completes = scope.spawn(|| {
                barrier.wait();
                admin.post("/api/v1/events", &done).expect(200);
            });
            barrier.wait();
            cancel(&admin, &id).expect(200);
            completes.join().unwrap();
        });
        let over = run(&admin, &id);
        let outcome = (over["status"].as_str().unwrap(), over["cancel"]["too_late"].as_bool().unwrap());
        assert!(matches!(outcome, ("completed", true) | ("cancelled", false)), "{outcome:?}");
        assert_eq!(over["attempts"][0]["state"], "completed");
    }
}

#[test]
fn what_another_agent_asks_in_a_run_does_not_take_it_from_its_owner() {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    let ask = |key: &str, agent: &str, kind: &str| {
        let mut body = json!({"idempotency_key": key, "kind": kind, "agent": {"id": agent},
            "run": {"id": "mine", "attempt": 1, "step": "s"}});
        if kind == "action" {
            body["action"] = json!({"name": "think"});
        }
        admin.post("/api/v1/admissions", &body).expect(200)
    };
    assert_eq!(ask("1", "rfq-draft", "action")["decision"], "allow");
    let other = ask("2", "airline", "action");
    assert!(other.text().contains("attempt_fenced"), "{}", other.text());
    let retry = ask("3", "rfq-draft", "retry");
    assert_eq!(retry["decision"], "allow", "{}", retry.text());
}
