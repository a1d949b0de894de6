//! One reported event taken: `(run, event, now)` → the run and the event as they stand then, or why not. Read [`take`].

use super::attempt::{Attempt, AttemptState, Cause};
use super::clocks::ClockKind;
use super::event::{EventType, Opening, Report, Reported, RunEvent, Standing};
use super::parts::{Artifact, Checkpoint, InputRef, RunError};
use super::run::{ARTIFACTS_KEPT, CHECKPOINTS_KEPT, Dispatch, MOST_ATTEMPTS, Run};
use crate::vocabulary::{AgentId, RunId, StepName};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The source of Tollgate's own events.
pub const OWN_SOURCE: &str = "tollgate";

/// Why an event is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventRefusal {
    /// Another agent's run.
    #[error("this run belongs to another agent")]
    OtherAgent,
    /// Nobody said whose run it is.
    #[error("the first event of a run must say whose it is: data.agent is missing")]
    AgentNeeded,
    /// As many runs are open as may be.
    #[error("{0}")]
    TooManyRuns(String),
    /// No attempt of that number, and none can begin.
    #[error("there is no attempt {attempt} of this run: the latest is {latest}, and {why}")]
    NoSuchAttempt {
        /// The number.
        attempt: u32,
        /// The latest there is.
        latest: u32,
        /// Why none begins by being reported.
        why: &'static str,
    },
}

/// What an event led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The run as it stands now.
    pub run: Run,
    /// The event as it is recorded.
    pub event: RunEvent,
}

/// Takes one event. What is late, or from who no longer has the run, is kept and changes nothing.
pub fn take(known: Option<&Run>, reported: &Reported, now: Timestamp) -> Result<Taken, EventRefusal> {
    let mut run = match known {
        Some(run) if reported.agent.as_ref().is_some_and(|agent| *agent != run.agent) => {
            return Err(EventRefusal::OtherAgent);
        }
        Some(run) => run.clone(),
        None => first_heard_of(reported, now)?,
    };
    let number = reported.attempt.unwrap_or_else(|| run.latest_number());
    begin_if_next(&mut run, number, now)?;
    let standing = standing(&run, reported, number);
    let event = record(&mut run, reported, number, standing, now);
    if standing.counts() {
        sign_of_life(&mut run, reported, now);
        count(&mut run, reported, &event, now);
        settle_cancel(&mut run, now);
    }
    run.updated_at = now;
    Ok(Taken { run, event })
}

/// A run that Tollgate first hears of by an admission.
pub fn first_admitted(id: RunId, agent: AgentId, attempt: u32, now: Timestamp) -> Run {
    let mut run = empty(id, agent, attempt, Dispatch::External, now);
    if let Some(attempt) = run.latest_mut() {
        run_on(attempt, now);
    }
    run
}

/// Begins the next attempt of a run that is dispatched elsewhere and whose last one is over; `None` where it cannot.
pub fn next_admitted(run: &Run, number: u32, now: Timestamp) -> Option<Run> {
    let mut run = run.clone();
    begin_if_next(&mut run, number, now).ok()?;
    run_on(run.latest_mut()?, now);
    run.updated_at = now;
    Some(run)
}

/// Whether who shows this token (its SHA-256) has the attempt. What workers claim needs the token of its lease.
pub fn holds_attempt(run: &Run, attempt: &Attempt, lease: Option<&str>) -> bool {
    match (&attempt.lease, run.dispatch) {
        (Some(_), _) => attempt.admits_lease(lease),
        (None, Dispatch::Claim) => false,
        (None, Dispatch::External) => true,
    }
}

/// An event of Tollgate's own: the next of the run's.
pub fn own_event(run: &mut Run, kind: EventType, data: Value, now: Timestamp) -> RunEvent {
    run.events += 1;
    run.updated_at = now;
    RunEvent {
        run: run.id.clone(),
        number: run.events,
        kind,
        source: OWN_SOURCE.to_owned(),
        id: run.events.to_string(),
        attempt: run.latest_number(),
        step: None,
        time: None,
        taken_at: now,
        standing: Standing::Counted,
        data,
        body: String::new(),
    }
}

fn empty(id: RunId, agent: AgentId, attempt: u32, dispatch: Dispatch, now: Timestamp) -> Run {
    Run {
        id,
        agent,
        title: None,
        entity: None,
        schedule: None,
        dispatch,
        input: None,
        supplied: None,
        attempts: vec![Attempt::new(attempt, Cause::First, now)],
        checkpoints: Vec::new(),
        artifacts: Vec::new(),
        events: 0,
        cancel: None,
        created_at: now,
        updated_at: now,
        due_at: None,
    }
}

