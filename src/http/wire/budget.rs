//! Budgets and raises on the wire.

use crate::budget::{
    AccountUsage, BudgetSpec, BudgetView, Dimension, Enforcement, Raise, Scope, SpecParts, Window, ZoneName,
};
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::{Problem, ProblemCode};
use crate::vocabulary::{Balance, BudgetId, IdempotencyKey, Unit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest reason and evidence, in bytes.
pub const LONGEST_TEXT: usize = 2_000;

/// What a budget covers; an absent dimension covers any, `{}` the whole organisation.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[schema(as = Scope)]
pub struct ScopeBody {
    /// One team's agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// One agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "rfq-draft")]
    pub agent: Option<String>,
    /// One type of entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<String>,
    /// One action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// One run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// What kind of stretch of time.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WindowKind)]
pub enum WindowKindBody {
    /// The civil hour.
    Hour,
    /// The civil day.
    Day,
    /// The ISO week, from Monday.
    Week,
    /// The civil month.
    Month,
    /// The civil year.
    Year,
    /// The last `length_s` seconds.
    Rolling,
    /// For ever.
    Lifetime,
}

/// In which stretch of time a budget counts.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = Window)]
pub struct WindowBody {
    /// Which kind.
    pub kind: WindowKindBody,
    /// Of calendar windows: an IANA zone; UTC where it is not said.
    #[schema(example = "America/New_York")]
    pub time_zone: Option<String>,
    /// Of rolling windows: how many seconds.
    #[schema(example = 18000, minimum = 60)]
    pub length_s: Option<u32>,
}

/// What happens at the limit.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Enforcement)]
pub enum EnforcementBody {
    /// Deny.
    Hard,
    /// Warn, hold and count.
    Soft,
}

/// One of the five ways to cut spend.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Dimension)]
pub enum DimensionBody {
    /// The agent's team.
    Team,
    /// The agent.
    Agent,
    /// The type of what is acted on.
    EntityType,
    /// The action.
    Action,
    /// The run.
    Run,
}

/// A budget as an admin writes it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = BudgetRequest, example = json!({
    "id": "rfq-draft-daily", "scope": {"agent": "rfq-draft"}, "unit": "usd", "limit": "5.00",
    "window": {"kind": "day", "time_zone": "America/New_York"}, "enforcement": "hard", "alert_at_percent": [50, 80, 100]
}))]
pub struct BudgetBody {
    /// Its id, for ever; with PUT the one of the path, which it may repeat.
    pub id: Option<String>,
    /// In a sentence.
    pub description: Option<String>,
    /// What it covers; everything where it is not said.
    pub scope: Option<ScopeBody>,
    /// What it counts.
    #[schema(example = "usd")]
    pub unit: String,
    /// How much, as a decimal text.
    #[schema(example = "5.00")]
    pub limit: String,
    /// In which stretch of time.
    pub window: WindowBody,
    /// One account for each value of these.
    pub each: Option<Vec<DimensionBody>>,
    /// `hard` where it is not said.
    pub enforcement: Option<EnforcementBody>,
    /// Thresholds in percent of the limit in force.
    #[schema(example = json!([50, 80, 100]))]
    pub alert_at_percent: Option<Vec<u32>>,
    /// An estimate must name its unit.
    pub require_estimate: Option<bool>,
    /// What expired holds had set aside lowers what remains.
    pub count_unsettled: Option<bool>,
}

impl RequestBody for BudgetBody {}

/// A whole file of budgets.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ApplyBudgetsRequest)]
pub struct ApplyBody {
    /// All budgets that there are to be: others are deleted, and what differs is replaced; all or nothing.
    pub budgets: Vec<BudgetBody>,
}

impl RequestBody for ApplyBody {
    const BATCH: bool = true;
}

