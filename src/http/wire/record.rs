//! Recorded decisions, the audit trail and policy sets on the wire; lists; and what lists can be asked for.

use super::registry::ActorAnswer;
use crate::admission::{Decision, DecisionRecord, Kind};
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::Problem;
use crate::operations::{PolicySets, RefusedView};
use crate::policy::{Explanation, LayerId, Report};
use crate::state::PolicySetHead;
use crate::store::{AuditFilter, AuditRecord, DecisionFilter};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

/// How many entries a page has where the request does not say.
const USUAL_LIMIT: usize = 50;
/// How many it has at most.
const LARGEST_LIMIT: usize = 500;

/// A list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T: ToSchema> {
    /// What fits.
    pub items: Vec<T>,
    /// Ask with `?cursor=` this for what follows; `null` at the end.
    pub next: Option<String>,
}

impl<T: ToSchema> List<T> {
    /// All of it.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// The length of a page, or a fault.
pub fn limit(text: Option<&str>, check: &mut Check) -> usize {
    let Some(text) = text else { return USUAL_LIMIT };
    match text.parse() {
        Ok(limit) if (1..=LARGEST_LIMIT).contains(&limit) => limit,
        _ => {
            check.fault("?limit", format_args!("must be from 1 to {LARGEST_LIMIT}"));
            USUAL_LIMIT
        }
    }
}

fn flag(pointer: &str, text: Option<&str>, check: &mut Check) -> bool {
    match text {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            check.fault(pointer, "must be true or false");
            false
        }
    }
}

/// Which decisions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DecisionQuery {
    /// Of this agent.
    pub agent: Option<String>,
    /// On this type of entity.
    pub entity_type: Option<String>,
    /// On this entity.
    pub entity_id: Option<String>,
    /// For this action.
    pub action: Option<String>,
    /// `allow` or `deny`.
    pub decision: Option<String>,
    /// With this code among the reasons.
    pub code: Option<String>,
    /// In this run.
    pub run: Option<String>,
    /// `action` or `retry`.
    pub kind: Option<String>,
    /// At or after (RFC 3339).
    pub since: Option<String>,
    /// Before (RFC 3339).
    pub until: Option<String>,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
    /// How many, 1 to 500; 50 where it is not said.
    pub limit: Option<String>,
}

impl DecisionQuery {
    /// The filter and the page's length, or every parameter at fault.
    pub fn filter(&self) -> Result<(DecisionFilter, usize), Problem> {
        let mut check = Check::new("");
        let decision = match self.decision.as_deref() {
            None => None,
            Some("allow") => Some(Decision::Allow),
            Some("deny") => Some(Decision::Deny),
            Some(_) => {
                check.fault("?decision", "must be allow or deny");
                None
            }
        };
        let kind = match self.kind.as_deref() {
            None => None,
            Some("action") => Some(Kind::Action),
            Some("retry") => Some(Kind::Retry),
            Some(_) => {
                check.fault("?kind", "must be action or retry");
                None
            }
        };
        let filter = DecisionFilter {
            agents: check.optional("?agent", self.agent.as_deref()).map(|agent| vec![agent]),
            entity_type: check.optional("?entity_type", self.entity_type.as_deref()),
            entity_id: check.optional("?entity_id", self.entity_id.as_deref()),
            action: check.optional("?action", self.action.as_deref()),
            decision,
            code: self.code.clone(),
            run: check.optional("?run", self.run.as_deref()),
            kind,
            since: check.optional("?since", self.since.as_deref()),
            until: check.optional("?until", self.until.as_deref()),
        };
        let limit = limit(self.limit.as_deref(), &mut check);
        check.finish(Some((filter, limit)))
    }
}

/// Whether one decision comes with its rules.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// `true` shows the rules that fired, by file and line, found by replaying the decision.
    pub explain: Option<String>,
}

impl ExplainQuery {
    /// Whether it does.
    pub fn explain(&self) -> Result<bool, Problem> {
        let mut check = Check::new("");
        let explain = flag("?explain", self.explain.as_deref(), &mut check);
        check.finish(Some(explain))
    }
}

/// Which pauses.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PauseQuery {
    /// `true` shows those too that have ended.
    pub ended: Option<String>,
}

impl PauseQuery {
    /// Whether ended ones too.
    pub fn ended(&self) -> Result<bool, Problem> {
        let mut check = Check::new("");
        let ended = flag("?ended", self.ended.as_deref(), &mut check);
        check.finish(Some(ended))
    }
}

/// Which entries of the audit trail.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// By this person or service.
    pub actor: Option<String>,
    /// This operation (`budget.raise`), or all of a kind (`budget.`).
    pub op: Option<String>,
    /// On this subject (`budget:rfq-draft-daily`).
    pub subject: Option<String>,
    /// At or after (RFC 3339).
    pub since: Option<String>,
    /// Before (RFC 3339).
    pub until: Option<String>,
    /// `true` shows admissions and holds too, which are most of it.
    pub include_admissions: Option<String>,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
    /// How many, 1 to 500; 50 where it is not said.
    pub limit: Option<String>,
}

