//! Items open and change in the same record as what caused them: behind each command, [`follow`] looks at what it has
//! pushed and adds the items. And what operators do to items.

use super::command::{Answer, Context, ItemCommand, Refusal};
use super::runs::listening_since;
use crate::admission::{AdmissionAnswer, Decision, DecisionRecord, Kind};
use crate::attention::{
    Act, ActRefusal, Change, Class, Delivery, Denied, Fingerprint, Item, ItemKind, ItemState, Place,
    ResolutionCategory, Subject, Trouble, of_run, of_schedule,
};
use crate::budget::{Alert, AlertKind};
use crate::registry::Actor;
use crate::runs::{EventType, MOST_ATTEMPTS, Run, RunEvent, Schedule, supply};
use crate::state::{Draft, Effect, Entry};
use crate::vocabulary::{Code, Reason};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// When the reasons of denials that are due come to so many bytes, the rest waits for the next batch: each is written twice,
/// and a record has an end.
const DENIED_BYTES_AT_ONCE: usize = 16 << 20;

/// Adds to the operations from `first` on what they make of the items.
pub(super) fn follow(draft: &mut Draft<'_>, first: usize, ctx: &Context<'_>) {
    for index in first..draft.changes().entries.len() {
        let entry = &draft.changes().entries[index];
        let effects: Vec<Effect> = entry.effects.iter().filter(|effect| may_matter(effect)).cloned().collect();
        for effect in effects {
            let more = match &effect {
                Effect::Decision(record) => behind_decision(draft, record, ctx),
                Effect::Alert(alert) => behind_alert(draft, alert, ctx),
                Effect::Run(run) => behind_run(draft, run, ctx),
                Effect::RunEvent(event) => behind_event(draft, event),
                Effect::Schedule(schedule) => behind_schedule(draft, schedule, ctx),
                _ => Vec::new(),
            };
            if !more.is_empty() {
                draft.extend(index, more);
            }
        }
        if ctx.limits.webhook {
            tell(draft, index, ctx);
        }
    }
}

/// What another Command Center hears of this operation: each item that came into another state.
fn tell(draft: &mut Draft<'_>, index: usize, ctx: &Context<'_>) {
    let mut told = Vec::new();
    for effect in &draft.changes().entries[index].effects {
        if let Effect::Item(item) = effect
            && draft.told(&item.id) != Some(item.state)
        {
            told.push(Effect::Delivery(Arc::new(Delivery::of(item, ctx.now))));
        }
    }
    if !told.is_empty() {
        draft.extend(index, told);
    }
}

/// Notes what became of a try. One that is over is not noted again.
pub(super) fn delivered(
    draft: &mut Draft<'_>,
    id: &str,
    outcome: &Result<(), String>,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    let known = draft.state().attention().deliveries().get(id).cloned();
    let old = known.ok_or_else(|| Refusal::NotFound { what: "delivery", id: id.to_owned() })?;
    let after = old.tried(outcome, ctx.now);
    if after != *old {
        draft.push(Entry {
            op: if outcome.is_ok() { "webhook.deliver" } else { "webhook.fail" }.to_owned(),
            actor: Actor::tollgate(),
            subject: format!("delivery:{id}"),
            reason: outcome.as_ref().err().cloned(),
            before: None,
            effects: vec![Effect::Delivery(Arc::new(after))],
        });
    }
    Ok(Answer::Done)
}

fn may_matter(effect: &Effect) -> bool {
    match effect {
        Effect::Decision(record) => record.kind == Kind::Action,
        Effect::Alert(alert) => alert.kind == AlertKind::LimitPassed,
        Effect::Run(_) | Effect::RunEvent(_) | Effect::Schedule(_) => true,
        _ => false,
    }
}

/// The run as this operation left it. Several attempts may have ended in one operation: each counts.
fn behind_run(draft: &Draft<'_>, run: &Run, ctx: &Context<'_>) -> Vec<Effect> {
    let subject = Subject::Run(run.id.clone());
    let denied = draft.denied(&subject).map(Arc::as_ref);
    let before = draft.item_about(&subject).map(Arc::as_ref);
    let mut item = before.cloned();
    for _ in 0..=2 * MOST_ATTEMPTS {
        let Some(change) = of_run(run, item.as_ref(), denied, &ctx.limits.classifier) else { break };
        let Some(next) = carried_out(item.as_ref(), change, ctx) else { break };
        item = Some(next);
    }
    let mut effects = Vec::new();
    if let Some(item) = item.filter(|item| Some(item) != before) {
        effects.push(Effect::Item(Arc::new(item)));
    }
    if let Some(denied) = denied.filter(|_| !run.is_alive()) {
        effects.push(Effect::Denied(Arc::new(denied.ended())));
    }
    effects
}

/// Work that goes on is progress: the clock of the denial before it stops.
fn behind_event(draft: &Draft<'_>, event: &RunEvent) -> Vec<Effect> {
    let progress = matches!(
        event.kind,
        EventType::StepStarted | EventType::StepCompleted | EventType::CheckpointSaved | EventType::ArtifactProduced
    );
    if !progress || !event.standing.counts() {
        return Vec::new();
    }
    let over = (event.kind == EventType::StepCompleted).then_some(event.step.as_ref()).flatten();
    let denied = draft.denied(&Subject::Run(event.run.clone()));
    let denied = denied.filter(|denied| denied.due_at.is_some() || denied.remembers(over));
    denied.map(|denied| Effect::Denied(Arc::new(denied.followed().got_over(over)))).into_iter().collect()
}

