//! What each report, request and clock does to a run, as tables.

use super::*;
use crate::budget::{Hold, HoldRun, HoldState};
use crate::registry::Actor;
use crate::vocabulary::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub(super) fn at(s: i64) -> Timestamp {
    "2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(s)
}

pub(super) fn error(code: &str) -> RunError {
    RunError { code: code.to_owned(), message: "in words".to_owned(), details: None }
}

pub(super) fn event(n: u64, report: Report) -> Reported {
    Reported {
        source: "test".to_owned(),
        id: n.to_string(),
        time: None,
        run: RunId::new("run-1").unwrap(),
        agent: Some(AgentId::new("a").unwrap()),
        attempt: None,
        lease: None,
        worker: None,
        step: Some(StepName::new("s").unwrap()),
        report,
        data: Value::Null,
        body: n.to_string(),
    }
}

fn claimed_opening() -> Report {
    Report::Queued(Box::new(Opening { dispatch: Dispatch::Claim, ..Opening::default() }))
}

/// A run to which these were reported, a second apart.
fn told(reports: &[Report]) -> Run {
    let mut run: Option<Run> = None;
    for (n, report) in (0..).zip(reports) {
        let s = i64::try_from(n).unwrap();
        run = Some(take(run.as_ref(), &event(n, report.clone()), at(s)).unwrap().run);
    }
    run.unwrap()
}

fn started() -> Report {
    Report::Started(Box::default())
}

fn person() -> Actor {
    Actor { key: None, name: "Sarah".to_owned() }
}

fn hearing() -> Hearing {
    Hearing { since: at(-1_000), asked_at: None }
}

#[test]
fn what_each_report_does() {
    use AttemptState as S;
    let (q, d, a, s) = (Report::Queued(Box::default()), Report::Dispatched, Report::Acknowledged, started());
    let heart = Report::Heartbeat;
    for (reports, state) in [
        (vec![q.clone()], S::Queued),
        (vec![d.clone()], S::Dispatched),
        (vec![q.clone(), d.clone(), a.clone()], S::Dispatched),
        (vec![a.clone(), d.clone()], S::Dispatched),
        (vec![q.clone(), s.clone()], S::Running),
        (vec![s.clone(), q.clone(), d.clone(), a.clone()], S::Running),
        (vec![heart.clone()], S::Running),
        (vec![q.clone(), Report::StepStarted], S::Running),
        (vec![s.clone(), Report::StepFailed(None)], S::Running),
        (vec![s.clone(), Report::Completed], S::Completed),
        (vec![Report::Completed], S::Completed),
        (vec![s.clone(), Report::Failed(error("timeout"))], S::Failed),
        (vec![s.clone(), Report::Blocked(error("budget_exceeded"))], S::Blocked),
        (vec![q.clone(), Report::Cancelled], S::Cancelled),
        (vec![s.clone(), Report::Completed, Report::Failed(error("x")), heart.clone()], S::Completed),
        (vec![Report::Failed(error("x")), Report::Completed, s.clone()], S::Failed),
    ] {
        assert_eq!(told(&reports).status(), state, "{reports:?}");
    }
}

#[test]
fn steps_errors_and_what_is_kept() {
    let run = told(&[started(), Report::StepStarted, Report::StepCompleted, Report::StepStarted]);
    let latest = run.latest().unwrap();
    assert_eq!(latest.last_good_step, latest.current_step);
    let run = told(&[started(), Report::StepStarted, Report::Failed(error("timeout"))]);
    assert_eq!(run.failing_step().map(|(step, times)| (step.as_str(), times)), Some(("s", 1)));
    assert_eq!(run.latest().unwrap().error, Some(error("timeout")));
    let saved = Report::CheckpointSaved { id: CheckpointId::new("c").unwrap(), note: None, has_state: false };
    let run = told(&vec![saved; CHECKPOINTS_KEPT + 5]);
    assert_eq!((run.checkpoints.len(), run.checkpoints[0].event), (CHECKPOINTS_KEPT, 6));
}

