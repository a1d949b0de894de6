//! Budgets: made, written anew, deleted, raised, and a whole file of them made the truth.

use super::command::{Answer, BudgetEdit, Context, RaiseCommand, Refusal};
use crate::budget::{self, Accounts, Budget, BudgetError, BudgetSpec, FieldFault, RaiseRequest};
use crate::registry::Actor;
use crate::state::{Draft, Effect, Entry, FirstAnswer, KeyEntry, KeyName, Operation};
use crate::vocabulary::{ApiKeyId, BudgetId, RaiseId};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Decides one change of the budgets.
pub(super) fn edit(
    draft: &mut Draft<'_>,
    edit: &BudgetEdit,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    match edit {
        BudgetEdit::Create(spec) => {
            let new = created(draft, spec, ctx)?;
            Ok(done(draft, "budget.create", actor, new, None, ctx))
        }
        BudgetEdit::Replace(spec, revision) => {
            let old = known(draft, &spec.id)?;
            seen(&old, *revision)?;
            let new = budget::replace(&old, spec.clone(), ctx.now)?;
            Ok(done(draft, "budget.replace", actor, new, Some(&old), ctx))
        }
        BudgetEdit::Delete(id, revision) => {
            let old = known(draft, id)?;
            seen(&old, *revision)?;
            let new = budget::delete(&old, ctx.now)?;
            Ok(done(draft, "budget.delete", actor, new, Some(&old), ctx))
        }
        BudgetEdit::Raise(command) => raise(draft, command, actor, ctx),
        BudgetEdit::Withdraw(id, raise, reason) => withdraw(draft, id, raise, reason, actor, ctx),
        BudgetEdit::Apply(specs) => apply(draft, specs, actor, ctx),
    }
}

fn known(draft: &Draft<'_>, id: &BudgetId) -> Result<Arc<Budget>, Refusal> {
    draft.state().budget(id).cloned().ok_or_else(|| Refusal::NotFound { what: "budget", id: id.to_string() })
}

fn seen(budget: &Budget, revision: Option<u64>) -> Result<(), Refusal> {
    let current = budget.revision;
    if revision.is_none_or(|seen| seen == current) { Ok(()) } else { Err(Refusal::Revision { current }) }
}

fn created(draft: &Draft<'_>, spec: &BudgetSpec, ctx: &Context<'_>) -> Result<Budget, Refusal> {
    if draft.state().budget(&spec.id).is_some() {
        return Err(Refusal::Exists { what: "budget", id: spec.id.to_string() });
    }
    Ok(budget::create(spec.clone(), ctx.now)?)
}

fn before(old: Option<&Budget>) -> Option<Value> {
    old.and_then(|old| serde_json::to_value(&old.spec).ok())
}

/// Puts it into the draft, unless it is what stands already.
fn done(
    draft: &mut Draft<'_>,
    op: &str,
    actor: &Actor,
    new: Budget,
    old: Option<&Budget>,
    ctx: &Context<'_>,
) -> Answer {
    let new = Arc::new(new);
    if old == Some(&*new) {
        return Answer::Budget(new);
    }
    let effects = with_alerts(draft, &new, ctx);
    draft.push(Entry {
        op: op.to_owned(),
        actor: actor.clone(),
        subject: format!("budget:{}", new.id()),
        reason: None,
        before: before(old),
        effects,
    });
    Answer::Budget(new)
}

/// The budget as it is to stand, and the thresholds that its accounts have reached by that: a lower limit or a raise
/// taken back brings them nearer without a cent being spent.
fn with_alerts(draft: &mut Draft<'_>, new: &Arc<Budget>, ctx: &Context<'_>) -> Vec<Effect> {
    let mut effects = vec![Effect::Budget(Arc::clone(new))];
    if new.spec.alert_at_percent.is_empty() || new.deleted_at.is_some() {
        return effects;
    }
    let current = new.spec.window.span(ctx.now).label;
    let mut accounts = draft.accounts_of(new.id());
    accounts.retain(|account| *account.key.window == *current);
    accounts.sort_by(|a, b| a.key.cmp(&b.key));
    for mut account in accounts {
        let alerts = budget::check_alerts(new, &mut account, ctx.now);
        if !alerts.is_empty() {
            effects.extend(alerts.into_iter().map(Effect::Alert));
            draft.put_account(account);
        }
    }
    effects
}

/// The scope of a raise's idempotency key: who raises.
pub(super) fn key_name(command: &RaiseCommand, actor: &Actor) -> Result<KeyName, Refusal> {
    let who = match &actor.key {
        Some(key) => key.clone(),
        None => ApiKeyId::new("tollgate")
            .map_err(|error| Refusal::Invalid { pointer: String::new(), message: error.to_string() })?,
    };
    Ok(KeyName { operation: Operation::Raise(who), key: command.key.clone() })
}

