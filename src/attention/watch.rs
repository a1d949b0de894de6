//! What a run or a schedule, as it stands now, means for its item. Nothing is compared with before: the item itself tells
//! what is known, so looking twice changes nothing.

use super::class::Class;
use super::classifier::{Classified, Classifier};
use super::denial::{BLOCKED_ACTION, Denied, class_of};
use super::fingerprint::Fingerprint;
use super::item::{Item, Place};
use super::kinds::{ItemKind, ItemState, ResolutionCategory};
use super::subject::Subject;
use super::trouble::Trouble;
use crate::runs::{Alarm, Attempt, AttemptState, ClockKind, Run, RunError, Schedule};
use crate::vocabulary::{Code, Reason, Remedy, RemedyKind, Source};
use serde_json::Value;

/// How many fields of an error's details become lines of the checklist.
const MOST_FIELDS: usize = 32;

/// What is to be done to the item.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// There is trouble: open the item, or join it.
    Trouble(Box<Trouble>),
    /// A new attempt was made.
    Retried(u32),
    /// It is over.
    Over {
        /// How.
        category: ResolutionCategory,
        /// Why.
        reason: String,
        /// By whom; Tollgate where nobody is named.
        by: Option<String>,
    },
}

/// What a run means for its item. `denied` is the denial that is remembered of it.
pub fn of_run(run: &Run, item: Option<&Item>, denied: Option<&Denied>, classifier: &Classifier) -> Option<Change> {
    let latest = run.latest()?;
    // several attempts may have come and gone since somebody looked: each is told, in order
    let missed = run.attempts.iter().find(|attempt| attempt.number < latest.number && is_news(attempt, item));
    if let Some(missed) = missed {
        return trouble(stopped(run, missed, denied, classifier), item);
    }
    let open = item.filter(|item| item.state != ItemState::Resolved);
    match run.status() {
        AttemptState::Cancelled => open.map(|_| cancelled(run)),
        AttemptState::Completed => open.map(|_| Change::Over {
            category: ResolutionCategory::Succeeded,
            reason: format!("attempt {} completed", latest.number),
            by: None,
        }),
        AttemptState::Failed | AttemptState::Blocked => trouble(stopped(run, latest, denied, classifier), item),
        _ => alive(run, latest, item, open),
    }
}

/// By what the end of an attempt is known again.
fn sign_of(attempt: &Attempt) -> String {
    format!("{}/{}", attempt.state.as_str(), attempt.number)
}

/// Whether an attempt's bad end is not known to the item.
fn is_news(attempt: &Attempt, item: Option<&Item>) -> bool {
    let bad = matches!(attempt.state, AttemptState::Failed | AttemptState::Blocked);
    let known = item.map(|item| (item.place.attempt.unwrap_or(0), &item.sign));
    bad && known
        .is_none_or(|(last, sign)| attempt.number > last || (attempt.number == last && *sign != sign_of(attempt)))
}

/// Trouble that is known is none.
fn trouble(trouble: Trouble, item: Option<&Item>) -> Option<Change> {
    let known = item.is_some_and(|item| item.sign == trouble.sign);
    (!known).then(|| Change::Trouble(Box::new(trouble)))
}

fn cancelled(run: &Run) -> Change {
    let by = run.cancel.as_ref().map(|cancel| cancel.by.name.clone());
    let reason =
        run.cancel.as_ref().map_or_else(|| "its runtime stopped it".to_owned(), |cancel| cancel.reason.clone());
    Change::Over { category: ResolutionCategory::Cancelled, reason, by }
}

fn place(run: &Run, attempt: &Attempt) -> Place {
    Place {
        agent: Some(run.agent.clone()),
        action: None,
        entity_type: run.entity.as_ref().map(|entity| entity.kind.clone()),
        entity_id: run.entity.as_ref().map(|entity| entity.id.clone()),
        attempt: Some(attempt.number),
        step: attempt.failed_step.clone().or_else(|| attempt.current_step.clone()),
    }
}