#[test]
fn whose_and_which_attempt() {
    let run = told(&[started()]);
    let other = Reported { agent: Some(AgentId::new("b").unwrap()), ..event(1, Report::Heartbeat) };
    assert_eq!(take(Some(&run), &other, at(1)), Err(EventRefusal::OtherAgent));
    let unsaid = Reported { agent: None, ..event(1, Report::Heartbeat) };
    assert_eq!(take(None, &unsaid, at(1)), Err(EventRefusal::AgentNeeded));
    assert!(take(Some(&run), &unsaid, at(1)).is_ok());
    let number = |run: &Run, n| take(Some(run), &Reported { attempt: Some(n), ..event(9, started()) }, at(9));
    assert!(number(&run, 2).is_err(), "the first is not over");
    let over = told(&[started(), Report::Failed(error("timeout"))]);
    assert!(number(&over, 3).is_err(), "not the next");
    let next = number(&over, 2).unwrap().run;
    assert_eq!((next.status(), next.latest_number()), (AttemptState::Running, 2));
    let late = take(Some(&next), &Reported { attempt: Some(1), ..event(10, Report::Completed) }, at(10)).unwrap();
    assert_eq!(late.event.standing, Standing::OldAttempt);
    assert_eq!(late.run.attempts, next.attempts, "an old attempt's events change nothing");
    let claimed = told(&[claimed_opening(), Report::Heartbeat]);
    assert!(number(&claimed, 2).is_err(), "only a retry makes an attempt of what is claimed");
}

#[test]
fn late_events_are_kept_and_shown_as_such() {
    let mut first = event(0, started());
    first.time = Some(at(10));
    let run = take(None, &first, at(20)).unwrap().run;
    let mut earlier = event(1, Report::StepStarted);
    earlier.time = Some(at(5));
    let taken = take(Some(&run), &earlier, at(21)).unwrap();
    assert_eq!(taken.event.standing, Standing::OutOfOrder);
    assert_eq!(taken.run.latest().unwrap().current_step, None);
    let over = told(&[started(), Report::Completed]);
    let taken = take(Some(&over), &event(9, Report::Failed(error("x"))), at(30)).unwrap();
    assert_eq!((taken.event.standing, taken.event.number), (Standing::AfterEnd, 3));
    assert_eq!(taken.run.attempts, over.attempts);
}

#[test]
fn a_cancellation_is_a_request_then_proof() {
    let ask = |run: &Run, s| cancel(run, CancelCategory::Noise, "twice", &person(), at(s)).map(|(run, _)| run);
    let running = ask(&told(&[started()]), 5).unwrap();
    assert_eq!((running.status(), running.is_cancelled()), (AttemptState::Cancelling, true));
    assert_eq!(ask(&running, 6), None, "asked already");
    let alive = take(Some(&running), &event(7, Report::Heartbeat), at(7)).unwrap().run;
    assert_eq!(alive.status(), AttemptState::Cancelling, "a sign of life is no proof");
    for (report, status, too_late) in [
        (Report::Cancelled, AttemptState::Cancelled, false),
        (Report::Completed, AttemptState::Completed, true),
        (Report::Failed(error("x")), AttemptState::Cancelled, false),
    ] {
        let over = take(Some(&running), &event(8, report.clone()), at(8)).unwrap().run;
        let cancel = over.cancel.clone().unwrap();
        assert_eq!((over.status(), cancel.too_late), (status, too_late), "{report:?}");
        assert_eq!(cancel.effective_at.is_some(), !too_late);
    }
    for over in [
        told(&[claimed_opening()]),
        told(&[started(), Report::Failed(error("x"))]),
        told(&[started(), Report::Completed]),
    ] {
        let cancelled = ask(&over, 5).unwrap();
        assert_eq!((cancelled.status(), cancelled.is_alive()), (AttemptState::Cancelled, false), "at once");
    }
    assert_eq!(ask(&told(&[Report::Queued(Box::default())]), 5).unwrap().status(), AttemptState::Cancelling);
}

#[test]
fn a_force_stop_ends_what_does_not_answer() {
    let stop = |run: &Run| force_stop(run, "dead", &person(), at(60)).map(|(run, _)| run);
    let failed = stop(&told(&[started()])).unwrap();
    assert_eq!(failed.status(), AttemptState::Failed);
    assert_eq!(failed.latest().unwrap().error.as_ref().unwrap().code, FORCE_STOPPED);
    let (asked, _) = cancel(&told(&[started()]), CancelCategory::Noise, "x", &person(), at(5)).unwrap();
    let cancelled = stop(&asked).unwrap();
    assert_eq!(
        (cancelled.status(), cancelled.latest().unwrap().forced_by.clone()),
        (AttemptState::Cancelled, Some(person()))
    );
    assert_eq!(stop(&cancelled), Err(StopRefusal::NotAlive));
}

