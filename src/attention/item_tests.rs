//! The item's state machine: tables, and random courses held to what must always be true.

use super::*;
use crate::vocabulary::{AgentId, BudgetId, Code, ItemId, Reason, RunId, StepName};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn budget_reason() -> Reason {
    Reason::of(Code::BudgetExceeded, "0.42 USD asked, 0.10 USD left", "budget:rfq-draft-daily")
}

fn field_reason() -> Reason {
    Reason::of(Code::MissingData, "due_date is missing", "field:/entity/properties/due_date")
}

fn trouble(kind: ItemKind, class: Class, attempt: u32, step: &str, reasons: &[Reason]) -> Trouble {
    let step = (!step.is_empty()).then(|| StepName::new(step).unwrap());
    Trouble {
        subject: Subject::Run(RunId::new("run-17").unwrap()),
        kind,
        class,
        title: "t".to_owned(),
        message: "it did not work".to_owned(),
        retry_allowed: class == Class::Temporary,
        reasons: reasons.to_vec(),
        place: Place {
            agent: Some(AgentId::new("rfq-draft").unwrap()),
            attempt: Some(attempt),
            step: step.clone(),
            ..Place::default()
        },
        fingerprint: Fingerprint::of("x", step.as_ref(), "it did not work"),
        sign: format!("{kind:?}/{attempt}/{}", reasons.len()),
    }
}

fn failed(attempt: u32, step: &str) -> Trouble {
    trouble(ItemKind::FailedRun, Class::Temporary, attempt, step, &[])
}

fn blocked(attempt: u32, reasons: &[Reason]) -> Trouble {
    trouble(ItemKind::BlockedAction, Class::Setup, attempt, "price-lookup", reasons)
}

fn opened(trouble: Trouble) -> Item {
    Item::open(ItemId::new("item_1").unwrap(), trouble, at(0))
}

#[test]
fn the_state_that_trouble_opens_in_and_what_is_suggested() {
    for (kind, class, reasons, state, suggestion) in [
        (ItemKind::FailedRun, Class::Temporary, vec![], ItemState::Open, Suggestion::Retry),
        (ItemKind::FailedRun, Class::Setup, vec![field_reason()], ItemState::WaitingOnSetup, Suggestion::FixSetup),
        (ItemKind::FailedRun, Class::Setup, vec![], ItemState::WaitingOnSetup, Suggestion::FixSetup),
        (ItemKind::FailedRun, Class::Unknown, vec![], ItemState::Open, Suggestion::Inspect),
        (ItemKind::BlockedAction, Class::Setup, vec![budget_reason()], ItemState::WaitingOnSetup, Suggestion::FixSetup),
        (ItemKind::StuckRun, Class::Unknown, vec![], ItemState::Open, Suggestion::Inspect),
    ] {
        let item = opened(trouble(kind, class, 1, "s", &reasons));
        assert_eq!((item.state, item.suggestion()), (state, suggestion), "{kind:?} {class:?}");
        assert_eq!((item.count, item.revision, item.came_back), (1, 1, 0));
        assert!(item.lacks_decision(at(0)));
    }
}

#[test]
fn unknown_never_promises_that_a_retry_helps() {
    let item = opened(trouble(ItemKind::FailedRun, Class::Unknown, 1, "s", &[]));
    assert_eq!(item.suggestion(), Suggestion::Inspect);
    assert!(item.why_suggested(None).contains("nothing says that a retry helps"));
}

#[test]
fn a_retry_that_succeeds_ends_it() {
    let item = opened(failed(1, "s")).retried(2);
    assert_eq!((item.state, &item.decided), (ItemState::Retrying, &Some(Decided::Retried { attempt: 2 })));
    assert!(!item.lacks_decision(at(1)));
    let item = item.over(ResolutionCategory::Succeeded, "attempt 2 completed", "tollgate", at(2));
    assert_eq!(item.state, ItemState::Resolved);
    assert_eq!(item.resolution.as_ref().unwrap().category, ResolutionCategory::Succeeded);
    assert!(!item.lacks_decision(at(2)));
}

#[test]
fn the_same_step_failing_again_suggests_to_escalate() {
    let first = opened(failed(1, "price-lookup"));
    assert_eq!(first.same_step_failures, 1);
    let again = first.retried(2).joined(failed(2, "price-lookup"), at(5)).unwrap();
    assert_eq!((again.same_step_failures, again.suggestion()), (2, Suggestion::Escalate));
    assert_eq!(again.state, ItemState::Open, "suggested, not done");
    assert!(again.why_suggested(Some("Dana Reyes")).contains("Dana Reyes"));
    assert!(again.lacks_decision(at(5)), "the retry before it is no decision about this failure");
    let elsewhere = first.retried(2).joined(failed(2, "send"), at(5)).unwrap();
    assert_eq!((elsewhere.same_step_failures, elsewhere.suggestion()), (1, Suggestion::Retry));
}

