//! Denials that may have stopped something: remembered until progress follows, and an item when none does, or when the
//! same denial comes again and again.

use super::class::Class;
use super::fingerprint::Fingerprint;
use super::item::Place;
use super::kinds::ItemKind;
use super::subject::Subject;
use super::trouble::Trouble;
use crate::vocabulary::{ActionName, AdmissionId, Reason, StepName};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How often the same denial comes in one attempt until it is an item.
pub const SAME_DENIALS: u32 = 3;

/// What an item is called that the gate's own reasons explain.
pub(super) const BLOCKED_ACTION: &str = "Blocked action";

/// How many steps' denials are remembered besides the last one.
const MOST_STEPS: usize = 8;

/// The last denial at another step of the same attempt: the run may get over the last denial, and be stopped by this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDenied {
    /// The step.
    pub step: StepName,
    /// What it wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionName>,
    /// Why not.
    pub reasons: Vec<Reason>,
}

/// The last denial of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The run, or the agent's action on an entity.
    pub subject: Subject,
    /// Who, what, on what, and where in the run.
    pub place: Place,
    /// Why.
    pub reasons: Vec<Reason>,
    /// What it is the same as.
    pub fingerprint: Fingerprint,
    /// How often the same has come in this attempt.
    pub count: u32,
    /// The recorded decision.
    pub admission: AdmissionId,
    /// The first of the same.
    pub series: AdmissionId,
    /// When it came last.
    pub at: Timestamp,
    /// When it becomes an item if nothing follows; `None` once something did, or once it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// It no longer matters: what it was of is over, or went on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// The last denials at other steps of the attempt, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<StepDenied>,
}

impl Denied {
    /// A denial behind the one that is remembered, if any.
    pub fn after(
        old: Option<&Self>,
        subject: Subject,
        place: Place,
        reasons: Vec<Reason>,
        admission: AdmissionId,
        now: Timestamp,
        blocked_after_s: u32,
    ) -> Self {
        let fingerprint = fingerprint(&reasons, &place);
        let same = |old: &&Self| {
            !old.over
                && old.fingerprint == fingerprint
                && old.place.attempt == place.attempt
                && old.place.action == place.action
                && old.place.entity_id == place.entity_id
        };
        let earlier = old.map(|old| old.at_other_steps(&place)).unwrap_or_default();
        let old = old.filter(same);
        let count = old.map_or(1, |old| old.count.saturating_add(1));
        let series = old.map_or_else(|| admission.clone(), |old| old.series.clone());
        let due_at = now.checked_add(SignedDuration::from_secs(i64::from(blocked_after_s))).ok();
        Self { subject, place, reasons, fingerprint, count, admission, series, at: now, due_at, over: false, earlier }
    }

    /// What is remembered of the other steps of the attempt of `place`, this denial among them.
    fn at_other_steps(&self, place: &Place) -> Vec<StepDenied> {
        if self.over || self.place.attempt != place.attempt {
            return Vec::new();
        }
        let own = self.place.step.clone().map(|step| StepDenied {
            step,
            action: self.place.action.clone(),
            reasons: self.reasons.clone(),
        });
        let earlier = self.earlier.iter().filter(|denied| Some(&denied.step) != self.place.step.as_ref()).cloned();
        let mut steps: Vec<StepDenied> =
            earlier.chain(own).filter(|denied| Some(&denied.step) != place.step.as_ref()).collect();
        steps.drain(..steps.len().saturating_sub(MOST_STEPS));
        steps
    }

    /// The denial at a step, and what was wanted there; the last one where no step is named.
    pub fn at_step(&self, step: Option<&StepName>) -> Option<(Option<&ActionName>, &[Reason])> {
        if step.is_none() || self.place.step.is_none() || self.place.step.as_ref() == step {
            return Some((self.place.action.as_ref(), &self.reasons));
        }
        let there = self.earlier.iter().find(|denied| Some(&denied.step) == step)?;
        Some((there.action.as_ref(), &there.reasons))
    }