#[test]
fn one_worker_holds_an_attempt_and_its_lease_fences() {
    let queued = told(&[claimed_opening()]);
    let worker = WorkerId::new("w").unwrap();
    let (held, event_of) = claim(&queued, &worker, "hash", 60, at(1)).unwrap();
    assert_eq!((held.status(), event_of.kind), (AttemptState::Dispatched, EventType::Dispatched));
    assert_eq!(claim(&held, &worker, "hash", 60, at(2)), None, "held");
    let with = |lease: Option<&str>| Reported { lease: lease.map(str::to_owned), ..event(5, Report::Acknowledged) };
    for (lease, standing) in
        [(None, Standing::Fenced), (Some("other"), Standing::Fenced), (Some("hash"), Standing::Counted)]
    {
        let taken = take(Some(&held), &with(lease), at(30)).unwrap();
        assert_eq!(taken.event.standing, standing, "{lease:?}");
        let renewed = taken.run.latest().unwrap().lease.as_ref().unwrap().expires_at;
        assert_eq!(renewed, at(if lease == Some("hash") { 90 } else { 61 }));
    }
    let early = take(Some(&queued), &with(None), at(1)).unwrap();
    assert_eq!(early.event.standing, Standing::Fenced, "nobody holds it yet");

    let (again, events) = ring(&held, &Clocks::default(), hearing(), at(61));
    assert_eq!((again.status(), again.latest().unwrap().requeued, events.len()), (AttemptState::Queued, 1, 1));
    assert!(is_claimable(&again));
    let old = take(Some(&again), &with(Some("hash")), at(62)).unwrap();
    assert_eq!(old.event.standing, Standing::Fenced, "who lost it has lost it");

    let acknowledged = take(Some(&held), &with(Some("hash")), at(30)).unwrap().run;
    let (stalled, _) = ring(&acknowledged, &Clocks::default(), hearing(), at(90));
    assert_eq!(stalled.status(), AttemptState::Stalled);
    assert!(!is_claimable(&stalled), "never dispatched again by itself");
    let back = take(Some(&stalled), &with(Some("hash")), at(100)).unwrap().run;
    assert_eq!((back.status(), back.latest().unwrap().alarms.len()), (AttemptState::Running, 0));
}

#[test]
fn the_clocks_ring_once_each_and_life_quiets_them() {
    use ClockKind as C;
    let clocks = Clocks::default();
    let cancelling = cancel(&told(&[started()]), CancelCategory::Noise, "x", &person(), at(10)).unwrap().0;
    for (run, rings) in [
        (told(&[Report::Queued(Box::default())]), vec![(120, C::NotPickedUp)]),
        (told(&[Report::Dispatched]), vec![(120, C::NotAcknowledged)]),
        (told(&[Report::Acknowledged]), vec![(120, C::NoFirstEvent), (900, C::SilentCritical)]),
        (told(&[started()]), vec![(300, C::Silent), (900, C::SilentCritical)]),
        (cancelling, vec![(130, C::CancelNotConfirmed)]),
        (told(&[started(), Report::Completed]), vec![]),
    ] {
        let mut heard = run.clone();
        for (s, clock) in &rings {
            assert_eq!(next_ring(&heard, &clocks, hearing()), Some((at(*s), *clock)));
            assert_eq!(ring(&heard, &clocks, hearing(), at(s - 1)).1, vec![], "not before {s}");
            let (after, events) = ring(&heard, &clocks, hearing(), at(*s));
            assert_eq!(events.len(), 1);
            assert_eq!(ring(&after, &clocks, hearing(), at(*s)).1, vec![], "once");
            heard = after;
        }
        assert_eq!(next_ring(&heard, &clocks, hearing()), None, "{rings:?}");
    }
    let mut talking = told(&[started()]);
    for n in 1..=72 {
        talking = take(Some(&talking), &event(n, Report::Heartbeat), at(i64::try_from(n).unwrap() * 200)).unwrap().run;
    }
    let (after, _) = ring(&talking, &clocks, hearing(), at(14_400));
    assert_eq!(after.latest().unwrap().alarms.iter().map(|a| a.clock).collect::<Vec<_>>(), [C::TooLong]);
    assert_eq!(after.status(), AttemptState::Running);
}

