//! How denials and passed limits become items, and what operators do to them.

use super::gate_tests::{Gate, ask, in_run, on};
use super::{Admit, Answer, Command, HoldCommand, ItemCommand, Refusal, RegistryCommand, RunCommand};
use crate::attention::{
    Act, Cause, Class, Fingerprint, Item, ItemKind, ItemState, Place, ResolutionCategory, Subject, Trouble,
};
use crate::registry::AgentSpec;
use crate::runs::{CancelCategory, Report, Reported, RunError};
use crate::state::{Effect, ITEMS_OF_AGENT};
use crate::vocabulary::{Code, ItemId, Reason};
use serde_json::json;
use std::sync::Arc;

const NOON: &str = "2026-11-23T12:00:00Z";

fn gate() -> Gate {
    let mut gate = Gate::new(NOON);
    gate.budget(&json!({"id": "daily", "unit": "usd", "limit": "5", "window": {"kind": "day"}}));
    gate
}

fn too_much(key: &str) -> Admit {
    in_run(ask("rfq-draft", key, &[("usd", "6")]), "run-17")
}

fn of_run(gate: &Gate, run: &str) -> Option<Arc<Item>> {
    gate.state.attention().about_run(&run.parse().unwrap()).cloned()
}

fn act(gate: &mut Gate, item: &Item, act: Act, revision: Option<u64>) -> Result<Arc<Item>, Refusal> {
    match gate.one(Command::Item(ItemCommand::Act { id: item.id.clone(), act, reason: None, revision }))? {
        Answer::Item(item) => Ok(item),
        other => panic!("an item expected, not {other:?}"),
    }
}

fn waits_on_daily(gate: &Gate) -> bool {
    gate.state.attention().waiting_on(&Cause::Budget("daily".to_owned())).next().is_some()
}

fn snooze(until: &str) -> Act {
    Act::Snooze { until: until.parse().unwrap() }
}

#[test]
fn the_third_same_denial_of_an_attempt_is_an_item_in_the_same_record() {
    let mut gate = gate();
    gate.ask(too_much("k1"));
    gate.ask(too_much("k2"));
    assert_eq!(of_run(&gate, "run-17"), None);
    gate.ask(too_much("k3"));
    let item = of_run(&gate, "run-17").unwrap();
    assert_eq!((item.kind, item.state, item.count), (ItemKind::BlockedAction, ItemState::WaitingOnSetup, 1));
    assert_eq!(item.open_reasons().map(|reason| reason.code.as_str()).collect::<Vec<_>>(), ["budget_exceeded"]);
    assert_eq!(gate.entries.len(), 1, "denial and item are one record");
    gate.ask(too_much("k4"));
    assert_eq!(of_run(&gate, "run-17").unwrap().count, 1, "the same once more is no news");
    let mut next = too_much("k5");
    next.request.run.as_mut().unwrap().attempt = 2;
    gate.ask(next);
    assert_eq!(of_run(&gate, "run-17").unwrap().count, 1, "another attempt counts anew");
}

#[test]
fn three_in_one_batch_are_three() {
    let mut gate = gate();
    gate.batch(["k1", "k2", "k3"].map(|key| Command::Admit(Box::new(too_much(key)))).into());
    assert!(of_run(&gate, "run-17").is_some());
}

#[test]
fn a_denial_that_nothing_follows_becomes_an_item() {
    let mut gate = gate();
    gate.ask(too_much("k1"));
    gate.at("2026-11-23T12:04:59Z");
    gate.one(Command::Tick).unwrap();
    assert_eq!(of_run(&gate, "run-17"), None);
    assert_eq!(gate.state.next_due(), Some("2026-11-23T12:05:00Z".parse().unwrap()), "the writer wakes for it");
    gate.at("2026-11-23T12:05:00Z");
    gate.one(Command::Tick).unwrap();
    assert!(of_run(&gate, "run-17").is_some());
    assert_eq!(gate.state.attention().next_due(), None, "and once only");
}

