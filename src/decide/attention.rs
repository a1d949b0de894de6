//! Items open and change in the same record as what caused them: behind each command, [`follow`] looks at what it has
//! pushed and adds the items. And what operators do to items.

use super::command::{Answer, Context, ItemCommand, Refusal};
use crate::admission::{AdmissionAnswer, Decision, DecisionRecord, Kind};
use crate::attention::{
    Act, ActRefusal, Class, Denied, Fingerprint, Item, ItemKind, ItemState, Place, ResolutionCategory, Subject, Trouble,
};
use crate::budget::{Alert, AlertKind};
use crate::registry::Actor;
use crate::state::{Draft, Effect, Entry};
use crate::vocabulary::{Code, IdError, ItemId, Reason};
use serde_json::json;
use std::sync::Arc;

/// Adds to the operations from `first` on what they make of the items.
pub(super) fn follow(draft: &mut Draft<'_>, first: usize, ctx: &Context<'_>) {
    for index in first..draft.changes().entries.len() {
        let effects: Vec<Effect> =
            draft.changes().entries[index].effects.iter().filter(|e| may_matter(e)).cloned().collect();
        for effect in effects {
            let more = match &effect {
                Effect::Decision(record) => behind_decision(draft, record, ctx),
                Effect::Alert(alert) => behind_alert(draft, alert, ctx),
                _ => Vec::new(),
            };
            if !more.is_empty() {
                draft.extend(index, more);
            }
        }
    }
}

fn may_matter(effect: &Effect) -> bool {
    match effect {
        Effect::Decision(record) => record.kind == Kind::Action,
        Effect::Alert(alert) => alert.kind == AlertKind::LimitPassed,
        _ => false,
    }
}

/// Opens the items of denials that nothing followed in time.
pub(super) fn open_due(draft: &mut Draft<'_>, ctx: &Context<'_>) {
    let mut effects = Vec::new();
    for denied in draft.due_denials(ctx.now) {
        effects.extend(item(draft, denied.trouble(), ctx));
        effects.push(Effect::Denied(Arc::new(denied.told())));
    }
    if effects.is_empty() {
        return;
    }
    let subject = format!("denials:{}", effects.len());
    draft.push(Entry {
        op: "attention.open".to_owned(),
        actor: Actor::tollgate(),
        subject,
        reason: None,
        before: None,
        effects,
    });
}

/// The item that this trouble opens or joins; nothing for trouble that is known.
fn item(draft: &Draft<'_>, trouble: Trouble, ctx: &Context<'_>) -> Option<Effect> {
    let next = match draft.item_about(&trouble.subject) {
        Some(item) => item.joined(trouble, ctx.now)?,
        None => Item::open(id_of(&trouble.subject).ok()?, trouble, ctx.now),
    };
    Some(Effect::Item(Arc::new(next)))
}

fn id_of(subject: &Subject) -> Result<ItemId, IdError> {
    subject.item_id()
}

/// A denial is remembered, and an item when it comes for the third time in its attempt. An allowed admission is progress.
fn behind_decision(draft: &Draft<'_>, record: &DecisionRecord, ctx: &Context<'_>) -> Vec<Effect> {
    let subject = subject_of(record);
    match record.decision {
        Decision::Allow => behind_allow(draft, &subject, record, ctx),
        Decision::Deny => behind_denial(draft, subject, record, ctx),
    }
}

fn subject_of(record: &DecisionRecord) -> Subject {
    match &record.run {
        Some(run) => Subject::Run(run.clone()),
        None => Subject::Denial {
            agent: record.agent.clone(),
            action: record.action.clone(),
            entity_type: record.entity_type.clone(),
            entity_id: record.entity_id.clone(),
        },
    }
}

fn behind_denial(draft: &Draft<'_>, subject: Subject, record: &DecisionRecord, ctx: &Context<'_>) -> Vec<Effect> {
    // what was recorded is what was answered: the reasons are there, and masked
    let Ok(answer) = serde_json::from_str::<AdmissionAnswer>(record.answer.get()) else { return Vec::new() };
    let place = Place {
        agent: Some(record.agent.clone()),
        action: Some(record.action.clone()),
        entity_type: record.entity_type.clone(),
        entity_id: record.entity_id.clone(),
        attempt: record.attempt,
        step: record.step.clone(),
    };
    let old = draft.denied(&subject).map(Arc::as_ref);
    let after_s = ctx.limits.blocked_after_s;
    let denied = Denied::after(old, subject, place, answer.reasons, record.id.clone(), ctx.now, after_s);
    if !denied.is_stubborn() {
        return vec![Effect::Denied(Arc::new(denied))];
    }
    let mut effects = vec![Effect::Denied(Arc::new(denied.told()))];
    effects.extend(item(draft, denied.trouble(), ctx));
    effects
}

