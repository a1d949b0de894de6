//! Re-checks: what still stands in the way of items that wait, as dry runs, oldest first, each against what those before
//! it would take. An item turns `ready_to_retry` by this, or says what is still missing.

use super::causes::Why;
use crate::admission::{Action, Decision, Kind, Request, RunRef};
use crate::attention::{Item, ItemKind, Subject};
use crate::budget::limit_in_force;
use crate::decide::{Answer, Command, Envelope, ItemCommand, Rehearsed, Taken};
use crate::operations::admit::{as_repeated, judge_as};
use crate::operations::app::{App, durable};
use crate::operations::error::OperationError;
use crate::operations::recorded::Question;
use crate::operations::roles::Principal;
use crate::runs::{ConnectorStatus, Run};
use crate::state::State;
use crate::store::DecisionFilter;
use crate::vocabulary::{ActionName, Reason, Source};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many items are decided in one go, behind as much of what is due as a small batch does: so long may the next batch be
/// held up.
const AT_ONCE: usize = 32;

/// What came of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rechecked {
    /// Items that were looked at.
    pub looked_at: usize,
    /// Items that stand otherwise now.
    pub changed: usize,
    /// Items of which nobody could tell at present; they are worth another look.
    pub untold: usize,
}

/// What there is to know of an item before it is rehearsed.
struct Looked {
    item: Arc<Item>,
    why: Why,
    /// What stands in the way that the gate does not judge.
    own: Vec<Reason>,
    /// The question to the gate, judged by policy; `None` where there is none to ask.
    ask: Option<Box<Rehearsed>>,
}

/// Re-checks these items, which come oldest first.
pub async fn recheck(app: &Arc<App>, items: Vec<(Arc<Item>, Why)>) -> Result<Rechecked, OperationError> {
    let mut outcome = Rechecked::default();
    let mut taken = Taken::new();
    let mut rest = items.into_iter();
    loop {
        let chunk: Vec<_> = rest.by_ref().take(AT_ONCE).collect();
        if chunk.is_empty() || app.notices.is_closed() {
            return Ok(outcome);
        }
        outcome.looked_at += chunk.len();
        let (app_there, taken_there) = (Arc::clone(app), std::mem::take(&mut taken));
        let work = tokio::task::spawn_blocking(move || look(&app_there, chunk, taken_there));
        let (commands, taken_back, untold) =
            work.await.map_err(|_| OperationError::Internal("a re-check was cut off".to_owned()))?;
        taken = taken_back;
        outcome.untold += untold;
        let actor = Principal::tollgate().actor();
        let replies: Vec<_> = commands
            .into_iter()
            .map(|command| app.store.submit(Envelope { command: Command::Item(command), actor: actor.clone() }))
            .collect();
        for reply in replies {
            match durable(reply.await) {
                Ok(answer) => outcome.changed += usize::from(matches!(answer, Answer::Item(_))),
                // an item that has changed meanwhile is looked at again by what changed it
                Err(OperationError::Refused(_)) => {}
                Err(error) => outcome.untold += usize::from(error.passes()),
            }
        }
    }
}

/// Judges and rehearses one chunk; the commands are for those items that stand otherwise now. The last figure says of how
/// many nobody could tell at present.
fn look(app: &App, chunk: Vec<(Arc<Item>, Why)>, mut taken: Taken) -> (Vec<ItemCommand>, Taken, usize) {
    let now = app.now();
    let mut untold = 0;
    let looked: Vec<Looked> = chunk.into_iter().map(|(item, why)| prepared(app, item, why, now, &mut untold)).collect();
    let asks: Vec<Rehearsed> = looked.iter().filter_map(|looked| looked.ask.as_deref().cloned()).collect();
    let mut answers = app.store.rehearse(&asks, &mut taken, now).into_iter();
    let mut commands = Vec::new();
    for Looked { item, why, own, ask } in looked {
        let said = match ask.and_then(|_| answers.next()) {
            None if item.kind == ItemKind::BudgetAlert => Vec::new(),
            Some(Ok(answer)) if answer.decision == Decision::Allow => Vec::new(),
            Some(Ok(answer)) => answer.reasons,
            // nobody can tell: the item stays as it is
            None | Some(Err(_)) => continue,
        };
        let still = together(own, said);
        if item.rechecked(&still, now).is_some() {
            let (id, revision) = (item.id.clone(), item.revision);
            commands.push(ItemCommand::Rechecked { id, still, cause: why.to_owned(), revision });
        }
    }
    (commands, taken, untold)
}

fn prepared(app: &App, item: Arc<Item>, why: Why, now: Timestamp, untold: &mut usize) -> Looked {
    let own = app.read(|state| own_reasons(state, &item, now));
    let judged = match item.kind {
        ItemKind::BudgetAlert | ItemKind::MissedSchedule => Ok(None),
        _ => question(app, &item)
            .and_then(|asked| asked.map(|request| judge_as(app, request, String::new())).transpose()),
    };
    let asked = judged.unwrap_or_else(|error| {
        *untold += usize::from(error.passes());
        None
    });
    let takes = own.is_empty();
    Looked { item, why, own, ask: asked.map(|ask| Box::new(Rehearsed { ask, takes })) }
}

