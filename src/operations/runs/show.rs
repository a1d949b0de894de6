//! Runs as they are listed and shown.

use crate::attention::Item;
use crate::budget::{self, Facts};
use crate::operations::app::App;
use crate::operations::attention::ItemView;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::runs::{AttemptState, NotPickedUp, Run, RunEvent, RunUsage, not_picked_up};
use crate::state::{RunHolds, State};
use crate::store::Page;
use crate::vocabulary::{ActionName, AgentId, Balance, BudgetId, RunId, ScheduleId, Unit};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many runs one call looks at.
const EXAMINED: usize = 5_000;
/// What counts as having moved lately.
const LATELY: SignedDuration = SignedDuration::from_mins(5);
/// So many are counted at most.
const MOST_MOVED: usize = 1_000;

/// Which runs.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// With this status.
    pub status: Option<AttemptState>,
    /// Made by this schedule.
    pub schedule: Option<ScheduleId>,
}

/// What is left of a budget that a run spent from, or that stops it.
#[derive(Clone, Debug)]
pub struct BudgetLeft {
    /// The budget.
    pub budget: BudgetId,
    /// What it counts.
    pub unit: Unit,
    /// Its limit in force.
    pub limit: Balance,
    /// What is left of that.
    pub remaining: Balance,
    /// When its window ends.
    pub resets_at: Option<String>,
}

/// How a run's waiting is explained.
#[derive(Clone, Debug)]
pub struct Dispatching {
    /// Why nobody has it, while it is queued.
    pub not_picked_up: Option<NotPickedUp>,
    /// How many other runs moved in the last five minutes, 1,000 at most.
    pub others_moved: usize,
}

/// A run with what is asked of it on one page.
#[derive(Clone, Debug)]
pub struct RunView {
    /// The run.
    pub run: Arc<Run>,
    /// What it spent and set aside.
    pub usage: RunUsage,
    /// What is left of the budgets that it spent from, or that stop it.
    pub left: Vec<BudgetLeft>,
    /// How its waiting is explained.
    pub dispatching: Dispatching,
    /// What needs an owner's decision about it, for those who may see that.
    pub item: Option<ItemView>,
}