#[test]
fn one_failure_told_twice_is_one() {
    let first = opened(failed(1, "price-lookup"));
    assert_eq!(first.joined(failed(1, "price-lookup"), at(3)), None);
    let resolved = first.acted(&resolve(), "dana", at(4)).unwrap();
    assert_eq!(resolved.joined(failed(1, "price-lookup"), at(5)), None, "what was resolved stays so");
}

#[test]
fn the_same_trouble_after_a_resolution_has_come_back() {
    let item = opened(failed(1, "s")).over(ResolutionCategory::Succeeded, "", "tollgate", at(2));
    let back = item.joined(failed(3, "s"), at(9)).unwrap();
    assert_eq!((back.state, back.came_back, back.count), (ItemState::Open, 1, 2));
    assert_eq!((back.first_seen, back.began_at), (at(0), at(9)));
    assert_eq!(back.resolution, None);
    assert_eq!(back.last_resolution.as_ref().unwrap().category, ResolutionCategory::Succeeded);
    assert!(back.why().contains("failed again"), "{}", back.why());
    assert_eq!(back.same_step_failures, 1, "a success lies between");
}

fn resolve() -> Act {
    Act::Resolve { category: ResolutionCategory::Noise, reason: "a test run".to_owned() }
}

#[test]
fn a_recheck_turns_it_ready_and_back() {
    let item = opened(blocked(1, &[budget_reason(), field_reason()]));
    let half = item.rechecked(&[field_reason()], at(1)).unwrap();
    assert_eq!(half.state, ItemState::WaitingOnSetup);
    assert_eq!(half.open_reasons().map(|reason| reason.code.as_str()).collect::<Vec<_>>(), ["missing_data"]);
    assert_eq!(half.checks.len(), 2, "what was lifted stays on the checklist");
    assert_eq!(half.rechecked(&[field_reason()], at(2)), None, "nothing new is no change");
    let ready = half.rechecked(&[], at(3)).unwrap();
    assert_eq!((ready.state, ready.suggestion()), (ItemState::ReadyToRetry, Suggestion::Retry));
    assert!(ready.lacks_decision(at(3)), "now somebody must decide to retry");
    let back = ready.rechecked(&[budget_reason()], at(4)).unwrap();
    assert_eq!(back.state, ItemState::WaitingOnSetup);
    let check = back.checks.iter().find(|check| check.reason.code == "budget_exceeded").unwrap();
    assert_eq!((check.since, check.lifted_at), (at(4), None));
    assert_eq!(opened(failed(1, "s")).rechecked(&[], at(1)), None, "only what waits is re-checked");
}

#[test]
fn what_is_a_decision_and_what_is_none() {
    let item = opened(blocked(1, &[budget_reason(), field_reason()]));
    let assign = |due: Option<i64>, fix: Option<&str>| Act::Assign {
        owner: "Kim".to_owned(),
        due_at: due.map(at),
        fix: fix.map(str::to_owned),
    };
    for (act, lacks) in [
        (assign(None, None), true),
        (assign(Some(60), None), true),
        (assign(Some(60), Some("budget:rfq-draft-daily")), false),
        (assign(Some(60), Some("missing_data")), false),
        (Act::Snooze { until: at(60) }, true),
        (Act::Escalate { to: "Dana".to_owned() }, true),
        (resolve(), false),
    ] {
        let after = item.acted(&act, "kim", at(1)).unwrap();
        assert_eq!(after.lacks_decision(at(2)), lacks, "{act:?}");
        assert_eq!(after.revision, item.revision + 1);
    }
    let promised = item.acted(&assign(Some(60), Some("missing_data")), "kim", at(1)).unwrap();
    assert!(promised.lacks_decision(at(60)), "a promise that is overdue is none");
    assert!(promised.is_overdue(at(60)) && !promised.is_overdue(at(59)));
    let single = opened(blocked(1, &[budget_reason()])).acted(&assign(Some(60), None), "kim", at(1)).unwrap();
    assert!(!single.lacks_decision(at(2)), "one thing alone stands in the way: that is the fix");
}