#[test]
fn a_thousand_denials_that_are_due_become_items_over_several_batches() {
    let mut gate = gate();
    for n in 0..20 {
        gate.batch(
            (0..50)
                .map(|m| in_run(ask("rfq-draft", &format!("k{n}-{m}"), &[("usd", "6")]), &format!("run-{n}-{m}")))
                .map(|ask| Command::Admit(Box::new(ask)))
                .collect(),
        );
    }
    gate.at("2026-11-24T12:00:00Z");
    gate.most_due = 300;
    let mut batches = 0;
    while gate.state.attention().len() < 1_000 {
        let before = gate.state.attention().len();
        gate.one(Command::Tick).unwrap();
        let opened = gate.state.attention().len() - before;
        assert!((1..=300).contains(&opened), "{opened} in one record");
        batches += 1;
    }
    // the runs' own clocks ring in the same batches, and have their share of each
    assert!((4..=20).contains(&batches), "{batches}");
}

#[test]
fn long_denials_do_not_make_a_long_record() {
    let mut gate = gate();
    for n in 0..12 {
        let mut ask = in_run(ask("rfq-draft", &format!("k{n}"), &[]), &format!("run-{n}"));
        let mut reason = Reason::of(Code::NotPermitted, "no", "policy:base.rego");
        reason.details = Some(json!("x".repeat(4 << 20)));
        ask.verdict.reasons.push(reason);
        gate.ask(ask);
    }
    gate.at("2026-11-23T12:05:00Z");
    gate.one(Command::Tick).unwrap();
    assert_eq!(gate.state.attention().len(), 4, "16 MiB of reasons");
    gate.one(Command::Tick).unwrap();
    gate.one(Command::Tick).unwrap();
    assert_eq!(gate.state.attention().len(), 12);
}

#[test]
fn what_nobody_could_hear_is_waited_for_anew() {
    let mut gate = gate();
    gate.ask(too_much("k1"));
    gate.limits.up_since = Some("2026-11-23T14:00:00Z".parse().unwrap());
    gate.at("2026-11-23T14:00:00Z");
    gate.one(Command::Tick).unwrap();
    assert_eq!(of_run(&gate, "run-17"), None, "nothing could be heard until now");
    assert_eq!(gate.state.attention().next_due(), Some("2026-11-23T14:05:00Z".parse().unwrap()));
    gate.at("2026-11-23T14:04:59Z");
    gate.one(Command::Tick).unwrap();
    assert_eq!(of_run(&gate, "run-17"), None);
    gate.at("2026-11-23T14:05:00Z");
    gate.one(Command::Tick).unwrap();
    assert!(of_run(&gate, "run-17").is_some());
}

#[test]
fn what_follows_a_denial_stops_its_clock() {
    let mut gate = gate();
    gate.ask(too_much("k1"));
    gate.ask(in_run(ask("rfq-draft", "k2", &[("usd", "1")]), "run-17"));
    gate.at("2026-11-23T12:10:00Z");
    gate.one(Command::Tick).unwrap();
    assert_eq!(of_run(&gate, "run-17"), None);
}

#[test]
fn dry_runs_never_are_items() {
    let mut gate = gate();
    for _ in 0..4 {
        let mut dry = too_much("k");
        dry.request.dry_run = true;
        gate.ask(dry);
    }
    gate.at("2026-11-23T13:00:00Z");
    gate.one(Command::Tick).unwrap();
    assert!(gate.state.attention().is_empty());
    assert_eq!(gate.state.attention().denials().count(), 0);
}

