//! Items of Command Center on the wire: what is asked for, and what is answered. What is done to them is in
//! `attention_act.rs`.

use super::answer::ReasonAnswer;
use super::record::limit;
use crate::attention::{
    Check as ChecklistLine, Class, Decided, Group, GroupBy, Item, ItemKind, ItemState, Resolution, Subject,
};
use crate::http::check::Check;
use crate::http::problem::{Problem, ProblemDocument};
use crate::operations::{Changed, Headline, ItemCursor, ItemFilter, ItemView};
use crate::vocabulary::Reason;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Which items.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ItemQuery {
    /// In this state: `open`, `waiting_on_setup`, `ready_to_retry`, `retrying`, `escalated`, `snoozed`, `resolved`. Where
    /// it is not said, all that are not resolved.
    pub state: Option<String>,
    /// `failed_run`, `stuck_run`, `blocked_action`, `missed_schedule` or `budget_alert`.
    pub kind: Option<String>,
    /// `temporary`, `setup` or `unknown`.
    pub class: Option<String>,
    /// Of this person.
    pub owner: Option<String>,
    /// Of this agent.
    pub agent: Option<String>,
    /// About this run; resolved or not.
    pub run: Option<String>,
    /// Of this fingerprint.
    pub fingerprint: Option<String>,
    /// That this fix would help to free: a remedy's target (`budget:rfq-draft-daily`), or a reason's code.
    pub fix: Option<String>,
    /// `true`: those without a decision; `false`: the others.
    pub without_decision: Option<String>,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
    /// How many, 1 to 500; 50 where it is not said.
    pub limit: Option<String>,
}

impl ItemQuery {
    /// The filter, where to go on, and the page's length, or every parameter at fault.
    pub fn filter(&self) -> Result<(ItemFilter, Option<ItemCursor>, usize), Problem> {
        let mut check = Check::new("");
        let filter = filter(&mut check, self);
        let cursor = check.optional("?cursor", self.cursor.as_deref());
        let limit = limit(self.limit.as_deref(), &mut check);
        check.finish(Some((filter, cursor, limit)))
    }
}

fn filter(check: &mut Check, query: &ItemQuery) -> ItemFilter {
    ItemFilter {
        state: one_of(check, "?state", query.state.as_deref(), ItemState::parse),
        kind: one_of(check, "?kind", query.kind.as_deref(), ItemKind::parse),
        class: one_of(check, "?class", query.class.as_deref(), Class::parse),
        owner: query.owner.clone(),
        agent: check.optional("?agent", query.agent.as_deref()),
        run: check.optional("?run", query.run.as_deref()),
        fingerprint: check.optional("?fingerprint", query.fingerprint.as_deref()),
        fix: query.fix.clone(),
        without_decision: one_of(check, "?without_decision", query.without_decision.as_deref(), |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }),
    }
}

pub(super) fn one_of<T>(
    check: &mut Check,
    pointer: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let found = text.map(&parse)?;
    if found.is_none() {
        check.fault(pointer, "is none of the values that there are");
    }
    found
}

/// How items are grouped, and which.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GroupQuery {
    /// `fingerprint` (the same trouble) or `fix` (what would free them).
    pub by: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this agent.
    pub agent: Option<String>,
    /// Of this person.
    pub owner: Option<String>,
}

impl GroupQuery {
    /// The filter and what to group by, or every parameter at fault.
    pub fn asked(&self) -> Result<(ItemFilter, GroupBy), Problem> {
        let mut check = Check::new("");
        let query = ItemQuery {
            kind: self.kind.clone(),
            agent: self.agent.clone(),
            owner: self.owner.clone(),
            ..ItemQuery::default()
        };
        let filter = filter(&mut check, &query);
        let by = one_of(&mut check, "?by", Some(self.by.as_deref().unwrap_or("fingerprint")), |text| match text {
            "fingerprint" => Some(GroupBy::Fingerprint),
            "fix" => Some(GroupBy::Fix),
            _ => None,
        });
        check.finish(by.map(|by| (filter, by)))
    }
}

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

/// Items that have something in common.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ItemGroup)]
pub struct GroupAnswer {
    /// The fingerprint, or the fix.
    #[schema(example = "budget:rfq-draft-daily")]
    pub key: String,
    /// What it is called.
    pub title: String,
    /// The page that fixes it.
    pub href: Option<String>,
    /// How many items.
    pub items: usize,
    /// How many of them are about runs.
    pub runs: usize,
    /// Those without a decision.
    pub without_decision: usize,
    /// The earliest.
    pub first_seen: String,
    /// The latest.
    pub last_seen: String,
}

impl From<&Group> for GroupAnswer {
    fn from(group: &Group) -> Self {
        Self {
            key: group.key.clone(),
            title: group.title.clone(),
            href: group.href.clone(),
            items: group.items,
            runs: group.runs,
            without_decision: group.without_decision,
            first_seen: group.first_seen.to_string(),
            last_seen: group.last_seen.to_string(),
        }
    }
}

/// What stands at the top of Command Center.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Headline)]
pub struct HeadlineAnswer {
    /// Items that nobody has decided on. The goal is zero.
    pub without_decision: usize,
    /// Items that are not resolved.
    pub open: usize,
    /// Whose due time has passed.
    pub overdue: usize,
    /// That could be retried now.
    pub ready_to_retry: usize,
    /// By state.
    pub by_state: BTreeMap<&'static str, usize>,
    /// By kind.
    pub by_kind: BTreeMap<&'static str, usize>,
    /// When the oldest trouble without a decision began.
    pub oldest: Option<String>,
}

impl From<&Headline> for HeadlineAnswer {
    fn from(line: &Headline) -> Self {
        Self {
            without_decision: line.without_decision,
            open: line.open,
            overdue: line.overdue,
            ready_to_retry: line.ready_to_retry,
            by_state: line.by_state.iter().map(|(state, count)| (state.as_str(), *count)).collect(),
            by_kind: line.by_kind.iter().map(|(kind, count)| (kind.as_str(), *count)).collect(),
            oldest: line.oldest.map(|at| at.to_string()),
        }
    }
}

/// What became of one item of a bulk act, or would.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BulkOutcome)]
pub struct BulkOutcomeAnswer {
    /// Which.
    pub id: String,
    /// 200, or the status of the problem.
    pub status: u16,
    /// In a preview: the revision that freezes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The state behind it.
    pub state: Option<&'static str>,
    /// Why not.
    #[schema(value_type = Option<ProblemDocument>)]
    pub problem: Option<ProblemDocument>,
}

/// What became of every item, in the order of the request.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BulkAnswers)]
pub struct BulkAnswers {
    /// One for each.
    pub items: Vec<BulkOutcomeAnswer>,
}
