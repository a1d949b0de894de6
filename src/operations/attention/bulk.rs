//! The same done to many items, or to the runs that they are about: a preview that freezes the list and says for each
//! what would become of it, then the commit of that list, item by item.

use super::acts::ItemAct;
use super::read::{ItemCursor, ItemFilter, items};
use crate::attention::{Item, ItemState};
use crate::decide::{Answer, Command, Envelope, Refusal, RunAnswer, RunCommand, plan_of};
use crate::operations::app::{App, durable};
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::operations::runs::{RetryAskedFor, judged, of_answer, of_run, retry_plan, retry_run, visible};
use crate::runs::{CancelCategory, RetryRefusal, SideEffect};
use crate::state::Draft;
use crate::store::Reply;
use crate::vocabulary::{IdempotencyKey, ItemId, RunId};
use serde_json::{Value, json};
use std::sync::Arc;

/// How many items one bulk act is for.
pub const LARGEST_BULK: usize = 1_000;
/// How many are handed in before the first of them is waited for.
const AT_ONCE: usize = 32;

/// What is to be done to each.
#[derive(Clone, Debug, PartialEq)]
pub enum BulkAct {
    /// Something to the item itself.
    Item(ItemAct),
    /// Another attempt at its run.
    Retry {
        /// Why.
        reason: String,
        /// The side effects that the preview names are acknowledged.
        acknowledge: bool,
    },
    /// An end of its run.
    Cancel {
        /// Why, by category.
        category: CancelCategory,
        /// Why, in words.
        reason: String,
    },
    /// An end of its run's attempt, without its runtime's proof.
    ForceStop {
        /// Why.
        reason: String,
    },
}

/// Which items.
#[derive(Clone, Debug, PartialEq)]
pub enum BulkOf {
    /// These.
    Ids(Vec<ItemId>),
    /// Those that fit, the newest.
    Query(Box<ItemFilter>),
}

/// An item of a frozen list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkItem {
    /// Which.
    pub id: ItemId,
    /// As it was seen.
    pub revision: u64,
    /// For a retry: the plan that was seen.
    pub plan_version: Option<String>,
}

/// What would become of one item.
#[derive(Debug)]
pub struct Previewed {
    /// Which.
    pub id: ItemId,
    /// Its revision, which freezes it.
    pub revision: Option<u64>,
    /// For a retry: its plan's version, which freezes that.
    pub plan_version: Option<String>,
    /// For a retry: what has happened already, and may happen again.
    pub side_effects: Vec<SideEffect>,
    /// The state that it would come into, or why not.
    pub outcome: Result<ItemState, OperationError>,
}

/// A frozen list.
#[derive(Debug)]
pub struct BulkPreview {
    /// One for each.
    pub items: Vec<Previewed>,
    /// More fit the query than one bulk act takes.
    pub more: bool,
}

/// What became of one item.
#[derive(Debug)]
pub struct BulkAnswer {
    /// Which.
    pub id: ItemId,
    /// The state behind it, or why not.
    pub outcome: Result<ItemState, OperationError>,
}

impl BulkAct {
    fn operation(&self) -> Operation {
        match self {
            Self::Item(act) => act.operation(),
            Self::Retry { .. } => Operation::RetryRun,
            Self::Cancel { .. } => Operation::CancelRun,
            Self::ForceStop { .. } => Operation::ForceStop,
        }
    }

    fn permitted(&self, principal: &Principal) -> Result<(), OperationError> {
        principal.may(Operation::ActOnItems)?;
        principal.may(self.operation())?;
        Ok(())
    }
}

/// What the act would do to each, without doing it.
pub fn preview_items(
    app: &App,
    principal: &Principal,
    of: BulkOf,
    act: &BulkAct,
) -> Result<BulkPreview, OperationError> {
    act.permitted(principal)?;
    let (ids, more) = match of {
        BulkOf::Ids(ids) => (ids, false),
        BulkOf::Query(filter) => found(app, principal, &filter)?,
    };
    let items = ids.into_iter().map(|id| previewed(app, principal, id, act)).collect();
    Ok(BulkPreview { items, more })
}

/// The items that fit, and whether there are more than one act takes.
fn found(app: &App, principal: &Principal, filter: &ItemFilter) -> Result<(Vec<ItemId>, bool), OperationError> {
    let mut ids = Vec::new();
    let mut cursor: Option<ItemCursor> = None;
    loop {
        let page = items(app, principal, filter, cursor.as_ref(), LARGEST_BULK + 1 - ids.len())?;
        ids.extend(page.items.iter().map(|view| view.item.id.clone()));
        cursor = page.next.as_deref().and_then(|next| next.parse().ok());
        if cursor.is_none() || ids.len() > LARGEST_BULK {
            let more = ids.len() > LARGEST_BULK;
            ids.truncate(LARGEST_BULK);
            return Ok((ids, more));
        }
    }
}

