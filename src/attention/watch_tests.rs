//! What runs and schedules mean for their items: tables over a run's course.

use super::*;
use crate::registry::Actor;
use crate::runs::{
    AttemptState, CancelCategory, Clocks, Hearing, Report, Reported, Run, RunError, Schedule, ScheduleSpec, cancel,
    first_admitted, plan, retry, ring, take,
};
use crate::vocabulary::{AdmissionId, Code, ItemId, Reason, StepName};
use jiff::Timestamp;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A run, its item, and what is remembered of its denials.
struct World {
    run: Run,
    item: Option<Item>,
    denied: Option<Denied>,
    now: i64,
}

impl World {
    fn new() -> Self {
        let run = first_admitted("run-17".parse().unwrap(), "rfq-draft".parse().unwrap(), 1, at(0));
        Self { run, item: None, denied: None, now: 0 }
    }

    fn report(&mut self, step: Option<&str>, report: Report) {
        self.now += 1;
        let reported = Reported {
            source: "runtime".to_owned(),
            id: self.now.to_string(),
            time: None,
            run: self.run.id.clone(),
            agent: None,
            attempt: None,
            lease: None,
            worker: None,
            step: step.map(|step| StepName::new(step).unwrap()),
            report,
            data: Value::Null,
            body: String::new(),
        };
        self.run = take(Some(&self.run), &reported, at(self.now)).unwrap().run;
        self.look();
    }

    fn fail(&mut self, step: &str, code: &str, message: &str, details: Option<Value>) {
        let error = RunError { code: code.to_owned(), message: message.to_owned(), details };
        self.report(Some(step), Report::Failed(error));
    }

    fn retry(&mut self) {
        let plan = plan(&self.run, [], "sha256:1");
        self.run = retry(&self.run, &plan, true, "again", &kim(), at(self.now)).0;
        self.look();
    }

    fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        let hearing = Hearing { since: at(0), asked_at: None };
        self.run = ring(&self.run, &Clocks::default(), hearing, at(self.now)).0;
        self.look();
    }

    /// As `decide` does; and once more, which must change nothing.
    fn look(&mut self) {
        let classifier = Classifier::shared();
        let mut looks = 0;
        while let Some(change) = of_run(&self.run, self.item.as_ref(), self.denied.as_ref(), &classifier) {
            looks += 1;
            assert!(looks < 2, "looking twice changes nothing: {change:?}");
            let now = at(self.now);
            self.item = Some(match (change, self.item.take()) {
                (Change::Trouble(trouble), None) => Item::open(ItemId::new("item_1").unwrap(), *trouble, now),
                (Change::Trouble(trouble), Some(item)) => item.joined(*trouble, now).unwrap(),
                (Change::Retried(attempt), Some(item)) => item.retried(attempt),
                (Change::Over { category, reason, by }, Some(item)) => {
                    item.over(category, &reason, by.as_deref().unwrap_or("tollgate"), now)
                }
                (change, None) => panic!("{change:?} without an item"),
            });
        }
    }

    fn item(&self) -> &Item {
        self.item.as_ref().unwrap()
    }

    fn codes(&self) -> Vec<&str> {
        self.item().open_reasons().map(|reason| reason.code.as_str()).collect()
    }
}

fn kim() -> Actor {
    Actor { key: None, name: "Kim".to_owned() }
}

#[test]
fn a_failure_its_retry_and_its_success() {
    let mut world = World::new();
    world.report(Some("price-lookup"), Report::StepStarted);
    assert_eq!(world.item, None);
    world.fail("price-lookup", "503", "provider outage", None);
    let item = world.item();
    assert_eq!((item.kind, item.class, item.state), (ItemKind::FailedRun, Class::Temporary, ItemState::Open));
    assert_eq!((item.suggestion(), item.place.attempt), (Suggestion::Retry, Some(1)));
    assert_eq!(item.place.step.as_ref().unwrap().as_str(), "price-lookup");
    world.retry();
    assert_eq!(world.item().state, ItemState::Retrying);
    world.report(None, Report::Started(Box::default()));
    world.report(Some("price-lookup"), Report::StepCompleted);
    assert_eq!(world.item().state, ItemState::Retrying);
    world.report(None, Report::Completed);
    assert_eq!(world.item().resolution.as_ref().unwrap().category, ResolutionCategory::Succeeded);
}

#[test]
fn the_same_step_failing_again_suggests_to_escalate() {
    let mut world = World::new();
    world.fail("price-lookup", "503", "provider outage", None);
    world.retry();
    world.fail("price-lookup", "timeout", "no answer", None);
    assert_eq!((world.item().suggestion(), world.item().same_step_failures), (Suggestion::Escalate, 2));
    assert_eq!((world.item().state, world.item().count), (ItemState::Open, 2));
    world.retry();
    world.fail("send", "timeout", "no answer", None);
    assert_eq!(world.item().suggestion(), Suggestion::Retry);
}

#[test]
fn a_cancelled_run_ends_its_item_by_who_did_it() {
    let mut world = World::new();
    world.fail("s", "E_ODD", "odd", None);
    assert_eq!(world.item().suggestion(), Suggestion::Inspect);
    world.run = cancel(&world.run, CancelCategory::WrongRecord, "RFQ-1 was meant", &kim(), at(9)).unwrap().0;
    world.look();
    let resolution = world.item().resolution.clone().unwrap();
    assert_eq!((resolution.category, resolution.by.as_str()), (ResolutionCategory::Cancelled, "Kim"));
    assert_eq!(resolution.reason, "RFQ-1 was meant");
}