#[test]
fn refusals() {
    let item = opened(blocked(1, &[field_reason()]));
    let assign = |due: Option<i64>, fix: &str| Act::Assign {
        owner: "Kim".to_owned(),
        due_at: due.map(at),
        fix: Some(fix.to_owned()),
    };
    let supply = |field: &str| Act::Supply(BTreeMap::from([(field.to_owned(), json!("2026-12-01"))]));
    let over = |category| Act::Resolve { category, reason: "r".to_owned() };
    for (act, refusal) in [
        (assign(None, "missing_data"), ActRefusal::NoDueTime),
        (assign(Some(5), "missing_data"), ActRefusal::Past("/due_at")),
        (assign(Some(60), "budget:x"), ActRefusal::NoSuchFix("budget:x".to_owned())),
        (Act::Snooze { until: at(10) }, ActRefusal::Past("/until")),
        (supply("/entity/id"), ActRefusal::FieldNotAsked("/entity/id".to_owned())),
        (Act::Supply(BTreeMap::new()), ActRefusal::Nothing),
        (
            Act::Supply(BTreeMap::from([("/entity/properties/due_date".to_owned(), json!("x".repeat(70_000)))])),
            ActRefusal::TooMuch,
        ),
        (over(ResolutionCategory::Succeeded), ActRefusal::NotByHand(ResolutionCategory::Succeeded)),
        (over(ResolutionCategory::Cancelled), ActRefusal::NotByHand(ResolutionCategory::Cancelled)),
    ] {
        assert_eq!(item.acted(&act, "kim", at(10)), Err(refusal), "{act:?}");
    }
    for (refusal, pointer) in [
        (ActRefusal::Resolved, None),
        (ActRefusal::Past("/until"), Some("/until")),
        (ActRefusal::NoDueTime, Some("/due_at")),
        (ActRefusal::NoSuchFix("/a: b".to_owned()), Some("/fix")),
        (ActRefusal::FieldNotAsked("/entity/a~b: c".to_owned()), Some("/fields/~1entity~1a~0b: c")),
        (ActRefusal::TooMuch, Some("/fields")),
        (ActRefusal::NotByHand(ResolutionCategory::Succeeded), Some("/category")),
    ] {
        assert_eq!(refusal.pointer().as_deref(), pointer, "{refusal}");
    }
    let supplied = item.acted(&supply("/entity/properties/due_date"), "kim", at(10)).unwrap();
    assert_eq!(supplied.supplied.len(), 1);
    let resolved = item.acted(&resolve(), "kim", at(10)).unwrap();
    assert_eq!(resolved.acted(&Act::Snooze { until: at(99) }, "kim", at(11)), Err(ActRefusal::Resolved));
}

#[test]
fn a_snooze_lies_over_the_state_until_its_end() {
    let item = opened(failed(1, "s")).acted(&Act::Snooze { until: at(60) }, "kim", at(1)).unwrap();
    assert_eq!((item.state_at(at(59)), item.state_at(at(60))), (ItemState::Snoozed, ItemState::Open));
    assert!(item.lacks_decision(at(30)));
}

#[test]
fn what_it_waits_on() {
    let mut policy = Reason::of(Code::NotPermitted, "no", "policy:agents/rfq_draft.rego");
    policy.retry_at = Some(at(90).to_string());
    let pause = Reason::of(Code::Paused, "stopped", "pause:pause_1");
    let erp = Reason::of(Code::ConnectorUnavailable, "down", "connector:erp");
    let holds = Reason::of(Code::TooManyHolds, "many", "agent:rfq-draft");
    let item = opened(blocked(1, &[budget_reason(), field_reason(), policy, pause, erp, holds]));
    let wanted = [
        Cause::Policy,
        Cause::Budget("rfq-draft-daily".to_owned()),
        Cause::Connector("erp".to_owned()),
        Cause::Pause,
        Cause::Holds,
        Cause::Supplied(item.id.clone()),
    ];
    assert_eq!(waits_on(&item), wanted.into());
    assert_eq!(wakes_at(&item), Some(at(90)));
    let open = opened(failed(1, "s"));
    assert!(waits_on(&open).is_empty() && wakes_at(&open).is_none());
    let over = item.over(ResolutionCategory::Cancelled, "", "kim", at(1));
    assert!(waits_on(&over).is_empty() && wakes_at(&over).is_none());
}

#[test]
fn groups_are_views() {
    let run = |n: u32, mut trouble: Trouble| {
        trouble.subject = Subject::Run(RunId::new(format!("run-{n}")).unwrap());
        Item::open(ItemId::new(format!("item_{n}")).unwrap(), trouble, at(i64::from(n)))
    };
    let items = [
        run(1, blocked(1, &[budget_reason(), budget_reason(), field_reason()])),
        run(2, blocked(1, &[budget_reason()])).acted(&resolve(), "kim", at(3)).unwrap(),
        run(3, blocked(1, &[budget_reason()])),
        run(4, failed(1, "other")),
    ];
    let by_fix = groups(items.iter(), GroupBy::Fix, at(10));
    let seen: Vec<(&str, usize, usize)> =
        by_fix.iter().map(|g| (g.key.as_str(), g.items, g.without_decision)).collect();
    assert_eq!(seen, [("budget:rfq-draft-daily", 2, 2), ("field:/entity/properties/due_date", 1, 1)]);
    assert_eq!(by_fix[0].href.as_deref(), Some("/budgets/rfq-draft-daily"));
    let by_fingerprint = groups(items.iter(), GroupBy::Fingerprint, at(10));
    assert_eq!(by_fingerprint.iter().map(|g| (g.items, g.runs)).collect::<Vec<_>>(), [(3, 3), (1, 1)]);
    assert_eq!((by_fingerprint[0].first_seen, by_fingerprint[0].last_seen), (at(1), at(3)));
}

