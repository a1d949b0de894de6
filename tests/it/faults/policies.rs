//! Policies that loop, fail or talk nonsense, and policy directories in a bad state: the one denies, the other is not
//! taken, and nobody else notices.

use super::race::while_asking;
use crate::support::{Answer, Daemon, example, until};
use serde_json::{Value, json};
use std::time::Duration;
use tollgate::clock::{Clock as _, SystemClock};

/// What no answer may take, on a machine that is busy with other tests too.
const BOUND: Duration = Duration::from_secs(20);

const LOOP: &str = "allow := true\n\ndeny contains \"never\" if { some a in numbers.range(1, 9000); some b in numbers.range(1, 9000); a * b == 0.5 }\n";

fn body_of(agent: &str, key: &str) -> Value {
    let mut body = example(key, "0.01");
    body["agent"]["id"] = json!(agent);
    body["run"]["id"] = json!(format!("run-of-{agent}"));
    body
}

fn daemon() -> Daemon {
    let bad = [
        ("loops", LOOP),
        ("huge", "allow := true\n\ndeny contains \"never\" if count(numbers.range(1, 1000000000)) == 1\n"),
        ("fails", "allow := true\n\ndeny contains \"never\" if to_number(input.entity.id) > 1\n"),
        ("nonsense", "allow := \"yes\"\n"),
    ];
    let setup = bad.iter().fold(Daemon::with(), |setup, (agent, rules)| {
        setup.file(&format!("policies/agents/{agent}.rego"), &format!("package tollgate.agents.{agent}\n\n{rules}"))
    });
    let daemon = setup.start();
    daemon.admin().daily_budget("b", "100").expect(201);
    daemon
}

#[test]
fn a_policy_that_cannot_judge_denies_in_bounded_time_and_holds_nothing() {
    let daemon = daemon();
    for (agent, code) in [
        ("loops", "policy_timeout"),
        ("huge", "policy_timeout"),
        ("fails", "policy_error"),
        ("nonsense", "policy_output_invalid"),
    ] {
        let clock = SystemClock::new();
        // a system reason leaves the key free: the same question can be asked again
        for _ in 0..2 {
            let denied = daemon.admin().admit(&body_of(agent, "one")).denied(code);
            let reason = &denied["reasons"][0];
            assert_eq!((&reason["source"], &reason["remedy"]["kind"]), (&json!("system"), &json!("repair")), "{agent}");
            assert_eq!(denied["hold"], Value::Null);
        }
        assert!(clock.monotonic() < BOUND, "{agent}");
        daemon.admin().ask(&format!("beside {agent}"), "0.01").allowed();
    }
    assert_eq!(daemon.admin().get("/api/v1/budgets/b").expect(200)["held"], "0.04");
}

#[test]
fn a_layer_that_keeps_looping_is_left_alone_for_a_while() {
    let daemon = daemon();
    let ask = || daemon.admin().admit(&body_of("loops", "one"));
    for _ in 0..3 {
        ask().denied("policy_timeout");
    }
    let denied = ask().denied("policy_quarantined");
    let until = daemon.now() + Duration::from_secs(30);
    assert_eq!(denied["retry_at"], until.to_string());
    daemon.admin().ask("beside", "0.01").allowed();
    daemon.clock().advance_to(until);
    ask().denied("policy_timeout");
}

#[test]
fn others_do_not_notice_a_policy_that_loops() {
    // never quarantined: every request runs into its limit
    let daemon = Daemon::with()
        .file("policies/agents/loops.rego", &format!("package tollgate.agents.loops\n\n{LOOP}"))
        .config(|config| config.policy.quarantine_after = u32::MAX)
        .start();
    let asked = while_asking(
        &daemon,
        |key| body_of("loops", key),
        |step| {
            let clock = SystemClock::new();
            daemon.nobody().get("/healthz").expect(200);
            daemon.admin().ask(&format!("beside-{step}"), "0.01").allowed();
            assert!(clock.monotonic() < BOUND);
            step < 9
        },
    );
    for one in asked {
        one.answer.denied("policy_timeout");
    }
}

/// A batch that takes long to judge lets the worker's other connections in between. Seen to fail with `admit_batch` judging
/// all of it in one go.
#[test]
fn others_do_not_notice_a_batch_that_takes_long() {
    let daemon = Daemon::with()
        .file("policies/agents/loops.rego", &format!("package tollgate.agents.loops\n\n{LOOP}"))
        .config(|config| {
            config.policy.quarantine_after = u32::MAX;
            config.http.workers = 1;
        })
        .start();
    let items: Vec<_> = (0..200).map(|n| body_of("loops", &format!("{n}"))).collect();
    let beside = std::thread::scope(|scope| {
        let batch =
            scope.spawn(|| daemon.admin().post("/api/v1/admissions/batch", &json!({"items": items})).expect(200));
        let nobody = daemon.nobody();
        let mut beside = 0;
        while !batch.is_finished() {
            nobody.get("/healthz").expect(200);
            beside += 1;
        }
        let batch = batch.join().unwrap();
        assert!(batch["items"].as_array().unwrap().iter().all(|item| item["answer"]["decision"] == "deny"));
        beside
    });
    assert!(beside > 50, "while 200 were judged, {beside} others were answered");
}

/// The set in force, what was refused, and that the agent is still permitted by the former.
struct Seen {
    digest: Value,
    refused: Value,
}

fn look(daemon: &Daemon) -> Seen {
    let sets = daemon.admin().get("/api/v1/policy-sets").expect(200);
    Seen { digest: sets["items"][0]["digest"].clone(), refused: sets["refused"].clone() }
}