#[test]
fn a_denial_without_a_run_is_an_item_by_agent_action_and_entity() {
    let mut gate = gate();
    let denied = |key: &str| on(ask("rfq-draft", key, &[("usd", "6")]), "rfq");
    for key in ["k1", "k2", "k3"] {
        gate.ask(denied(key));
    }
    let mut items: Vec<_> = gate.state.attention().all().cloned().collect();
    assert_eq!(items.len(), 1);
    let item = items.remove(0);
    assert!(matches!(&item.subject, Subject::Denial { agent, .. } if agent.as_str() == "rfq-draft"));
    assert!(item.why().starts_with("rfq-draft may not draft_quote: "), "{}", item.why());
    assert!(waits_on_daily(&gate));
    // what was denied is allowed: it went on by itself
    gate.ask(on(ask("rfq-draft", "k4", &[("usd", "1")]), "rfq"));
    let item = gate.state.attention().get(&item.id).cloned().unwrap();
    assert_eq!(item.resolution.as_ref().unwrap().category, ResolutionCategory::WentOn);
    assert!(!waits_on_daily(&gate));
    // and again
    for key in ["k5", "k6", "k7"] {
        gate.ask(denied(key));
    }
    let item = gate.state.attention().get(&item.id).cloned().unwrap();
    assert_eq!((item.state, item.came_back), (ItemState::WaitingOnSetup, 1));
}

#[test]
fn a_hard_limit_that_was_passed_is_an_item() {
    let mut gate = gate();
    let hold = gate.ask(ask("a", "k", &[("usd", "4")])).hold.unwrap().id;
    gate.hold(&hold, HoldCommand::Settle(super::gate_tests::amounts(&[("usd", "7")]))).unwrap();
    let items: Vec<_> = gate.state.attention().all().cloned().collect();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].kind, ItemKind::BudgetAlert);
    assert_eq!(gate.entries.len(), 1, "settlement and item are one record");
    assert!(items[0].why().contains('7') && items[0].why().contains('5'), "{}", items[0].why());
}

#[test]
fn operators_act_and_each_act_is_an_entry() {
    let mut gate = gate();
    for key in ["k1", "k2", "k3"] {
        gate.ask(too_much(key));
    }
    let item = of_run(&gate, "run-17").unwrap();
    let assign =
        Act::Assign { owner: "Kim".to_owned(), due_at: Some("2026-11-24T12:00:00Z".parse().unwrap()), fix: None };
    let after = act(&mut gate, &item, assign, Some(item.revision)).unwrap();
    assert_eq!((gate.entries[0].op.as_str(), gate.entries[0].actor.name.as_str()), ("attention.assign", "Mia"));
    assert_eq!(gate.entries[0].before.as_ref().unwrap()["owner"], json!(null));
    assert!(!after.lacks_decision(gate.now));
    // two operators on one item: the second saw an older one
    let refusal = act(&mut gate, &item, snooze("2026-11-24T12:00:00Z"), Some(item.revision)).unwrap_err();
    assert_eq!(refusal, Refusal::Revision { current: after.revision });
    let refusal = act(&mut gate, &item, snooze(NOON), None).unwrap_err();
    assert!(matches!(refusal, Refusal::Invalid { pointer, .. } if pointer == "/until"));
    let nobody = ItemId::new("item_nobody").unwrap();
    let ask = ItemCommand::Act { id: nobody, act: snooze("2026-11-24T12:00:00Z"), reason: None, revision: None };
    assert!(matches!(gate.one(Command::Item(ask)), Err(Refusal::NotFound { .. })));
    let resolve = Act::Resolve { category: ResolutionCategory::Noise, reason: "a test".to_owned() };
    act(&mut gate, &item, resolve.clone(), None).unwrap();
    assert!(matches!(act(&mut gate, &item, resolve, None), Err(Refusal::Over(_))));
}

#[test]
fn two_acts_in_one_batch_see_each_other() {
    let mut gate = gate();
    for key in ["k1", "k2", "k3"] {
        gate.ask(too_much(key));
    }
    let item = of_run(&gate, "run-17").unwrap();
    let command = |owner: &str| {
        let act = Act::Assign { owner: owner.to_owned(), due_at: None, fix: None };
        Command::Item(ItemCommand::Act { id: item.id.clone(), act, reason: None, revision: Some(item.revision) })
    };
    let answers = gate.batch(vec![command("Kim"), command("Lee")]);
    assert!(matches!(&answers[0], Ok(Answer::Item(item)) if item.owner.as_deref() == Some("Kim")));
    assert!(matches!(answers[1], Err(Refusal::Revision { .. })));
}

