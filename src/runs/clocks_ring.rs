//! When a run's clocks ring, and what that does.

use super::attempt::{Attempt, AttemptState};
use super::clocks::{Alarm, ClockKind, Clocks};
use super::event::{EventType, RunEvent};
use super::run::Run;
use super::take::{alarm_data, later, own_event};
use jiff::Timestamp;
use serde_json::json;

/// From when on silence counts: not from before Tollgate itself could hear anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hearing {
    /// Tollgate has listened without a break since then.
    pub since: Timestamp,
    /// When an admission of the run was last asked for, where one was.
    pub asked_at: Option<Timestamp>,
}

impl Hearing {
    fn from(&self, moment: Timestamp) -> Timestamp {
        moment.max(self.since)
    }

    fn last_seen(&self, attempt: &Attempt) -> Timestamp {
        self.from(attempt.last_seen).max(self.asked_at.unwrap_or(Timestamp::MIN))
    }
}

/// The next clock of a run that rings, and when; `None` where none is wound.
pub fn next_ring(run: &Run, clocks: &Clocks, hearing: Hearing) -> Option<(Timestamp, ClockKind)> {
    let attempt = run.latest()?;
    let mut next: Option<(Timestamp, ClockKind)> = None;
    let mut wind = |from: Timestamp, seconds: u32, clock: ClockKind| {
        let rang = attempt.alarms.iter().any(|alarm| alarm.clock == clock);
        let at = later(hearing.from(from), seconds);
        if !rang && next.is_none_or(|(earliest, _)| at < earliest) {
            next = Some((at, clock));
        }
    };
    let last_seen = hearing.last_seen(attempt);
    match attempt.state {
        AttemptState::Queued => wind(attempt.queued_at, clocks.dispatch_s, ClockKind::NotPickedUp),
        AttemptState::Dispatched => match attempt.acknowledged_at {
            None => {
                let from = attempt.dispatched_at.unwrap_or(attempt.queued_at);
                wind(from, clocks.dispatch_s, ClockKind::NotAcknowledged);
            }
            Some(at) => {
                wind(at, clocks.first_event_s, ClockKind::NoFirstEvent);
                wind(last_seen, clocks.silence_critical_s, ClockKind::SilentCritical);
            }
        },
        AttemptState::Running => {
            wind(last_seen, clocks.silence_s, ClockKind::Silent);
            wind(last_seen, clocks.silence_critical_s, ClockKind::SilentCritical);
            wind(attempt.started_at.unwrap_or(attempt.queued_at), clocks.longest_run_s, ClockKind::TooLong);
        }
        AttemptState::Cancelling => {
            let asked = run.cancel.as_ref().map_or(attempt.queued_at, |cancel| cancel.requested_at);
            wind(asked, clocks.cancel_grace_s, ClockKind::CancelNotConfirmed);
        }
        _ => {}
    }
    if let Some(lease) = attempt.lease.as_ref().filter(|_| is_leased(attempt.state)) {
        let ends = lease.expires_at.max(later(hearing.since, lease.length_s));
        let ends = hearing.asked_at.map_or(ends, |asked| ends.max(later(asked, lease.length_s)));
        if next.is_none_or(|(earliest, _)| ends < earliest) {
            next = Some((ends, ClockKind::LeaseEnded));
        }
    }
    next
}

const fn is_leased(state: AttemptState) -> bool {
    matches!(state, AttemptState::Dispatched | AttemptState::Running)
}

/// Lets every clock ring whose time has come. The events say which; none means that nothing has.
pub fn ring(run: &Run, clocks: &Clocks, hearing: Hearing, now: Timestamp) -> (Run, Vec<RunEvent>) {
    let (mut run, mut events) = (run.clone(), Vec::new());
    // each clock rings once in an attempt's state, so this comes to an end; the bound is for what is not thought of
    for _ in 0..ClockKind::COUNT {
        match next_ring(&run, clocks, hearing) {
            Some((at, clock)) if at <= now => events.push(rung(&mut run, clock, now)),
            _ => break,
        }
    }
    (run, events)
}

fn rung(run: &mut Run, clock: ClockKind, now: Timestamp) -> RunEvent {
    let requeues = clock == ClockKind::LeaseEnded
        && run.latest().is_some_and(|a| a.acknowledged_at.is_none() && a.started_at.is_none());
    if requeues {
        return requeue(run, now);
    }
    if let Some(attempt) = run.latest_mut() {
        if matches!(clock, ClockKind::SilentCritical | ClockKind::LeaseEnded) {
            attempt.state = AttemptState::Stalled;
        }
        attempt.alarms.push(Alarm { clock, since: now });
    }
    own_event(run, EventType::AlarmRaised, alarm_data(clock), now)
}

/// The worker died between claim and acknowledgement: somebody else may have it.
fn requeue(run: &mut Run, now: Timestamp) -> RunEvent {
    let mut worker = None;
    if let Some(attempt) = run.latest_mut() {
        worker = attempt.worker.take();
        attempt.lease = None;
        attempt.dispatched_at = None;
        attempt.state = AttemptState::Queued;
        attempt.requeued += 1;
        attempt.alarms.clear();
    }
    own_event(run, EventType::Requeued, json!({"worker": worker}), now)
}