fn behind_schedule(draft: &Draft<'_>, schedule: &Schedule, ctx: &Context<'_>) -> Vec<Effect> {
    let item = draft.item_about(&Subject::Schedule(schedule.id.to_string())).map(Arc::as_ref);
    let next = of_schedule(schedule, item).and_then(|change| carried_out(item, change, ctx));
    next.map(|item| Effect::Item(Arc::new(item))).into_iter().collect()
}

fn carried_out(item: Option<&Item>, change: Change, ctx: &Context<'_>) -> Option<Item> {
    match change {
        Change::Trouble(trouble) => troubled(item, *trouble, ctx),
        Change::Retried(attempt) => Some(item?.retried(attempt)),
        Change::Over { category, reason, by } => {
            let by = by.unwrap_or_else(|| Actor::tollgate().name);
            Some(item?.over(category, &reason, &by, ctx.now))
        }
    }
}

/// Opens the items of these denials, which nothing followed in time; those whose reasons are long come with a later batch.
/// What could not be heard, while Tollgate was down or before an admin confirmed a clock that had jumped, did not fail to
/// follow: those wait anew.
pub(super) fn open_due(draft: &mut Draft<'_>, ctx: &Context<'_>, due: &[Arc<Denied>]) {
    let since = listening_since(draft, ctx);
    let (mut effects, mut opens, mut bytes) = (Vec::new(), 0, 0);
    for denied in due {
        if bytes >= DENIED_BYTES_AT_ONCE {
            break;
        }
        bytes += serde_json::to_vec(&denied.reasons).map_or(0, |reasons| reasons.len());
        let anew = denied.waits_from(since, ctx.limits.blocked_after_s);
        if anew.due_at > Some(ctx.now) {
            effects.push(Effect::Denied(Arc::new(anew)));
            continue;
        }
        opens += 1;
        effects.extend(opened(draft, denied.trouble(), ctx));
        effects.push(Effect::Denied(Arc::new(denied.told())));
    }
    if effects.is_empty() {
        return;
    }
    let op = if opens > 0 { "attention.open" } else { "attention.wait" };
    draft.push(Entry {
        op: op.to_owned(),
        actor: Actor::tollgate(),
        subject: format!("denials:{}", effects.len()),
        reason: None,
        before: None,
        effects,
    });
}

/// The item that this trouble opens or joins; nothing for trouble that is known.
fn troubled(item: Option<&Item>, trouble: Trouble, ctx: &Context<'_>) -> Option<Item> {
    match item {
        Some(item) => item.joined(trouble, ctx.now),
        None => Some(Item::open(trouble.subject.item_id().ok()?, trouble, ctx.now)),
    }
}

/// Where as many are open as may be, none opens; one batch may pass that by what it opens itself.
fn opened(draft: &Draft<'_>, trouble: Trouble, ctx: &Context<'_>) -> Option<Effect> {
    let item = draft.item_about(&trouble.subject).map(Arc::as_ref);
    let opens = item.is_none_or(|item| item.state == ItemState::Resolved);
    if opens && draft.state().attention().is_full_for(&trouble.subject) {
        return None;
    }
    Some(Effect::Item(Arc::new(troubled(item, trouble, ctx)?)))
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
    let stray = [Code::AttemptFenced.as_str(), Code::RunCancelled.as_str(), Code::RunLimit.as_str()];
    if answer.reasons.iter().any(|reason| stray.contains(&reason.code.as_str())) {
        // who no longer has the run does not stop it by asking, and of one that there is no room for there is no item
        return Vec::new();
    }
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
    effects.extend(opened(draft, denied.trouble(), ctx));
    effects
}

fn behind_allow(draft: &Draft<'_>, subject: &Subject, record: &DecisionRecord, ctx: &Context<'_>) -> Vec<Effect> {
    let mut effects = Vec::new();
    let item = draft.item_about(subject).filter(|item| went_on(item, record));
    if let Some(denied) = draft.denied(subject) {
        // the item's end is the series' end: the same once more has come back
        let next = if item.is_some() { denied.ended() } else { denied.followed().got_over(record.step.as_ref()) };
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
    opened(draft, trouble, ctx).into_iter().collect()
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
    let mut effects = match command {
        ItemCommand::Act { act: Act::Supply(fields), .. } => handed_over(draft, &after, fields, actor, ctx)?,
        _ => Vec::new(),
    };
    effects.push(Effect::Item(Arc::clone(&after)));
    draft.push(Entry {
        op: op.to_owned(),
        actor: actor.clone(),
        subject: format!("item:{id}"),
        reason,
        before: Some(json!({"state": old.state, "owner": old.owner, "due_at": old.due_at, "revision": old.revision})),
        effects,
    });
    Ok(Answer::Item(after))
}

/// What was supplied waits at the run for its next attempt.
fn handed_over(
    draft: &Draft<'_>,
    item: &Item,
    fields: &BTreeMap<String, Value>,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Vec<Effect>, Refusal> {
    let run = item.run().and_then(|run| draft.runs().run(run));
    let run =
        run.ok_or_else(|| Refusal::Over("the item is about no run, so there is no attempt to hand it to".to_owned()))?;
    let (run, event) = supply(run, fields, actor, ctx.now);
    Ok(vec![Effect::RunEvent(Arc::new(event)), Effect::Run(Arc::new(run))])
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
        let message = refusal.to_string();
        match refusal.pointer() {
            Some(pointer) => Self::Invalid { pointer, message },
            None => Self::Over(message),
        }
    }
}
