//! The same done to many items, as it is asked for and answered.

use super::attention::{ItemQuery, filter};
use super::attention_act::{AssignBody, EscalateBody, ResolveBody, SnoozeBody};
use super::run_act::{CancelBody, ForceStopBody, LONGEST_REASON};
use super::run_parts::SideEffectAnswer;
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::{Problem, ProblemDocument};
use crate::operations::{BulkAct, BulkAnswer, BulkItem, BulkOf, ItemAct, LARGEST_BULK, Previewed};
use crate::vocabulary::ItemId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Another attempt at each run.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = BulkRetry)]
pub struct BulkRetryBody {
    /// Why.
    pub reason: String,
    /// The side effects that the preview names are acknowledged; without it, runs that have any are refused.
    pub acknowledge_side_effects: Option<bool>,
}

/// One act for many items.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = BulkAct)]
pub struct BulkActBody {
    /// Give them to a person.
    pub assign: Option<AssignBody>,
    /// Put them off.
    pub snooze: Option<SnoozeBody>,
    /// Hand them to somebody who knows more.
    pub escalate: Option<EscalateBody>,
    /// End them by hand.
    pub resolve: Option<ResolveBody>,
    /// Retry their runs. What waits for a fix is refused.
    pub retry: Option<BulkRetryBody>,
    /// Ask for their runs' end.
    pub cancel: Option<CancelBody>,
    /// End their runs' attempts without their runtimes' proof.
    pub force_stop: Option<ForceStopBody>,
}

/// Which items: as the list's parameters say.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[schema(as = BulkQuery)]
pub struct BulkQueryBody {
    /// In this state. Where it is not said, all that are not resolved.
    pub state: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this class.
    pub class: Option<String>,
    /// Of this person.
    pub owner: Option<String>,
    /// Of this agent.
    pub agent: Option<String>,
    /// Of this fingerprint: a group of `by=fingerprint`.
    pub fingerprint: Option<String>,
    /// That this fix would help to free: a group of `by=fix`.
    pub fix: Option<String>,
    /// Those without a decision, or the others.
    pub without_decision: Option<bool>,
}

/// What the act would do to these items.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = BulkPreviewRequest, example = json!({"act": {"retry": {"reason": "The ERP is back."}}, "query": {"state": "ready_to_retry", "fix": "connector:erp"}}))]
pub struct BulkPreviewBody {
    /// The act: one of them.
    pub act: BulkActBody,
    /// The items, at most 1,000; or `query`.
    pub ids: Option<Vec<String>>,
    /// Those that fit, the newest 1,000; or `ids`.
    pub query: Option<BulkQueryBody>,
}

/// Do it to the items of the preview, as they were there.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = BulkRequest)]
pub struct BulkBody {
    /// The act: one of them.
    pub act: BulkActBody,
    /// The items with what the preview froze, at most 1,000.
    pub items: Vec<BulkItemBody>,
}

/// An item of a frozen list.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = FrozenItem)]
pub struct BulkItemBody {
    /// Which.
    pub id: String,
    /// As the preview saw it.
    pub revision: u64,
    /// For a retry: the plan that the preview saw.
    pub plan_version: Option<String>,
}

impl RequestBody for BulkPreviewBody {
    const BATCH: bool = true;
}
impl RequestBody for BulkBody {
    const BATCH: bool = true;
}