#[test]
fn a_blocked_run_shows_the_gates_own_reasons() {
    let mut world = World::new();
    let reasons = vec![
        Reason::of(Code::BudgetExceeded, "0.42 USD asked, 0.10 USD left", "budget:daily"),
        Reason::of(Code::NotPermitted, "no", "policy:agents/rfq_draft.rego"),
    ];
    let place = Place { attempt: Some(1), ..Place::default() };
    let subject = Subject::Run(world.run.id.clone());
    let admission = AdmissionId::new("adm_1").unwrap();
    world.denied = Some(Denied::after(None, subject, place, reasons, admission, at(0), 300));
    let error = RunError { code: "budget_exceeded".to_owned(), message: "the gate said no".to_owned(), details: None };
    world.report(Some("price-lookup"), Report::Blocked(error));
    assert_eq!(world.codes(), ["budget_exceeded", "not_permitted"]);
    assert_eq!((world.item().kind, world.item().state), (ItemKind::BlockedAction, ItemState::WaitingOnSetup));
    // of another attempt it is not the reason
    world.retry();
    world.fail("price-lookup", "budget_exceeded", "the provider's quota", None);
    assert_eq!(world.codes(), ["budget_exceeded"]);
    assert_eq!(world.item().open_reasons().next().unwrap().remedy.target, None);
}

#[test]
fn the_checklist_of_an_error_names_what_its_details_name() {
    for (code, details, targets) in [
        ("missing_data", json!({"fields": ["/a", "/b"]}), vec![Some("field:/a"), Some("field:/b")]),
        ("malformed_input", json!({"field": "/a"}), vec![Some("field:/a")]),
        ("connector_unavailable", json!({"connector": "erp"}), vec![Some("connector:erp")]),
        ("budget_exceeded", json!({"budget": "daily"}), vec![Some("budget:daily")]),
        ("missing_data", json!({"fields": 7}), vec![None]),
        ("missing_data", json!("text"), vec![None]),
    ] {
        let mut world = World::new();
        world.fail("s", code, "m", Some(details));
        let seen: Vec<Option<&str>> =
            world.item().open_reasons().map(|reason| reason.remedy.target.as_deref()).collect();
        assert_eq!(seen, targets, "{code}");
        assert_eq!(world.item().state, ItemState::WaitingOnSetup);
    }
    let mut world = World::new();
    let many: Vec<String> = (0..1_000).map(|n| format!("/f{n}")).collect();
    world.fail("s", "missing_data", "m", Some(json!({"fields": many})));
    assert_eq!(world.item().checks.len(), 32);
}

#[test]
fn a_silent_run_is_stuck_until_it_shows_life() {
    let mut world = World::new();
    world.report(Some("s"), Report::StepStarted);
    world.pass(301);
    assert_eq!(world.item, None, "suspicious silence is a mark on the run, and no item");
    world.pass(600);
    assert_eq!(world.run.status(), AttemptState::Stalled);
    assert_eq!((world.item().kind, world.codes()), (ItemKind::StuckRun, vec!["silent"]));
    assert_eq!(world.item().suggestion(), Suggestion::Inspect);
    world.report(Some("s"), Report::Heartbeat);
    assert_eq!(world.item().resolution.as_ref().unwrap().category, ResolutionCategory::WentOn);
    world.pass(901);
    assert_eq!((world.item().state, world.item().came_back), (ItemState::Open, 1));
}

#[test]
fn a_cancellation_without_proof_suggests_to_end_it() {
    let mut world = World::new();
    world.run = cancel(&world.run, CancelCategory::Noise, "noise", &kim(), at(0)).unwrap().0;
    world.look();
    world.pass(121);
    assert_eq!((world.codes(), world.item().suggestion()), (vec!["cancel_not_confirmed"], Suggestion::Cancel));
    world.report(None, Report::Cancelled);
    assert_eq!(world.item().resolution.as_ref().unwrap().category, ResolutionCategory::Cancelled);
}

#[test]
fn what_an_operator_resolved_stays_so_until_another_attempt_fails() {
    let mut world = World::new();
    world.fail("s", "timeout", "m", None);
    let act = Act::Resolve { category: ResolutionCategory::Noise, reason: "r".to_owned() };
    world.item = Some(world.item().acted(&act, "Kim", at(5)).unwrap());
    world.look();
    assert_eq!(world.item().state, ItemState::Resolved);
    world.retry();
    assert_eq!(world.item().state, ItemState::Resolved);
    world.fail("s", "timeout", "m", None);
    assert_eq!((world.item().state, world.item().came_back), (ItemState::Open, 1));
}

#[test]
fn a_start_that_never_came() {
    let spec = ScheduleSpec {
        agent: "rfq-draft".parse().unwrap(),
        title: None,
        cron: "0 * * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        paused: false,
        grace_s: 60,
    };
    let schedule = Schedule::put("hourly".parse().unwrap(), spec, None, at(0)).unwrap();
    assert_eq!(of_schedule(&schedule, None), None);
    let missed = schedule.miss(at(4_000));
    let Some(Change::Trouble(trouble)) = of_schedule(&missed, None) else { panic!() };
    let item = Item::open(trouble.subject.item_id().unwrap(), *trouble, at(4_000));
    assert_eq!((item.kind, item.suggestion()), (ItemKind::MissedSchedule, Suggestion::Inspect));
    assert!(item.why().starts_with("Schedule hourly did not fire: a start of rfq-draft"), "{}", item.why());
    assert_eq!(of_schedule(&missed, Some(&item)), None, "known");
    assert!(matches!(of_schedule(&missed.miss(at(8_000)), Some(&item)), Some(Change::Trouble(_))));
    let fired = missed.fired(&"run-1".parse().unwrap(), at(8_000));
    assert!(matches!(
        of_schedule(&fired, Some(&item)),
        Some(Change::Over { category: ResolutionCategory::WentOn, .. })
    ));
}