#[test]
fn an_escalation_goes_to_the_agents_contact() {
    let mut gate = gate();
    for key in ["k1", "k2", "k3"] {
        gate.ask(too_much(key));
    }
    let item = of_run(&gate, "run-17").unwrap();
    let escalate = |to: Option<&str>| {
        let (id, to) = (item.id.clone(), to.map(str::to_owned));
        Command::Item(ItemCommand::Escalate { id, to, reason: "beyond me".to_owned(), revision: None })
    };
    assert!(matches!(gate.one(escalate(None)), Err(Refusal::Invalid { pointer, .. }) if pointer == "/to"));
    let spec = AgentSpec { escalation_contact: Some("Dana Reyes".to_owned()), ..AgentSpec::default() };
    gate.registry(RegistryCommand::PutAgent("rfq-draft".parse().unwrap(), spec));
    let Answer::Item(after) = gate.one(escalate(None)).unwrap() else { panic!() };
    assert_eq!((after.state, after.escalated_to.as_deref()), (ItemState::Escalated, Some("Dana Reyes")));
    assert_eq!(gate.entries[0].reason.as_deref(), Some("beyond me"));
}

#[test]
fn a_recheck_that_comes_too_late_changes_nothing() {
    let mut gate = gate();
    for key in ["k1", "k2", "k3"] {
        gate.ask(too_much(key));
    }
    let item = of_run(&gate, "run-17").unwrap();
    let recheck = |revision: u64| {
        let cause = "budget daily was raised".to_owned();
        Command::Item(ItemCommand::Rechecked { id: item.id.clone(), still: Vec::new(), cause, revision })
    };
    assert!(matches!(gate.one(recheck(item.revision + 1)), Err(Refusal::Revision { .. })));
    let Answer::Item(ready) = gate.one(recheck(item.revision)).unwrap() else { panic!() };
    assert_eq!(ready.state, ItemState::ReadyToRetry);
    assert_eq!(gate.entries[0].reason.as_deref(), Some("budget daily was raised"));
}

fn report(gate: &mut Gate, id: &str, step: Option<&str>, report: Report) {
    let reported = Reported {
        source: "runtime".to_owned(),
        id: id.to_owned(),
        time: None,
        run: "run-17".parse().unwrap(),
        agent: Some("rfq-draft".parse().unwrap()),
        attempt: None,
        lease: None,
        worker: None,
        step: step.map(|step| step.parse().unwrap()),
        report,
        data: serde_json::Value::Null,
        body: id.to_owned(),
    };
    gate.one(Command::Run(RunCommand::Report(vec![reported]))).unwrap();
}

fn failed(code: &str, details: Option<serde_json::Value>) -> Report {
    Report::Failed(RunError { code: code.to_owned(), message: "it failed".to_owned(), details })
}

#[test]
fn a_failed_run_is_an_item_in_the_record_of_its_event() {
    let mut gate = gate();
    report(&mut gate, "e1", Some("price-lookup"), Report::StepStarted);
    assert!(gate.state.attention().is_empty());
    report(&mut gate, "e2", Some("price-lookup"), failed("503", None));
    let item = of_run(&gate, "run-17").unwrap();
    assert_eq!((item.kind, item.state), (ItemKind::FailedRun, ItemState::Open));
    assert_eq!(gate.entries.len(), 1, "event and item are one record");
    gate.one(Command::Run(RunCommand::Cancel {
        run: "run-17".parse().unwrap(),
        category: CancelCategory::Noise,
        reason: "a test".to_owned(),
        seen: None,
    }))
    .unwrap();
    let item = of_run(&gate, "run-17").unwrap();
    let resolution = item.resolution.as_ref().unwrap();
    assert_eq!((resolution.category, resolution.by.as_str()), (ResolutionCategory::Cancelled, "Mia"));
}

