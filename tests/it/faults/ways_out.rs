//! Every way out of a budget, tried.

use crate::support::{Daemon, example};
use serde_json::{Value, json};
use std::time::Duration;

/// Rules that permit everything of the agents named, without an entity too.
fn permissive(agents: &[&str]) -> Daemon {
    let setup = agents.iter().fold(Daemon::with(), |setup, agent| {
        let rules = "allow := true\n\nallow_without_entity := true\n";
        setup
            .file(&format!("policies/agents/{agent}.rego"), &format!("package tollgate.agents[\"{agent}\"]\n\n{rules}"))
    });
    setup.start()
}

fn budget(daemon: &Daemon, mut fields: Value) {
    for (name, value) in [("unit", json!("usd")), ("window", json!({"kind": "lifetime"}))] {
        let fields = fields.as_object_mut().unwrap();
        fields.entry(name).or_insert(value);
    }
    daemon.admin().post("/api/v1/budgets", &fields).expect(201);
}

fn without(mut body: Value, field: &str) -> Value {
    body.as_object_mut().unwrap().remove(field);
    body
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

fn read(daemon: &Daemon, id: &str, field: &str) -> Value {
    daemon.admin().get(&format!("/api/v1/budgets/{id}")).expect(200)[field].clone()
}

#[test]
fn no_estimate_or_one_in_another_unit() {
    let daemon = Daemon::start();
    budget(&daemon, json!({"id": "b", "limit": "1"}));
    let nothing = |key: &str| without(example(key, "1"), "estimate");
    let tokens = |key: &str| with(example(key, "1"), "estimate", json!([{"unit": "tokens", "amount": "5"}]));
    // while there is money left it may be spent without a word before; what was spent is booked all the same
    let silent = daemon.admin().admit(&nothing("silent")).allowed();
    daemon.admin().admit(&tokens("tokens")).allowed();
    daemon.admin().settle(&silent.hold(), "1.5").expect(200);
    assert_eq!((read(&daemon, "b", "spent"), read(&daemon, "b", "remaining")), (json!("1.50"), json!("-0.50")));
    // and with nothing left nothing goes, whatever unit the estimate is in
    for (key, body) in [
        ("none", nothing("none")),
        ("empty", with(example("empty", "1"), "estimate", json!([]))),
        ("zero", example("zero", "0")),
        ("other unit", tokens("other unit")),
    ] {
        let denied = daemon.admin().admit(&body).denied("budget_exceeded");
        assert_eq!(denied["reasons"][0]["remedy"]["target"], "budget:b", "{key}");
    }
    // a budget may insist on being told
    budget(&daemon, json!({"id": "told", "limit": "100", "unit": "tokens", "require_estimate": true}));
    daemon.admin().admit(&nothing("told")).denied("missing_data");
}

#[test]
fn what_was_held_must_be_settled_in_its_unit_and_is_booked_whole() {
    let daemon = Daemon::start();
    budget(&daemon, json!({"id": "b", "limit": "1"}));
    let hold = daemon.admin().ask("one", "0.50").allowed().hold();
    let path = format!("/api/v1/holds/{hold}/settle");
    for actual in [json!([]), json!([{"unit": "tokens", "amount": "1"}])] {
        daemon.admin().post(&path, &json!({"actual": actual})).problem(400, "invalid_request");
    }
    daemon.admin().settle(&hold, "7").expect(200);
    assert_eq!((read(&daemon, "b", "spent"), read(&daemon, "b", "remaining")), (json!("7"), json!("-6")));
    daemon.admin().ask("two", "0.01").denied("budget_exceeded");
    // released, and spent after all
    let daemon = Daemon::start();
    budget(&daemon, json!({"id": "b", "limit": "1"}));
    let hold = daemon.admin().ask("one", "0.50").allowed().hold();
    daemon.admin().release(&hold).expect(200);
    daemon.admin().settle(&hold, "0.80").expect(200);
    daemon.admin().ask("two", "0.50").denied("budget_exceeded");
}

#[test]
fn no_entity_and_no_run() {
    let daemon = Daemon::start();
    budget(&daemon, json!({"id": "rfqs", "limit": "0", "scope": {"entity_type": "rfq"}}));
    daemon.admin().ask("with", "1").denied("budget_exceeded");
    // without the entity that budget does not match: but the agent's policy does not allow this action on nothing
    let denied = daemon.admin().admit(&without(example("without", "1"), "entity")).denied("not_permitted");
    assert_eq!(denied["reasons"].as_array().unwrap().len(), 1, "{}", denied.text());
    // another type has no policy
    let other = json!({"type": "order", "id": "1", "properties": {}});
    daemon.admin().admit(&with(example("other", "1"), "entity", other)).denied("entity_policy_missing");

    let daemon = permissive(&["rfq-draft"]);
    budget(&daemon, json!({"id": "per-run", "limit": "1", "each": ["run"]}));
    daemon.admin().admit(&without(example("no run", "1"), "run")).denied("missing_data");
    budget(&daemon, json!({"id": "per-type", "limit": "1", "each": ["entity_type"]}));
    daemon.admin().admit(&without(example("no entity", "1"), "entity")).denied("missing_data");
}

#[test]
fn a_new_run_each_time() {
    let daemon = Daemon::start();
    budget(&daemon, json!({"id": "per-run", "limit": "1", "each": ["run"]}));
    budget(&daemon, json!({"id": "all", "limit": "2.5"}));
    let ask = |key: &str, run: &str| daemon.admin().admit(&with(example(key, "1"), "run", json!({"id": run})));
    ask("1", "run-1").allowed();
    let denied = ask("2", "run-1").denied("budget_exceeded");
    assert_eq!(denied["reasons"][0]["details"]["budget"], "per-run");
    ask("3", "run-2").allowed();
    let denied = ask("4", "run-3").denied("budget_exceeded");
    assert_eq!(denied["reasons"][0]["details"]["budget"], "all", "{}", denied.text());
}

#[test]
fn another_agents_id() {
    let daemon = permissive(&["rich", "poor"]);
    budget(&daemon, json!({"id": "poor", "limit": "0", "scope": {"agent": "poor"}}));
    budget(&daemon, json!({"id": "each", "limit": "1", "each": ["agent"]}));
    let poor = daemon.holder(&["runtime"], &["poor"]);
    let as_agent = |key: &str, agent: &str| {
        let mut body = with(example(key, "0.5"), "agent", json!({"id": agent}));
        body["run"]["id"] = json!(format!("run-of-{agent}"));
        body
    };
    poor.admit(&as_agent("one", "poor")).denied("budget_exceeded");
    poor.admit(&as_agent("two", "rich")).problem(403, "forbidden");
    // not in a batch, not as a dry run, and not by the other's holds
    let batch = poor.post("/api/v1/admissions/batch", &json!({"items": [as_agent("three", "rich")]})).expect(200);
    assert_eq!((&batch["items"][0]["status"], &batch["items"][0]["answer"]), (&json!(403), &Value::Null));
    poor.admit(&with(as_agent("four", "rich"), "dry_run", json!(true))).problem(403, "forbidden");
    let hold = daemon.admin().admit(&as_agent("five", "rich")).allowed().hold();
    poor.settle(&hold, "0").problem(404, "not_found");
    poor.release(&hold).problem(404, "not_found");
    assert_eq!(daemon.admin().get(&format!("/api/v1/holds/{hold}")).expect(200)["state"], "pending");
    // the same key under another agent is another question, and tells nothing of the first
    daemon.admin().admit(&as_agent("one", "rich")).allowed();
}

#[test]
fn a_team_of_ones_own_choosing() {
    let daemon = permissive(&["rfq-draft", "stray"]);
    daemon.admin().put("/api/v1/agents/rfq-draft", &json!({"team": "quotes"})).expect(200);
    budget(&daemon, json!({"id": "quotes", "limit": "0", "scope": {"team": "quotes"}}));
    budget(&daemon, json!({"id": "each-team", "limit": "1", "each": ["team"]}));
    let other = json!({"id": "rfq-draft", "team": "rich"});
    let refused = daemon.admin().admit(&with(example("one", "0.5"), "agent", other)).problem(400, "unknown_field");
    assert_eq!(refused["errors"][0]["pointer"], "/agent/team");
    let context = json!({"team": "rich", "agent": {"team": "rich"}});
    let denied = daemon.admin().admit(&with(example("two", "0.5"), "context", context)).denied("budget_exceeded");
    assert_eq!(denied["reasons"][0]["details"]["budget"], "quotes");
    // nor does an agent that nobody registered have one
    daemon.admin().admit(&with(example("three", "0.5"), "agent", json!({"id": "stray"}))).denied("missing_data");
    // and a runtime does not register itself
    let runtime = daemon.holder(&["runtime"], &["rfq-draft"]);
    runtime.put("/api/v1/agents/rfq-draft", &json!({"team": "rich"})).problem(403, "forbidden");
}

#[test]
fn a_negative_or_a_huge_amount() {
    let daemon = Daemon::start();
    budget(&daemon, json!({"id": "b", "limit": "5"}));
    budget(&daemon, json!({"id": "soft", "limit": "5", "unit": "tokens", "enforcement": "soft"}));
    for amount in [
        "-1",
        "-0",
        "+1",
        "1e400",
        "1e2",
        "0.0000000001",
        "9223372036854775807",
        "9223372036.854775808",
        "NaN",
        "inf",
        "",
        " 1",
        "1,5",
        "0x1",
    ] {
        let refused = daemon.admin().ask("one", amount).problem(400, "invalid_request");
        assert_eq!(refused["errors"][0]["pointer"], "/estimate/0/amount", "{amount}");
    }
    let hold = daemon.admin().ask("one", "1").allowed().hold();
    for amount in ["-1", "1e400", "9223372036854775807"] {
        daemon.admin().settle(&hold, amount).problem(400, "invalid_request");
    }
    // twice the same unit is no way either
    let twice = json!([{"unit": "usd", "amount": "1"}, {"unit": "usd", "amount": "9"}]);
    daemon.admin().admit(&with(example("two", "1"), "estimate", twice)).problem(400, "invalid_request");
    daemon.admin().ask("three", "9223372036.854775807").denied("budget_exceeded");
    // sums of the largest amounts stay right where nothing denies them
    let most =
        |key: &str| with(example(key, "1"), "estimate", json!([{"unit": "tokens", "amount": "9223372036.854775807"}]));
    for key in ["a", "b", "c"] {
        daemon.admin().admit(&most(key)).allowed();
    }
    assert_eq!(read(&daemon, "soft", "held"), "27670116110.564327421");
    assert_eq!((read(&daemon, "b", "held"), read(&daemon, "b", "remaining")), (json!("1"), json!("4")));
}

/// They are capped, they expire, and what they may have spent is told apart, or counted where the budget says so.
#[test]
fn a_thousand_tiny_holds_that_never_settle() {
    let setup = Daemon::with().config(|config| config.holds.per_agent = 100);
    let daemon = setup.start();
    budget(&daemon, json!({"id": "forgives", "limit": "1"}));
    budget(&daemon, json!({"id": "counts", "limit": "1", "count_unsettled": true}));
    let tiny = |n: usize| example(&format!("{n}"), "0.001");
    let items: Vec<_> = (0..1000).map(tiny).collect();
    let batch = daemon.admin().post("/api/v1/admissions/batch", &json!({"items": items})).expect(200);
    let answers: Vec<_> = batch["items"].as_array().unwrap().iter().map(|item| &item["answer"]).collect();
    let allowed = answers.iter().filter(|answer| answer["decision"] == "allow").count();
    assert_eq!((answers.len(), allowed), (1000, 100));
    for answer in answers.iter().filter(|answer| answer["decision"] == "deny") {
        let reason = &answer["reasons"][0];
        assert_eq!((&reason["code"], &reason["source"]), (&json!("too_many_holds"), &json!("system")), "{answer}");
    }
    // the cap counts what is open: one less, one more; the key of the refused one was left free
    daemon.admin().admit(&tiny(999)).denied("too_many_holds");
    daemon.admin().settle(answers[0]["hold"]["id"].as_str().unwrap(), "0.001").expect(200);
    daemon.admin().admit(&tiny(999)).allowed();
    daemon.admin().admit(&tiny(998)).denied("too_many_holds");
    // another agent is not kept out by it: what it lacks is a policy
    daemon.admin().admit(&with(tiny(0), "agent", json!({"id": "other"}))).denied("agent_policy_missing");

    daemon.clock().advance(Duration::from_secs(600));
    daemon.admin().admit(&tiny(998)).allowed();
    let figures = |id: &str| ["held", "unsettled", "spent", "remaining"].map(|field| read(&daemon, id, field));
    assert_eq!(figures("forgives"), ["0.001", "0.10", "0.001", "0.998"].map(Value::from));
    assert_eq!(figures("counts"), ["0.001", "0.10", "0.001", "0.898"].map(Value::from));
    // nine times more, and the budget that counts them has nothing left
    for round in 1..=9 {
        let items: Vec<_> = (0..99).map(|n| example(&format!("{round}-{n}"), "0.001")).collect();
        daemon.admin().post("/api/v1/admissions/batch", &json!({"items": items})).expect(200);
        daemon.clock().advance(Duration::from_secs(600));
    }
    let denied = daemon.admin().ask("one more", "0.1").denied("budget_exceeded");
    assert_eq!(denied["reasons"].as_array().unwrap().len(), 1, "{}", denied.text());
    assert_eq!(denied["reasons"][0]["details"]["budget"], "counts");
}
