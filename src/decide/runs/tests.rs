//! Runs as decided in a batch: what one command sees of the ones before it, and what recovery makes of it.

use super::*;
use crate::decide::{Answer, Command, Context, Envelope, Limits, Refusal, expire_due, run};
use crate::registry::Actor;
use crate::runs::*;
use crate::state::{Changes, Draft, Effect, State};
use crate::vocabulary::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

fn at(s: i64) -> Timestamp {
    "2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(s)
}

fn actor() -> Actor {
    Actor { key: None, name: "test".to_owned() }
}

fn event(id: &str, run: &str, report: Report) -> Reported {
    Reported {
        source: "test".to_owned(),
        id: id.to_owned(),
        time: None,
        run: RunId::new(run).unwrap(),
        agent: Some(AgentId::new("a").unwrap()),
        attempt: None,
        lease: None,
        worker: None,
        step: None,
        report,
        data: Value::Null,
        body: format!("{id} {run}"),
    }
}

fn error() -> RunError {
    RunError { code: "timeout".to_owned(), message: "slow".to_owned(), details: None }
}

fn queued(run: &str) -> Reported {
    let opening = Opening { dispatch: Dispatch::Claim, ..Opening::default() };
    event("queued", run, Report::Queued(Box::new(opening)))
}

fn claim(worker: &str) -> RunCommand {
    RunCommand::Claim(ClaimCommand {
        worker: WorkerId::new(worker).unwrap(),
        agents: vec![AgentId::new("a").unwrap()],
        sha256: format!("token of {worker}"),
        lease_s: 60,
    })
}

/// Decides a batch, checks that applying it twice or reading it back comes to the same, and applies it.
fn batch(state: &mut State, s: i64, commands: Vec<RunCommand>) -> Vec<Result<RunAnswer, Refusal>> {
    let limits = Limits { up_since: Some(at(-10_000)), ..Limits::default() };
    let mut draft = Draft::new(state);
    let context = |index| Context { now: at(s), writer: 1, seq: 1, index, limits: &limits };
    expire_due(&mut draft, &context(0), usize::MAX);
    let mut answers = Vec::new();
    for command in commands {
        let index = u32::try_from(draft.changes().entries.len()).unwrap();
        let envelope = Envelope { command: Command::Run(command), actor: actor() };
        answers.push(run(&mut draft, &envelope, &context(index)).map(|answer| match answer {
            Answer::Run(answer) => *answer,
            other => panic!("{other:?}"),
        }));
    }
    let changes = draft.into_changes();
    let stored = serde_json::to_string(&changes.entries).unwrap();
    let read = Changes { entries: serde_json::from_str(&stored).unwrap(), ..Changes::default() };
    state.apply(&read, at(s));
    let once = format!("{:?}", state.runs().run(&RunId::new("run-1").unwrap()));
    let before = state.runs().clone();
    state.apply(&changes, at(s));
    assert_eq!(format!("{:?}", state.runs().run(&RunId::new("run-1").unwrap())), once);
    assert_eq!(*state.runs(), before, "applying twice changes nothing");
    let snapshot = serde_json::to_string(&state.as_effects().collect::<Vec<_>>()).unwrap();
    let mut restored = State::default();
    restored.restore(&serde_json::from_str::<Vec<Effect>>(&snapshot).unwrap(), 1);
    restored.apply(&Changes::default(), at(s));
    assert_eq!(*restored.runs(), before, "as a checkpoint has it");
    answers
}

fn claimed(answer: &Result<RunAnswer, Refusal>) -> Option<&str> {
    match answer {
        Ok(RunAnswer::Claimed(run)) => run.as_ref().map(|run| run.id.as_str()),
        other => panic!("{other:?}"),
    }
}