fn first_heard_of(reported: &Reported, now: Timestamp) -> Result<Run, EventRefusal> {
    let agent = reported.agent.clone().ok_or(EventRefusal::AgentNeeded)?;
    let dispatch = match &reported.report {
        Report::Queued(opening) => opening.dispatch,
        _ => Dispatch::External,
    };
    Ok(empty(reported.run.clone(), agent, reported.attempt.unwrap_or(1), dispatch, now))
}

/// Only a retry makes an attempt, except that what is dispatched elsewhere may go on by itself: then the next number
/// begins by being heard of, once the last attempt is over or silent.
fn begin_if_next(run: &mut Run, number: u32, now: Timestamp) -> Result<(), EventRefusal> {
    let latest = run.latest_number();
    if number <= latest {
        return Ok(());
    }
    let refusal = |why| Err(EventRefusal::NoSuchAttempt { attempt: number, latest, why });
    if run.dispatch == Dispatch::Claim {
        return refusal("only a retry makes another");
    }
    if latest.checked_add(1) != Some(number) {
        return refusal("the next would follow on it");
    }
    if run.is_cancelled() {
        return refusal("the run was cancelled");
    }
    if run.attempts.len() >= MOST_ATTEMPTS {
        return refusal("there are too many");
    }
    match run.latest_mut() {
        Some(last) if last.state == AttemptState::Stalled => {
            last.error.get_or_insert_with(|| RunError {
                code: "superseded".to_owned(),
                message: "It was silent, and its runtime began another attempt.".to_owned(),
                details: None,
            });
            last.end(AttemptState::Failed, now);
        }
        Some(last) if last.is_alive() => return refusal("it is not over"),
        _ => {}
    }
    run.attempts.push(Attempt::new(number, Cause::Reported, now));
    Ok(())
}

fn standing(run: &Run, reported: &Reported, number: u32) -> Standing {
    let latest = match run.latest() {
        Some(latest) if latest.number == number => latest,
        _ => return Standing::OldAttempt,
    };
    let opens = matches!(reported.report, Report::Queued(_)) && latest.state == AttemptState::Queued;
    if !latest.is_alive() {
        Standing::AfterEnd
    } else if !opens && !holds_attempt(run, latest, reported.lease.as_deref()) {
        Standing::Fenced
    } else if reported.time.zip(latest.last_time).is_some_and(|(said, last)| said < last) {
        Standing::OutOfOrder
    } else {
        Standing::Counted
    }
}

fn record(run: &mut Run, reported: &Reported, attempt: u32, standing: Standing, now: Timestamp) -> RunEvent {
    run.events += 1;
    RunEvent {
        run: run.id.clone(),
        number: run.events,
        kind: reported.report.kind(),
        source: reported.source.clone(),
        id: reported.id.clone(),
        attempt,
        step: reported.step.clone(),
        time: reported.time,
        taken_at: now,
        standing,
        data: reported.data.clone(),
        body: reported.body.clone(),
    }
}

/// Whatever counts quiets the clocks of silence and renews the lease.
fn sign_of_life(run: &mut Run, reported: &Reported, now: Timestamp) {
    let Some(attempt) = run.latest_mut() else { return };
    attempt.last_seen = now;
    attempt.last_time = attempt.last_time.max(reported.time);
    if attempt.worker.is_none() {
        attempt.worker.clone_from(&reported.worker);
    }
    if let Some(lease) = &mut attempt.lease {
        lease.expires_at = later(now, lease.length_s);
    }
    if !matches!(reported.report, Report::Queued(_)) {
        attempt.alarms.retain(|alarm| matches!(alarm.clock, ClockKind::TooLong | ClockKind::CancelNotConfirmed));
    }
    if attempt.state == AttemptState::Stalled {
        attempt.state = AttemptState::Running;
    }
}

pub(super) fn later(now: Timestamp, seconds: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}