/// What stands in the way by itself, and what the gate says besides.
fn together(own: Vec<Reason>, said: Vec<Reason>) -> Vec<Reason> {
    let mut still = own;
    for reason in said {
        if !still.iter().any(|own| own.code == reason.code && own.remedy.target == reason.remedy.target) {
            still.push(reason);
        }
    }
    still
}

/// What stands in the way that the gate does not judge on a dry run: what the runtime reported, connectors, and a limit
/// that was passed.
fn own_reasons(state: &State, item: &Item, now: Timestamp) -> Vec<Reason> {
    if let Subject::Budget { budget, account } = &item.subject {
        let covered = state.budget(budget).is_none_or(|budget| {
            let mut own = state.accounts_of(budget.id()).filter(|own| own.key.to_string() == *account);
            own.all(|own| {
                let figures = own.figures(&budget.spec.window, now);
                let used = figures.spent.checked_add(figures.held);
                used.is_some_and(|used| used <= limit_in_force(budget, &own.key, now))
            })
        });
        return if covered { Vec::new() } else { item.open_reasons().cloned().collect() };
    }
    let run = item.run().and_then(|run| state.runs().run(run));
    let checks = item.checks.iter().map(|check| (&check.reason, check.is_open()));
    let standing = checks.filter(|(reason, is_open)| match reason.source {
        Source::Run | Source::Connector => stands(state, run.map(Arc::as_ref), item, reason, *is_open, now),
        _ => false,
    });
    standing.map(|(reason, _)| reason.clone()).collect()
}

fn stands(state: &State, run: Option<&Run>, item: &Item, reason: &Reason, is_open: bool, now: Timestamp) -> bool {
    let target = reason.remedy.target.as_deref().unwrap_or_default();
    if let Some(connector) = target.strip_prefix("connector:") {
        return state.runs().connector(connector).is_some_and(|known| known.status == ConnectorStatus::Down);
    }
    if let Some(field) = target.strip_prefix("field:") {
        let at_run = run.and_then(|run| run.supplied.as_ref()).is_some_and(|s| s.data.contains_key(field));
        return is_open && !at_run && !item.supplied.contains_key(field);
    }
    if target.starts_with("budget:") {
        // the gate tells by itself
        return false;
    }
    let passes_at = reason.retry_at.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
    is_open && passes_at.is_none_or(|at| now < at)
}

/// What the gate is asked for an item: the retry of a run, as what it would repeat, or the denied action itself, each
/// with the data that was supplied.
fn question(app: &App, item: &Item) -> Result<Option<Request>, OperationError> {
    let request = match &item.subject {
        Subject::Run(run) => {
            match app.read(|state| state.runs().run(run).cloned()).and_then(|run| retry_of(&run, item)) {
                Some(retry) => Some(as_repeated(app, &retry)?.0),
                None => None,
            }
        }
        Subject::Denial { .. } => denied_action(app, item)?,
        _ => None,
    };
    Ok(request.map(|request| with_supplied(request, item)))
}

fn retry_of(run: &Run, item: &Item) -> Option<Request> {
    let run_ref =
        RunRef { id: run.id.clone(), attempt: run.latest_number(), step: item.place.step.clone(), lease: None };
    Some(Request {
        idempotency_key: None,
        kind: Kind::Retry,
        agent: run.agent.clone(),
        action: Action { name: ActionName::new("start_run").ok()?, properties: Map::new() },
        entity: None,
        run: Some(run_ref),
        estimate: BTreeMap::new(),
        connectors: Vec::new(),
        context: Map::new(),
        hold_ttl_s: 60,
        dry_run: true,
    })
}

/// The last denial of this subject, asked again.
fn denied_action(app: &App, item: &Item) -> Result<Option<Request>, OperationError> {
    let place = &item.place;
    let filter = DecisionFilter {
        agents: place.agent.clone().map(|agent| vec![agent]),
        entity_type: place.entity_type.clone(),
        entity_id: place.entity_id.clone(),
        action: place.action.clone(),
        decision: Some(Decision::Deny),
        kind: Some(Kind::Action),
        ..DecisionFilter::default()
    };
    let page = app.store.decisions(&filter, None, 1)?;
    let Some(record) = page.items.into_iter().next() else { return Ok(None) };
    let Question { action, entity, estimate, connectors, context, .. } = Question::of(&record)?;
    Ok(Some(Request {
        idempotency_key: None,
        kind: Kind::Action,
        agent: record.agent.clone(),
        action,
        entity,
        run: None,
        estimate,
        connectors,
        context,
        hold_ttl_s: 60,
        dry_run: true,
    }))
}

/// The question as it would be with what was supplied. Only here: nothing that a runtime reported is overwritten.
fn with_supplied(mut request: Request, item: &Item) -> Request {
    for (field, value) in &item.supplied {
        let into = |properties: &mut Map<String, Value>, path: &str| {
            if !path.contains('/') {
                properties.insert(path.replace("~1", "/").replace("~0", "~"), value.clone());
            }
        };
        if let (Some(path), Some(entity)) = (field.strip_prefix("/entity/properties/"), request.entity.as_mut()) {
            into(&mut entity.properties, path);
        } else if let Some(path) = field.strip_prefix("/action/properties/") {
            into(&mut request.action.properties, path);
        } else if let Some(path) = field.strip_prefix("/context/") {
            into(&mut request.context, path);
        }
    }
    request
}