#[test]
fn a_blocked_run_shows_the_denial_that_stopped_it() {
    let mut gate = gate();
    gate.ask(too_much("k1"));
    let error = RunError { code: "budget_exceeded".to_owned(), message: "the gate said no".to_owned(), details: None };
    report(&mut gate, "e1", Some("price-lookup"), Report::Blocked(error));
    let item = of_run(&gate, "run-17").unwrap();
    assert_eq!((item.kind, item.state, item.count), (ItemKind::BlockedAction, ItemState::WaitingOnSetup, 1));
    let targets: Vec<_> = item.open_reasons().filter_map(|reason| reason.remedy.target.as_deref()).collect();
    assert_eq!(targets, ["budget:daily"]);
    assert_eq!(gate.state.attention().denials().count(), 0, "the denial is told");
    assert!(waits_on_daily(&gate));
}

#[test]
fn a_run_that_got_over_the_last_denial_shows_the_one_that_stopped_it() {
    let at_step = |key: &str, step: &str, usd: &str| {
        let mut admit = in_run(ask("rfq-draft", key, &[("usd", usd)]), "run-17");
        admit.request.run.as_mut().unwrap().step = Some(step.parse().unwrap());
        admit
    };
    for (got_over, class, reasons) in
        [(false, Class::Setup, vec!["budget_exceeded"]), (true, Class::Unknown, vec!["unknown"])]
    {
        let mut gate = gate();
        gate.ask(at_step("k1", "book", "6"));
        gate.ask(at_step("k2", "pay", "6"));
        gate.ask(at_step("k3", "pay", "0.1"));
        if got_over {
            report(&mut gate, "e0", Some("book"), Report::StepCompleted);
        }
        let error = RunError { code: "no_way".to_owned(), message: "no way was found".to_owned(), details: None };
        report(&mut gate, "e1", Some("book"), Report::Blocked(error));
        let item = of_run(&gate, "run-17").unwrap();
        let codes: Vec<_> = item.open_reasons().map(|reason| reason.code.as_str()).collect();
        assert_eq!((item.class, codes), (class, reasons), "got over: {got_over}");
        assert_eq!(gate.state.attention().denials().count(), 0);
    }
}

#[test]
fn progress_stops_the_clock_of_a_denial() {
    let mut gate = gate();
    gate.ask(too_much("k1"));
    report(&mut gate, "e1", Some("another-way"), Report::StepStarted);
    gate.at("2026-11-23T12:06:00Z");
    gate.one(Command::Tick).unwrap();
    assert_eq!(of_run(&gate, "run-17"), None);
}

#[test]
fn a_fenced_worker_that_keeps_asking_stops_nobody() {
    let mut gate = gate();
    report(&mut gate, "e1", Some("s"), failed("timeout", None));
    let count = of_run(&gate, "run-17").unwrap().count;
    for key in ["k1", "k2", "k3", "k4"] {
        let answer = gate.ask(in_run(ask("rfq-draft", key, &[("usd", "1")]), "run-17"));
        assert_eq!(super::gate_tests::codes(&answer), ["attempt_fenced"]);
    }
    assert_eq!(of_run(&gate, "run-17").unwrap().count, count);
}

#[test]
fn who_does_not_have_a_run_keeps_no_clock_of_it_quiet() {
    let mut gate = gate();
    gate.ask(in_run(ask("rfq-draft", "k1", &[("usd", "1")]), "run-17"));
    let run = "run-17".parse().unwrap();
    let asked = gate.state.runs().asked_at(&run);
    assert_eq!(asked, Some(NOON.parse().unwrap()));
    gate.at("2026-11-23T12:01:00Z");
    let zombie = |attempt: u32, key: &str| {
        let mut ask = in_run(ask("rfq-draft", key, &[("usd", "1")]), "run-17");
        ask.request.run.as_mut().unwrap().attempt = attempt;
        ask
    };
    for other in [in_run(ask("other", "k2", &[("usd", "1")]), "run-17"), zombie(9, "k3")] {
        assert_eq!(super::gate_tests::codes(&gate.ask(other)), ["attempt_fenced"]);
        assert_eq!(gate.state.runs().asked_at(&run), asked);
    }
    gate.ask(in_run(ask("rfq-draft", "k4", &[("usd", "1")]), "run-17"));
    assert_eq!(gate.state.runs().asked_at(&run), Some("2026-11-23T12:01:00Z".parse().unwrap()));
}

