//! One admission, from the parsed request to the durable answer: judge by policy, then commit. Read [`admit`].

use super::app::{App, durable};
use super::error::OperationError;
use super::recorded::{Question, masked_input};
use super::roles::{Operation, Principal};
use super::throttle::Place;
use crate::admission::{
    Action, BudgetAdvice, ConnectorAdvice, Decision, InputParts, Judged, Kind, Mask, Request, input_document,
};
use crate::budget::{self, Facts};
use crate::decide::{Admit, Answer, Command, Envelope, PolicyVerdict, Refusal};
use crate::policy::{Input, Layers};
use crate::registry::{Agent, EntityTypeRecord};
use crate::state::{FirstAnswer, State};
use crate::store::Reply;
use crate::vocabulary::{ActionName, AdmissionId};
use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How often an admission is judged anew because what it was judged under has changed.
pub(super) const JUDGED_AGAIN: usize = 1;

/// An answer, as its caller gets it.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The recorded decision; `None` for a dry run.
    pub id: Option<AdmissionId>,
    /// Yes or no.
    pub decision: Decision,
    /// The answer, word for word.
    pub answer: Box<RawValue>,
    /// It was asked before, and this is the first answer again.
    pub repeated: bool,
}

/// Asks for one admission. `body` is the request as it came, for the hash behind its idempotency key.
pub async fn admit(
    app: &App,
    principal: &Principal,
    request: Request,
    body: &Value,
) -> Result<Admitted, OperationError> {
    enter(app, principal, &request)?;
    if request.dry_run {
        return dry_run(app, principal, &request);
    }
    let place = app.place(principal, Some(&request.agent))?;
    finish(app, principal, begin(app, principal, request, body, place)?).await
}

/// Asks for many, each on its own; the answers come in order. As many as may wait are handed in before the first is waited
/// for, so that they share batches.
pub async fn admit_batch(
    app: &App,
    principal: &Principal,
    requests: Vec<(Request, &Value)>,
) -> Vec<Result<Admitted, OperationError>> {
    let mut answers: Vec<Option<Result<Admitted, OperationError>>> = requests.iter().map(|_| None).collect();
    let mut waiting = VecDeque::new();
    for (index, (request, body)) in requests.into_iter().enumerate() {
        // the first is the request that was let in already
        let counted = if index == 0 { Ok(()) } else { app.take_request(principal) };
        let entered = counted.and_then(|()| enter(app, principal, &request));
        if let Err(error) = entered {
            answers[index] = Some(Err(error));
            continue;
        }
        if request.dry_run {
            answers[index] = Some(dry_run(app, principal, &request));
        } else {
            let place = loop {
                if let Ok(place) = app.throttle.place(principal, Some(&request.agent)) {
                    break Ok(place);
                }
                // what was handed in first makes room for what comes behind
                match waiting.pop_front() {
                    Some((at, first)) => answers[at] = Some(finish(app, principal, first).await),
                    None => break app.place(principal, Some(&request.agent)),
                }
            };
            match place.and_then(|place| begin(app, principal, request, body, place)) {
                Ok(begun) => waiting.push_back((index, begun)),
                Err(error) => answers[index] = Some(Err(error)),
            }
        }
        // judging a thousand takes a while: the worker's other connections do not wait for all of it
        tokio::task::yield_now().await;
    }
    for (at, one) in waiting {
        answers[at] = Some(finish(app, principal, one).await);
    }
    let lost = || Err(OperationError::Internal("an item of a batch was not answered".to_owned()));
    answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect()
}

/// Handed in, and not decided yet.
struct Waiting {
    reply: Reply,
    request: Request,
    body: String,
    /// Given back when it is answered.
    _place: Place,
}

/// Whether it may be asked at all: by this principal, for this agent, at this rate.
fn enter(app: &App, principal: &Principal, request: &Request) -> Result<(), OperationError> {
    let operation = if request.dry_run { Operation::DryRun } else { Operation::Admit };
    principal.may_for(operation, &request.agent)?;
    app.take_admission(principal, &request.agent)
}

