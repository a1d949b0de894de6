//! How admissions are decided: keys, stops, modes, versions, caps, and the last cent.

use super::gate_tests::{Gate, amounts, ask, codes, in_run, on, read};
use super::{Admit, Answer, BudgetEdit, Command, HoldCommand, Limits, Refusal, RegistryCommand};
use super::{DUE_AT_ONCE, Reporting, RunAnswer, RunCommand};
use crate::admission::{Decision, Kind};
use crate::budget::HoldState;
use crate::registry::{AgentSpec, EntityTypeSpec, Mode, ModeSpec, PauseTarget};
use crate::runs::{CancelCategory, EventRefusal, Report, Reported, RunError};
use crate::state::{Effect, FirstAnswer};
use crate::vocabulary::{Code, Reason, Source};
use jiff::Timestamp;
use serde_json::json;

const NOON: &str = "2026-11-23T12:00:00Z";

/// A gate with one daily budget of 5 USD for everybody.
fn gate() -> Gate {
    let mut gate = Gate::new(NOON);
    gate.budget(&json!({"id": "daily", "unit": "usd", "limit": "5", "window": {"kind": "day"}}));
    gate
}

fn denied(mut ask: Admit, source: Source, code: &str) -> Admit {
    let mut reason = Reason::of(Code::NotPermitted, "A rule says no.", "policy:base.rego");
    (reason.source, reason.code) = (source, code.to_owned());
    ask.verdict.reasons.push(reason);
    ask
}

fn reported(id: &str, agent: &str, run: &str, report: Report) -> Reported {
    Reported {
        source: "test".to_owned(),
        id: id.to_owned(),
        time: None,
        run: run.parse().unwrap(),
        agent: Some(agent.parse().unwrap()),
        attempt: None,
        lease: None,
        worker: None,
        step: None,
        report,
        data: serde_json::Value::Null,
        body: format!("{id} {run}"),
    }
}

fn admit(gate: &mut Gate, ask: Admit) -> Result<Answer, Refusal> {
    gate.one(Command::Admit(Box::new(ask)))
}

#[test]
fn the_same_key_and_body_get_the_first_answer_again() {
    let mut gate = gate();
    let first = gate.ask(ask("a", "k", &[("usd", "4")]));
    assert_eq!(first.decision, Decision::Allow);
    let id = first.id.unwrap();
    let again = |answer| matches!(answer, Ok(Answer::Repeated(FirstAnswer::Admission(seen))) if seen == id);
    assert!(again(admit(&mut gate, ask("a", "k", &[("usd", "4")]))));
    assert!(gate.entries.is_empty(), "nothing is held or written twice");
    let other = admit(&mut gate, ask("a", "k", &[("usd", "3")])).unwrap_err();
    assert_eq!(other, Refusal::IdempotencyConflict { admission: Some(id.clone()) });
    assert_eq!(gate.ask(ask("b", "k", &[("usd", "1")])).decision, Decision::Allow, "a key is one agent's");
    // a change of policy does not change an answer that was given
    gate.one(Command::PublishPolicySet { digest: "sha256:2".to_owned(), reason: None }).unwrap();
    assert!(again(admit(&mut gate, ask("a", "k", &[("usd", "4")]))));
    // for 24 hours, and no less than the hold lives
    gate.at("2026-11-24T11:59:59Z");
    assert!(again(admit(&mut gate, ask("a", "k", &[("usd", "4")]))));
    gate.at("2026-11-24T12:00:00Z");
    assert_eq!(admit(&mut gate, ask("a", "k", &[("usd", "4")])).unwrap_err(), Refusal::Stale, "asked anew");
}

#[test]
fn a_key_is_remembered_for_24_hours_whatever_the_limit_says() {
    let mut gate = gate();
    gate.limits.key_ttl_s = 60;
    let first = gate.ask(ask("a", "k", &[]));
    gate.at("2026-11-24T11:59:59Z");
    let again = admit(&mut gate, ask("a", "k", &[]));
    assert!(matches!(again, Ok(Answer::Repeated(FirstAnswer::Admission(id))) if Some(&id) == first.id.as_ref()));
}

