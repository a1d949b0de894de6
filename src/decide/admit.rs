//! Here an admission is decided. Read [`admit`] top to bottom.

use super::command::{Admit, Answer, Context, Refusal};
use super::runs;
use crate::admission::{AdmissionAnswer, Decision, DecisionRecord, HeldBudget, HoldAnswer, Kind, Request};
use crate::budget::{self, Assessment, Facts, Hold, HoldRun};
use crate::registry::{Actor, Mode, Pause, PauseTarget};
use crate::state::{Draft, Effect, Entry, FirstAnswer, KeyEntry, KeyName, Operation};
use crate::vocabulary::{AdmissionId, BudgetId, Code, HoldId, Reason, Source, TeamId, Warning, retry_at};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::sync::Arc;

/// Decides one admission that policy has judged: all of its reasons at once, and the hold on every matching budget or on
/// none.
pub(super) fn admit(draft: &mut Draft<'_>, ask: &Admit, actor: &Actor, ctx: &Context<'_>) -> Result<Answer, Refusal> {
    if let Some(first) = asked_before(draft, ask, ctx)? {
        return Ok(Answer::Repeated(first));
    }
    refuse_stale(draft, ask)?;
    let request = &ask.request;
    let team = draft.state().agent(&request.agent).and_then(|agent| agent.spec.team.clone());

    let mut reasons = stops(draft, request, team.as_ref(), ctx.now);
    let (denied, would_deny) = by_mode(draft, ask, ctx.now);
    reasons.extend(denied);
    reasons.extend(runs::reasons(draft, request, ctx));

    let facts = facts(request, team.as_ref());
    let budgets = draft.state().matching(&facts);
    let assessment = budget::assess(ctx.now, &facts, &request.estimate, &budgets, draft);
    reasons.extend(assessment.reasons.iter().cloned());
    let mut warnings = ask.verdict.warnings.clone();
    warnings.extend(assessment.warnings.iter().cloned());
    warnings.extend(would_deny.iter().map(observed));
    if request.kind == Kind::Action {
        reasons.extend(too_many_holds(draft, request, ctx));
        reasons.extend(assessment.new_each().filter_map(|budget| too_many_accounts(draft, budget.id(), ctx)));
    }

    let mut answer = AdmissionAnswer {
        id: None,
        decision: if reasons.is_empty() { Decision::Allow } else { Decision::Deny },
        retry_at: retry_at(&reasons),
        reasons,
        warnings,
        would_deny,
        hold: None,
        policy_set: ask.judged.policy_set.clone(),
        decided_at: ctx.now.to_string(),
        dry_run: request.dry_run,
    };
    if request.dry_run {
        return Ok(Answer::DryRun(Box::new(answer)));
    }
    let id = new_id(AdmissionId::new(ctx.id("adm_")))?;
    answer.id = Some(id.clone());
    let mut effects = Vec::with_capacity(5);
    effects.extend(runs::admitted(draft, request, answer.decision, ctx));
    if answer.decision == Decision::Allow && request.kind == Kind::Action {
        let hold = place(draft, &id, ask, assessment, &mut effects, &mut answer, ctx)?;
        effects.push(Effect::Hold(Arc::new(hold)));
    }
    remember_key(&id, ask, &answer, &mut effects, ctx);
    let record = Arc::new(record(id, ask, &answer, ctx)?);
    effects.push(Effect::Decision(Arc::clone(&record)));
    draft.push(Entry {
        op: "admit".to_owned(),
        actor: actor.clone(),
        subject: format!("admission:{}", record.id),
        reason: None,
        before: None,
        effects,
    });
    Ok(Answer::Decided(record))
}

/// What budgets go by.
pub(super) fn facts<'a>(request: &'a Request, team: Option<&'a TeamId>) -> Facts<'a> {
    Facts {
        agent: &request.agent,
        team,
        entity_type: request.entity.as_ref().map(|entity| &entity.kind),
        action: &request.action.name,
        run: request.run.as_ref().map(|run| &run.id),
    }
}

/// The scope of an admission's idempotency key.
pub(super) fn key_name(ask: &Admit) -> Option<KeyName> {
    let key = ask.request.idempotency_key.clone()?;
    Some(KeyName { operation: Operation::Admit(ask.request.agent.clone()), key })
}

/// Same key and same body: the first answer again. Another body: a conflict. Dry runs neither read nor take a key.
fn asked_before(draft: &Draft<'_>, ask: &Admit, ctx: &Context<'_>) -> Result<Option<FirstAnswer>, Refusal> {
    if ask.request.dry_run {
        return Ok(None);
    }
    let missing = || Refusal::Invalid { pointer: "/idempotency_key".to_owned(), message: "is required".to_owned() };
    let name = key_name(ask).ok_or_else(missing)?;
    match draft.key(&name, ctx.now) {
        None => Ok(None),
        Some(entry) if entry.body == ask.body => Ok(Some(entry.first.clone())),
        Some(entry) => Err(Refusal::IdempotencyConflict {
            admission: match &entry.first {
                FirstAnswer::Admission(id) => Some(id.clone()),
                FirstAnswer::Raise(..) | FirstAnswer::Retry(..) => None,
            },
        }),
    }
}