#[test]
fn sentences() {
    let item = opened(blocked(1, &[budget_reason()]));
    assert_eq!(item.why(), "Run run-17 is blocked at step price-lookup: it did not work.");
    let mut alert = blocked(1, &[]);
    alert.kind = ItemKind::BudgetAlert;
    alert.subject = Subject::Budget { budget: BudgetId::new("daily").unwrap(), account: "2026-11-25".to_owned() };
    assert_eq!(opened(alert).why(), "Budget daily was passed: it did not work.");
}

#[derive(Clone, Debug)]
enum Course {
    Trouble(Box<Trouble>),
    Retried,
    Succeeded,
    Rechecked(Vec<Reason>),
    Act(Act),
}

fn course() -> impl Strategy<Value = Course> {
    let reasons = || prop::collection::vec(prop_oneof![Just(budget_reason()), Just(field_reason())], 0..3);
    let kind = prop::sample::select(ItemKind::ALL.to_vec());
    let class = prop::sample::select(Class::ALL.to_vec());
    prop_oneof![
        3 => (kind, class, 1u32..4, "[ab]?", reasons()).prop_map(|(kind, class, attempt, step, reasons)| {
            Course::Trouble(Box::new(trouble(kind, class, attempt, &step, &reasons)))
        }),
        1 => Just(Course::Retried),
        1 => Just(Course::Succeeded),
        2 => reasons().prop_map(Course::Rechecked),
        1 => (0i64..50).prop_map(|until| Course::Act(Act::Snooze { until: at(until) })),
        1 => (prop::option::of(0i64..50), prop::option::of(Just("missing_data".to_owned()))).prop_map(|(due, fix)| {
            Course::Act(Act::Assign { owner: "Kim".to_owned(), due_at: due.map(at), fix })
        }),
        1 => Just(Course::Act(Act::Escalate { to: "Dana".to_owned() })),
        1 => Just(Course::Act(resolve())),
    ]
}

proptest! {
    #[test]
    fn what_is_always_true(first in 1u32..4, courses in prop::collection::vec(course(), 1..40)) {
        let mut item = opened(failed(first, "a"));
        let mut resolutions = 0;
        for (n, course) in courses.into_iter().enumerate() {
            let now = at(0) + SignedDuration::from_secs(i64::try_from(n).unwrap());
            let before = item.clone();
            let is_trouble = matches!(course, Course::Trouble(_));
            let after = match course {
                Course::Trouble(trouble) => item.joined(*trouble, now),
                Course::Retried => Some(item.retried(9)),
                Course::Succeeded => Some(item.over(ResolutionCategory::Succeeded, "", "tollgate", now)),
                Course::Rechecked(still) => item.rechecked(&still, now),
                Course::Act(act) => item.acted(&act, "kim", now).ok(),
            };
            item = after.unwrap_or(item);
            if item != before {
                prop_assert_eq!(item.revision, before.revision + 1, "each change counts once");
            }
            resolutions += u32::from(before.state != ItemState::Resolved && item.state == ItemState::Resolved);
            prop_assert_eq!(item.state == ItemState::Resolved, item.resolution.is_some());
            prop_assert!(item.state != ItemState::Snoozed, "a snooze is no stored state");
            prop_assert!(item.state != ItemState::ReadyToRetry || item.open_reasons().next().is_none());
            prop_assert!(item.state != ItemState::Resolved || item.open_reasons().next().is_none());
            prop_assert!(item.came_back <= resolutions);
            prop_assert_eq!(item.count - before.count, u64::from(is_trouble && item != before));
            prop_assert_eq!((&item.id, &item.subject, item.first_seen), (&before.id, &before.subject, before.first_seen));
            let waiting = matches!(&item.decided, Some(Decided::Waiting { due_at, .. }) if now < *due_at);
            let settled = matches!(item.state, ItemState::Resolved | ItemState::Retrying);
            prop_assert!(item.lacks_decision(now) || settled || waiting);
            let stored: Item = serde_json::from_str(&serde_json::to_string(&item).unwrap()).unwrap();
            prop_assert_eq!(stored, item.clone());
        }
    }
}