#[test]
fn the_same_key_twice_in_one_batch() {
    let mut gate = gate();
    let asks = [("1"), ("1"), ("2")].map(|usd| Command::Admit(Box::new(ask("a", "k", &[("usd", usd)]))));
    let answers = gate.batch(asks.into());
    assert!(matches!(answers[0], Ok(Answer::Decided(_))));
    assert!(matches!(answers[1], Ok(Answer::Repeated(_))));
    assert!(matches!(answers[2], Err(Refusal::IdempotencyConflict { .. })));
    assert_eq!(gate.state.open_holds(), 1);
}

#[test]
fn a_deny_takes_the_key_and_a_failure_leaves_it_free() {
    let mut gate = gate();
    let first = gate.ask(ask("a", "k", &[("usd", "6")]));
    assert_eq!(codes(&first), ["budget_exceeded"]);
    let again = admit(&mut gate, ask("a", "k", &[("usd", "6")]));
    assert!(matches!(again, Ok(Answer::Repeated(FirstAnswer::Admission(id))) if Some(&id) == first.id.as_ref()));
    let failed = gate.ask(denied(ask("a", "free", &[]), Source::System, "policy_error"));
    assert_eq!((failed.decision, failed.hold), (Decision::Deny, None));
    let retried = gate.ask(ask("a", "free", &[]));
    assert_eq!(retried.decision, Decision::Allow);
    assert_ne!(retried.id, failed.id, "both are recorded");
}

#[test]
fn a_dry_run_neither_reads_nor_takes_a_key_nor_holds() {
    let mut gate = gate();
    gate.ask(ask("a", "k", &[("usd", "4")]));
    let mut dry = ask("a", "k", &[("usd", "2")]);
    dry.request.dry_run = true;
    let answer = gate.ask(dry.clone());
    assert_eq!((answer.id, answer.decision, answer.dry_run), (None, Decision::Deny, true));
    assert!(gate.entries.is_empty());
    (dry.request.idempotency_key, dry.request.estimate) = (None, amounts(&[("usd", "1")]));
    let answer = gate.ask(dry);
    assert_eq!((answer.decision, answer.hold), (Decision::Allow, None));
    assert_eq!(gate.state.open_holds(), 1);
    let mut missing = ask("a", "k2", &[]);
    missing.request.idempotency_key = None;
    let refusal = admit(&mut gate, missing).unwrap_err();
    assert!(matches!(refusal, Refusal::Invalid { pointer, .. } if pointer == "/idempotency_key"));
}

#[test]
fn what_was_judged_under_other_versions_is_judged_again() {
    let mut gate = gate();
    let fresh = on(ask("a", "k", &[]), "rfq");
    let stale = |change: fn(&mut Admit)| {
        let mut ask = fresh.clone();
        change(&mut ask);
        ask
    };
    for ask in [
        stale(|ask| ask.judged.policy_set = "sha256:0".to_owned()),
        stale(|ask| ask.judged.agent_revision = 1),
        stale(|ask| ask.judged.entity_type_revision = 1),
    ] {
        assert_eq!(admit(&mut gate, ask.clone()).unwrap_err(), Refusal::Stale, "{:?}", ask.judged);
        assert!(gate.entries.is_empty());
    }
    gate.registry(RegistryCommand::PutAgent("a".parse().unwrap(), AgentSpec::default()));
    assert_eq!(admit(&mut gate, fresh.clone()).unwrap_err(), Refusal::Stale, "registered since");
    gate.registry(RegistryCommand::PutEntityType("rfq".parse().unwrap(), EntityTypeSpec::default()));
    let mut now = fresh;
    (now.judged.agent_revision, now.judged.entity_type_revision) = (1, 1);
    assert_eq!(gate.ask(now).decision, Decision::Allow);
    let unset = crate::state::State::default();
    let mut draft = crate::state::Draft::new(&unset);
    let context = super::Context { now: gate.now, writer: 1, seq: 1, index: 0, limits: &Limits::default() };
    let envelope = super::Envelope {
        command: Command::Admit(Box::new(ask("a", "k", &[]))),
        actor: crate::registry::Actor::tollgate(),
    };
    assert_eq!(super::run(&mut draft, &envelope, &context).unwrap_err(), Refusal::Stale, "without a policy set");
}