fn begin(
    app: &App,
    principal: &Principal,
    request: Request,
    body: &Value,
    place: Place,
) -> Result<Box<Waiting>, OperationError> {
    let body = digest(app, body);
    let admit = judge(app, &request, body.clone())?;
    let reply = hand_in(app, principal, admit);
    Ok(Box::new(Waiting { reply, request, body, _place: place }))
}

/// The digest behind an idempotency key. The lease says who asks and not what: whoever holds the attempt by now hears the
/// first answer.
fn digest(app: &App, body: &Value) -> String {
    let mut without = None;
    if body.pointer("/run/lease").is_some() {
        let mut body = body.clone();
        if let Some(run) = body.pointer_mut("/run").and_then(Value::as_object_mut) {
            run.remove("lease");
        }
        without = Some(body);
    }
    app.mask_key.digest(crate::audit::canonical_json(without.as_ref().unwrap_or(body)).as_bytes())
}

fn hand_in(app: &App, principal: &Principal, admit: Admit) -> Reply {
    let envelope = Envelope { command: Command::Admit(Box::new(admit)), actor: principal.actor() };
    app.store.submit_until(envelope, principal.wait_until)
}

async fn finish(app: &App, principal: &Principal, waiting: Box<Waiting>) -> Result<Admitted, OperationError> {
    let Waiting { mut reply, request, body, _place } = *waiting;
    for again in 0..=JUDGED_AGAIN {
        match durable(reply.await) {
            Ok(answer) => return answered(app, answer),
            Err(OperationError::Refused(Refusal::Stale)) if again < JUDGED_AGAIN => {
                reply = hand_in(app, principal, judge(app, &request, body.clone())?);
            }
            Err(OperationError::Refused(Refusal::Stale)) => break,
            Err(error) => return Err(error),
        }
    }
    Err(OperationError::Stale)
}

fn answered(app: &App, answer: Answer) -> Result<Admitted, OperationError> {
    let (record, repeated) = match answer {
        Answer::Decided(record) => (record, false),
        Answer::Repeated(FirstAnswer::Admission(id)) => {
            let found = app.store.decision(&id)?;
            (found.ok_or_else(|| OperationError::Internal(format!("the first answer {id} is not there")))?, true)
        }
        other => return Err(OperationError::Internal(format!("an admission was answered by {other:?}"))),
    };
    if !repeated {
        count(record.decision, &record.codes);
    }
    Ok(Admitted { id: Some(record.id.clone()), decision: record.decision, answer: record.answer.clone(), repeated })
}

/// Decisions by outcome and code. Codes that a policy's author made up are counted together: a metric must not grow
/// with what others write.
fn count(decision: Decision, codes: &[String]) {
    let outcome = match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
    };
    metrics::counter!("tollgate_decisions_total", "decision" => outcome).increment(1);
    for code in codes {
        let known = crate::vocabulary::CODES.iter().find(|row| row.text == code).map_or("policy_rule", |row| row.text);
        metrics::counter!("tollgate_denials_total", "code" => known).increment(1);
    }
}