#[test]
fn silence_does_not_count_while_tollgate_could_not_hear() {
    let run = told(&[started()]);
    let clocks = Clocks::default();
    let back = Hearing { since: at(50_000), asked_at: None };
    assert_eq!(next_ring(&run, &clocks, back), Some((at(50_300), ClockKind::Silent)));
    let asking = Hearing { since: at(0), asked_at: Some(at(250)) };
    assert_eq!(next_ring(&run, &clocks, asking), Some((at(550), ClockKind::Silent)));
}

fn hold(id: &str, state: HoldState, s: i64) -> Hold {
    Hold {
        id: HoldId::new(id).unwrap(),
        admission: AdmissionId::new("adm_1").unwrap(),
        agent: AgentId::new("a").unwrap(),
        state,
        placed_at: at(s),
        expires_at: at(s + 600),
        lines: Vec::new(),
        settlement: None,
        release: None,
        run: Some(HoldRun {
            id: RunId::new("run-1").unwrap(),
            attempt: 1,
            step: None,
            action: ActionName::new("send").unwrap(),
        }),
    }
}

fn asked<'a>(plan_version: &'a str, acknowledge: &'a [String]) -> RetryAsked<'a> {
    RetryAsked { plan_version, acknowledge, overridden: false }
}

#[test]
fn a_retry_is_preview_then_commit() {
    let failed = told(&[started(), Report::StepStarted, Report::Failed(error("timeout"))]);
    let holds = [hold("hold_1", HoldState::Settled, 1), hold("hold_2", HoldState::Released, 1)];
    let seen = plan(&failed, &holds, "set-1");
    assert_eq!((seen.attempt, seen.side_effects.len(), seen.same_step_failures), (2, 1, 1));
    let all = vec!["hold_1".to_owned()];
    assert_eq!(check(&failed, &seen, &asked(&seen.version, &all)), Ok(()));
    let none = RetryAsked { acknowledge: &[], ..asked(&seen.version, &all) };
    assert_eq!(check(&failed, &seen, &none), Err(RetryRefusal::NotAcknowledged(all.clone())));
    for other in [
        plan(&failed, &holds, "set-2"),
        plan(&failed, &[hold("hold_1", HoldState::Settled, 1), hold("hold_3", HoldState::Pending, 2)], "set-1"),
        plan(
            &Run {
                supplied: Some(Supplied { data: serde_json::Map::new(), at: at(9), by: person() }),
                ..failed.clone()
            },
            &holds,
            "set-1",
        ),
    ] {
        assert_eq!(check(&failed, &other, &asked(&seen.version, &all)), Err(RetryRefusal::PlanChanged));
    }
    let (retried, event_of) = retry(&failed, &seen, false, "again", &person(), at(60));
    assert_eq!((retried.latest_number(), retried.status(), event_of.attempt), (2, AttemptState::Queued, 2));
    assert_eq!(retried.attempts[0], failed.attempts[0], "nothing is overwritten");
    let now = plan(&retried, &holds, "set-1");
    assert_eq!(check(&retried, &now, &asked(&seen.version, &all)), Err(RetryRefusal::AlreadyRetried(2)));
    let living = RetryRefusal::NotStopped { attempt: 2, state: AttemptState::Queued };
    assert_eq!(check(&retried, &now, &asked(&now.version, &all)), Err(living));

    let twice = [event(20, Report::StepStarted), event(21, Report::Failed(error("timeout")))];
    let again = twice.iter().fold(retried, |run, event| take(Some(&run), event, at(70)).unwrap().run);
    let seen = plan(&again, &holds, "set-1");
    let refusal = check(&again, &seen, &asked(&seen.version, &all)).unwrap_err();
    assert_eq!(refusal.code(), "same_step_failed");
    assert_eq!(check(&again, &seen, &RetryAsked { overridden: true, ..asked(&seen.version, &all) }), Ok(()));

    for (run, code) in [
        (told(&[started(), Report::Completed]), "completed"),
        (told(&[started()]), "not_stopped"),
        (cancel(&failed, CancelCategory::Noise, "x", &person(), at(9)).unwrap().0, "run_cancelled"),
    ] {
        let seen = plan(&run, [], "set-1");
        assert_eq!(check(&run, &seen, &asked(&seen.version, &all)).unwrap_err().code(), code);
    }
}

