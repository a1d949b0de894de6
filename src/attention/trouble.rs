//! What happens to an item without an operator: trouble, retries, successes, cancels, and what a re-check finds.

use super::class::Class;
use super::fingerprint::Fingerprint;
use super::item::{Check, Decided, Item, Place, Resolution};
use super::kinds::{ItemKind, ItemState, ResolutionCategory};
use super::subject::Subject;
use crate::vocabulary::{ItemId, Reason};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// How many lines a checklist has at most: the open ones come first, then those lifted last.
const LONGEST_CHECKLIST: usize = 64;

/// Something that needs an owner's decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What it is about.
    pub subject: Subject,
    /// What kind it is.
    pub kind: ItemKind,
    /// What class of failure.
    pub class: Class,
    /// In a few words.
    pub title: String,
    /// In a sentence.
    pub message: String,
    /// Whether a retry may help as things are.
    pub retry_allowed: bool,
    /// Everything that stands in the way.
    pub reasons: Vec<Reason>,
    /// Where.
    pub place: Place,
    /// What it is the same as.
    pub fingerprint: Fingerprint,
    /// By what this trouble is known again: seen twice it counts once, and what was resolved stays so.
    pub sign: String,
}

impl Item {
    /// A new item.
    pub fn open(id: ItemId, trouble: Trouble, now: Timestamp) -> Self {
        let mut item = Self {
            id,
            subject: trouble.subject.clone(),
            kind: trouble.kind,
            state: ItemState::Open,
            class: trouble.class,
            title: String::new(),
            message: String::new(),
            retry_allowed: false,
            checks: Vec::new(),
            place: Place::default(),
            owner: None,
            due_at: None,
            snoozed_until: None,
            escalated_to: None,
            decided: None,
            count: 0,
            same_step_failures: 0,
            came_back: 0,
            first_seen: now,
            last_seen: now,
            began_at: now,
            fingerprint: trouble.fingerprint.clone(),
            sign: String::new(),
            supplied: BTreeMap::new(),
            resolution: None,
            last_resolution: None,
            revision: 0,
        };
        item.take_in(trouble, now);
        item
    }

    /// More trouble of the same subject joins the item; after a resolution it has come back. `None` for trouble that is
    /// known already.
    pub fn joined(&self, trouble: Trouble, now: Timestamp) -> Option<Self> {
        if self.sign == trouble.sign {
            return None;
        }
        let mut item = self.clone();
        if item.state == ItemState::Resolved {
            item.came_back += 1;
            item.last_resolution = item.resolution.take();
            item.began_at = now;
            item.checks.clear();
            item.escalated_to = None;
            item.snoozed_until = None;
            item.due_at = None;
        }
        item.take_in(trouble, now);
        Some(item)
    }

    fn take_in(&mut self, trouble: Trouble, now: Timestamp) {
        self.count_step(&trouble);
        // a promise was made for the trouble before this one
        let same_promise = self.state == ItemState::WaitingOnSetup && self.place.attempt == trouble.place.attempt;
        if !same_promise {
            self.decided = None;
        }
        self.kind = trouble.kind;
        self.class = trouble.class;
        self.title = trouble.title;
        self.message = trouble.message;
        self.retry_allowed = trouble.retry_allowed;
        self.place = merged(&self.place, trouble.place);
        self.fingerprint = trouble.fingerprint;
        self.sign = trouble.sign;
        self.merge_checks(&trouble.reasons, now);
        self.count += 1;
        self.last_seen = now;
        self.state = match self.state {
            ItemState::Escalated => ItemState::Escalated,
            _ if self.class == Class::Setup => ItemState::WaitingOnSetup,
            _ => ItemState::Open,
        };
        self.revision += 1;
    }

    /// The same step failing in another attempt counts on; a further sign of the same attempt's trouble does not.
    fn count_step(&mut self, trouble: &Trouble) {
        if trouble.kind != ItemKind::FailedRun {
            return;
        }
        let another = self.count == 0 || self.place.attempt != trouble.place.attempt || self.same_step_failures == 0;
        if !another {
            return;
        }
        let same = self.count > 0 && self.same_step_failures > 0 && self.place.step == trouble.place.step;
        self.same_step_failures = if same { self.same_step_failures + 1 } else { 1 };
    }

    /// These reasons stand in the way now; those that do not are lifted.
    fn merge_checks(&mut self, reasons: &[Reason], now: Timestamp) {
        for check in &mut self.checks {
            match reasons.iter().find(|reason| check.is_same(reason)) {
                Some(reason) if check.is_open() => check.reason = reason.clone(),
                Some(reason) => *check = Check { reason: reason.clone(), since: now, lifted_at: None },
                None => check.lifted_at = check.lifted_at.or(Some(now)),
            }
        }
        for reason in reasons {
            if !self.checks.iter().any(|check| check.is_same(reason)) {
                self.checks.push(Check { reason: reason.clone(), since: now, lifted_at: None });
            }
        }
        self.checks.sort_by_key(|check| !check.is_open());
        self.checks.truncate(LONGEST_CHECKLIST);
    }

    /// A new attempt was made.
    #[must_use]
    pub fn retried(&self, attempt: u32) -> Self {
        let mut item = self.clone();
        if item.state != ItemState::Resolved {
            item.state = ItemState::Retrying;
            item.decided = Some(Decided::Retried { attempt });
            item.snoozed_until = None;
            item.supplied.clear();
            item.revision += 1;
        }
        item
    }

    /// It is over: the run completed, or it was cancelled.
    #[must_use]
    pub fn over(&self, category: ResolutionCategory, reason: &str, by: &str, now: Timestamp) -> Self {
        let mut item = self.clone();
        if item.state != ItemState::Resolved {
            item.state = ItemState::Resolved;
            item.resolution = Some(Resolution { category, reason: reason.to_owned(), by: by.to_owned(), at: now });
            item.decided = None;
            item.snoozed_until = None;
            item.same_step_failures = 0;
            for check in &mut item.checks {
                check.lifted_at = check.lifted_at.or(Some(now));
            }
            item.revision += 1;
        }
        item
    }

    /// What a re-check found: these reasons still stand. Nothing in the way turns a waiting item ready; something in the
    /// way again turns it back. `None` where nothing changes.
    pub fn rechecked(&self, still: &[Reason], now: Timestamp) -> Option<Self> {
        if !matches!(self.state, ItemState::WaitingOnSetup | ItemState::ReadyToRetry) {
            return None;
        }
        let mut item = self.clone();
        item.merge_checks(still, now);
        if self.kind == ItemKind::BudgetAlert && still.is_empty() {
            let over = self.over(ResolutionCategory::WentOn, "the limit in force covers it again", "tollgate", now);
            return Some(over);
        }
        item.state = if still.is_empty() { ItemState::ReadyToRetry } else { ItemState::WaitingOnSetup };
        if item.state == ItemState::ReadyToRetry {
            item.decided = None;
        }
        if item == *self {
            return None;
        }
        item.revision += 1;
        Some(item)
    }
}

/// What the later trouble does not name stays as it was known.
fn merged(old: &Place, new: Place) -> Place {
    Place {
        agent: new.agent.or_else(|| old.agent.clone()),
        action: new.action.or_else(|| old.action.clone()),
        entity_type: new.entity_type.or_else(|| old.entity_type.clone()),
        entity_id: new.entity_id.or_else(|| old.entity_id.clone()),
        attempt: new.attempt.or(old.attempt),
        step: new.step,
    }
}