fn dry_run(app: &App, principal: &Principal, request: &Request) -> Result<Admitted, OperationError> {
    for _ in 0..=JUDGED_AGAIN {
        let admit = judge(app, request, String::new())?;
        let now = app.guard.now()?;
        let envelope = Envelope { command: Command::Admit(Box::new(admit)), actor: principal.actor() };
        match app.store.preview(&envelope, now) {
            Ok(Answer::DryRun(answer)) => {
                let text = to_raw_value(&*answer).map_err(|error| OperationError::Internal(error.to_string()))?;
                return Ok(Admitted { id: None, decision: answer.decision, answer: text, repeated: false });
            }
            Ok(other) => return Err(OperationError::Internal(format!("a dry run was answered by {other:?}"))),
            Err(Refusal::Stale) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Err(OperationError::Stale)
}

/// What the registry and the budgets say, read at one moment.
struct Known {
    policy_set: String,
    agent: Option<Arc<Agent>>,
    agent_revision: u64,
    entity_type: Option<Arc<EntityTypeRecord>>,
    entity_type_revision: u64,
    budgets: Vec<BudgetAdvice>,
    same_step_failures: u32,
    connectors: Vec<ConnectorAdvice>,
}

/// Policy's part: the layers that apply judge the input. A set that is replaced between its name being read and its
/// engines being asked is read anew.
pub(super) fn judge(app: &App, request: &Request, body: String) -> Result<Admit, OperationError> {
    match judge_once(app, request, body.clone()) {
        Err(OperationError::Stale) => judge_once(app, request, body),
        judged => judged,
    }
}

/// Pure but for the clock and the reads. A retry is judged as what it would repeat.
fn judge_once(app: &App, request: &Request, body: String) -> Result<Admit, OperationError> {
    let (request, masked) = match request.kind {
        Kind::Action => (request.clone(), false),
        Kind::Retry => as_repeated(app, request)?,
    };
    let mut admit = judge_as(app, request, body)?;
    admit.verdict.warnings.extend(masked.then(masked_input));
    Ok(admit)
}

/// Judges a question that stands for itself; a retry's, that it is what it would repeat.
pub(super) fn judge_as(app: &App, request: Request, body: String) -> Result<Admit, OperationError> {
    let now = app.guard.now()?;
    let known = app.read(|state| known(state, &request, now)).ok_or_else(no_policy)?;
    let unreadable = |error: serde_json::Error| OperationError::Internal(error.to_string());
    let document = input_document(&InputParts {
        request: &request,
        agent: known.agent.as_deref(),
        budgets: &known.budgets,
        same_step_failures: known.same_step_failures,
        connectors: &known.connectors,
        now,
    });
    let input = Input::of(&document).map_err(|error| OperationError::Internal(error.to_string()))?;
    let mut verdict = verdict(app, &request, &known, &input, now)?;
    let input = to_raw_value(&document).map_err(unreadable)?;
    let mask = mask(app, &known);
    let (input, replayable) = if mask.pointers.is_empty() {
        (input, true)
    } else {
        let mut document: Value = serde_json::from_str(input.get()).map_err(unreadable)?;
        let masked = mask.apply(&mut document, &app.mask_key);
        masked.outcome(&mut verdict.reasons, &mut verdict.warnings);
        (to_raw_value(&document).map_err(unreadable)?, !masked.any())
    };
    let judged = Judged {
        policy_set: known.policy_set,
        agent_revision: known.agent_revision,
        entity_type_revision: known.entity_type_revision,
        policy_profile: known.agent.as_ref().and_then(|agent| agent.spec.policy_profile.clone()),
    };
    Ok(Admit { request, body, judged, verdict, input, replayable })
}

fn no_policy() -> OperationError {
    OperationError::Internal("no policy set is in force".to_owned())
}

fn known(state: &State, request: &Request, now: Timestamp) -> Option<Known> {
    let agent = state.agent(&request.agent).cloned();
    let entity_type = request.entity.as_ref().map(|entity| &entity.kind);
    let facts = Facts {
        agent: &request.agent,
        team: agent.as_ref().and_then(|agent| agent.spec.team.as_ref()),
        entity_type,
        action: &request.action.name,
        run: request.run.as_ref().map(|run| &run.id),
    };
    let advice = state.matching(&facts).into_iter().filter_map(|budget| {
        let available = budget::available(now, &facts, &budget, state)?;
        Some(BudgetAdvice {
            id: budget.id().clone(),
            unit: budget.spec.unit.clone(),
            limit: available.limit,
            remaining: available.remaining,
            resets_at: available.resets_at,
            as_of: now,
        })
    });
    let budgets = advice.collect();
    Some(Known {
        policy_set: state.policy_set()?.digest.clone(),
        agent_revision: state.agent_revision(&request.agent),
        entity_type_revision: entity_type.map_or(0, |kind| state.entity_type_revision(kind)),
        entity_type: entity_type.and_then(|kind| state.entity_type(kind)).cloned(),
        agent,
        budgets,
        same_step_failures: same_step_failures(state, request),
        connectors: request.connectors.iter().map(|id| connector(state, id)).collect(),
    })
}

fn same_step_failures(state: &State, request: &Request) -> u32 {
    let Some(asked) = &request.run else { return 0 };
    let run = state.runs().run(&asked.id).filter(|run| run.agent == request.agent);
    run.map_or(0, |run| run.same_step_failures(asked.step.as_ref()))
}

fn connector(state: &State, id: &str) -> ConnectorAdvice {
    let known = state.runs().connector(id);
    ConnectorAdvice {
        id: id.to_owned(),
        status: known.map_or("unknown", |connector| connector.status.as_str()),
        detail: known.and_then(|connector| connector.detail.clone()),
        since: known.map(|connector| connector.since),
    }
}

fn verdict(
    app: &App,
    request: &Request,
    known: &Known,
    input: &Input,
    now: Timestamp,
) -> Result<PolicyVerdict, OperationError> {
    let span = tracing::debug_span!("policy", agent = %request.agent);
    let _entered = span.enter();
    let layers = Layers {
        agent: layer_of(&request.agent, known.agent.as_deref()),
        entity_type: request.entity.as_ref().map(|entity| entity.kind.as_str()),
    };
    // A set that was taken back between the read and this is as stale as one that was replaced.
    let outcome = app.policy.judge(&known.policy_set, &layers, input, now).ok_or(OperationError::Stale)?;
    for alarm in app.policy.take_alarms() {
        metrics::counter!("tollgate_engine_alarms_total").increment(1);
        tracing::error!(target: "tollgate::policy", alarm, "a layer lost the trust in the faster engine; the interpreter runs it");
    }
    metrics::histogram!("tollgate_policy_seconds").record(outcome.took.as_secs_f64());
    let mut reasons = Vec::new();
    if let (Some(record), Some(entity)) = (&known.entity_type, &request.entity) {
        reasons.extend(app.schemas.reasons(record, entity));
    }
    reasons.extend(outcome.reasons);
    Ok(PolicyVerdict { reasons, warnings: outcome.warnings })
}

/// The layer that speaks for an agent: its profile's, if the registry gives it one.
fn layer_of<'a>(id: &'a crate::vocabulary::AgentId, record: Option<&'a Agent>) -> &'a str {
    record.and_then(|agent| agent.spec.policy_profile.as_deref()).unwrap_or(id.as_str())
}

fn mask(app: &App, known: &Known) -> Mask {
    let mut pointers = app.mask.pointers.clone();
    if let Some(record) = &known.entity_type {
        let own = record.spec.masked_pointers().into_iter();
        pointers.extend(own.map(|pointer| format!("/entity/properties{pointer}")));
    }
    Mask { pointers }
}

/// A retry as what it would repeat: the action, entity and estimate of the last admission of that step, or the start of
/// the run where there was none; and whether values of it are masked.
pub(super) fn as_repeated(app: &App, request: &Request) -> Result<(Request, bool), OperationError> {
    let missing = || OperationError::Invalid { pointer: "/run".to_owned(), message: "a retry is of a run".to_owned() };
    let run = request.run.as_ref().ok_or_else(missing)?;
    let Some(record) = app.store.last_action(&run.id, run.step.as_ref())? else {
        let action = Action { name: start_run()?, properties: serde_json::Map::new() };
        return Ok((Request { action, entity: None, estimate: BTreeMap::new(), ..request.clone() }, false));
    };
    if record.agent != request.agent {
        return Err(OperationError::NotFound { what: "run", id: run.id.to_string() });
    }
    let Question { action, entity, estimate, connectors, masked, .. } = Question::of(&record)?;
    Ok((Request { action, entity, estimate, connectors, ..request.clone() }, masked))
}

fn start_run() -> Result<ActionName, OperationError> {
    ActionName::new("start_run").map_err(|error| OperationError::Internal(error.to_string()))
}