fn behind_allow(draft: &Draft<'_>, subject: &Subject, record: &DecisionRecord, ctx: &Context<'_>) -> Vec<Effect> {
    let mut effects = Vec::new();
    let item = draft.item_about(subject).filter(|item| went_on(item, record));
    if let Some(denied) = draft.denied(subject) {
        // the item's end is the series' end: the same once more has come back
        let next = if item.is_some() { denied.ended() } else { denied.followed() };
        if next != **denied {
            effects.push(Effect::Denied(Arc::new(next)));
        }
    }
    if let Some(item) = item {
        let reason = format!("admission {} was allowed", record.id);
        let over = item.over(ResolutionCategory::WentOn, &reason, &Actor::tollgate().name, ctx.now);
        effects.push(Effect::Item(Arc::new(over)));
    }
    effects
}

/// Whether what was denied in this attempt is what was allowed now.
fn went_on(item: &Item, record: &DecisionRecord) -> bool {
    item.kind == ItemKind::BlockedAction
        && item.sign.starts_with("denied/")
        && !matches!(item.state, ItemState::Resolved | ItemState::Retrying)
        && item.place.attempt == record.attempt
        && item.place.action.as_ref() == Some(&record.action)
        && item.place.entity_id == record.entity_id
}

/// A hard limit that was passed: the money is spent, and someone should know.
fn behind_alert(draft: &Draft<'_>, alert: &Alert, ctx: &Context<'_>) -> Vec<Effect> {
    let message = format!("{} spent and held in {}, and the limit is {}", alert.amount, alert.account, alert.limit);
    let mut reason = Reason::of(Code::BudgetExceeded, message.clone(), format!("budget:{}", alert.budget));
    reason.details =
        Some(json!({"budget": alert.budget, "account": alert.account, "amount": alert.amount, "limit": alert.limit}));
    let trouble = Trouble {
        subject: Subject::Budget { budget: alert.budget.clone(), account: alert.account.clone() },
        kind: ItemKind::BudgetAlert,
        class: Class::Setup,
        title: "Hard limit passed".to_owned(),
        message,
        retry_allowed: false,
        reasons: vec![reason],
        place: Place::default(),
        fingerprint: Fingerprint::of("limit_passed", None, alert.budget.as_str()),
        sign: format!("limit/{}", alert.at),
    };
    item(draft, trouble, ctx).into_iter().collect()
}

/// What an operator does to an item, or a re-check found.
pub(super) fn change(
    draft: &mut Draft<'_>,
    command: &ItemCommand,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    let id = command.id();
    let found = draft.item(id).cloned();
    let old = found.ok_or_else(|| Refusal::NotFound { what: "item", id: id.to_string() })?;
    if let Some(seen) = command.revision()
        && seen != old.revision
    {
        return Err(Refusal::Revision { current: old.revision });
    }
    let (op, reason, after) = match command {
        ItemCommand::Act { act, reason, .. } => (act.name(), reason.clone(), old.acted(act, &actor.name, ctx.now)?),
        ItemCommand::Escalate { to, reason, .. } => {
            let act = Act::Escalate { to: contact(draft, &old, to.as_deref())? };
            (act.name(), Some(reason.clone()), old.acted(&act, &actor.name, ctx.now)?)
        }
        ItemCommand::Rechecked { still, cause, .. } => match old.rechecked(still, ctx.now) {
            Some(after) => ("attention.recheck", Some(cause.clone()), after),
            None => return Ok(Answer::Item(old)),
        },
    };
    let after = Arc::new(after);
    draft.push(Entry {
        op: op.to_owned(),
        actor: actor.clone(),
        subject: format!("item:{id}"),
        reason,
        before: Some(json!({"state": old.state, "owner": old.owner, "due_at": old.due_at, "revision": old.revision})),
        effects: vec![Effect::Item(Arc::clone(&after))],
    });
    Ok(Answer::Item(after))
}

/// To whom it goes: who was named, or the agent's escalation contact.
fn contact(draft: &Draft<'_>, item: &Item, named: Option<&str>) -> Result<String, Refusal> {
    let of_agent = || {
        let agent = draft.state().agent(item.place.agent.as_ref()?)?;
        agent.spec.escalation_contact.clone()
    };
    named.map(str::to_owned).or_else(of_agent).ok_or_else(|| Refusal::Invalid {
        pointer: "/to".to_owned(),
        message: "is required, for the agent has no escalation contact".to_owned(),
    })
}

impl From<ActRefusal> for Refusal {
    fn from(refusal: ActRefusal) -> Self {
        let text = refusal.to_string();
        match text.split_once(": ") {
            Some((pointer, message)) if pointer.starts_with('/') => {
                Self::Invalid { pointer: pointer.to_owned(), message: message.to_owned() }
            }
            _ => Self::Over(text),
        }
    }
}
