//! An item of Command Center, as it is answered.

use super::answer::ReasonAnswer;
use super::run::NotPickedUpAnswer;
use crate::attention::{Check as ChecklistLine, Decided, Item, Resolution, Subject};
use crate::operations::{Changed, ItemPage, ItemView};
use crate::vocabulary::Reason;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One line of an item's checklist.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CheckLine)]
pub struct CheckAnswer {
    /// Why it stands still, and what would lift that.
    #[schema(value_type = ReasonAnswer)]
    pub reason: Reason,
    /// Since when.
    pub since: String,
    /// When it was lifted.
    pub lifted_at: Option<String>,
}

/// How an item ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Resolution)]
pub struct ResolutionAnswer {
    /// `succeeded`, `went_on`, `cancelled`, or what an operator gave.
    pub category: &'static str,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: String,
    /// When.
    pub at: String,
}

/// What was decided on an item.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ItemDecision)]
pub struct DecidedAnswer {
    /// `retried` or `waiting`.
    pub kind: &'static str,
    /// The attempt that a retry made.
    pub attempt: Option<u32>,
    /// The fix that it waits for.
    pub fix: Option<String>,
    /// By whom.
    pub owner: Option<String>,
    /// Until when.
    pub due_at: Option<String>,
}

/// The record that an item is about.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ItemEntity)]
pub struct ItemEntityAnswer {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: Option<String>,
}

/// Something that was changed around the moment when the trouble began.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ChangedAround)]
pub struct ChangedAnswer {
    /// When.
    pub at: String,
    /// What was done.
    #[schema(example = "policy_set.publish")]
    pub op: String,
    /// On what.
    pub subject: String,
    /// By whom.
    pub by: String,
    /// Why, where somebody said so.
    pub reason: Option<String>,
}

/// An item of Command Center.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Item)]
pub struct ItemAnswer {
    /// Its id: one for what it is about, for ever.
    #[schema(example = "item_2q3f9kw4a0000000000g000000")]
    pub id: String,
    /// `failed_run`, `stuck_run`, `blocked_action`, `missed_schedule` or `budget_alert`.
    pub kind: &'static str,
    /// `open`, `waiting_on_setup`, `ready_to_retry`, `retrying`, `escalated`, `snoozed` or `resolved`.
    pub state: &'static str,
    /// What it is called.
    pub title: String,
    /// Why it needs attention, in a sentence.
    pub why: String,
    /// `retry`, `cancel`, `fix_setup`, `escalate` or `inspect`.
    #[schema(value_type = String, example = "fix_setup")]
    pub suggested_action: Value,
    /// Why that is suggested.
    pub why_suggested: String,
    /// `temporary`, `setup` or `unknown`.
    pub class: &'static str,
    /// What still stands in the way.
    #[schema(value_type = Vec<ReasonAnswer>)]
    pub reasons: Vec<Reason>,
    /// The whole checklist, with what was lifted.
    pub checklist: Vec<CheckAnswer>,
    /// The fields that may be supplied.
    pub supply: Vec<String>,
    /// The fields that were supplied for the next attempt.
    pub supplied: Vec<String>,
    /// The run that it is about.
    pub run_id: Option<String>,
    /// The schedule that it is about.
    pub schedule: Option<String>,
    /// The budget that it is about.
    pub budget: Option<String>,
    /// The page of what it is about.
    pub href: Option<String>,
    /// In which attempt.
    pub attempt: Option<u32>,
    /// At which step.
    pub step: Option<String>,
    /// Whose.
    pub agent: Option<String>,
    /// What was wanted.
    pub action: Option<String>,
    /// On what.
    pub entity: Option<ItemEntityAnswer>,
    /// The person who has it.
    pub owner: Option<String>,
    /// By when.
    pub due_at: Option<String>,
    /// Whether that has passed.
    pub overdue: bool,
    /// Until when it is put off.
    pub snoozed_until: Option<String>,
    /// To whom it was handed.
    pub escalated_to: Option<String>,
    /// Whom an escalation goes to.
    pub escalation_contact: Option<String>,
    /// What was decided.
    pub decision: Option<DecidedAnswer>,
    /// Whether a decision is still owed.
    pub without_decision: bool,
    /// How often the trouble was seen.
    pub count: u64,
    /// How often in a row an attempt failed at that step.
    pub same_step_failures: u32,
    /// How often it came back after a resolution.
    pub came_back: u32,
    /// When it was seen first.
    pub first_seen: String,
    /// When it was seen last.
    pub last_seen: String,
    /// What it is the same as, in other runs.
    pub fingerprint: String,
    /// How it ended.
    pub resolution: Option<ResolutionAnswer>,
    /// How it had ended before it came back.
    pub last_resolution: Option<ResolutionAnswer>,
    /// Counts its changes; the `ETag`.
    pub revision: u64,
    /// What was changed around the moment when it began. Only where one item is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<ChangedAnswer>>,
    /// Why nobody has picked its run up. Only where one item is read, and while nobody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_picked_up: Option<NotPickedUpAnswer>,
    /// How many other runs moved in the last five minutes. Beside `not_picked_up`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others_moved: Option<usize>,
}