    /// Whether a denial at that step is remembered besides the last one.
    pub fn remembers(&self, step: Option<&StepName>) -> bool {
        self.earlier.iter().any(|denied| Some(&denied.step) == step)
    }

    /// The step went on: what stopped it before no longer stands in the way.
    #[must_use]
    pub fn got_over(mut self, step: Option<&StepName>) -> Self {
        self.earlier.retain(|denied| Some(&denied.step) != step);
        self
    }

    /// Something went on: the clock stops. What is in no run is over by that.
    #[must_use]
    pub fn followed(&self) -> Self {
        Self { due_at: None, over: !matches!(self.subject, Subject::Run(_)), ..self.clone() }
    }

    /// Nothing could be heard before `since`: from then on it is waited for.
    #[must_use]
    pub fn waits_from(&self, since: Timestamp, blocked_after_s: u32) -> Self {
        let anew = since.checked_add(SignedDuration::from_secs(i64::from(blocked_after_s))).ok();
        Self { due_at: self.due_at.max(anew), ..self.clone() }
    }

    /// It is an item now, or its subject is over.
    #[must_use]
    pub fn told(&self) -> Self {
        Self { due_at: None, ..self.clone() }
    }

    /// Its subject is over.
    #[must_use]
    pub fn ended(&self) -> Self {
        Self { due_at: None, over: true, earlier: Vec::new(), ..self.clone() }
    }

    /// Whether it has come so often that it is an item at once.
    pub fn is_stubborn(&self) -> bool {
        self.count >= SAME_DENIALS
    }

    /// What it is as an item.
    pub fn trouble(&self) -> Trouble {
        let message = self.reasons.first().map_or_else(|| "It was denied.".to_owned(), |reason| reason.message.clone());
        let class = class_of(&self.reasons);
        Trouble {
            subject: self.subject.clone(),
            kind: ItemKind::BlockedAction,
            class,
            title: BLOCKED_ACTION.to_owned(),
            message,
            retry_allowed: class == Class::Temporary,
            reasons: self.reasons.clone(),
            place: self.place.clone(),
            fingerprint: self.fingerprint.clone(),
            // the same denial once more in the same attempt is no news
            sign: format!("denied/{}", self.series),
        }
    }
}

/// Setup if one reason needs something put right, else temporary if all pass by themselves.
pub fn class_of(reasons: &[Reason]) -> Class {
    let is = |class| reasons.iter().any(|reason| Class::of_text(&reason.code) == class);
    if is(Class::Setup) {
        Class::Setup
    } else if is(Class::Unknown) || reasons.is_empty() {
        Class::Unknown
    } else {
        Class::Temporary
    }
}