impl AuditQuery {
    /// The filter and the page's length, or every parameter at fault.
    pub fn filter(&self) -> Result<(AuditFilter, usize), Problem> {
        let mut check = Check::new("");
        let filter = AuditFilter {
            actor: self.actor.clone(),
            op: self.op.clone(),
            kinds: Vec::new(),
            subject: self.subject.clone(),
            since: check.optional::<Timestamp>("?since", self.since.as_deref()),
            until: check.optional::<Timestamp>("?until", self.until.as_deref()),
            include_admissions: flag("?include_admissions", self.include_admissions.as_deref(), &mut check),
        };
        let limit = limit(self.limit.as_deref(), &mut check);
        check.finish(Some((filter, limit)))
    }
}

/// A recorded decision.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Admission)]
pub struct AdmissionRecordAnswer {
    /// Its id; ids sort by time.
    #[schema(example = "adm_00mg9kw4a0000000000g000000")]
    pub id: String,
    /// `action` or `retry`.
    pub kind: &'static str,
    /// Who asked.
    pub agent: String,
    /// What for.
    pub action: String,
    /// On which type of entity.
    pub entity_type: Option<String>,
    /// On which one.
    pub entity_id: Option<String>,
    /// In which run.
    pub run: Option<String>,
    /// In which attempt at it.
    pub attempt: Option<u32>,
    /// In which step.
    pub step: Option<String>,
    /// The key it was asked under.
    pub idempotency_key: Option<String>,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The codes of its reasons.
    pub codes: Vec<String>,
    /// When.
    pub decided_at: String,
    /// The policy set that judged it.
    pub policy_set: String,
    /// Whether a replay sees exactly what policy saw: false where a value was masked.
    pub replayable: bool,
    /// The policy's input, masked.
    #[schema(value_type = Object)]
    pub input: Box<RawValue>,
    /// The answer, word for word.
    #[schema(value_type = super::answer::AdmissionAnswer)]
    pub answer: Box<RawValue>,
    /// With `?explain=true`: the rules that fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<ExplanationAnswer>,
}

/// The rules that fired.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationAnswer {
    /// Each rule, by file and line.
    pub fired: Vec<FiredRuleAnswer>,
    /// Rules that failed.
    pub failed: Vec<String>,
}

/// One rule that fired.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = FiredRule)]
pub struct FiredRuleAnswer {
    /// Its layer.
    #[schema(example = "entity type rfq")]
    pub layer: String,
    /// `allow`, `allow_without_entity`, `deny` or `warn`.
    #[schema(value_type = String, example = "deny")]
    pub name: Value,
    /// Its file and line.
    #[schema(example = "entities/rfq.rego:27")]
    pub rule: String,
    /// The code that it gives.
    pub code: Option<String>,
    /// What it said: any JSON.
    #[schema(value_type = Value)]
    pub value: Value,
}

impl From<&Explanation> for ExplanationAnswer {
    fn from(explanation: &Explanation) -> Self {
        let fired = explanation.fired.iter().map(|rule| FiredRuleAnswer {
            layer: rule.layer.to_string(),
            name: serde_json::to_value(rule.name).unwrap_or_default(),
            rule: rule.rule.clone(),
            code: rule.code.clone(),
            value: rule.value.clone(),
        });
        Self { fired: fired.collect(), failed: explanation.failed.clone() }
    }
}

impl From<&DecisionRecord> for AdmissionRecordAnswer {
    fn from(record: &DecisionRecord) -> Self {
        Self {
            id: record.id.to_string(),
            kind: match record.kind {
                Kind::Action => "action",
                Kind::Retry => "retry",
            },
            agent: record.agent.to_string(),
            action: record.action.to_string(),
            entity_type: record.entity_type.as_ref().map(ToString::to_string),
            entity_id: record.entity_id.as_ref().map(ToString::to_string),
            run: record.run.as_ref().map(ToString::to_string),
            attempt: record.attempt,
            step: record.step.as_ref().map(ToString::to_string),
            idempotency_key: record.idempotency_key.as_ref().map(ToString::to_string),
            decision: match record.decision {
                Decision::Allow => "allow",
                Decision::Deny => "deny",
            },
            codes: record.codes.clone(),
            decided_at: record.decided_at.to_string(),
            policy_set: record.judged.policy_set.clone(),
            replayable: record.replayable,
            input: record.input.clone(),
            answer: record.answer.clone(),
            explanation: None,
        }
    }
}

/// One entry of the audit trail.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditAnswer {
    /// The record of the journal that it stands in.
    pub seq: u64,
    /// Its place there.
    pub index: u32,
    /// When.
    pub at: String,
    /// What was done.
    #[schema(example = "budget.raise")]
    pub op: String,
    /// By whom.
    pub actor: ActorAnswer,
    /// On what.
    #[schema(example = "budget:rfq-draft-daily")]
    pub subject: String,
    /// Why, where somebody said so.
    pub reason: Option<String>,
    /// What stood before: any JSON.
    #[schema(value_type = Value)]
    pub before: Option<Value>,
    /// What stands since: the same text as in the journal.
    #[schema(value_type = Vec<Object>)]
    pub effects: Value,
}