impl From<&ItemView> for ItemAnswer {
    fn from(view: &ItemView) -> Self {
        let item = &*view.item;
        let text = |at: Timestamp| at.to_string();
        let (schedule, budget) = match &item.subject {
            Subject::Schedule(schedule) => (Some(schedule.clone()), None),
            Subject::Budget { budget, .. } => (None, Some(budget.to_string())),
            _ => (None, None),
        };
        Self {
            id: item.id.to_string(),
            kind: item.kind.as_str(),
            state: item.state_at(view.now).as_str(),
            title: item.title.clone(),
            why: item.why(),
            suggested_action: serde_json::to_value(item.suggestion()).unwrap_or_default(),
            why_suggested: item.why_suggested(view.contact.as_deref()),
            class: item.class.as_str(),
            reasons: item.open_reasons().cloned().collect(),
            checklist: item.checks.iter().map(CheckAnswer::from).collect(),
            supply: item.askable_fields().map(str::to_owned).collect(),
            supplied: item.supplied.keys().cloned().collect(),
            run_id: item.run().map(ToString::to_string),
            href: href(item),
            schedule,
            budget,
            attempt: item.place.attempt,
            step: item.place.step.as_ref().map(ToString::to_string),
            agent: item.place.agent.as_ref().map(ToString::to_string),
            action: item.place.action.as_ref().map(ToString::to_string),
            entity: item.place.entity_type.as_ref().map(|kind| ItemEntityAnswer {
                kind: kind.to_string(),
                id: item.place.entity_id.as_ref().map(ToString::to_string),
            }),
            owner: item.owner.clone(),
            due_at: item.due_at.map(text),
            overdue: item.is_overdue(view.now),
            snoozed_until: item.snoozed_until.map(text),
            escalated_to: item.escalated_to.clone(),
            escalation_contact: view.contact.clone(),
            decision: item.decided.as_ref().map(DecidedAnswer::from),
            without_decision: item.lacks_decision(view.now),
            count: item.count,
            same_step_failures: item.same_step_failures,
            came_back: item.came_back,
            first_seen: text(item.first_seen),
            last_seen: text(item.last_seen),
            fingerprint: item.fingerprint.to_string(),
            resolution: item.resolution.as_ref().map(ResolutionAnswer::from),
            last_resolution: item.last_resolution.as_ref().map(ResolutionAnswer::from),
            revision: item.revision,
            changed: None,
            not_picked_up: None,
            others_moved: None,
        }
    }
}

impl From<&ItemPage> for ItemAnswer {
    fn from(page: &ItemPage) -> Self {
        let waits = page.dispatching.as_ref();
        Self {
            changed: Some(page.changed.iter().map(ChangedAnswer::from).collect()),
            not_picked_up: waits.and_then(|waits| waits.not_picked_up.as_ref().map(Into::into)),
            others_moved: waits.map(|waits| waits.others_moved),
            ..Self::from(&page.view)
        }
    }
}

fn href(item: &Item) -> Option<String> {
    let target = match &item.subject {
        Subject::Run(run) => format!("run:{run}"),
        Subject::Schedule(schedule) => format!("schedule:{schedule}"),
        Subject::Budget { budget, .. } => format!("budget:{budget}"),
        Subject::Denial { agent, .. } => format!("agent:{agent}"),
    };
    crate::vocabulary::href(&target)
}

impl From<&ChecklistLine> for CheckAnswer {
    fn from(line: &ChecklistLine) -> Self {
        Self {
            reason: line.reason.clone(),
            since: line.since.to_string(),
            lifted_at: line.lifted_at.map(|at| at.to_string()),
        }
    }
}

impl From<&Resolution> for ResolutionAnswer {
    fn from(resolution: &Resolution) -> Self {
        Self {
            category: resolution.category.as_str(),
            reason: resolution.reason.clone(),
            by: resolution.by.clone(),
            at: resolution.at.to_string(),
        }
    }
}

impl From<&Decided> for DecidedAnswer {
    fn from(decided: &Decided) -> Self {
        match decided {
            Decided::Retried { attempt } => {
                Self { kind: "retried", attempt: Some(*attempt), fix: None, owner: None, due_at: None }
            }
            Decided::Waiting { fix, owner, due_at } => Self {
                kind: "waiting",
                attempt: None,
                fix: Some(fix.clone()),
                owner: Some(owner.clone()),
                due_at: Some(due_at.to_string()),
            },
        }
    }
}

impl From<&Changed> for ChangedAnswer {
    fn from(changed: &Changed) -> Self {
        Self {
            at: changed.at.to_string(),
            op: changed.op.clone(),
            subject: changed.subject.clone(),
            by: changed.by.clone(),
            reason: changed.reason.clone(),
        }
    }
}