/// A raise as an admin asks for it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = RaiseRequest, example = json!({"limit": "8.00", "reason": "Metro Equipment needs a second quote today"}))]
pub struct RaiseBody {
    /// The new limit, not what is added.
    #[schema(example = "8.00")]
    pub limit: String,
    /// Under `each`: which account, as `each` in the budget's accounts names it.
    #[schema(example = "agent=rfq-draft")]
    pub account: Option<String>,
    /// Under `each`: every account.
    pub all: Option<bool>,
    /// Why.
    pub reason: String,
    /// What shows that it is worth it.
    pub evidence: Option<String>,
    /// When it ends; with the current window where it is not said.
    #[schema(format = DateTime, example = "2026-11-24T00:00:00-05:00")]
    pub ends_at: Option<String>,
    /// It does not end.
    pub permanent: Option<bool>,
    /// So that asking twice raises once.
    pub idempotency_key: Option<String>,
}

impl RequestBody for RaiseBody {}

/// A raise, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaiseAsked {
    /// The new limit.
    pub limit: Balance,
    /// Under `each`: which account.
    pub account: Option<String>,
    /// Under `each`: every account.
    pub all: bool,
    /// Why.
    pub reason: String,
    /// What shows that it is worth it.
    pub evidence: Option<String>,
    /// When it ends.
    pub ends_at: Option<Timestamp>,
    /// It does not end.
    pub permanent: bool,
    /// So that asking twice raises once.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// Why something is done.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ReasonRequest, example = json!({"reason": "the second quote was not needed"}))]
pub struct ReasonBody {
    /// In a sentence, for the audit trail.
    pub reason: String,
}

impl RequestBody for ReasonBody {}

impl ReasonBody {
    /// The reason, if it is one.
    pub fn checked(self) -> Result<String, Problem> {
        let mut check = Check::new("");
        check.text("/reason", &self.reason, LONGEST_TEXT);
        check.finish(Some(self.reason))
    }
}

impl BudgetBody {
    /// The specification, or every field at fault. `id` is the one of the path.
    pub fn spec(self, at: &str, path_id: Option<&BudgetId>) -> Result<BudgetSpec, Problem> {
        let mut check = Check::new(at);
        let sent: Option<BudgetId> = check.optional("/id", self.id.as_deref());
        let id = match (path_id, &self.id) {
            (None, None) => {
                check.fault("/id", "is required");
                None
            }
            (Some(path), Some(sent)) if path.as_str() != sent => {
                check.fault("/id", "must be the id of the path, or absent");
                None
            }
            (Some(path), _) => Some(path.clone()),
            (None, Some(_)) => sent,
        };
        let scope = checked_scope(self.scope.unwrap_or_default(), &mut check);
        let unit = check.parse::<Unit>("/unit", &self.unit);
        let limit = check.parse::<Balance>("/limit", &self.limit);
        let window = checked_window(&self.window, &mut check);
        let each: Vec<Dimension> = self.each.unwrap_or_default().into_iter().map(Dimension::from).collect();
        let alert_at_percent = self.alert_at_percent.unwrap_or_default();
        let require_estimate = self.require_estimate.unwrap_or(false);
        let parts = SpecParts {
            description: self.description.as_deref(),
            scope: &scope,
            unit: unit.as_ref(),
            limit,
            window: window.as_ref(),
            each: &each,
            alert_at_percent: &alert_at_percent,
            require_estimate,
        };
        for fault in parts.faults() {
            check.fault(fault.pointer, fault.message);
        }
        let rest = id.zip(unit).zip(limit).zip(window);
        let spec = rest.map(|(((id, unit), limit), window)| BudgetSpec {
            id,
            description: self.description,
            scope,
            unit,
            limit,
            window,
            each,
            enforcement: self.enforcement.map_or(Enforcement::Hard, Enforcement::from),
            alert_at_percent,
            require_estimate,
            count_unsettled: self.count_unsettled.unwrap_or(false),
        });
        check.finish(spec)
    }
}

fn checked_scope(body: ScopeBody, check: &mut Check) -> Scope {
    Scope {
        team: check.optional("/scope/team", body.team.as_deref()),
        agent: check.optional("/scope/agent", body.agent.as_deref()),
        entity_type: check.optional("/scope/entity_type", body.entity_type.as_deref()),
        action: check.optional("/scope/action", body.action.as_deref()),
        run: check.optional("/scope/run", body.run.as_deref()),
    }
}