fn previewed(app: &App, principal: &Principal, id: ItemId, act: &BulkAct) -> Previewed {
    let item = app.read(|state| state.attention().get(&id).cloned());
    let revision = item.as_ref().map(|item| item.revision);
    let mut previewed =
        Previewed { id, revision, plan_version: None, side_effects: Vec::new(), outcome: Ok(ItemState::Retrying) };
    let outcome = match (act, &item) {
        (BulkAct::Item(act), _) => preview_act(app, principal, &previewed.id, revision, act),
        (_, None) => Err(OperationError::NotFound { what: "item", id: previewed.id.to_string() }),
        (BulkAct::Retry { acknowledge, .. }, Some(item)) => {
            preview_retry(app, principal, item, *acknowledge, &mut previewed)
        }
        (BulkAct::Cancel { category, reason }, Some(item)) => {
            preview_cancel(app, principal, item, *category, reason.clone())
        }
        (BulkAct::ForceStop { reason }, Some(item)) => preview_force_stop(app, principal, item, reason.clone()),
    };
    previewed.outcome = outcome;
    previewed
}

fn preview_act(
    app: &App,
    principal: &Principal,
    id: &ItemId,
    revision: Option<u64>,
    act: &ItemAct,
) -> Result<ItemState, OperationError> {
    let envelope = Envelope { command: act.command(id.clone(), revision), actor: principal.actor() };
    let now = app.now();
    Ok(item_of(app.store.preview(&envelope, now)?)?.state_at(now))
}

fn item_of(answer: Answer) -> Result<Arc<Item>, OperationError> {
    match answer {
        Answer::Item(item) => Ok(item),
        other => Err(OperationError::Internal(format!("an act on an item answered {other:?}"))),
    }
}

fn preview_retry(
    app: &App,
    principal: &Principal,
    item: &Item,
    acknowledge: bool,
    previewed: &mut Previewed,
) -> Result<ItemState, OperationError> {
    let run = retryable(item)?;
    let preview = retry_plan(app, principal, &run)?;
    previewed.plan_version = Some(preview.plan.version);
    previewed.side_effects = preview.plan.side_effects;
    if let Some(refusal) = preview.refusal {
        return Err(Refusal::Retry(refusal).into());
    }
    if !acknowledge && !previewed.side_effects.is_empty() {
        let ids = previewed.side_effects.iter().map(|effect| effect.id.clone()).collect();
        return Err(Refusal::Retry(RetryRefusal::NotAcknowledged(ids)).into());
    }
    Ok(ItemState::Retrying)
}

/// The run of an item that may be retried along with others: what waits for a fix is not, until it is ready.
fn retryable(item: &Item) -> Result<RunId, OperationError> {
    let run = run_of(item)?;
    if item.needs_setup() {
        let reasons = item.open_reasons().cloned().collect();
        return Err(Refusal::Retry(RetryRefusal::SetupRequired(reasons)).into());
    }
    Ok(run)
}

fn run_of(item: &Item) -> Result<RunId, OperationError> {
    let over = |what: &str| OperationError::from(Refusal::Over(what.to_owned()));
    if item.state == ItemState::Resolved {
        return Err(over("the item is resolved"));
    }
    item.run().cloned().ok_or_else(|| over("the item is about no run"))
}

fn preview_cancel(
    app: &App,
    principal: &Principal,
    item: &Item,
    category: CancelCategory,
    reason: String,
) -> Result<ItemState, OperationError> {
    let run = visible(app, principal, Operation::CancelRun, &run_of(item)?)?;
    if run.is_cancelled() {
        let text = "its end was asked for already: force-stop it where its runtime does not prove it";
        return Err(Refusal::Over(text.to_owned()).into());
    }
    // an attempt that is alive ends by its runtime's proof, and the item with it
    let now = app.now();
    let command = Command::Run(RunCommand::Cancel { run: run.id.clone(), category, reason, seen: Some(item.revision) });
    let answer = of_run(app.store.preview(&Envelope { command, actor: principal.actor() }, now)?)?;
    let ends = matches!(answer, RunAnswer::Run(after) if !after.is_alive());
    Ok(if ends { ItemState::Resolved } else { item.state_at(now) })
}

/// A cancelled run is over by that; another one's attempt has failed, and its item goes on.
fn preview_force_stop(
    app: &App,
    principal: &Principal,
    item: &Item,
    reason: String,
) -> Result<ItemState, OperationError> {
    let run = visible(app, principal, Operation::ForceStop, &run_of(item)?)?;
    let now = app.now();
    let command = Command::Run(RunCommand::ForceStop { run: run.id.clone(), reason, seen: Some(item.revision) });
    of_run(app.store.preview(&Envelope { command, actor: principal.actor() }, now)?)?;
    Ok(if run.is_cancelled() { ItemState::Resolved } else { item.state_at(now) })
}

/// A command that was handed in, or why it was not.
type HandedIn = Result<Reply, OperationError>;