/// What was judged under an older policy set or registry is judged again.
fn refuse_stale(draft: &Draft<'_>, ask: &Admit) -> Result<(), Refusal> {
    let state = draft.state();
    let set_now = state.policy_set().map(|head| head.digest.as_str());
    let agent_now = state.agent_revision(&ask.request.agent);
    let entity_now = ask.request.entity.as_ref().map_or(0, |entity| state.entity_type_revision(&entity.kind));
    let fresh = set_now == Some(ask.judged.policy_set.as_str())
        && agent_now == ask.judged.agent_revision
        && entity_now == ask.judged.entity_type_revision;
    if fresh { Ok(()) } else { Err(Refusal::Stale) }
}

/// The stop button: every pause in force that covers the request, and the agent's own mode.
fn stops(draft: &Draft<'_>, request: &Request, team: Option<&TeamId>, now: Timestamp) -> Vec<Reason> {
    let covers = |pause: &Pause| match &pause.target {
        PauseTarget::Everything => true,
        PauseTarget::Agent(id) => *id == request.agent,
        PauseTarget::Team(id) => Some(id) == team,
        PauseTarget::Action(name) => *name == request.action.name,
        PauseTarget::EntityType(kind) => request.entity.as_ref().is_some_and(|entity| entity.kind == *kind),
    };
    let state = draft.state();
    let mut reasons: Vec<Reason> =
        state.pauses_in_force(now).filter(|pause| covers(pause)).map(|pause| paused(pause)).collect();
    if state.mode_of(&request.agent, now) == Mode::Paused {
        let why = state.agent(&request.agent).and_then(|agent| agent.mode_reason.clone());
        let message =
            format!("Agent {} is paused: {}.", request.agent, why.as_deref().unwrap_or("no reason was given"));
        reasons.push(Reason::of(Code::Paused, message, format!("agent:{}", request.agent)));
    }
    reasons
}

fn paused(pause: &Pause) -> Reason {
    let until = pause.ends_at.map_or_else(|| "until someone ends it".to_owned(), |end| format!("until {end}"));
    let message = format!("{} paused {} {until}: {}.", pause.author.name, pause.target, pause.reason);
    let mut reason = Reason::of(Code::Paused, message, format!("pause:{}", pause.id));
    reason.retry_at = pause.ends_at.map(|end| end.to_string());
    reason.details = Some(json!({"pause": pause.id, "target": pause.target, "author": pause.author.name}));
    reason
}

/// What was judged before the commit, by the agent's mode: an observed agent's policy denials only tell. Everything else,
/// failures and properties that do not fit their schema, denies in every mode.
fn by_mode(draft: &Draft<'_>, ask: &Admit, now: Timestamp) -> (Vec<Reason>, Vec<Reason>) {
    let reasons = ask.verdict.reasons.iter().cloned();
    if draft.state().mode_of(&ask.request.agent, now) == Mode::Observe {
        reasons.partition(|reason| reason.source != Source::Policy)
    } else {
        (reasons.collect(), Vec::new())
    }
}

fn observed(reason: &Reason) -> Warning {
    Warning {
        code: "would_deny".to_owned(),
        source: reason.source,
        message: format!("Observed only; would be denied: {}", reason.message),
        rule: reason.rule.clone(),
        details: Some(json!({"code": reason.code})),
    }
}

/// Open holds are capped, per agent and in all: a thousand tiny holds that never settle must not fill the gate.
fn too_many_holds(draft: &Draft<'_>, request: &Request, ctx: &Context<'_>) -> Option<Reason> {
    let (open, cap, whose) = if draft.open_holds_of(&request.agent) >= ctx.limits.holds_per_agent {
        (draft.open_holds_of(&request.agent), ctx.limits.holds_per_agent, format!("Agent {}", request.agent))
    } else if draft.open_holds() >= ctx.limits.holds {
        (draft.open_holds(), ctx.limits.holds, "The gate".to_owned())
    } else {
        return None;
    };
    let message = format!("{whose} has {open} open holds, and {cap} is the most: settle or release some first.");
    let mut reason = Reason::of(Code::TooManyHolds, message, format!("agent:{}", request.agent));
    reason.details = Some(json!({"open": open, "cap": cap}));
    Some(reason)
}

