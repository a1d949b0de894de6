//! What a budget admin does, and what everybody else may see of it.

use super::app::App;
use super::error::OperationError;
use super::roles::{Operation, Principal};
use crate::budget::{AccountUsage, Accounts as _, Budget, BudgetSpec, BudgetView, Raise, usage, view};
use crate::decide::{Answer, BudgetEdit, Command, RaiseCommand};
use crate::state::{Effect, FirstAnswer};
use crate::store::{AuditFilter, Page, Store};
use crate::vocabulary::{BudgetId, RaiseId};
use serde::Serialize;
use std::sync::Arc;

/// So many recorded raises are read at once.
const RAISES_AT_ONCE: usize = 100;

/// What applying a file of budgets changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// New ones.
    pub created: Vec<BudgetId>,
    /// Changed ones.
    pub replaced: Vec<BudgetId>,
    /// Deleted ones, which the file does not name.
    pub deleted: Vec<BudgetId>,
    /// Untouched ones.
    pub unchanged: Vec<BudgetId>,
}

/// Budgets that are not deleted, by id, a page behind the cursor, with the figures of its current window.
pub fn budgets(
    app: &App,
    principal: &Principal,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<BudgetView>, OperationError> {
    principal.may(Operation::ReadBudgets)?;
    let behind = cursor.map(BudgetId::new).transpose().map_err(|_| OperationError::Invalid {
        pointer: "?cursor".to_owned(),
        message: "is not one that a page gave".to_owned(),
    })?;
    let now = app.now();
    Ok(app.read(|state| {
        let mut alive = state.budgets_behind(behind.as_ref()).filter(|budget| budget.deleted_at.is_none());
        let page: Vec<&Arc<Budget>> = alive.by_ref().take(limit).collect();
        let next = page.last().filter(|_| alive.next().is_some()).map(|last| last.id().to_string());
        let items = page.into_iter().map(|budget| view(budget, state.accounts_of(budget.id()), now)).collect();
        Page { items, next }
    }))
}

/// One budget, also a deleted one, with the figures of its current window.
pub fn budget(app: &App, principal: &Principal, id: &BudgetId) -> Result<BudgetView, OperationError> {
    principal.may(Operation::ReadBudgets)?;
    shown(app, id)
}

/// The figures of a budget's accounts, past windows too as far as the history shows them, newest window first.
pub fn budget_usage(app: &App, principal: &Principal, id: &BudgetId) -> Result<Vec<AccountUsage>, OperationError> {
    principal.may(Operation::ReadBudgets)?;
    let now = app.now();
    let past = app.store.past_accounts(id)?;
    app.read(|state| {
        let budget = state.budget(id).ok_or_else(|| missing(id))?;
        let past = past.iter().filter(|account| state.account(&account.key).is_none());
        let mut accounts: Vec<AccountUsage> =
            state.accounts_of(id).chain(past).map(|account| usage(budget, account, now)).collect();
        accounts.sort_by(|a, b| b.window.start.cmp(&a.window.start).then_with(|| a.account.cmp(&b.account)));
        Ok(accounts)
    })
}

/// Makes a budget.
pub async fn create_budget(app: &App, principal: &Principal, spec: BudgetSpec) -> Result<BudgetView, OperationError> {
    principal.may(Operation::CreateBudget)?;
    edit(app, principal, BudgetEdit::Create(spec)).await
}

/// Writes it anew, if it still is the revision that the admin saw; without one, whatever it is.
pub async fn replace_budget(
    app: &App,
    principal: &Principal,
    spec: BudgetSpec,
    revision: Option<u64>,
) -> Result<BudgetView, OperationError> {
    principal.may(Operation::ReplaceBudget)?;
    edit(app, principal, BudgetEdit::Replace(spec, revision)).await
}

/// Deletes it, if it still is that revision; without one, whatever it is.
pub async fn delete_budget(
    app: &App,
    principal: &Principal,
    id: BudgetId,
    revision: Option<u64>,
) -> Result<BudgetView, OperationError> {
    principal.may(Operation::DeleteBudget)?;
    edit(app, principal, BudgetEdit::Delete(id, revision)).await
}

/// Makes these the budgets: creates, replaces and deletes as needed, all or nothing.
pub async fn apply_budgets(
    app: &App,
    principal: &Principal,
    specs: Vec<BudgetSpec>,
) -> Result<Applied, OperationError> {
    principal.may(Operation::ApplyBudgets)?;
    match app.commit(principal, Command::Budget(BudgetEdit::Apply(specs))).await? {
        Answer::Applied { created, replaced, deleted, unchanged } => {
            Ok(Applied { created, replaced, deleted, unchanged })
        }
        other => Err(unexpected(&other)),
    }
}

/// Raises its limit for a while. Asked again under the same key, the raise as it was first answered.
pub async fn raise_budget(app: &App, principal: &Principal, command: RaiseCommand) -> Result<Raise, OperationError> {
    principal.may(Operation::RaiseBudget)?;
    app.guard.now()?;
    match app.commit(principal, Command::Budget(BudgetEdit::Raise(command))).await? {
        Answer::Raise(_, raise) => Ok(*raise),
        Answer::Repeated(FirstAnswer::Raise(budget, id)) => {
            let at_hand = app.read(|state| raise_of(state.budget(&budget)?, &id));
            if let Some(raise) = at_hand {
                return Ok(raise);
            }
            let store = Arc::clone(&app.store);
            let found = tokio::task::spawn_blocking(move || recorded_raise(&*store, &budget, &id)).await;
            found.map_err(|_| OperationError::Internal("looking for a raise was cut off".to_owned()))?
        }
        other => Err(unexpected(&other)),
    }
}

/// A raise as it was made.
fn raise_of(budget: &Budget, id: &RaiseId) -> Option<Raise> {
    let raise = budget.raises.iter().find(|raise| raise.id == *id)?;
    Some(Raise { withdrawn: None, ..raise.clone() })
}

/// A raise that newer ones pushed out of its budget, as the audit trail has it. It is no older than its key.
fn recorded_raise(store: &dyn Store, budget: &BudgetId, id: &RaiseId) -> Result<Raise, OperationError> {
    let (op, subject) = (Some("budget.raise".to_owned()), Some(format!("budget:{budget}")));
    let filter = AuditFilter { op, subject, ..AuditFilter::default() };
    let mut cursor = None;
    loop {
        let page = store.audit(&filter, cursor.as_deref(), RAISES_AT_ONCE)?;
        for record in page.items {
            let effects: Vec<Effect> = serde_json::from_value(record.effects)
                .map_err(|error| OperationError::Internal(format!("a recorded raise cannot be read: {error}")))?;
            let raise = effects.iter().find_map(|effect| match effect {
                Effect::Budget(budget) => raise_of(budget, id),
                _ => None,
            });
            if let Some(raise) = raise {
                return Ok(raise);
            }
        }
        cursor = Some(page.next.ok_or_else(|| OperationError::NotFound { what: "raise", id: id.to_string() })?);
    }
}

/// Withdraws a raise.
pub async fn withdraw_raise(
    app: &App,
    principal: &Principal,
    budget: BudgetId,
    raise: RaiseId,
    reason: String,
) -> Result<BudgetView, OperationError> {
    principal.may(Operation::WithdrawRaise)?;
    edit(app, principal, BudgetEdit::Withdraw(budget, raise, reason)).await
}

async fn edit(app: &App, principal: &Principal, edit: BudgetEdit) -> Result<BudgetView, OperationError> {
    match app.commit(principal, Command::Budget(edit)).await? {
        Answer::Budget(budget) => {
            let now = app.now();
            Ok(app.read(|state| view(&budget, state.accounts_of(budget.id()), now)))
        }
        other => Err(unexpected(&other)),
    }
}

fn shown(app: &App, id: &BudgetId) -> Result<BudgetView, OperationError> {
    let now = app.now();
    app.read(|state| {
        let budget = state.budget(id).ok_or_else(|| missing(id))?;
        Ok(view(budget, state.accounts_of(id), now))
    })
}

fn missing(id: &BudgetId) -> OperationError {
    OperationError::NotFound { what: "budget", id: id.to_string() }
}

fn unexpected(answer: &Answer) -> OperationError {
    OperationError::Internal(format!("a budget was answered by {answer:?}"))
}