/// Does it to each item of a frozen list, each on its own: one that has changed since is refused, and the others go on.
/// Doing the same retry or cancel of the same list again changes nothing.
pub async fn act_on_items(
    app: &App,
    principal: &Principal,
    list: Vec<BulkItem>,
    act: &BulkAct,
) -> Result<Vec<BulkAnswer>, OperationError> {
    act.permitted(principal)?;
    let mut answers = Vec::with_capacity(list.len());
    for chunk in list.chunks(AT_ONCE) {
        let handed_in: Vec<HandedIn> = chunk.iter().map(|item| hand_in(app, principal, item, act)).collect();
        for (item, handed_in) in chunk.iter().zip(handed_in) {
            let outcome = match handed_in {
                Ok(reply) => came_of_it(app, principal, item, act, durable(reply.await)).await,
                Err(error) => Err(error),
            };
            let outcome = match outcome {
                Err(OperationError::Refused(Refusal::Revision { .. })) => {
                    Err(Refusal::Over("the item has changed since the preview".to_owned()).into())
                }
                outcome => outcome,
            };
            answers.push(BulkAnswer { id: item.id.clone(), outcome });
        }
    }
    Ok(answers)
}

fn hand_in(app: &App, principal: &Principal, item: &BulkItem, act: &BulkAct) -> HandedIn {
    let command = match act {
        BulkAct::Item(act) => act.command(item.id.clone(), Some(item.revision)),
        BulkAct::Retry { reason, acknowledge } => {
            let (run, asked, body) = retry_of(app, item, reason, *acknowledge)?;
            let run = visible(app, principal, Operation::RetryRun, &run)?;
            Command::Run(RunCommand::Retry(Box::new(judged(app, &run, &asked, &body)?)))
        }
        BulkAct::Cancel { category, reason } => {
            let known = known(app, &item.id)?;
            // a cancelled run's item is resolved: asking again is answered by the run as it stands
            let run = known.run().cloned().map_or_else(|| run_of(&known), Ok)?;
            let run = visible(app, principal, Operation::CancelRun, &run)?.id.clone();
            Command::Run(RunCommand::Cancel {
                run,
                category: *category,
                reason: reason.clone(),
                seen: Some(item.revision),
            })
        }
        BulkAct::ForceStop { reason } => {
            let known = known(app, &item.id)?;
            let run = visible(app, principal, Operation::ForceStop, &run_of(&known)?)?.id.clone();
            Command::Run(RunCommand::ForceStop { run, reason: reason.clone(), seen: Some(item.revision) })
        }
    };
    Ok(app.store.submit_until(Envelope { command, actor: principal.actor() }, principal.wait_until))
}

fn known(app: &App, id: &ItemId) -> Result<Arc<Item>, OperationError> {
    let item = app.read(|state| state.attention().get(id).cloned());
    item.ok_or_else(|| OperationError::NotFound { what: "item", id: id.to_string() })
}

/// The retry of an item's run, and the body that its key is bound to. The plan names all that it depends on, so its
/// version is the key: the same list handed in again answers with the attempts that it made.
fn retry_of(
    app: &App,
    item: &BulkItem,
    reason: &str,
    acknowledge: bool,
) -> Result<(RunId, RetryAskedFor, Value), OperationError> {
    let known = known(app, &item.id)?;
    let run = match known.state {
        // perhaps by this very list
        ItemState::Retrying | ItemState::Resolved if known.revision != item.revision => {
            known.run().cloned().map_or_else(|| run_of(&known), Ok)?
        }
        _ => retryable(&known)?,
    };
    let invalid = |message: String| OperationError::Invalid { pointer: "/items".to_owned(), message };
    let version = item.plan_version.clone();
    let version = version.ok_or_else(|| invalid("a retry must name the plan_version of its preview".to_owned()))?;
    let key = IdempotencyKey::new(format!("bulk/{version}")).map_err(|error| invalid(error.to_string()))?;
    let mut acknowledged = Vec::new();
    if acknowledge {
        let plan = app.read(|state| state.runs().run(&run).map(|run| plan_of(&Draft::new(state), run)));
        acknowledged = plan.into_iter().flat_map(|plan| plan.side_effects).map(|effect| effect.id).collect();
    }
    let body = json!({"plan_version": version, "reason": reason, "acknowledge": acknowledge});
    let asked = RetryAskedFor {
        plan_version: version,
        key,
        reason: reason.to_owned(),
        acknowledge: acknowledged,
        overridden: false,
        seen: Some(item.revision),
    };
    Ok((run, asked, body))
}

async fn came_of_it(
    app: &App,
    principal: &Principal,
    item: &BulkItem,
    act: &BulkAct,
    answer: Result<Answer, OperationError>,
) -> Result<ItemState, OperationError> {
    match act {
        BulkAct::Item(_) => return Ok(item_of(answer?)?.state_at(app.now())),
        BulkAct::Cancel { .. } | BulkAct::ForceStop { .. } => {
            of_run(answer?)?;
        }
        BulkAct::Retry { reason, acknowledge } => match answer.and_then(of_run) {
            // judged under what has changed meanwhile: once more, by itself
            Err(OperationError::Refused(Refusal::Stale)) => {
                let (run, asked, body) = retry_of(app, item, reason, *acknowledge)?;
                retry_run(app, principal, &run, asked, &body).await?;
            }
            answer => {
                of_answer(app, answer)?;
            }
        },
    }
    Ok(known(app, &item.id)?.state_at(app.now()))
}