#[test]
fn a_checkpoint_leaves_what_came_before_it_behind() {
    let saved = Report::CheckpointSaved { id: CheckpointId::new("c").unwrap(), note: None, has_state: true };
    let run = told(&[started(), saved, Report::Failed(error("timeout"))]);
    let holds = [hold("hold_1", HoldState::Settled, 0), hold("hold_2", HoldState::Expired, 2)];
    let seen = plan(&run, &holds, "set");
    let ids: Vec<_> = seen.side_effects.iter().map(|effect| effect.id.as_str()).collect();
    assert_eq!((ids, seen.from_checkpoint.map(|c| c.event)), (vec!["hold_2"], Some(2)));
}

#[test]
fn why_nobody_picked_it_up() {
    let queued = told(&[claimed_opening()]);
    let worker = |agent: &str, seen| Worker {
        id: WorkerId::new("w").unwrap(),
        agents: vec![AgentId::new(agent).unwrap()],
        capacity: 2,
        version: None,
        first_seen: at(0),
        last_seen: at(seen),
    };
    for (workers, kind) in [
        (vec![], "no_worker_ever"),
        (vec![(worker("b", 1_000), 0)], "no_worker_ever"),
        (vec![(worker("a", 100), 0)], "workers_gone"),
        (vec![(worker("a", 1_000), 2), (worker("a", 100), 0)], "all_busy"),
        (vec![(worker("a", 1_000), 1)], "worker_free"),
    ] {
        let why = not_picked_up(&queued, None, workers.iter().map(|(worker, held)| (worker, *held)), 120, at(1_000));
        assert_eq!(serde_json::to_value(&why).unwrap()["kind"], kind);
        assert!(why.sentence().ends_with('.'));
    }
    let external = told(&[Report::Queued(Box::default())]);
    assert_eq!(not_picked_up(&external, None, [], 120, at(0)), NotPickedUp::ExternalRuntime);
}

#[test]
fn a_schedule_is_due_fires_and_is_missed() {
    let spec = ScheduleSpec {
        agent: AgentId::new("a").unwrap(),
        title: None,
        cron: "0 * * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        paused: false,
        grace_s: 600,
    };
    let id = ScheduleId::new("hourly").unwrap();
    let schedule = Schedule::put(id.clone(), spec.clone(), None, at(60)).unwrap();
    assert_eq!((schedule.next_due, schedule.missed_at(at(0))), (Some(at(3_600)), Some(at(4_200))));
    assert_eq!(
        schedule.missed_at(at(9_000)),
        Some(at(9_600)),
        "what was due while nobody could hear is waited for anew"
    );
    let run = RunId::new("run-1").unwrap();
    for (fired_at, next) in [(3_605, 7_200), (3_590, 7_200), (1_000, 3_600)] {
        assert_eq!(schedule.fired(&run, at(fired_at)).next_due, Some(at(next)), "fired at {fired_at}");
    }
    let missed = schedule.miss(at(4_200)).miss(at(7_800));
    let what = missed.missed.clone().unwrap();
    assert_eq!((what.count, what.due, what.latest, missed.next_due), (2, at(3_600), at(7_200), Some(at(10_800))));
    assert_eq!(missed.fired(&run, at(10_801)).missed, None);
    let paused =
        Schedule::put(id.clone(), ScheduleSpec { paused: true, ..spec.clone() }, Some(&missed), at(8_000)).unwrap();
    assert_eq!((paused.next_due, paused.missed), (None, None));
    for (cron, zone) in [("every day", "UTC"), ("0 * * * *", "Mars/Olympus")] {
        let spec = ScheduleSpec { cron: cron.to_owned(), time_zone: zone.to_owned(), ..spec.clone() };
        assert!(Schedule::put(id.clone(), spec, None, at(0)).is_err());
    }
}