impl BulkActBody {
    fn act(self) -> Result<BulkAct, Problem> {
        let Self { assign, snooze, escalate, resolve, retry, cancel, force_stop } = self;
        let of_items: Vec<Result<ItemAct, Problem>> = [
            assign.map(|body| body.act("/act/assign")),
            snooze.map(|body| body.act("/act/snooze")),
            escalate.map(|body| body.act("/act/escalate")),
            resolve.map(|body| body.act("/act/resolve")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let of_runs = [
            retry.map(BulkRetryBody::act),
            cancel.map(|body| cancelling(body, "/act/cancel")),
            force_stop.map(|body| Ok(BulkAct::ForceStop { reason: body.asked("/act/force_stop")? })),
        ];
        let mut acts = of_items.into_iter().map(|act| act.map(BulkAct::Item)).chain(of_runs.into_iter().flatten());
        if let (Some(act), None) = (acts.next(), acts.next()) {
            return act;
        }
        let mut check = Check::new("");
        check.fault("/act", "must name one act: assign, snooze, escalate, resolve, retry, cancel or force_stop");
        check.finish(None)
    }
}

impl BulkRetryBody {
    fn act(self) -> Result<BulkAct, Problem> {
        let mut check = Check::new("/act/retry");
        check.text("/reason", &self.reason, LONGEST_REASON);
        let acknowledge = self.acknowledge_side_effects.unwrap_or(false);
        check.finish(Some(BulkAct::Retry { reason: self.reason, acknowledge }))
    }
}

fn cancelling(body: CancelBody, at: &str) -> Result<BulkAct, Problem> {
    let (category, reason) = body.asked(at)?;
    Ok(BulkAct::Cancel { category, reason })
}

fn bounded(check: &mut Check, pointer: &str, count: usize) {
    if count == 0 || count > LARGEST_BULK {
        check.fault(pointer, format_args!("must name from 1 to {LARGEST_BULK} items"));
    }
}

impl BulkQueryBody {
    fn as_query(&self) -> ItemQuery {
        ItemQuery {
            state: self.state.clone(),
            kind: self.kind.clone(),
            class: self.class.clone(),
            owner: self.owner.clone(),
            agent: self.agent.clone(),
            fingerprint: self.fingerprint.clone(),
            fix: self.fix.clone(),
            without_decision: self.without_decision.map(|without| without.to_string()),
            ..ItemQuery::default()
        }
    }
}

impl BulkPreviewBody {
    /// The act and the items, or every field at fault.
    pub fn asked(self) -> Result<(BulkAct, BulkOf), Problem> {
        let act = self.act.act()?;
        let mut check = Check::new("");
        let of = match (self.ids, self.query) {
            (Some(ids), None) => {
                bounded(&mut check, "/ids", ids.len());
                let ids = ids.iter().take(LARGEST_BULK).enumerate();
                let ids = ids.filter_map(|(n, id)| check.parse(format_args!("/ids/{n}"), id)).collect();
                Some(BulkOf::Ids(ids))
            }
            (None, Some(query)) => Some(BulkOf::Query(Box::new(filter(&mut check, &query.as_query(), "/query/")))),
            _ => {
                check.fault("", "must name either ids or a query");
                None
            }
        };
        check.finish(of.map(|of| (act, of)))
    }
}

impl BulkBody {
    /// The act and the frozen items, or every field at fault.
    pub fn asked(self) -> Result<(BulkAct, Vec<BulkItem>), Problem> {
        let act = self.act.act()?;
        let mut check = Check::new("");
        bounded(&mut check, "/items", self.items.len());
        let mut items = Vec::new();
        for (n, item) in self.items.into_iter().take(LARGEST_BULK).enumerate() {
            if matches!(act, BulkAct::Retry { .. }) && item.plan_version.is_none() {
                check.fault(format_args!("/items/{n}/plan_version"), "is required for a retry");
            }
            if let Some(id) = check.parse::<ItemId>(format_args!("/items/{n}/id"), &item.id) {
                items.push(BulkItem { id, revision: item.revision, plan_version: item.plan_version });
            }
        }
        check.finish(Some((act, items)))
    }
}

/// What became of one item of a bulk act, or would.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BulkOutcome)]
pub struct BulkOutcomeAnswer {
    /// Which.
    pub id: String,
    /// 200, or the status of the problem.
    pub status: u16,
    /// In a preview: the revision that freezes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// In the preview of a retry: the plan that freezes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_version: Option<String>,
    /// In the preview of a retry: what has happened already, and may happen again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub side_effects: Vec<SideEffectAnswer>,
    /// The state behind it.
    pub state: Option<&'static str>,
    /// Why not.
    #[schema(value_type = Option<ProblemDocument>)]
    pub problem: Option<ProblemDocument>,
}

impl BulkOutcomeAnswer {
    /// What became of it.
    pub fn of(answer: BulkAnswer, request_id: &str) -> Self {
        let blank = Self {
            id: answer.id.to_string(),
            status: 200,
            revision: None,
            plan_version: None,
            side_effects: Vec::new(),
            state: None,
            problem: None,
        };
        match answer.outcome {
            Ok(state) => Self { state: Some(state.as_str()), ..blank },
            Err(error) => {
                let document = Problem::from(error).document(request_id);
                Self { status: document.status, problem: Some(document), ..blank }
            }
        }
    }

    /// What would become of it.
    pub fn previewed(previewed: Previewed, request_id: &str) -> Self {
        let Previewed { id, revision, plan_version, side_effects, outcome } = previewed;
        Self {
            revision,
            plan_version,
            side_effects: side_effects.iter().map(Into::into).collect(),
            ..Self::of(BulkAnswer { id, outcome }, request_id)
        }
    }
}

/// What became of every item, in the order of the request.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BulkAnswers)]
pub struct BulkAnswers {
    /// One for each.
    pub items: Vec<BulkOutcomeAnswer>,
    /// In the preview of a query: more fit it than one act takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
}