/// An attempt that failed or gave up on a denial.
fn stopped(run: &Run, attempt: &Attempt, denied: Option<&Denied>, classifier: &Classifier) -> Trouble {
    let blocked = attempt.state == AttemptState::Blocked;
    let nothing =
        RunError { code: "unknown".to_owned(), message: "Its runtime did not say why.".to_owned(), details: None };
    let error = attempt.error.as_ref().unwrap_or(&nothing);
    let said = classifier.classify(&error.code, &error.message);
    let mut place = place(run, attempt);
    let kind = if blocked { ItemKind::BlockedAction } else { ItemKind::FailedRun };
    // the gate's own reasons say more than what the runtime made of them
    let denied = denied.filter(|denied| denied.place.attempt == Some(attempt.number) && (blocked || is_denial(&said)));
    // the last denial may be one that the run got over: what stopped it at another step is that step's own
    let denied = denied.and_then(|denied| denied.at_step(place.step.as_ref()));
    let known = said.rule.is_some();
    let (reasons, class, title) = match denied {
        Some((action, reasons)) => {
            place.action = action.cloned();
            // a rule's own code is none that the classifier knows; what it is, the gate has said
            let title = if known { said.title.clone() } else { BLOCKED_ACTION.to_owned() };
            (reasons.to_vec(), class_of(reasons), title)
        }
        None => (reasons_of(&said, error), said.class, said.title.clone()),
    };
    let fingerprint = Fingerprint::of(&said.code, place.step.as_ref(), &error.message);
    Trouble {
        subject: Subject::Run(run.id.clone()),
        kind,
        class,
        title,
        message: error.message.clone(),
        retry_allowed: said.retry_allowed,
        reasons,
        sign: sign_of(attempt),
        place,
        fingerprint,
    }
}

/// Whether the runtime tells of what the gate may have said.
fn is_denial(said: &Classified) -> bool {
    matches!(
        Code::parse(&said.code),
        Some(
            Code::PolicyRejected
                | Code::BudgetExceeded
                | Code::MissingData
                | Code::MalformedInput
                | Code::ConnectorUnavailable
                | Code::ApprovalRequired
                | Code::Paused
        )
    )
}

/// The checklist of an error: one line for each field, connector, budget or policy that its details name.
fn reasons_of(said: &Classified, error: &RunError) -> Vec<Reason> {
    let mut targets: Vec<String> = Vec::new();
    if let Some(details) = &error.details {
        let texts = |name: &str| match details.get(name) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        for (name, kind) in [
            ("field", "field"),
            ("fields", "field"),
            ("connector", "connector"),
            ("budget", "budget"),
            ("policy", "policy"),
        ] {
            targets.extend(texts(name).into_iter().map(|text| format!("{kind}:{text}")));
        }
        targets.truncate(MOST_FIELDS);
    }
    let retry_at = error.details.as_ref().and_then(|details| details.get("retry_at")?.as_str().map(str::to_owned));
    let reason = |remedy: Remedy| Reason {
        code: said.code.clone(),
        source: Source::Run,
        message: error.message.clone(),
        rule: None,
        remedy,
        retry_at: retry_at.clone(),
        details: None,
    };
    if targets.is_empty() {
        return vec![reason(Remedy { kind: said.remedy, target: None, href: None })];
    }
    targets.into_iter().map(|target| reason(Remedy::on(said.remedy, target))).collect()
}

/// A run with an attempt that lives: stuck, going on, or retried.
fn alive(run: &Run, latest: &Attempt, item: Option<&Item>, open: Option<&Item>) -> Option<Change> {
    // a denial that is waited on explains a silence
    let explained =
        open.is_some_and(|item| item.kind == ItemKind::BlockedAction && item.place.attempt == Some(latest.number));
    let counts = |clock: ClockKind| match clock {
        // a suspicious silence is a mark on the run, and no item
        ClockKind::Silent => false,
        ClockKind::TooLong | ClockKind::CancelNotConfirmed => true,
        _ => !explained,
    };
    let mut rang: Vec<&Alarm> = latest.alarms.iter().filter(|alarm| counts(alarm.clock)).collect();
    rang.sort_unstable_by_key(|alarm| alarm.clock);
    if !rang.is_empty() {
        return trouble(stuck(run, latest, &rang), item);
    }
    let open = open?;
    let went_on = open.kind == ItemKind::StuckRun && open.place.attempt == Some(latest.number);
    if went_on && open.state != ItemState::Retrying {
        let reason = format!("attempt {} shows life again", latest.number);
        return Some(Change::Over { category: ResolutionCategory::WentOn, reason, by: None });
    }
    let newer = open.place.attempt.is_some_and(|attempt| attempt < latest.number);
    (newer && open.state != ItemState::Retrying).then_some(Change::Retried(latest.number))
}