#[test]
fn another_agent_is_told_nothing_of_a_run() {
    let mut gate = gate();
    report(&mut gate, "e1", Some("s"), failed("timeout", None));
    let answer = gate.ask(in_run(ask("other", "k2", &[("usd", "1")]), "run-17"));
    let [reason] = answer.reasons.as_slice() else { panic!("{answer:?}") };
    assert_eq!((reason.code.as_str(), &reason.details), ("attempt_fenced", &None));
    assert_eq!(reason.message, "Agent other has no run run-17.");
    let own = gate.ask(in_run(ask("rfq-draft", "k3", &[("usd", "1")]), "run-17"));
    assert_eq!(own.reasons[0].details, Some(json!({"attempt": 1, "status": "failed"})), "its own agent is");
}

#[test]
fn a_denial_changes_no_attempt() {
    let mut gate = gate();
    report(&mut gate, "e1", Some("s"), failed("timeout", None));
    let before = gate.state.runs().run(&"run-17".parse().unwrap()).cloned().unwrap();
    let second = |key: &str, usd: &str| {
        let mut ask = in_run(ask("rfq-draft", key, &[("usd", usd)]), "run-17");
        ask.request.run.as_mut().unwrap().attempt = 2;
        ask
    };
    assert_eq!(super::gate_tests::codes(&gate.ask(second("k1", "6"))), ["budget_exceeded"]);
    assert_eq!(gate.state.runs().run(&before.id), Some(&before), "a denied one begins no attempt");
    gate.ask(second("k2", "1"));
    assert_eq!(gate.state.runs().run(&before.id).unwrap().latest_number(), 2);
    // who asked first has the run, also where that was denied
    gate.ask(in_run(ask("rfq-draft", "k3", &[("usd", "6")]), "run-18"));
    assert_eq!(gate.state.runs().run(&"run-18".parse().unwrap()).unwrap().agent.as_str(), "rfq-draft");
}

#[test]
fn a_run_s_calls_are_what_its_budget_books() {
    let mut gate = gate();
    gate.budget(&json!({"id": "calls", "unit": "calls", "limit": "9", "window": {"kind": "day"}}));
    for (key, actual) in [("k1", [("usd", "0.5")].as_slice()), ("k2", &[("usd", "0.5"), ("calls", "0")])] {
        let hold = gate.ask(in_run(ask("rfq-draft", key, &[("usd", "1")]), "run-17")).hold.unwrap().id;
        gate.hold(&hold, HoldCommand::Settle(super::gate_tests::amounts(actual))).unwrap();
    }
    let usage = gate.state.runs().holds_of(&"run-17".parse().unwrap()).unwrap().usage();
    let budget = gate.state.budget(&"calls".parse().unwrap()).unwrap();
    let account = gate.state.accounts_of(budget.id()).next().unwrap();
    let booked = account.figures(&budget.spec.window, gate.now).spent;
    let calls = usage.totals["calls"].settled;
    assert_eq!((calls, calls.to_string().as_str()), (booked, "2"));
}

#[test]
fn what_is_supplied_waits_at_the_run() {
    let mut gate = gate();
    report(&mut gate, "e1", Some("s"), failed("missing_data", Some(json!({"field": "/entity/properties/due_date"}))));
    let item = of_run(&gate, "run-17").unwrap();
    let stranger = [("/entity/a: b".to_owned(), json!(1))];
    let refused = act(&mut gate, &item, Act::Supply(stranger.into()), None);
    assert!(matches!(refused, Err(Refusal::Invalid { pointer, .. }) if pointer == "/fields/~1entity~1a: b"));
    let fields = [("/entity/properties/due_date".to_owned(), json!("2026-12-01"))];
    act(&mut gate, &item, Act::Supply(fields.into()), None).unwrap();
    let run = gate.state.runs().run(&"run-17".parse().unwrap()).unwrap();
    assert_eq!(run.supplied.as_ref().unwrap().data["/entity/properties/due_date"], json!("2026-12-01"));
    assert_eq!(run.supplied.as_ref().unwrap().by.name, "Mia");
    assert_eq!(gate.entries.len(), 1);
}