/// Under `each` whoever asks makes an account with each new name: they are capped, per budget and in all. Those that are
/// there go on.
fn too_many_accounts(draft: &Draft<'_>, budget: &BudgetId, ctx: &Context<'_>) -> Option<Reason> {
    let (own, all) = draft.account_counts(budget);
    let (count, cap, whose) = if own >= ctx.limits.accounts_per_budget {
        (own, ctx.limits.accounts_per_budget, format!("Budget {budget}"))
    } else if all >= ctx.limits.accounts {
        (all, ctx.limits.accounts, "The gate".to_owned())
    } else {
        return None;
    };
    let message = format!("{whose} has {count} accounts, and {cap} is the most; budget {budget} would need another.");
    let mut reason = Reason::of(Code::TooManyAccounts, message, format!("budget:{budget}"));
    reason.details = Some(json!({"budget": budget, "accounts": count, "cap": cap}));
    Some(reason)
}

/// Sets the money aside, and says so in the answer.
fn place(
    draft: &mut Draft<'_>,
    id: &AdmissionId,
    ask: &Admit,
    assessment: Assessment,
    effects: &mut Vec<Effect>,
    answer: &mut AdmissionAnswer,
    ctx: &Context<'_>,
) -> Result<Hold, Refusal> {
    let request = &ask.request;
    if !(1..=budget::LONGEST_HOLD_S).contains(&i64::from(request.hold_ttl_s)) {
        let message = format!("must be from 1 to {} seconds", budget::LONGEST_HOLD_S);
        return Err(Refusal::Invalid { pointer: "/hold_ttl_s".to_owned(), message });
    }
    let expires_at = ctx
        .now
        .checked_add(SignedDuration::from_secs(i64::from(request.hold_ttl_s)))
        .map_err(|error| Refusal::Invalid { pointer: "/hold_ttl_s".to_owned(), message: error.to_string() })?;
    let hold_id = new_id(HoldId::new(ctx.id("hold_")))?;
    let mut placed = budget::place(assessment, hold_id, id.clone(), request.agent.clone(), ctx.now, expires_at, draft)?;
    placed.hold.run = request.run.as_ref().map(|run| HoldRun {
        id: run.id.clone(),
        attempt: run.attempt,
        step: run.step.clone(),
        action: request.action.name.clone(),
    });
    effects.extend(placed.alerts.into_iter().map(Effect::Alert));
    answer.warnings.extend(placed.warnings);
    answer.hold = Some(HoldAnswer {
        id: placed.hold.id.clone(),
        expires_at: expires_at.to_string(),
        budgets: placed.held.into_iter().map(held).collect(),
    });
    Ok(placed.hold)
}

fn held(held: budget::Held) -> HeldBudget {
    HeldBudget {
        id: held.budget,
        unit: held.unit,
        held: held.held,
        remaining: held.remaining,
        resets_at: held.resets_at,
    }
}

/// The key is taken by a deny too; only where Tollgate could not judge, or who asks does not have the attempt, does it stay
/// free.
fn remember_key(id: &AdmissionId, ask: &Admit, answer: &AdmissionAnswer, effects: &mut Vec<Effect>, ctx: &Context<'_>) {
    let fenced = Code::AttemptFenced.as_str();
    if answer.reasons.iter().any(|reason| reason.source == Source::System || reason.code == fenced) {
        return;
    }
    let Some(name) = key_name(ask) else { return };
    let expires_at = ctx.key_expires_at();
    let entry = KeyEntry { name, body: ask.body.clone(), first: FirstAnswer::Admission(id.clone()), expires_at };
    effects.push(Effect::Key(Arc::new(entry)));
}

fn record(
    id: AdmissionId,
    ask: &Admit,
    answer: &AdmissionAnswer,
    ctx: &Context<'_>,
) -> Result<DecisionRecord, Refusal> {
    let request = &ask.request;
    let text = serde_json::value::to_raw_value(answer)
        .map_err(|error| Refusal::Invalid { pointer: String::new(), message: error.to_string() })?;
    Ok(DecisionRecord {
        id,
        kind: request.kind,
        agent: request.agent.clone(),
        action: request.action.name.clone(),
        entity_type: request.entity.as_ref().map(|entity| entity.kind.clone()),
        entity_id: request.entity.as_ref().map(|entity| entity.id.clone()),
        run: request.run.as_ref().map(|run| run.id.clone()),
        attempt: request.run.as_ref().map(|run| run.attempt),
        step: request.run.as_ref().and_then(|run| run.step.clone()),
        idempotency_key: request.idempotency_key.clone(),
        decision: answer.decision,
        codes: answer.reasons.iter().map(|reason| reason.code.clone()).collect(),
        decided_at: ctx.now,
        judged: ask.judged.clone(),
        replayable: ask.replayable,
        input: ask.input.clone(),
        answer: text,
    })
}

fn new_id<T>(id: Result<T, crate::vocabulary::IdError>) -> Result<T, Refusal> {
    id.map_err(|error| Refusal::Invalid { pointer: String::new(), message: error.to_string() })
}