fn raise(draft: &mut Draft<'_>, command: &RaiseCommand, actor: &Actor, ctx: &Context<'_>) -> Result<Answer, Refusal> {
    let name = key_name(command, actor)?;
    if let Some(entry) = draft.key(&name, ctx.now) {
        return if entry.body == command.body {
            Ok(Answer::Repeated(entry.first.clone()))
        } else {
            Err(Refusal::IdempotencyConflict { admission: None })
        };
    }
    let old = known(draft, &command.budget)?;
    let id = RaiseId::new(ctx.id("raise_"))
        .map_err(|error| Refusal::Invalid { pointer: String::new(), message: error.to_string() })?;
    let request = RaiseRequest {
        id: id.clone(),
        limit: command.limit,
        account: command.account.as_deref(),
        all: command.all,
        reason: &command.reason,
        evidence: command.evidence.as_deref(),
        by: &actor.name,
        ends_at: command.ends_at,
        permanent: command.permanent,
    };
    let (new, raise) = budget::raise(&old, &request, ctx.now)?;
    let first = FirstAnswer::Raise(command.budget.clone(), id);
    let key = KeyEntry { name, body: command.body.clone(), first, expires_at: ctx.key_expires_at() };
    draft.push(Entry {
        op: "budget.raise".to_owned(),
        actor: actor.clone(),
        subject: format!("budget:{}", command.budget),
        reason: Some(command.reason.clone()),
        before: before(Some(&old)),
        effects: vec![Effect::Budget(Arc::new(new)), Effect::Key(Arc::new(key))],
    });
    Ok(Answer::Raise(command.budget.clone(), Box::new(raise)))
}

fn withdraw(
    draft: &mut Draft<'_>,
    id: &BudgetId,
    raise: &RaiseId,
    reason: &str,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    let old = known(draft, id)?;
    let new = Arc::new(budget::withdraw(&old, raise, &actor.name, reason, ctx.now)?);
    if old == new {
        return Ok(Answer::Budget(new));
    }
    let effects = with_alerts(draft, &new, ctx);
    draft.push(Entry {
        op: "budget.withdraw_raise".to_owned(),
        actor: actor.clone(),
        subject: format!("budget:{id}"),
        reason: Some(reason.to_owned()),
        before: serde_json::to_value(&old.raises).ok(),
        effects,
    });
    Ok(Answer::Budget(new))
}

/// Makes a file the truth. All of it or nothing: one budget that cannot be, and none changes.
fn apply(draft: &mut Draft<'_>, specs: &[BudgetSpec], actor: &Actor, ctx: &Context<'_>) -> Result<Answer, Refusal> {
    let mut named = BTreeSet::new();
    let mut faults = Vec::new();
    let (mut created, mut replaced, mut deleted, mut unchanged) = (vec![], vec![], vec![], vec![]);
    let mut after = Vec::new();
    for (n, spec) in specs.iter().enumerate() {
        let id = spec.id.clone();
        if !named.insert(id.clone()) {
            faults.push(FieldFault::at(format!("/budgets/{n}/id"), "is named twice"));
            continue;
        }
        let old = draft.state().budget(&id);
        let new = match old {
            None => budget::create(spec.clone(), ctx.now),
            Some(old) => budget::replace(old, spec.clone(), ctx.now),
        };
        match new {
            Err(error) => faults.extend(error.at(&format!("/budgets/{n}"))),
            Ok(new) if old.is_some_and(|old| **old == new) => unchanged.push(id),
            Ok(new) => {
                if old.is_some() {
                    replaced.push(id);
                } else {
                    created.push(id);
                }
                after.push(new);
            }
        }
    }
    if !faults.is_empty() {
        return Err(BudgetError::Fields(faults).into());
    }
    for old in draft.state().budgets().filter(|old| old.deleted_at.is_none() && !named.contains(old.id())) {
        after.push(budget::delete(old, ctx.now)?);
        deleted.push(old.id().clone());
    }
    if !after.is_empty() {
        let before: Vec<&BudgetSpec> = draft.state().budgets().map(|old| &old.spec).collect();
        let before = serde_json::to_value(before).ok();
        let subject = format!("budgets:{}", after.len());
        let effects = after.into_iter().flat_map(|new| with_alerts(draft, &Arc::new(new), ctx)).collect();
        draft.push(Entry {
            op: "budget.apply".to_owned(),
            actor: actor.clone(),
            subject,
            reason: None,
            before,
            effects,
        });
    }
    Ok(Answer::Applied { created, replaced, deleted, unchanged })
}