/// What an event does to the latest attempt, which is alive.
fn count(run: &mut Run, reported: &Reported, event: &RunEvent, now: Timestamp) {
    let in_order = event.standing == Standing::Counted;
    match &reported.report {
        Report::Queued(opening) => fill_in(run, opening, event),
        Report::Started(opening) => {
            fill_in(run, opening, event);
            with_latest(run, |attempt| run_on(attempt, now));
        }
        Report::Dispatched => with_latest(run, |attempt| dispatched(attempt, now)),
        Report::Acknowledged => with_latest(run, |attempt| {
            dispatched(attempt, now);
            attempt.acknowledged_at.get_or_insert(now);
        }),
        Report::Heartbeat => with_latest(run, |attempt| run_on(attempt, now)),
        Report::StepStarted => with_latest(run, |attempt| {
            run_on(attempt, now);
            if in_order {
                attempt.current_step.clone_from(&reported.step);
            }
        }),
        Report::StepCompleted => with_latest(run, |attempt| {
            run_on(attempt, now);
            step_completed(attempt, reported.step.as_ref(), in_order);
        }),
        Report::StepFailed(error) => with_latest(run, |attempt| {
            run_on(attempt, now);
            attempt.failed_step.clone_from(&reported.step);
            if error.is_some() {
                attempt.error.clone_from(error);
            }
        }),
        Report::CheckpointSaved { id, note, has_state } => {
            let checkpoint = Checkpoint {
                id: id.clone(),
                step: reported.step.clone(),
                note: note.clone(),
                attempt: event.attempt,
                saved_at: now,
                event: event.number,
                has_state: *has_state,
            };
            with_latest(run, |attempt| run_on(attempt, now));
            keep_last(&mut run.checkpoints, checkpoint, CHECKPOINTS_KEPT);
        }
        Report::ArtifactProduced(artifact) => {
            let step = reported.step.clone();
            let artifact = Artifact {
                step,
                attempt: event.attempt,
                produced_at: now,
                event: event.number,
                ..(**artifact).clone()
            };
            with_latest(run, |attempt| run_on(attempt, now));
            keep_last(&mut run.artifacts, artifact, ARTIFACTS_KEPT);
        }
        Report::Blocked(error) => stopped(run, AttemptState::Blocked, error, reported.step.as_ref(), now),
        Report::Failed(error) => stopped(run, AttemptState::Failed, error, reported.step.as_ref(), now),
        Report::Completed => with_latest(run, |attempt| {
            run_on(attempt, now);
            attempt.error = None;
            attempt.failed_step = None;
            attempt.current_step = None;
            attempt.end(AttemptState::Completed, now);
        }),
        Report::Cancelled => with_latest(run, |attempt| attempt.end(AttemptState::Cancelled, now)),
    }
}

fn with_latest(run: &mut Run, change: impl FnOnce(&mut Attempt)) {
    if let Some(attempt) = run.latest_mut() {
        change(attempt);
    }
}

fn keep_last<T>(list: &mut Vec<T>, item: T, most: usize) {
    if list.len() >= most {
        list.remove(0);
    }
    list.push(item);
}

fn dispatched(attempt: &mut Attempt, now: Timestamp) {
    attempt.dispatched_at.get_or_insert(now);
    if attempt.state == AttemptState::Queued {
        attempt.state = AttemptState::Dispatched;
    }
}

/// It is being worked on, unless it is being cancelled.
fn run_on(attempt: &mut Attempt, now: Timestamp) {
    if matches!(attempt.state, AttemptState::Queued | AttemptState::Dispatched) {
        attempt.state = AttemptState::Running;
    }
    attempt.dispatched_at.get_or_insert(now);
    attempt.started_at.get_or_insert(now);
    attempt.last_seen = now;
}

fn step_completed(attempt: &mut Attempt, step: Option<&StepName>, in_order: bool) {
    if in_order || attempt.last_good_step.is_none() {
        attempt.last_good_step = step.cloned();
    }
    if attempt.current_step.as_ref() == step {
        attempt.current_step = None;
    }
    if in_order && attempt.failed_step.as_ref() == step {
        attempt.failed_step = None;
        attempt.error = None;
    }
}

fn stopped(run: &mut Run, state: AttemptState, error: &RunError, step: Option<&StepName>, now: Timestamp) {
    with_latest(run, |attempt| {
        let step = step.or(attempt.failed_step.as_ref()).or(attempt.current_step.as_ref()).cloned();
        attempt.failed_step = step;
        attempt.current_step = None;
        attempt.error = Some(error.clone());
        attempt.started_at.get_or_insert(now);
        attempt.end(state, now);
    });
}

/// What is known already stays.
fn fill_in(run: &mut Run, opening: &Opening, event: &RunEvent) {
    fn if_none<T: Clone>(known: &mut Option<T>, told: Option<&T>) {
        if known.is_none() {
            *known = told.cloned();
        }
    }
    if_none(&mut run.title, opening.title.as_ref());
    if_none(&mut run.entity, opening.entity.as_ref());
    if_none(&mut run.schedule, opening.schedule.as_ref());
    if let (None, Some(sha256)) = (&run.input, &opening.input) {
        run.input = Some(InputRef { event: event.number, sha256: sha256.clone() });
    }
    with_latest(run, |attempt| if_none(&mut attempt.agent_version, opening.agent_version.as_ref()));
}

/// The first terminal event wins: a completed attempt was cancelled too late; any other end carries the cancellation out.
pub(super) fn settle_cancel(run: &mut Run, now: Timestamp) {
    let Some(ended) = run.latest().filter(|attempt| !attempt.is_alive()).map(|attempt| attempt.state) else { return };
    if let Some(cancel) = run.cancel.as_mut().filter(|cancel| cancel.effective_at.is_none() && !cancel.too_late) {
        if ended == AttemptState::Completed {
            cancel.too_late = true;
        } else {
            cancel.effective_at = Some(now);
        }
    }
}

/// What an alarm's event tells.
pub(super) fn alarm_data(clock: ClockKind) -> Value {
    json!({"clock": clock.as_str()})
}