fn checked_window(body: &WindowBody, check: &mut Check) -> Option<Window> {
    use WindowKindBody::{Day, Hour, Lifetime, Month, Rolling, Week, Year};
    let calendar = !matches!(body.kind, Rolling | Lifetime);
    if !calendar && body.time_zone.is_some() {
        check.fault("/window/time_zone", "only calendar windows have a zone");
    }
    if !matches!(body.kind, Rolling) && body.length_s.is_some() {
        check.fault("/window/length_s", "only rolling windows have a length");
    }
    let time_zone = match body.time_zone.as_deref() {
        None => ZoneName::utc(),
        Some(name) => {
            let zone = ZoneName::new(name).ok_or("is no zone of the IANA database, such as \"America/New_York\"");
            check.value("/window/time_zone", zone)?
        }
    };
    Some(match body.kind {
        Hour => Window::Hour { time_zone },
        Day => Window::Day { time_zone },
        Week => Window::Week { time_zone },
        Month => Window::Month { time_zone },
        Year => Window::Year { time_zone },
        Rolling => Window::Rolling { length_s: check.value("/window/length_s", body.length_s.ok_or("is required"))? },
        Lifetime => Window::Lifetime,
    })
}

impl ApplyBody {
    /// The specifications, or every field at fault of every budget.
    pub fn specs(self) -> Result<Vec<BudgetSpec>, Problem> {
        let (mut specs, mut errors) = (Vec::with_capacity(self.budgets.len()), Vec::new());
        for (n, body) in self.budgets.into_iter().enumerate() {
            match body.spec(&format!("/budgets/{n}"), None) {
                Ok(spec) => specs.push(spec),
                Err(problem) => errors.extend(problem.errors),
            }
        }
        if errors.is_empty() { Ok(specs) } else { Err(Problem::fields(ProblemCode::InvalidRequest, errors)) }
    }
}

impl RaiseBody {
    /// The raise, or every field at fault.
    pub fn asked(self) -> Result<RaiseAsked, Problem> {
        let mut check = Check::new("");
        let limit = check.parse::<Balance>("/limit", &self.limit);
        check.text("/reason", &self.reason, LONGEST_TEXT);
        if let Some(evidence) = &self.evidence {
            check.text("/evidence", evidence, LONGEST_TEXT);
        }
        let permanent = self.permanent.unwrap_or(false);
        if permanent && self.ends_at.is_some() {
            check.fault("/ends_at", "must be absent from a permanent raise");
        }
        if self.account.is_some() && self.all == Some(true) {
            check.fault("/all", "must be absent where an account is named");
        }
        let ends_at = check.optional::<Timestamp>("/ends_at", self.ends_at.as_deref());
        let idempotency_key = check.optional("/idempotency_key", self.idempotency_key.as_deref());
        let asked = limit.map(|limit| RaiseAsked {
            limit,
            account: self.account,
            all: self.all.unwrap_or(false),
            reason: self.reason,
            evidence: self.evidence,
            ends_at,
            permanent,
            idempotency_key,
        });
        check.finish(asked)
    }
}

impl From<DimensionBody> for Dimension {
    fn from(body: DimensionBody) -> Self {
        match body {
            DimensionBody::Team => Self::Team,
            DimensionBody::Agent => Self::Agent,
            DimensionBody::EntityType => Self::EntityType,
            DimensionBody::Action => Self::Action,
            DimensionBody::Run => Self::Run,
        }
    }
}

impl From<EnforcementBody> for Enforcement {
    fn from(body: EnforcementBody) -> Self {
        match body {
            EnforcementBody::Hard => Self::Hard,
            EnforcementBody::Soft => Self::Soft,
        }
    }
}

/// The stretch of time that a budget counts in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WindowAnswer {
    /// Which kind; of the budget, not of an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Of calendar windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Of rolling windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_s: Option<u32>,
    /// Its first moment, in the budget's zone.
    #[schema(example = "2026-11-23T00:00:00-05:00")]
    pub start: Option<String>,
    /// The first moment behind it; `null` where it does not end.
    #[schema(example = "2026-11-24T00:00:00-05:00")]
    pub end: Option<String>,
}