impl From<AuditRecord> for AuditAnswer {
    fn from(record: AuditRecord) -> Self {
        Self {
            seq: record.seq,
            index: record.index,
            at: record.at.to_string(),
            op: record.op,
            actor: ActorAnswer::from(&record.actor),
            subject: record.subject,
            reason: record.reason,
            before: record.before,
            effects: record.effects,
        }
    }
}

/// A policy set that was in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PolicySetHead)]
pub struct PolicySetAnswer {
    /// Its digest.
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub digest: String,
    /// Since when.
    pub since: String,
    /// By whom.
    pub by: ActorAnswer,
    /// What it took the place of.
    pub replaced: Option<String>,
}

impl From<&PolicySetHead> for PolicySetAnswer {
    fn from(head: &PolicySetHead) -> Self {
        Self {
            digest: head.digest.clone(),
            since: head.since.to_string(),
            by: ActorAnswer::from(&head.by),
            replaced: head.replaced.clone(),
        }
    }
}

/// One thing wrong with a policy set.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PolicyProblemAnswer {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the whole file.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// What kind of problem.
    pub code: String,
    /// What to do.
    pub message: String,
}

/// What the policy directory holds and was not taken.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RefusedSetAnswer {
    /// When it was found.
    pub at: String,
    /// What is wrong with it.
    pub problems: Vec<PolicyProblemAnswer>,
    /// Modules that it lost: it serves once that is confirmed.
    pub lost_modules: Vec<String>,
    /// Its digest, if it checks.
    pub digest: Option<String>,
}

impl From<RefusedView> for RefusedSetAnswer {
    fn from(refused: RefusedView) -> Self {
        let problems = refused.problems.into_iter().map(|problem| PolicyProblemAnswer {
            file: problem.file,
            line: problem.line,
            column: problem.column,
            code: problem.code,
            message: problem.message,
        });
        Self {
            at: refused.at.to_string(),
            problems: problems.collect(),
            lost_modules: refused.lost_modules,
            digest: refused.digest,
        }
    }
}

/// The policy sets that were in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PolicySetsAnswer {
    /// Newest first; the first is in force.
    pub items: Vec<PolicySetAnswer>,
    /// Always `null`: at most 1,000 are kept.
    pub next: Option<String>,
    /// What the directory holds and was not taken; the old set goes on serving.
    pub refused: Option<RefusedSetAnswer>,
}

impl From<PolicySets> for PolicySetsAnswer {
    fn from(sets: PolicySets) -> Self {
        Self {
            items: sets.items.iter().map(PolicySetAnswer::from).collect(),
            next: None,
            refused: sets.refused.map(RefusedSetAnswer::from),
        }
    }
}

/// A policy set with its files.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PolicySet)]
pub struct PolicyFilesAnswer {
    /// Its digest.
    pub digest: String,
    /// Its layers, base first.
    pub layers: Vec<LayerAnswer>,
    /// The library modules; a layer is compiled with those that it refers to.
    pub libraries: Vec<String>,
    /// Path and text of each module.
    pub files: std::collections::BTreeMap<String, String>,
}

/// Which engine each layer is on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PolicyReport)]
pub struct PolicyReportAnswer {
    /// The digest of the set in force.
    pub digest: String,
    /// Its layers, base first.
    pub layers: Vec<LayerAnswer>,
    /// The library modules; a layer is compiled with those that it refers to.
    pub libraries: Vec<String>,
}

/// One layer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Layer)]
pub struct LayerAnswer {
    /// `base`, `agent` or `entity`.
    #[schema(example = "agent")]
    pub kind: &'static str,
    /// The agent, profile or entity type.
    #[schema(example = "rfq-draft")]
    pub name: Option<String>,
    /// Digest of its modules, the libraries that it refers to, and the data.
    pub digest: String,
    /// Its modules.
    pub files: Vec<String>,
    /// What it may say: `allow`, `allow_without_entity`, `deny`, `warn`.
    #[schema(value_type = Vec<String>)]
    pub defines: Value,
    /// What runs it.
    #[schema(example = "interpreter")]
    pub engine: &'static str,
    /// Why.
    pub why: String,
}

impl From<Report> for PolicyReportAnswer {
    fn from(report: Report) -> Self {
        let layers = report.layers.into_iter().map(|layer| {
            let (kind, name) = match layer.layer {
                LayerId::Base => ("base", None),
                LayerId::Agent(name) => ("agent", Some(name)),
                LayerId::Entity(name) => ("entity", Some(name)),
            };
            LayerAnswer {
                kind,
                name,
                digest: layer.digest,
                files: layer.files,
                defines: serde_json::to_value(&layer.defines).unwrap_or_default(),
                engine: layer.engine,
                why: layer.why,
            }
        });
        Self { digest: report.digest, layers: layers.collect(), libraries: report.libraries }
    }
}

/// That a set may serve although it lost modules.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ConfirmRequest, example = json!({"reason": "the agent was retired"}))]
pub struct ConfirmBody {
    /// Why, for the audit trail.
    pub reason: Option<String>,
}

impl RequestBody for ConfirmBody {}