#[test]
fn a_failure_between_two_events_of_one_batch_is_not_missed() {
    let mut gate = gate();
    let reported = |id: &str, attempt: u32, report: Report| Reported {
        source: "runtime".to_owned(),
        id: id.to_owned(),
        time: None,
        run: "run-17".parse().unwrap(),
        agent: Some("rfq-draft".parse().unwrap()),
        attempt: Some(attempt),
        lease: None,
        worker: None,
        step: Some("s".parse().unwrap()),
        report,
        data: serde_json::Value::Null,
        body: id.to_owned(),
    };
    let events = vec![
        reported("e1", 1, Report::StepStarted),
        reported("e2", 1, failed("timeout", None)),
        reported("e3", 2, Report::StepStarted),
    ];
    gate.one(Command::Run(RunCommand::Report(events))).unwrap();
    let item = of_run(&gate, "run-17").unwrap();
    assert_eq!((item.state, item.count), (ItemState::Retrying, 1));
}

/// An item about what an agent was denied on one of many entities.
fn denied_on(agent: &str, entity: usize) -> Item {
    let subject = Subject::Denial {
        agent: agent.parse().unwrap(),
        action: "draft_quote".parse().unwrap(),
        entity_type: Some("rfq".parse().unwrap()),
        entity_id: Some(format!("e{entity}").parse().unwrap()),
    };
    let trouble = Trouble {
        kind: ItemKind::BlockedAction,
        class: Class::Setup,
        title: "t".to_owned(),
        message: "m".to_owned(),
        retry_allowed: false,
        reasons: Vec::new(),
        place: Place::default(),
        fingerprint: Fingerprint::of("x", None, "m"),
        sign: "s".to_owned(),
        subject,
    };
    Item::open(trouble.subject.item_id().unwrap(), trouble, NOON.parse().unwrap())
}

#[test]
fn an_agent_opens_so_many_items_outside_of_runs_and_no_more() {
    let mut gate = gate();
    let items: Vec<Item> = (0..ITEMS_OF_AGENT).map(|n| denied_on("a", n)).collect();
    gate.take(items.iter().cloned().map(Arc::new).map(Effect::Item).collect());
    assert_eq!(gate.state.attention().outside_runs(), (ITEMS_OF_AGENT, 0));
    let deny = |gate: &mut Gate, agent: &str| {
        for n in 0..3 {
            gate.ask(on(ask(agent, &format!("k{n}{}", gate.now), &[("usd", "6")]), "rfq"));
        }
        gate.state.attention().len()
    };
    assert_eq!(deny(&mut gate, "a"), ITEMS_OF_AGENT);
    assert_eq!(deny(&mut gate, "b"), ITEMS_OF_AGENT + 1, "another agent's opens");
    let mut in_runs = |n: usize| gate.ask(in_run(ask("a", &format!("r{n}"), &[("usd", "6")]), "run-1"));
    (0..3).for_each(|n| drop(in_runs(n)));
    assert!(of_run(&gate, "run-1").is_some(), "and those of runs");
    // in time they would open too
    let mut later = on(ask("a", "later", &[("usd", "6")]), "rfq");
    later.request.entity.as_mut().unwrap().id = "18".parse().unwrap();
    gate.ask(later);
    gate.at("2026-11-23T13:00:00Z");
    gate.one(Command::Tick).unwrap();
    assert_eq!(gate.state.attention().outside_runs(), (ITEMS_OF_AGENT + 1, 0));
    // one that is resolved makes room
    let over = items[0].over(ResolutionCategory::WentOn, "", "test", gate.now);
    gate.take(vec![Effect::Item(Arc::new(over))]);
    deny(&mut gate, "a");
    assert_eq!(gate.state.attention().outside_runs(), (ITEMS_OF_AGENT + 1, 0));
    assert_eq!(gate.state.attention().len(), ITEMS_OF_AGENT + 3);
}
