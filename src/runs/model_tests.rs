//! The machine against a tiny model: whatever is reported, asked and rung in whatever order.

use super::machine_tests::{at, error, event};
use super::*;
use crate::registry::Actor;
use crate::vocabulary::{CheckpointId, WorkerId};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Report { attempt: u32, lease: bool, report: u8 },
    Cancel,
    ForceStop,
    Retry,
    Claim,
    Wait(u16),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1u32..4, any::<bool>(), 0u8..13).prop_map(|(attempt, lease, report)| Act::Report { attempt, lease, report }),
        1 => Just(Act::Cancel),
        1 => Just(Act::ForceStop),
        3 => Just(Act::Retry),
        3 => Just(Act::Claim),
        2 => (0u16..2_000).prop_map(Act::Wait),
    ]
}

fn report(n: u8) -> Report {
    match n {
        0 => Report::Queued(Box::default()),
        1 => Report::Dispatched,
        2 => Report::Acknowledged,
        3 => Report::Started(Box::default()),
        4 => Report::Heartbeat,
        5 => Report::Blocked(error("budget_exceeded")),
        6 => Report::Completed,
        7 => Report::Failed(error("timeout")),
        8 => Report::Cancelled,
        9 => Report::StepStarted,
        10 => Report::StepCompleted,
        11 => Report::StepFailed(None),
        _ => Report::CheckpointSaved { id: CheckpointId::new("c").unwrap(), note: None, has_state: false },
    }
}

/// All that the model knows: how each attempt ended, the first time it did; how many events there are.
#[derive(Default)]
struct Model {
    ends: Vec<(u32, AttemptState)>,
    events: u64,
}

impl Model {
    /// What must hold whatever happens.
    fn check(&mut self, run: &Run) -> Result<(), TestCaseError> {
        for (number, state) in &self.ends {
            prop_assert_eq!(
                run.attempt(*number).map(|attempt| attempt.state),
                Some(*state),
                "a terminal state changed"
            );
        }
        for attempt in &run.attempts {
            prop_assert_eq!(attempt.is_alive(), attempt.ended_at.is_none());
            if !attempt.is_alive() && !self.ends.iter().any(|(number, _)| *number == attempt.number) {
                self.ends.push((attempt.number, attempt.state));
            }
        }
        let alive = run.attempts.iter().filter(|attempt| attempt.is_alive()).count();
        prop_assert!(alive <= 1, "{} attempts are alive", alive);
        prop_assert!(run.attempts.windows(2).all(|pair| pair[0].number + 1 == pair[1].number));
        prop_assert!(run.attempts.iter().rev().skip(1).all(|attempt| !attempt.is_alive()), "only the latest lives");
        prop_assert!(run.events >= self.events, "an event was lost");
        if let Some(cancel) = &run.cancel {
            prop_assert!(!(cancel.too_late && cancel.effective_at.is_some()));
            if !run.is_alive() {
                prop_assert!(cancel.too_late || cancel.effective_at.is_some(), "a cancellation has an outcome");
            }
        }
        self.events = run.events;
        let json = serde_json::to_string(run).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Run>(&json).unwrap(), run, "as it is stored");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens(claimed: bool, acts in prop::collection::vec(act(), 1..60)) {
        let dispatch = if claimed { Dispatch::Claim } else { Dispatch::External };
        let opening = Report::Queued(Box::new(Opening { dispatch, ..Opening::default() }));
        let mut run = take(None, &event(0, opening), at(0)).unwrap().run;
        let (mut model, mut now, clocks) = (Model::default(), 0, Clocks::default());
        let person = Actor { key: None, name: "Sarah".to_owned() };
        let worker = WorkerId::new("w").unwrap();
        for (n, act) in (1u64..).zip(acts) {
            now += 1;
            match act {
                Act::Report { attempt, lease, report: kind } => {
                    let held = run.latest().and_then(|attempt| attempt.lease.clone()).map(|lease| lease.sha256);
                    let lease = held.filter(|_| lease);
                    let reported = Reported { attempt: Some(attempt), lease: lease.clone(), ..event(n, report(kind)) };
                    let before = run.clone();
                    if let Ok(taken) = take(Some(&run), &reported, at(now)) {
                        run = taken.run;
                        prop_assert_eq!(taken.event.number, before.events + 1);
                        if !taken.event.standing.counts() {
                            prop_assert_eq!(&run.attempts, &before.attempts, "what does not count changed something");
                            prop_assert_eq!(&run.cancel, &before.cancel);
                        } else if claimed && kind != 0 {
                            prop_assert!(lease.is_some(), "an event without the lease counted");
                        }
                    } else {
                        prop_assert!(attempt > before.latest_number());
                    }
                }
                Act::Cancel => {
                    if let Some((after, _)) = cancel(&run, CancelCategory::Noise, "x", &person, at(now)) {
                        run = after;
                        prop_assert!(run.is_cancelled());
                    }
                }
                Act::ForceStop => match force_stop(&run, "x", &person, at(now)) {
                    Ok((after, _)) => {
                        run = after;
                        prop_assert!(!run.is_alive());
                    }
                    Err(_) => prop_assert!(!run.is_alive()),
                },
                Act::Retry => {
                    let seen = plan(&run, [], "set");
                    let asked = RetryAsked { plan_version: &seen.version, acknowledge: &[], overridden: true };
                    if check(&run, &seen, &asked).is_ok() {
                        prop_assert!(!run.is_cancelled() && !run.is_alive());
                        run = retry(&run, &seen, true, "x", &person, at(now)).0;
                        prop_assert_eq!(run.status(), AttemptState::Queued);
                    }
                }
                Act::Claim => {
                    let claimable = is_claimable(&run);
                    match claim(&run, &worker, &format!("token-{n}"), 60, at(now)) {
                        Some((after, _)) => run = after,
                        None => prop_assert!(!claimable),
                    }
                }
                Act::Wait(s) => {
                    now += i64::from(s);
                    run = ring(&run, &clocks, Hearing { since: at(0), asked_at: None }, at(now)).0;
                    let hearing = Hearing { since: at(0), asked_at: None };
                    prop_assert!(next_ring(&run, &clocks, hearing).is_none_or(|(next, _)| next > at(now)), "a clock was not heard");
                }
            }
            model.check(&run)?;
        }
    }
}
