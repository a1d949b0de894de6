//! What is asked of Command Center, and its views: groups and the headline. An item itself is in `item.rs`, what is done
//! to one in `attention_act.rs`, to many in `attention_bulk.rs`.

use super::record::limit;
use crate::attention::{Class, Group, GroupBy, ItemKind, ItemState, Storm};
use crate::http::check::Check;
use crate::http::problem::Problem;
use crate::operations::{Headline, ItemCursor, ItemFilter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
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
        let filter = filter(&mut check, self, "?");
        let cursor = check.optional("?cursor", self.cursor.as_deref());
        let limit = limit(self.limit.as_deref(), &mut check);
        check.finish(Some((filter, cursor, limit)))
    }
}

/// The filter that these texts are; `at` is what stands before their names.
pub(super) fn filter(check: &mut Check, query: &ItemQuery, at: &str) -> ItemFilter {
    ItemFilter {
        state: one_of(check, format_args!("{at}state"), query.state.as_deref(), ItemState::parse),
        kind: one_of(check, format_args!("{at}kind"), query.kind.as_deref(), ItemKind::parse),
        class: one_of(check, format_args!("{at}class"), query.class.as_deref(), Class::parse),
        owner: query.owner.clone(),
        agent: check.optional(format_args!("{at}agent"), query.agent.as_deref()),
        run: check.optional(format_args!("{at}run"), query.run.as_deref()),
        fingerprint: check.optional(format_args!("{at}fingerprint"), query.fingerprint.as_deref()),
        fix: query.fix.clone(),
        without_decision: one_of(
            check,
            format_args!("{at}without_decision"),
            query.without_decision.as_deref(),
            |text| match text {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
        ),
    }
}

/// The value of that name, or a fault.
pub(super) fn one_of<T>(
    check: &mut Check,
    pointer: impl Display,
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
        let filter = filter(&mut check, &query, "?");
        let by = one_of(&mut check, "?by", Some(self.by.as_deref().unwrap_or("fingerprint")), |text| match text {
            "fingerprint" => Some(GroupBy::Fingerprint),
            "fix" => Some(GroupBy::Fix),
            _ => None,
        });
        check.finish(by.map(|by| (filter, by)))
    }
}

/// The same failure over and over: an alarm, as it stands now.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Storm)]
pub struct StormAnswer {
    /// Of which trouble.
    pub fingerprint: String,
    /// What that is called.
    pub title: String,
    /// How often it failed lately.
    pub failures: u32,
    /// In how many runs.
    pub runs: usize,
    /// When it became a storm.
    pub since: String,
}

impl From<&Storm> for StormAnswer {
    fn from(storm: &Storm) -> Self {
        Self {
            fingerprint: storm.fingerprint.to_string(),
            title: storm.title.clone(),
            failures: storm.failures,
            runs: storm.runs,
            since: storm.since.to_string(),
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
    /// The storm that is under way of this trouble, if there is one.
    pub storm: Option<StormAnswer>,
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
            storm: group.storm.as_ref().map(Into::into),
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
    /// The storms that are under way, the worst first: the same failure over and over.
    pub storms: Vec<StormAnswer>,
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
            storms: line.storms.iter().map(Into::into).collect(),
        }
    }
}