#[test]
fn pauses_of_every_target_from_the_next_commit_on() {
    let mut gate = gate();
    let spec = AgentSpec { team: Some("sales".parse().unwrap()), ..AgentSpec::default() };
    gate.registry(RegistryCommand::PutAgent("a".parse().unwrap(), spec));
    let asked = |n: usize| {
        let mut ask = on(ask("a", &format!("k{n}"), &[]), "rfq");
        ask.judged.agent_revision = 1;
        ask
    };
    for (n, target) in [
        PauseTarget::Everything,
        PauseTarget::Agent("a".parse().unwrap()),
        PauseTarget::Team("sales".parse().unwrap()),
        PauseTarget::Action("draft_quote".parse().unwrap()),
        PauseTarget::EntityType("rfq".parse().unwrap()),
    ]
    .into_iter()
    .enumerate()
    {
        let shown = format!("{target:?}");
        let reason = "an audit".to_owned();
        let Answer::Pause(pause) = gate.registry(RegistryCommand::Pause { target, reason, ends_at: None }) else {
            panic!()
        };
        let answer = gate.ask(asked(n));
        assert_eq!(codes(&answer), ["paused"], "{shown}");
        assert_eq!(answer.reasons[0].remedy.target, Some(format!("pause:{}", pause.id)), "{shown}");
        assert_eq!(answer.retry_at, None);
        // what it does not cover goes on; a pause of everything covers everything
        let other = gate.ask(ask("b", &format!("o{n}"), &[]));
        let spared = matches!(pause.target, PauseTarget::Everything | PauseTarget::Action(_));
        assert_eq!(other.decision == Decision::Deny, spared, "{shown}");
        gate.registry(RegistryCommand::EndPause(pause.id.clone()));
        assert_eq!(gate.ask(asked(n + 10)).decision, Decision::Allow, "{shown}");
    }
    let ends_at = Some("2026-11-23T13:00:00Z".parse::<Timestamp>().unwrap());
    let target = PauseTarget::Everything;
    gate.registry(RegistryCommand::Pause { target, reason: "lunch".to_owned(), ends_at });
    assert_eq!(gate.ask(asked(20)).retry_at.as_deref(), Some("2026-11-23T13:00:00Z"));
    gate.at("2026-11-23T13:00:00Z");
    assert_eq!(gate.ask(asked(21)).decision, Decision::Allow, "it ends by itself");
}

#[test]
fn modes_of_an_agent() {
    let mut gate = gate();
    gate.registry(RegistryCommand::PutAgent("a".parse().unwrap(), AgentSpec::default()));
    let ends_at = Some("2026-11-23T13:00:00Z".parse().unwrap());
    let spec = ModeSpec { mode: Mode::Observe, reason: "a trial".to_owned(), ends_at };
    gate.registry(RegistryCommand::SetMode("a".parse().unwrap(), spec));
    let asked = |key: &str, usd: &str| {
        let mut ask = denied(ask("a", key, &[("usd", usd)]), Source::Policy, "not_permitted");
        ask.judged.agent_revision = 2;
        ask
    };
    let observed = gate.ask(asked("1", "1"));
    assert_eq!((observed.decision, observed.would_deny.len()), (Decision::Allow, 1));
    assert!(observed.hold.is_some() && observed.warnings.iter().any(|warning| warning.code == "would_deny"));
    assert_eq!(codes(&gate.ask(asked("2", "9"))), ["budget_exceeded"], "budgets deny as ever");
    for (key, source) in [("3", Source::System), ("4", Source::Registry)] {
        let answer = gate.ask(denied(asked(key, "1"), source, "policy_error"));
        assert_eq!((answer.decision, codes(&answer)), (Decision::Deny, vec!["policy_error"]), "{source:?}");
    }
    gate.at("2026-11-23T13:00:00Z");
    assert_eq!(codes(&gate.ask(asked("5", "1"))), ["not_permitted"], "observing has ended");
    let spec = ModeSpec { mode: Mode::Paused, reason: "it runs wild".to_owned(), ends_at: None };
    gate.registry(RegistryCommand::SetMode("a".parse().unwrap(), spec));
    let mut paused = asked("6", "1");
    (paused.judged.agent_revision, paused.verdict) = (3, super::PolicyVerdict::default());
    let answer = gate.ask(paused);
    assert_eq!(answer.reasons[0].message, "Agent a is paused: it runs wild.");
    assert_eq!((codes(&answer), answer.reasons[0].remedy.target.as_deref()), (vec!["paused"], Some("agent:a")));
}