/// The code and the sentence of a clock that rang.
const fn of_clock(clock: ClockKind) -> (Code, &'static str) {
    match clock {
        ClockKind::NotPickedUp => (Code::NotPickedUp, "Nobody has picked it up."),
        ClockKind::NotAcknowledged => (Code::NotAcknowledged, "It was handed over, and nobody acknowledged it."),
        ClockKind::NoFirstEvent => (Code::NoFirstEvent, "It was acknowledged, and nothing has happened since."),
        ClockKind::Silent | ClockKind::SilentCritical => (Code::Silent, "It has been silent for too long."),
        ClockKind::LeaseEnded => (Code::LeaseEnded, "Its worker's lease ended while it worked on it."),
        ClockKind::TooLong => (Code::RunsTooLong, "It has been running for too long, though it shows life."),
        ClockKind::CancelNotConfirmed => {
            (Code::CancelNotConfirmed, "It was cancelled, and its runtime has not confirmed that it stopped.")
        }
    }
}

fn stuck(run: &Run, attempt: &Attempt, rang: &[&Alarm]) -> Trouble {
    let target = format!("run:{}", run.id);
    let reasons: Vec<Reason> =
        rang.iter().map(|alarm| of_clock(alarm.clock)).map(|(code, text)| Reason::of(code, text, &target)).collect();
    let place = place(run, attempt);
    let message = reasons.iter().map(|reason| reason.message.as_str()).collect::<Vec<_>>().join(" ");
    let clocks: Vec<&str> = rang.iter().map(|alarm| alarm.clock.as_str()).collect();
    // the same clock that rings once more, behind a sign of life, is news
    let rings: Vec<String> = rang.iter().map(|alarm| format!("{}@{}", alarm.clock.as_str(), alarm.since)).collect();
    Trouble {
        subject: Subject::Run(run.id.clone()),
        kind: ItemKind::StuckRun,
        class: Class::Unknown,
        title: "Stuck run".to_owned(),
        fingerprint: Fingerprint::of(&clocks.join("+"), place.step.as_ref(), ""),
        message,
        retry_allowed: false,
        reasons,
        place,
        sign: format!("stuck/{}/{}", attempt.number, rings.join("+")),
    }
}

/// What a schedule means for its item: a start that never came, until one comes.
pub fn of_schedule(schedule: &Schedule, item: Option<&Item>) -> Option<Change> {
    let Some(missed) = &schedule.missed else {
        let open = item.filter(|item| item.state != ItemState::Resolved)?;
        let category = ResolutionCategory::WentOn;
        let why = if schedule.spec.paused { "the schedule was paused" } else { "the schedule started a run" };
        return (open.kind == ItemKind::MissedSchedule).then(|| Change::Over {
            category,
            reason: why.to_owned(),
            by: None,
        });
    };
    let starts = if missed.count == 1 { "a start".to_owned() } else { format!("{} starts", missed.count) };
    let message = format!("{starts} of {} did not come, the last due at {}", schedule.spec.agent, missed.latest);
    let mut reason = Reason::of(Code::ScheduleMissed, message.clone(), format!("schedule:{}", schedule.id));
    reason.remedy.kind = RemedyKind::Escalate;
    let place = Place { agent: Some(schedule.spec.agent.clone()), ..Place::default() };
    let sign = format!("missed/{}", missed.latest);
    trouble(
        Trouble {
            subject: Subject::Schedule(schedule.id.to_string()),
            kind: ItemKind::MissedSchedule,
            class: Class::Unknown,
            title: "Missed schedule".to_owned(),
            fingerprint: Fingerprint::of(Code::ScheduleMissed.as_str(), None, schedule.id.as_str()),
            message,
            retry_allowed: false,
            reasons: vec![reason],
            place,
            sign,
        },
        item,
    )
}