/// The figures of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageAnswer {
    /// The account's name.
    #[schema(example = "2026-11-23@America/New_York")]
    pub account: String,
    /// The part of it that `each` makes; what a raise names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// Booked.
    #[schema(example = "0.31")]
    pub spent: String,
    /// Set aside.
    #[schema(example = "0.42")]
    pub held: String,
    /// Set aside by holds that expired without a word.
    #[schema(example = "0")]
    pub unsettled: String,
    /// What is left; below zero where more was spent than the limit.
    #[schema(example = "4.27")]
    pub remaining: String,
    /// The highest of the budget's own limit and its raises in force.
    #[schema(example = "5")]
    pub limit_in_force: String,
    /// The window that it counts in.
    pub window: WindowAnswer,
}

/// A raise.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Raise)]
pub struct RaiseAnswer {
    /// Its id.
    #[schema(example = "raise_00mg9kw4a0000000000g000000")]
    pub id: String,
    /// The new limit.
    #[schema(example = "8")]
    pub limit: String,
    /// Under `each`: which account; `null` for all.
    pub account: Option<String>,
    /// Why.
    pub reason: String,
    /// What shows that it is worth it.
    pub evidence: Option<String>,
    /// By whom.
    pub by: String,
    /// Since when.
    pub at: String,
    /// Until when; `null` for a permanent one.
    pub ends_at: Option<String>,
    /// That it was withdrawn.
    pub withdrawn: Option<WithdrawnAnswer>,
}

/// That a raise was withdrawn.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WithdrawnAnswer {
    /// When.
    pub at: String,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A budget with its figures.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Budget)]
pub struct BudgetAnswer {
    /// Its id.
    #[schema(example = "rfq-draft-daily")]
    pub id: String,
    /// In a sentence.
    pub description: Option<String>,
    /// What it covers.
    pub scope: ScopeBody,
    /// What it counts.
    #[schema(example = "usd")]
    pub unit: String,
    /// Its own limit.
    #[schema(example = "5")]
    pub limit: String,
    /// In which stretch of time; with the current one's ends.
    pub window: WindowAnswer,
    /// One account for each value of these.
    pub each: Vec<&'static str>,
    /// `hard` or `soft`.
    pub enforcement: EnforcementBody,
    /// Thresholds in percent.
    pub alert_at_percent: Vec<u32>,
    /// An estimate must name its unit.
    pub require_estimate: bool,
    /// What expired holds had set aside lowers what remains.
    pub count_unsettled: bool,
    /// Booked; absent under `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent: Option<String>,
    /// Set aside; absent under `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Set aside by holds that expired; absent under `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<String>,
    /// What is left; absent under `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<String>,
    /// The limit in force; absent under `each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_in_force: Option<String>,
    /// Under `each`: the accounts of the current window, at most 1,000; the rest by `/usage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<UsageAnswer>>,
    /// Its raises, oldest first.
    pub raises: Vec<RaiseAnswer>,
    /// Counts its changes; its `ETag`.
    pub revision: u64,
    /// It counts from then on.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
}

impl From<&AccountUsage> for UsageAnswer {
    fn from(usage: &AccountUsage) -> Self {
        Self {
            account: usage.account.clone(),
            each: usage.each.clone(),
            spent: usage.spent.to_string(),
            held: usage.held.to_string(),
            unsettled: usage.unsettled.to_string(),
            remaining: usage.remaining.to_string(),
            limit_in_force: usage.limit_in_force.to_string(),
            window: WindowAnswer {
                kind: None,
                time_zone: None,
                length_s: None,
                start: usage.window.start.clone(),
                end: usage.window.end.clone(),
            },
        }
    }
}

impl From<&Raise> for RaiseAnswer {
    fn from(raise: &Raise) -> Self {
        Self {
            id: raise.id.to_string(),
            limit: raise.limit.to_string(),
            account: raise.account.clone(),
            reason: raise.reason.clone(),
            evidence: raise.evidence.clone(),
            by: raise.by.clone(),
            at: raise.at.to_string(),
            ends_at: raise.ends_at.map(|at| at.to_string()),
            withdrawn: raise.withdrawn.as_ref().map(|withdrawn| WithdrawnAnswer {
                at: withdrawn.at.to_string(),
                by: withdrawn.by.clone(),
                reason: withdrawn.reason.clone(),
            }),
        }
    }
}