#[test]
fn open_holds_are_capped_per_agent_and_in_all() {
    let mut gate = gate();
    gate.limits = Limits { holds_per_agent: 2, holds: 3, ..Limits::default() };
    let asks = ["1", "2", "3"].map(|key| Command::Admit(Box::new(ask("a", key, &[("usd", "1")]))));
    let answers: Vec<_> = gate.batch(asks.into()).into_iter().map(|answer| read(answer.unwrap())).collect();
    let decisions: Vec<_> = answers.iter().map(|answer| answer.decision).collect();
    assert_eq!(decisions, [Decision::Allow, Decision::Allow, Decision::Deny], "counted within a batch too");
    assert_eq!(codes(&answers[2]), ["too_many_holds"]);
    assert_eq!(gate.ask(ask("b", "1", &[])).decision, Decision::Allow);
    let full = gate.ask(ask("c", "1", &[]));
    assert_eq!((codes(&full), full.reasons[0].message.starts_with("The gate has 3")), (vec!["too_many_holds"], true));
    assert_eq!(codes(&gate.ask(ask("c", "1", &[("usd", "9")]))), ["budget_exceeded", "too_many_holds"], "all at once");
    let id = answers[0].hold.as_ref().unwrap().id.clone();
    gate.hold(&id, HoldCommand::Release("not needed".to_owned())).unwrap();
    assert_eq!(gate.ask(ask("c", "1", &[])).decision, Decision::Allow, "under the same key: it stayed free");
    // what has expired is open no longer, in the very batch that notices
    gate.at("2026-11-23T12:10:00Z");
    assert_eq!(gate.ask(ask("d", "1", &[])).decision, Decision::Allow);
    assert_eq!(gate.state.open_holds(), 1);
}

#[test]
fn open_runs_are_capped_per_agent_and_in_all() {
    let mut gate = gate();
    gate.limits = Limits { runs_per_agent: 2, runs: 3, ..Limits::default() };
    let asked = |agent: &str, key: &str, run: &str| in_run(ask(agent, key, &[("usd", "0.1")]), run);
    let asks = ["1", "2", "3"].map(|n| Command::Admit(Box::new(asked("a", n, n))));
    let answers: Vec<_> = gate.batch(asks.into()).into_iter().map(|answer| read(answer.unwrap())).collect();
    let decisions: Vec<_> = answers.iter().map(|answer| answer.decision).collect();
    assert_eq!(decisions, [Decision::Allow, Decision::Allow, Decision::Deny], "counted within a batch too");
    let reason = &answers[2].reasons[0];
    assert_eq!((codes(&answers[2]), reason.source), (vec!["run_limit"], Source::System));
    assert!(reason.message.starts_with("Agent a has 2 open runs, and 2 is the most"), "{}", reason.message);
    let remedy = (reason.remedy.target.as_deref(), reason.remedy.href.as_deref());
    assert_eq!(remedy, (Some("runs:a"), Some("/runs?agent=a")));
    assert_eq!((gate.state.runs().count(), gate.state.attention().denial_count()), (2, 0), "nothing is made of it");
    // known runs go on, and so does what is in none
    assert_eq!(gate.ask(asked("a", "4", "1")).decision, Decision::Allow);
    assert_eq!(gate.ask(ask("a", "5", &[])).decision, Decision::Allow);
    let mut dry = asked("a", "6", "3");
    dry.request.dry_run = true;
    assert_eq!(codes(&gate.ask(dry)), ["run_limit"]);
    // another agent has a share of its own, until the gate is full
    assert_eq!(gate.ask(asked("b", "1", "4")).decision, Decision::Allow);
    let full = gate.ask(asked("c", "1", "5"));
    assert_eq!((codes(&full), full.reasons[0].message.starts_with("The gate has 3")), (vec!["run_limit"], true));
    assert_eq!(codes(&gate.ask(in_run(ask("c", "1", &[("usd", "9")]), "5"))), ["run_limit", "budget_exceeded"]);
    // a third denial makes no item either
    assert_eq!((gate.ask(asked("c", "2", "5")).decision, gate.state.attention().len()), (Decision::Deny, 0));
    // a retry opens no run
    let mut retry = asked("c", "3", "5");
    retry.request.kind = Kind::Retry;
    assert_eq!(gate.ask(retry).decision, Decision::Allow);
    // one that is cancelled makes room, under the same key: it stayed free. What failed takes room
    let cancel = |run: &str| {
        let (category, reason) = (CancelCategory::Noise, "A test.".to_owned());
        Command::Run(RunCommand::Cancel { run: run.parse().unwrap(), category, reason, seen: None })
    };
    let end = |id: &str, run: &str, report| Command::Run(RunCommand::Report(vec![reported(id, "a", run, report)]));
    let error = RunError { code: "timeout".to_owned(), message: "slow".to_owned(), details: None };
    gate.one(end("e1", "2", Report::Failed(error))).unwrap();
    assert_eq!(codes(&gate.ask(asked("a", "3", "3"))), ["run_limit"]);
    gate.one(cancel("2")).unwrap();
    assert_eq!(gate.ask(asked("a", "3", "3")).decision, Decision::Allow);
    // one that is completed does too, and does not come back when there is none
    gate.one(end("e2", "1", Report::Completed)).unwrap();
    assert_eq!(gate.ask(asked("a", "7", "6")).decision, Decision::Allow);
    let mut next = asked("a", "8", "1");
    next.request.run.as_mut().unwrap().attempt = 2;
    assert_eq!(codes(&gate.ask(next)), ["run_limit"]);
    assert_eq!(gate.state.runs().open_count(), 3);
}