fn outcomes(answer: &Result<RunAnswer, Refusal>) -> &[Reporting] {
    match answer {
        Ok(RunAnswer::Reported(outcomes)) => outcomes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_sees_its_own_runs_repeats_and_claims() {
    let mut state = State::default();
    let twice = event("1", "run-1", Report::Heartbeat);
    let other = Reported { body: "another".to_owned(), ..twice.clone() };
    let answers = batch(
        &mut state,
        0,
        vec![
            RunCommand::Report(vec![queued("run-1"), queued("run-2"), twice.clone(), twice.clone()]),
            RunCommand::Report(vec![twice.clone(), other.clone()]),
            claim("w1"),
            claim("w1"),
            claim("w2"),
            claim("w3"),
        ],
    );
    let first = outcomes(&answers[0]);
    assert!(matches!(first[2], Reporting::Taken { standing: Standing::Fenced, .. }), "nobody holds it");
    assert!(matches!(first[3], Reporting::Repeated { number: 2, .. }));
    assert!(matches!(outcomes(&answers[1]), [Reporting::Repeated { .. }, Reporting::Conflict]));
    let handed: Vec<_> = answers[2..].iter().map(claimed).collect();
    assert_eq!(handed, [Some("run-1"), None, Some("run-2"), None], "one each, and no more than a worker takes");
    let later = batch(&mut state, 1, vec![RunCommand::Report(vec![twice, other]), claim("w3")]);
    assert!(matches!(outcomes(&later[0]), [Reporting::Repeated { .. }, Reporting::Conflict]));
    assert_eq!((claimed(&later[1]), state.runs().held_by(&WorkerId::new("w1").unwrap())), (None, 1));
}

#[test]
fn a_lease_that_ends_is_journalled_before_anything_else_of_its_batch() {
    let mut state = State::default();
    batch(&mut state, 0, vec![RunCommand::Report(vec![queued("run-1")]), claim("w1")]);
    assert_eq!(state.next_due(), Some(at(60)));
    assert_eq!(claimed(&batch(&mut state, 59, vec![claim("w2")])[0]), None);
    assert_eq!(claimed(&batch(&mut state, 60, vec![claim("w2")])[0]), Some("run-1"), "in the batch that queued it");
    assert_eq!(state.runs().held_by(&WorkerId::new("w1").unwrap()), 0);
}

#[test]
fn workers_and_schedules_are_seen_without_a_record_each_time() {
    let mut state = State::default();
    batch(&mut state, 0, vec![claim("w")]);
    let worker = || WorkerId::new("w").unwrap();
    for (s, seen) in [(10, 0), (29, 0), (30, 30), (31, 30)] {
        batch(&mut state, s, vec![claim("w")]);
        assert_eq!(state.runs().worker(&worker()).unwrap().last_seen, at(seen), "at {s}");
    }
    let spec = ScheduleSpec {
        agent: AgentId::new("a").unwrap(),
        title: None,
        cron: "0 * * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        paused: false,
        grace_s: 60,
    };
    let id = ScheduleId::new("hourly").unwrap();
    batch(&mut state, 0, vec![RunCommand::PutSchedule(id.clone(), spec)]);
    assert_eq!(state.next_due(), Some(at(3_660)));
    let opening = Opening { schedule: Some(id.clone()), ..Opening::default() };
    let start = event("1", "run-1", Report::Started(Box::new(opening)));
    batch(&mut state, 3_600, vec![RunCommand::Report(vec![start])]);
    assert_eq!(state.runs().schedule(&id).unwrap().next_due, Some(at(7_200)));
    batch(&mut state, 7_260, vec![]);
    assert_eq!(state.runs().schedule(&id).unwrap().missed.as_ref().map(|missed| missed.count), Some(1));
}

#[test]
fn what_is_over_for_good_is_let_go_of_after_a_day() {
    let mut state = State::default();
    let done = event("2", "run-1", Report::Completed);
    batch(&mut state, 0, vec![RunCommand::Report(vec![event("1", "run-1", Report::Heartbeat), done.clone()])]);
    let again =
        |state: &mut State, s| outcomes(&batch(state, s, vec![RunCommand::Report(vec![done.clone()])])[0])[0].clone();
    assert!(matches!(again(&mut state, 86_399), Reporting::Repeated { .. }));
    batch(&mut state, 86_400, vec![RunCommand::Report(vec![event("1", "run-2", Report::Heartbeat)])]);
    let late = again(&mut state, 86_401);
    assert!(matches!(late, Reporting::Taken { standing: Standing::AfterEnd, .. }), "kept as late, without effect");
    assert_eq!(state.runs().run(&RunId::new("run-1").unwrap()).unwrap().status(), AttemptState::Completed);
}

#[test]
fn the_last_number_of_all_is_not_followed() {
    let mut state = State::default();
    let last = Reported { attempt: Some(u32::MAX), ..event("1", "run-1", Report::Failed(error())) };
    batch(&mut state, 0, vec![RunCommand::Report(vec![last])]);
    let run = state.runs().run(&RunId::new("run-1").unwrap()).unwrap().clone();
    assert_eq!(plan(&run, [], "set").attempt, u32::MAX);
    assert_eq!(retriable(&run), Err(RetryRefusal::TooManyAttempts));
    let next = Reported { attempt: Some(1), ..event("2", "run-1", Report::Heartbeat) };
    let late = batch(&mut state, 1, vec![RunCommand::Report(vec![next])]);
    assert!(matches!(outcomes(&late[0]), [Reporting::Taken { standing: Standing::OldAttempt, .. }]));
}

#[test]
fn a_thousand_clocks_at_once_ring_over_several_batches() {
    let mut state = State::default();
    let starts = (0..700).map(|n| event("1", &format!("run-{n}"), Report::Heartbeat)).collect();
    batch(&mut state, 0, vec![RunCommand::Report(starts)]);
    let mut rang = 0;
    for _ in 0..3 {
        let limits = Limits { up_since: Some(at(-10_000)), ..Limits::default() };
        let mut draft = Draft::new(&state);
        expire_due(&mut draft, &Context { now: at(301), writer: 1, seq: 1, index: 0, limits: &limits }, 256);
        let changes = draft.into_changes();
        let before = rang;
        rang += changes
            .entries
            .iter()
            .flat_map(|entry| &entry.effects)
            .filter(|effect| matches!(effect, Effect::RunEvent(_)))
            .count();
        assert!(rang - before <= 256, "no more in one record");
        state.apply(&changes, at(301));
    }
    assert_eq!(rang, 700);
    assert!(state.next_due() > Some(at(301)));
}