fn fingerprint(reasons: &[Reason], place: &Place) -> Fingerprint {
    let mut codes: Vec<String> = reasons
        .iter()
        .map(|reason| format!("{} {}", reason.code, reason.remedy.target.as_deref().unwrap_or_default()))
        .collect();
    codes.sort_unstable();
    let message = reasons.first().map_or("", |reason| reason.message.as_str());
    Fingerprint::of(&codes.join("+"), place.step.as_ref(), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::{ActionName, AgentId, Code, RunId};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn denied(old: Option<&Denied>, attempt: u32, message: &str, now: i64) -> Denied {
        let place = Place {
            agent: Some(AgentId::new("rfq-draft").unwrap()),
            action: Some(ActionName::new("draft_quote").unwrap()),
            attempt: Some(attempt),
            ..Place::default()
        };
        let reasons = vec![Reason::of(Code::BudgetExceeded, message, "budget:daily")];
        let subject = Subject::Run(RunId::new("run-17").unwrap());
        Denied::after(old, subject, place, reasons, AdmissionId::new("adm_1").unwrap(), at(now), 300)
    }

    #[test]
    fn the_same_denial_a_third_time_in_the_attempt() {
        let first = denied(None, 1, "0.42 USD asked, 0.10 USD left", 0);
        assert_eq!((first.count, first.due_at, first.is_stubborn()), (1, Some(at(300)), false));
        let second = denied(Some(&first), 1, "0.40 USD asked, 0.09 USD left", 10);
        assert_eq!((second.count, second.due_at), (2, Some(at(310))));
        let third = denied(Some(&second), 1, "0.42 USD asked, 0.10 USD left", 20);
        assert!(third.is_stubborn());
        assert!(!denied(Some(&second), 2, "0.42 USD asked, 0.10 USD left", 20).is_stubborn(), "another attempt");
        let other = Denied { fingerprint: Fingerprint::of("x", None, "other"), ..second.clone() };
        assert!(!denied(Some(&other), 1, "0.42 USD asked, 0.10 USD left", 20).is_stubborn(), "another denial");
        assert!(!denied(Some(&second.ended()), 1, "0.42 USD asked", 20).is_stubborn(), "what is over counts no more");
    }

    #[test]
    fn what_follows_stops_the_clock() {
        let first = denied(None, 1, "no", 0);
        assert_eq!((first.followed().due_at, first.followed().over), (None, false), "a run goes on counting");
        let alone = Denied { subject: Subject::Schedule("s".to_owned()), ..first };
        assert!(alone.followed().over);
    }

    #[test]
    fn the_denials_of_other_steps_are_remembered_until_their_step_goes_on() {
        let at_step = |old: Option<&Denied>, step: &str, attempt: u32, message: &str| {
            let step = Some(StepName::new(step).unwrap());
            let place = Place { attempt: Some(attempt), step, ..Place::default() };
            let subject = Subject::Run(RunId::new("run-17").unwrap());
            let reasons = vec![Reason::of(Code::BudgetExceeded, message, "budget:daily")];
            Denied::after(old, subject, place, reasons, AdmissionId::new("adm_1").unwrap(), at(0), 300)
        };
        let said = |denied: &Denied, step: &str| {
            let step = StepName::new(step).unwrap();
            denied.at_step(Some(&step)).map(|(_, reasons)| reasons[0].message.clone())
        };
        let first = at_step(None, "book", 1, "too dear");
        let second = at_step(Some(&first), "pay", 1, "no card");
        assert_eq!((said(&second, "book"), said(&second, "pay")), (Some("too dear".into()), Some("no card".into())));
        assert_eq!(said(&second, "send"), None);
        let again = at_step(Some(&second), "book", 1, "still too dear");
        assert_eq!((said(&again, "book"), again.earlier.len()), (Some("still too dear".into()), 1));
        let over = second.clone().got_over(Some(&StepName::new("book").unwrap()));
        assert_eq!((said(&over, "book"), said(&over, "pay")), (None, Some("no card".into())));
        assert!(at_step(Some(&second), "pay", 2, "no card").earlier.is_empty(), "another attempt");
        let many = (0..20).fold(first, |old, n| at_step(Some(&old), &format!("step-{n}"), 1, "no"));
        assert_eq!((many.earlier.len(), said(&many, "step-11"), said(&many, "step-10")), (8, Some("no".into()), None));
    }

    #[test]
    fn the_class_of_a_checklist() {
        let reason = |code: Code| Reason::of(code, "m", "agent:a");
        for (codes, class) in [
            (vec![], Class::Unknown),
            (vec![Code::RateLimited], Class::Temporary),
            (vec![Code::RateLimited, Code::BudgetExceeded], Class::Setup),
            (vec![Code::Unknown, Code::Timeout], Class::Unknown),
        ] {
            let reasons: Vec<Reason> = codes.iter().map(|code| reason(*code)).collect();
            assert_eq!(class_of(&reasons), class, "{codes:?}");
        }
        let mut own = reason(Code::NotPermitted);
        own.code = "too_large_a_discount".to_owned();
        assert_eq!(class_of(&[own]), Class::Setup, "a rule's own code");
    }
}