#[test]
fn events_open_no_more_runs_than_admissions() {
    let mut gate = gate();
    gate.limits = Limits { runs_per_agent: 2, ..Limits::default() };
    let events = vec![
        reported("1", "a", "run-1", Report::Heartbeat),
        reported("2", "a", "run-2", Report::Heartbeat),
        reported("3", "a", "run-3", Report::Heartbeat),
        reported("4", "a", "run-2", Report::Heartbeat),
        reported("5", "a", "run-4", Report::Completed),
        reported("6", "b", "run-5", Report::Heartbeat),
        reported("7", "a", "run-1", Report::Completed),
        reported("8", "a", "run-6", Report::Heartbeat),
        reported("9", "a", "run-7", Report::Heartbeat),
    ];
    let outcomes = |gate: &mut Gate, events| match gate.one(Command::Run(RunCommand::Report(events))).unwrap() {
        Answer::Run(answer) => match *answer {
            RunAnswer::Reported(outcomes) => outcomes,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let first = outcomes(&mut gate, events);
    let refused = |outcome: &Reporting| match outcome {
        Reporting::Refused(EventRefusal::TooManyRuns(why)) => {
            assert!(why.starts_with("Agent a has 2 open runs, and 2 is the most"), "{why}");
            true
        }
        Reporting::Taken { .. } => false,
        other => panic!("{other:?}"),
    };
    let found: Vec<bool> = first.iter().map(refused).collect();
    assert_eq!(found, [false, false, true, false, false, false, false, false, true]);
    assert_eq!((gate.state.runs().count(), gate.state.runs().open_count()), (5, 3));
    let again = outcomes(&mut gate, vec![reported("9", "a", "run-7", Report::Heartbeat)]);
    assert!(refused(&again[0]), "also in another batch");
    let reopened = Reported { attempt: Some(2), ..reported("10", "a", "run-1", Report::Heartbeat) };
    assert!(refused(&outcomes(&mut gate, vec![reopened])[0]), "a completed run that goes on is open again");
}

#[test]
fn accounts_under_each_are_capped_per_budget_and_in_all() {
    let mut gate = gate();
    for id in ["one", "two"] {
        gate.budget(
            &json!({"id": id, "unit": "usd", "limit": "5", "window": {"kind": "lifetime"}, "each": ["agent"], "scope": {"action": "draft_quote"}}),
        );
    }
    gate.limits = Limits { accounts_per_budget: 2, ..Limits::default() };
    let asks = ["a", "b", "c"].map(|agent| Command::Admit(Box::new(ask(agent, "1", &[("usd", "0.1")]))));
    let answers: Vec<_> = gate.batch(asks.into()).into_iter().map(|answer| read(answer.unwrap())).collect();
    assert_eq!(codes(&answers[1]), Vec::<&str>::new());
    assert_eq!(codes(&answers[2]), ["too_many_accounts", "too_many_accounts"], "one for each budget, in one batch too");
    let targets: Vec<_> = answers[2].reasons.iter().map(|reason| reason.remedy.target.as_deref().unwrap()).collect();
    assert_eq!((targets, answers[2].reasons[0].source), (vec!["budget:one", "budget:two"], Source::System));
    assert_eq!(gate.ask(ask("a", "2", &[("usd", "0.1")])).decision, Decision::Allow, "those that are there go on");
    assert_eq!(gate.state.account_count(), 5, "and the one without each");
    gate.limits = Limits { accounts: 5, ..Limits::default() };
    assert_eq!(codes(&gate.ask(ask("c", "1", &[("usd", "0.1")]))), ["too_many_accounts"; 2]);
    gate.limits = Limits { accounts: 6, ..Limits::default() };
    assert_eq!(gate.ask(ask("c", "1", &[("usd", "0.1")])).decision, Decision::Allow, "the key stayed free");
    assert_eq!(gate.state.account_count(), 7, "one admission makes what it needs");
    gate.budget(&json!({"id": "plain", "unit": "usd", "limit": "5", "window": {"kind": "lifetime"}}));
    assert_eq!(gate.ask(ask("c", "2", &[("usd", "0.1")])).decision, Decision::Allow, "one without each always has one");
}

#[test]
fn what_is_due_at_once_takes_little_of_each_batch_and_admissions_go_on() {
    const HOLDS: usize = 5_000;
    let mut gate = gate();
    gate.most_due = DUE_AT_ONCE;
    let hold = |n: usize| {
        let hold = json!({"id": format!("hold_{n:05}"), "admission": "adm_1", "agent": "b", "state": "pending",
            "placed_at": NOON, "expires_at": "2026-11-23T12:10:00Z"});
        Effect::Hold(std::sync::Arc::new(serde_json::from_value(hold).unwrap()))
    };
    gate.take((0..HOLDS).map(hold).collect());
    gate.at("2026-11-23T13:00:00Z");
    let mut batches = 0;
    while gate.state.next_hold_due().is_some_and(|due| due <= gate.now) {
        assert_eq!(gate.ask(ask("a", &batches.to_string(), &[])).decision, Decision::Allow);
        let expired = gate.entries.iter().filter(|entry| entry.op == "hold.expire").flat_map(|entry| &entry.effects);
        assert!(expired.count() <= DUE_AT_ONCE, "batch {batches}");
        batches += 1;
    }
    assert_eq!(batches, HOLDS.div_ceil(DUE_AT_ONCE), "one behind the other, and no more than are needed");
}

#[test]
fn a_retry_is_judged_by_its_estimate_and_holds_nothing() {
    let mut gate = gate();
    gate.limits.holds = 1;
    gate.ask(ask("a", "1", &[("usd", "3")]));
    let mut retry = in_run(ask("a", "2", &[("usd", "2")]), "run-17");
    retry.request.kind = Kind::Retry;
    let answer = gate.ask(retry.clone());
    assert_eq!((answer.decision, answer.hold), (Decision::Allow, None), "it makes no hold, so no cap of holds");
    (retry.request.idempotency_key, retry.request.estimate) = (Some("3".parse().unwrap()), amounts(&[("usd", "2.01")]));
    assert_eq!(codes(&gate.ask(retry)), ["budget_exceeded"]);
    assert_eq!(gate.state.open_holds(), 1);
    let spent = gate.state.accounts_of(&"daily".parse().unwrap()).next().unwrap().sums;
    assert_eq!(spent.held.to_string(), "3");
}

#[test]
fn every_reason_at_once_and_nothing_is_charged() {
    let mut gate = gate();
    gate.budget(
        &json!({"id": "per-run", "unit": "usd", "limit": "5", "window": {"kind": "lifetime"}, "each": ["run"]}),
    );
    gate.budget(&json!({"id": "a-tokens", "unit": "tokens", "limit": "0", "window": {"kind": "lifetime"}}));
    let target = PauseTarget::Everything;
    gate.registry(RegistryCommand::Pause { target, reason: "an audit".to_owned(), ends_at: None });
    let mut asked = denied(ask("a", "k", &[("usd", "9")]), Source::Policy, "not_permitted");
    asked = denied(asked, Source::Registry, "malformed_input");
    let answer = gate.ask(asked);
    assert_eq!(
        codes(&answer),
        ["paused", "not_permitted", "malformed_input", "budget_exceeded", "budget_exceeded", "missing_data"]
    );
    assert!(answer.reasons.iter().all(|reason| reason.remedy.target.is_some()));
    assert_eq!((gate.state.account_count(), gate.state.open_holds()), (0, 0));
}

#[test]
fn the_last_cent_goes_to_one_of_two_in_a_batch() {
    let mut gate = gate();
    gate.budget(&json!({"id": "other", "unit": "usd", "limit": "100", "window": {"kind": "day"}}));
    gate.ask(ask("a", "0", &[("usd", "4.99")]));
    let asks = ["1", "2"].map(|key| Command::Admit(Box::new(ask("a", key, &[("usd", "0.01")]))));
    let answers: Vec<_> = gate.batch(asks.into()).into_iter().map(|answer| read(answer.unwrap())).collect();
    assert_eq!((answers[0].decision, answers[1].decision), (Decision::Allow, Decision::Deny));
    assert_eq!(answers[0].hold.as_ref().unwrap().budgets[0].remaining.to_string(), "0");
    let held = |id: &str| gate.state.accounts_of(&id.parse().unwrap()).next().unwrap().sums.held.to_string();
    assert_eq!((held("daily").as_str(), held("other").as_str()), ("5", "5"), "on all budgets or on none");
}

#[test]
fn a_hold_lives_a_day_at_most() {
    let mut gate = gate();
    for ttl_s in [0, 86_401] {
        let mut long = ask("a", "k", &[("usd", "1")]);
        long.request.hold_ttl_s = ttl_s;
        assert!(matches!(admit(&mut gate, long), Err(Refusal::Invalid { pointer, .. }) if pointer == "/hold_ttl_s"));
    }
    assert_eq!(gate.state.account_count(), 0);
}

#[test]
fn expiry_against_settle_and_extend() {
    let mut gate = gate();
    let ids: Vec<_> = ["1", "2", "3"].map(|key| gate.ask(ask("a", key, &[("usd", "1")])).hold.unwrap().id).into();
    gate.at("2026-11-23T12:09:59.999999999Z");
    // extended in one batch with what else happens then: it is not due when the batch's time comes
    gate.batch(vec![Command::Hold(ids[0].clone(), HoldCommand::Extend(600)), Command::Tick]);
    gate.at("2026-11-23T12:10:00Z");
    let settle = || HoldCommand::Settle(amounts(&[("usd", "2")]));
    let answers = gate.batch(vec![
        Command::Hold(ids[1].clone(), HoldCommand::Extend(600)),
        Command::Hold(ids[1].clone(), HoldCommand::Release("late".to_owned())),
        Command::Hold(ids[2].clone(), settle()),
    ]);
    assert!(answers[0].as_ref().is_err_and(|refusal| refusal.to_string().contains("expired")), "{answers:?}");
    assert!(answers[1].as_ref().is_err_and(|refusal| refusal.to_string().contains("expired")), "{answers:?}");
    assert!(answers[2].is_ok(), "money that was spent is booked");
    let kinds: Vec<_> = gate.alerts().iter().map(|alert| alert["kind"].clone()).collect();
    assert_eq!(kinds, ["unsettled", "unsettled"]);
    let states: Vec<_> = ids.iter().map(|id| gate.state.hold(id).unwrap().state).collect();
    assert_eq!(states, [HoldState::Pending, HoldState::Expired, HoldState::Settled]);
    assert_eq!(gate.state.next_hold_due(), Some("2026-11-23T12:19:59.999999999Z".parse().unwrap()));
    let sums = gate.state.accounts_of(&"daily".parse().unwrap()).next().unwrap().sums;
    assert_eq!(
        (sums.held.to_string(), sums.unsettled.to_string(), sums.spent.to_string()),
        ("1".into(), "1".into(), "2".into())
    );
}

#[test]
fn a_deleted_budget_judges_no_more_and_its_holds_settle() {
    let mut gate = gate();
    let id = gate.ask(ask("a", "1", &[("usd", "4")])).hold.unwrap().id;
    gate.one(Command::Budget(BudgetEdit::Delete("daily".parse().unwrap(), Some(1)))).unwrap();
    let free = gate.ask(ask("a", "2", &[("usd", "9")]));
    assert_eq!((free.decision, free.hold.unwrap().budgets.len()), (Decision::Allow, 0));
    gate.hold(&id, HoldCommand::Settle(amounts(&[("usd", "7")]))).unwrap();
    let sums = gate.state.accounts_of(&"daily".parse().unwrap()).next().unwrap().sums;
    assert_eq!((sums.held.to_string(), sums.spent.to_string()), ("0".into(), "7".into()));
    assert!(gate.alerts().is_empty());
}