fn window_answer(window: &Window) -> WindowAnswer {
    let (kind, time_zone, length_s) = match window {
        Window::Hour { time_zone } => ("hour", Some(time_zone), None),
        Window::Day { time_zone } => ("day", Some(time_zone), None),
        Window::Week { time_zone } => ("week", Some(time_zone), None),
        Window::Month { time_zone } => ("month", Some(time_zone), None),
        Window::Year { time_zone } => ("year", Some(time_zone), None),
        Window::Rolling { length_s } => ("rolling", None, Some(*length_s)),
        Window::Lifetime => ("lifetime", None, None),
    };
    let time_zone = time_zone.map(|zone| zone.as_str().to_owned());
    WindowAnswer { kind: Some(kind), time_zone, length_s, start: None, end: None }
}

fn scope_answer(scope: &Scope) -> ScopeBody {
    let text = |id: Option<&str>| id.map(str::to_owned);
    ScopeBody {
        team: text(scope.team.as_ref().map(AsRef::as_ref)),
        agent: text(scope.agent.as_ref().map(AsRef::as_ref)),
        entity_type: text(scope.entity_type.as_ref().map(AsRef::as_ref)),
        action: text(scope.action.as_ref().map(AsRef::as_ref)),
        run: text(scope.run.as_ref().map(AsRef::as_ref)),
    }
}

impl From<&BudgetView> for BudgetAnswer {
    fn from(view: &BudgetView) -> Self {
        let spec = &view.spec;
        let usage = view.usage.as_ref().map(UsageAnswer::from);
        let mut window = window_answer(&spec.window);
        if let Some(usage) = &usage {
            window.start.clone_from(&usage.window.start);
            window.end.clone_from(&usage.window.end);
        }
        let figure = |pick: fn(&UsageAnswer) -> &String| usage.as_ref().map(|usage| pick(usage).clone());
        Self {
            id: spec.id.to_string(),
            description: spec.description.clone(),
            scope: scope_answer(&spec.scope),
            unit: spec.unit.to_string(),
            limit: spec.limit.to_string(),
            window,
            each: spec.each.iter().map(|dimension| dimension.as_str()).collect(),
            enforcement: match spec.enforcement {
                Enforcement::Hard => EnforcementBody::Hard,
                Enforcement::Soft => EnforcementBody::Soft,
            },
            alert_at_percent: spec.alert_at_percent.clone(),
            require_estimate: spec.require_estimate,
            count_unsettled: spec.count_unsettled,
            spent: figure(|usage| &usage.spent),
            held: figure(|usage| &usage.held),
            unsettled: figure(|usage| &usage.unsettled),
            remaining: figure(|usage| &usage.remaining),
            limit_in_force: figure(|usage| &usage.limit_in_force),
            accounts: view.accounts.as_ref().map(|list| list.iter().take(1_000).map(UsageAnswer::from).collect()),
            raises: view.raises.iter().map(RaiseAnswer::from).collect(),
            revision: view.revision,
            created_at: view.created_at.to_string(),
            updated_at: view.updated_at.to_string(),
            deleted_at: view.deleted_at.map(|at| at.to_string()),
        }
    }
}

/// What an apply did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AppliedAnswer {
    /// New ones.
    pub created: Vec<String>,
    /// Changed ones.
    pub replaced: Vec<String>,
    /// Deleted ones, which the file does not name.
    pub deleted: Vec<String>,
    /// Untouched ones.
    pub unchanged: Vec<String>,
}

impl From<&crate::operations::Applied> for AppliedAnswer {
    fn from(applied: &crate::operations::Applied) -> Self {
        let texts = |ids: &[BudgetId]| ids.iter().map(ToString::to_string).collect();
        Self {
            created: texts(&applied.created),
            replaced: texts(&applied.replaced),
            deleted: texts(&applied.deleted),
            unchanged: texts(&applied.unchanged),
        }
    }
}