/// Runs that fit, newest first. The work of one call is bounded: a page may be short and still have a `next`.
pub fn list_runs(
    app: &App,
    principal: &Principal,
    filter: &RunFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<Arc<Run>>, OperationError> {
    principal.may(Operation::ReadRuns)?;
    let before = cursor.map(parse_cursor).transpose()?;
    let bound = principal.bound_agents(Operation::ReadRuns);
    let fits = |run: &Run| {
        bound.is_none_or(|bound| bound.contains(&run.agent))
            && filter.agent.as_ref().is_none_or(|agent| *agent == run.agent)
            && (filter.schedule.is_none() || filter.schedule == run.schedule)
    };
    Ok(app.read(|state| {
        let (mut items, mut next, mut examined) = (Vec::new(), None, 0);
        for run in state.runs().back(filter.status, before.as_ref()) {
            if items.len() == limit || examined == EXAMINED {
                return Page { items, next };
            }
            examined += 1;
            next = Some(format!("{}.{}", run.created_at.as_nanosecond(), run.id));
            if fits(run) {
                items.push(Arc::clone(run));
            }
        }
        Page { items, next: None }
    }))
}

fn parse_cursor(text: &str) -> Result<(Timestamp, RunId), OperationError> {
    let parsed = text
        .split_once('.')
        .and_then(|(at, id)| Some((Timestamp::from_nanosecond(at.parse().ok()?).ok()?, RunId::new(id).ok()?)));
    parsed.ok_or_else(|| OperationError::Invalid {
        pointer: "?cursor".to_owned(),
        message: "is not a cursor that a list gave".to_owned(),
    })
}

/// A run that the principal may know of.
pub(in crate::operations) fn visible(
    app: &App,
    principal: &Principal,
    operation: Operation,
    id: &RunId,
) -> Result<Arc<Run>, OperationError> {
    principal.may(operation)?;
    let run = app.read(|state| state.runs().run(id).cloned());
    let seen = run.filter(|run| principal.may_for(operation, &run.agent).is_ok());
    seen.ok_or_else(|| OperationError::NotFound { what: "run", id: id.to_string() })
}

/// One run, with its usage and why it waits.
pub fn show_run(app: &App, principal: &Principal, id: &RunId) -> Result<RunView, OperationError> {
    let run = visible(app, principal, Operation::ReadRuns, id)?;
    let now = app.now();
    let sees_items = principal.may(Operation::ReadAttention).is_ok();
    Ok(app.read(|state| {
        let holds = state.runs().holds_of(id);
        let usage = holds.map(RunHolds::usage).unwrap_or_default();
        let dispatching = dispatching(state, &run, app.clocks.worker_gone_s, now);
        let item = state.attention().about_run(id);
        let left = left(state, &run, item.map(AsRef::as_ref), now);
        let item = item.filter(|_| sees_items).map(|item| ItemView::of(state, item, now));
        RunView { run: Arc::clone(&run), usage, left, dispatching, item }
    }))
}

/// Why a queued run waits, and whether others move.
pub(in crate::operations) fn dispatching(state: &State, run: &Run, gone_after_s: u32, now: Timestamp) -> Dispatching {
    let runs = state.runs();
    let queued = run.status() == AttemptState::Queued;
    let not_picked_up = queued.then(|| {
        let schedule = run.schedule.as_ref().and_then(|id| runs.schedule(id));
        not_picked_up(run, schedule.map(AsRef::as_ref), runs.workers_of(&run.agent), gone_after_s, now)
    });
    let since = now.checked_sub(LATELY).unwrap_or(Timestamp::MIN);
    Dispatching { not_picked_up, others_moved: runs.moved_since(since, &run.id, MOST_MOVED) }
}

/// Every budget that a hold of the run counts against, or that stands in its way, as it stands now.
fn left(state: &State, run: &Run, item: Option<&Item>, now: Timestamp) -> Vec<BudgetLeft> {
    let mut left = BTreeMap::new();
    for hold in state.runs().holds_of(&run.id).into_iter().flat_map(RunHolds::iter) {
        let Some(of) = &hold.run else { continue };
        for line in &hold.lines {
            let id = &line.account.budget;
            if !left.contains_key(id) {
                left.extend(left_of(state, run, id, &of.action, now).map(|left| (id.clone(), left)));
            }
        }
    }
    if let Some(item) = item
        && let Some(action) = &item.place.action
    {
        let targets = item.open_reasons().filter_map(|reason| reason.remedy.target.as_deref());
        for id in targets.filter_map(|target| BudgetId::new(target.strip_prefix("budget:")?).ok()) {
            if !left.contains_key(&id) {
                left.extend(left_of(state, run, &id, action, now).map(|left| (id.clone(), left)));
            }
        }
    }
    left.into_values().collect()
}

fn left_of(state: &State, run: &Run, id: &BudgetId, action: &ActionName, now: Timestamp) -> Option<BudgetLeft> {
    let facts = Facts {
        agent: &run.agent,
        team: state.agent(&run.agent).and_then(|agent| agent.spec.team.as_ref()),
        entity_type: run.entity.as_ref().map(|entity| &entity.kind),
        action,
        run: Some(&run.id),
    };
    let budget = state.budget(id).filter(|budget| budget.deleted_at.is_none())?;
    let available = budget::available(now, &facts, budget, state)?;
    Some(BudgetLeft {
        budget: id.clone(),
        unit: budget.spec.unit.clone(),
        limit: available.limit,
        remaining: available.remaining,
        resets_at: available.resets_at,
    })
}

/// The events of a run behind a number, in order.
pub fn run_events(
    app: &App,
    principal: &Principal,
    id: &RunId,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<Arc<RunEvent>>, OperationError> {
    let run = visible(app, principal, Operation::ReadRuns, id)?;
    let after: u64 = match cursor {
        None => 0,
        Some(text) => text.parse().map_err(|_| OperationError::Invalid {
            pointer: "?cursor".to_owned(),
            message: "is not a cursor that a list gave".to_owned(),
        })?,
    };
    let upto = after.saturating_add(u64::try_from(limit).unwrap_or(u64::MAX)).min(run.events);
    if upto <= after {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let items = app.store.run_events(id, after + 1, upto)?;
    // one that was just decided may not be readable yet: the page ends before it
    let last = items.last().map_or(after, |event| event.number);
    Ok(Page { next: (last < run.events).then(|| last.to_string()), items })
}