#[track_caller]
fn serves(daemon: &Daemon, key: &str, digest: &Value) -> Answer {
    daemon.nobody().get("/readyz").expect(200);
    let answer = daemon.admin().ask(key, "0.01").allowed();
    assert_eq!(answer["policy_set"], *digest);
    answer
}

/// What is done to a directory: in a word, the harm, and its undoing.
type Damage<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());

/// A directory in a bad state is told of at `/policy-sets`, the old set goes on serving, also over a restart; once the
/// directory is right again nothing is told any more.
#[test]
fn what_cannot_be_taken_is_shown_and_the_old_set_serves() {
    let mut daemon = Daemon::start();
    let policies = daemon.dir().join("policies");
    let good = look(&daemon);
    assert_eq!(good.refused, Value::Null);
    let half = "package tollgate.entities.rfq\n\nimport data.tollgate.lib.prices\n\nallow if {";
    let (entity, base, aside) =
        (policies.join("entities/rfq.rego"), policies.join("base.rego"), policies.join("aside"));
    let whole = std::fs::read(&entity).unwrap();
    let damages: [Damage; 4] = [
        ("half a file", &|| std::fs::write(&entity, half).unwrap(), &|| std::fs::write(&entity, &whole).unwrap()),
        ("base.rego gone", &|| std::fs::rename(&base, &aside).unwrap(), &|| std::fs::rename(&aside, &base).unwrap()),
        ("not a text", &|| std::fs::write(policies.join("x.rego"), [0xff, 0xfe]).unwrap(), &|| {
            std::fs::remove_file(policies.join("x.rego")).unwrap();
        }),
        (
            "a contract name misspelt",
            &|| std::fs::write(policies.join("agents/a.rego"), "package tollgate.agents.a\n\nalow := true\n").unwrap(),
            &|| std::fs::remove_file(policies.join("agents/a.rego")).unwrap(),
        ),
    ];
    for (what, harm, heal) in damages {
        harm();
        until(what, || look(&daemon).refused != Value::Null);
        let seen = look(&daemon);
        assert!(seen.refused["problems"][0]["message"].is_string(), "{what}: {}", seen.refused);
        assert_eq!(seen.digest, good.digest, "{what}");
        serves(&daemon, what, &good.digest);
        daemon = daemon.restart();
        until(what, || look(&daemon).refused != Value::Null);
        serves(&daemon, &format!("{what}, restarted"), &good.digest);
        heal();
        until(what, || look(&daemon).refused == Value::Null);
        serves(&daemon, &format!("{what}, healed"), &good.digest);
    }
}

#[test]
fn a_directory_that_is_gone_is_shown_and_the_old_set_serves() {
    let daemon = Daemon::start();
    let good = look(&daemon);
    let (policies, aside) = (daemon.dir().join("policies"), daemon.dir().join("aside"));
    std::fs::rename(&policies, &aside).unwrap();
    until("the directory is missed", || look(&daemon).refused != Value::Null);
    serves(&daemon, "gone", &good.digest);
    std::fs::rename(&aside, &policies).unwrap();
    until("the directory is back", || look(&daemon).refused == Value::Null);
    serves(&daemon, "back", &good.digest);
}

/// A set that lost a module waits for a word; with it, it serves.
#[test]
fn a_set_that_lost_a_module_waits_for_a_confirmation() {
    let daemon =
        Daemon::with().file("policies/agents/other.rego", "package tollgate.agents.other\n\nallow := true\n").start();
    let good = look(&daemon);
    daemon.admin().admit(&body_of("other", "one")).allowed();
    let module = daemon.dir().join("policies/agents/other.rego");
    let text = std::fs::read(&module).unwrap();
    std::fs::remove_file(&module).unwrap();
    until("the loss is seen", || look(&daemon).refused != Value::Null);
    let seen = look(&daemon);
    assert_eq!(seen.refused["lost_modules"], json!(["policies/agents/other.rego"]));
    assert_eq!(seen.digest, good.digest);
    daemon.admin().admit(&body_of("other", "two")).allowed();

    // put back: nothing waits, and what waited cannot be confirmed any more
    let waiting = format!("/api/v1/policy-sets/{}/confirm", seen.refused["digest"].as_str().unwrap());
    std::fs::write(&module, &text).unwrap();
    until("the module is back", || look(&daemon).refused == Value::Null);
    daemon.admin().post(&waiting, &json!({"reason": "too late"})).problem(404, "not_found");

    std::fs::remove_file(&module).unwrap();
    until("the loss is seen again", || look(&daemon).refused != Value::Null);
    let operator = daemon.holder(&["operator"], &[]);
    operator.post(&waiting, &json!({"reason": "not mine to say"})).problem(403, "forbidden");
    let confirmed = daemon.admin().post(&waiting, &json!({"reason": "other is retired"})).expect(200);
    let now = look(&daemon);
    assert_eq!((&now.digest, &now.refused), (&confirmed["digest"], &Value::Null));
    daemon.admin().admit(&body_of("other", "three")).denied("agent_policy_missing");
    serves(&daemon, "still there", &now.digest);
}

#[test]
fn a_good_change_is_in_force_and_stays_so_over_a_restart() {
    let daemon = Daemon::start();
    let before = look(&daemon);
    let file = daemon.dir().join("policies/agents/rfq_draft.rego");
    let text = "package tollgate.agents[\"rfq-draft\"]\n\nallow := false\n";
    std::fs::write(file, text).unwrap();
    until("the change is in force", || look(&daemon).digest != before.digest);
    let denied = daemon.admin().ask("one", "0.01").denied("not_permitted");
    let after = look(&daemon);
    assert_eq!((&denied["policy_set"], &after.refused), (&after.digest, &Value::Null));
    let daemon = daemon.restart();
    assert_eq!(look(&daemon).digest, after.digest);
    daemon.admin().ask("two", "0.01").denied("not_permitted");
}
