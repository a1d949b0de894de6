//! Reasons and remedies: the closed list behind every denial and behind every failed run.
//!
//! The codes of a denial and the codes of a failed run are one vocabulary, and this file is it. A rule's own code is
//! free text of the policy's author; every code that Tollgate itself gives is a [`Code`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which part of Tollgate gave a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A policy layer, or the lack of one.
    Policy,
    /// A budget.
    Budget,
    /// The registry: an entity type's schema.
    Registry,
    /// A pause, of whatever kind.
    Pause,
    /// A connector's reported state.
    Connector,
    /// The run itself: what its runtime reported, or what its attempts have become.
    Run,
    /// Tollgate could not judge.
    System,
}

/// What would lift a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyKind {
    /// Policy rejected it; change policy only if the action is safe for that agent and entity type.
    ReviewPolicy,
    /// A quota would be exceeded; raise it only if the output is worth the spend.
    ReviewBudget,
    /// A needed field or record is missing.
    SupplyData,
    /// Malformed or out of range.
    CorrectInput,
    /// A connector it needs is down.
    RestoreConnector,
    /// A person must agree first.
    RequestApproval,
    /// It will pass by itself.
    Wait,
    /// Someone stopped it on purpose.
    Resume,
    /// Retrying is pointless.
    Escalate,
    /// Tollgate itself could not judge.
    Repair,
}

impl RemedyKind {
    /// Every kind, in the order of the design's table.
    pub const ALL: [Self; 10] = [
        Self::ReviewPolicy,
        Self::ReviewBudget,
        Self::SupplyData,
        Self::CorrectInput,
        Self::RestoreConnector,
        Self::RequestApproval,
        Self::Wait,
        Self::Resume,
        Self::Escalate,
        Self::Repair,
    ];

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReviewPolicy => "review_policy",
            Self::ReviewBudget => "review_budget",
            Self::SupplyData => "supply_data",
            Self::CorrectInput => "correct_input",
            Self::RestoreConnector => "restore_connector",
            Self::RequestApproval => "request_approval",
            Self::Wait => "wait",
            Self::Resume => "resume",
            Self::Escalate => "escalate",
            Self::Repair => "repair",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

macro_rules! codes {
    ($($variant:ident = $code:literal, $source:ident, $remedy:ident, $title:literal;)*) => {
        /// A code that Tollgate itself gives.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {$(
            #[doc = $title]
            $variant,
        )*}

        /// The table of codes.
        pub const CODES: &[CodeRow] = &[$(CodeRow {
            code: Code::$variant, text: $code, source: Source::$source, remedy: RemedyKind::$remedy, title: $title,
        },)*];

        impl Code {
            /// As it stands in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            /// The usual remedy.
            pub const fn remedy(self) -> RemedyKind {
                match self { $(Self::$variant => RemedyKind::$remedy,)* }
            }
            /// The code of that name.
            pub fn parse(text: &str) -> Option<Self> {
                CODES.iter().find(|row| row.text == text).map(|row| row.code)
            }
            /// The part of Tollgate that gives it.
            pub const fn source(self) -> Source {
                match self { $(Self::$variant => Source::$source,)* }
            }
        }
    };
}

/// One row of the table of codes.
#[derive(Clone, Copy, Debug)]
pub struct CodeRow {
    /// The code.
    pub code: Code,
    /// As it stands in JSON.
    pub text: &'static str,
    /// The part of Tollgate that gives it.
    pub source: Source,
    /// The usual remedy.
    pub remedy: RemedyKind,
    /// In words.
    pub title: &'static str,
}

codes! {
    NotPermitted = "not_permitted", Policy, ReviewPolicy, "No layer denied it, and the agent's or the entity type's layer does not allow it";
    AgentPolicyMissing = "agent_policy_missing", Policy, ReviewPolicy, "There is no policy for this agent";
    EntityPolicyMissing = "entity_policy_missing", Policy, ReviewPolicy, "There is no policy for this entity type";
    PolicyDenied = "policy_denied", Policy, ReviewPolicy, "A rule denied it with a plain message";
    BudgetExceeded = "budget_exceeded", Budget, ReviewBudget, "A budget has too little left";
    MissingData = "missing_data", Budget, SupplyData, "A needed field is missing";
    MalformedInput = "malformed_input", Registry, CorrectInput, "A field is malformed or out of range";
    Paused = "paused", Pause, Resume, "Someone stopped it on purpose";
    PolicyError = "policy_error", System, Repair, "A policy failed while it was evaluated";
    PolicyTimeout = "policy_timeout", System, Repair, "A policy reached its limit of time or memory";
    PolicyQuarantined = "policy_quarantined", System, Repair, "A policy reached its limit several times in a row and is not run for a while";
    PolicyOutputInvalid = "policy_output_invalid", System, Repair, "A policy answered in a shape that is not allowed";
    TooManyHolds = "too_many_holds", System, Repair, "Too many holds are open";
    TooManyAccounts = "too_many_accounts", System, Repair, "A budget has too many accounts";
    RunLimit = "run_limit", System, Repair, "Too many runs are open";
    ConnectorUnavailable = "connector_unavailable", Connector, RestoreConnector, "A connector it needs is down";
    ApprovalRequired = "approval_required", Policy, RequestApproval, "A person must agree first";
    RateLimited = "rate_limited", Run, Wait, "It was asked for too often";
    ProviderUnavailable = "provider_unavailable", Run, Wait, "The model's provider does not answer";
    DependencyUnavailable = "dependency_unavailable", Run, Wait, "A service that it calls does not answer";
    Timeout = "timeout", Run, Wait, "It took too long";
    DispatchFailed = "dispatch_failed", Run, Wait, "It could not be handed to a worker";
    PolicyRejected = "policy_rejected", Policy, ReviewPolicy, "A rule of the place where it acts rejected it";
    RunCancelled = "run_cancelled", Run, Resume, "The run was cancelled";
    AttemptFenced = "attempt_fenced", Run, Resume, "Another attempt holds the run";
    SameStepFailedAgain = "same_step_failed_again", Run, Escalate, "The same step failed again after a retry";
    Unknown = "unknown", Run, Escalate, "Nothing is known of this failure";
    NotPickedUp = "not_picked_up", Run, Escalate, "Nobody has picked the run up";
    NotAcknowledged = "not_acknowledged", Run, Escalate, "The run was handed over, and nobody acknowledged it";
    NoFirstEvent = "no_first_event", Run, Escalate, "The run was acknowledged, and nothing followed";
    Silent = "silent", Run, Escalate, "The run has been silent for too long";
    LeaseEnded = "lease_ended", Run, Escalate, "The lease of the run's worker ended";
    RunsTooLong = "runs_too_long", Run, Escalate, "The run has been running for too long";
    CancelNotConfirmed = "cancel_not_confirmed", Run, Escalate, "The run was cancelled, and its runtime has not confirmed it";
    ScheduleMissed = "schedule_missed", Run, Escalate, "A schedule's start did not come";
}

/// What would lift a reason, where, and the page that does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// What kind of act.
    pub kind: RemedyKind,
    /// On what: `budget:rfq-draft-daily`, `policy:entities/rfq.rego`, `field:/entity/properties/due_date`, `agent:x`.
    pub target: Option<String>,
    /// The page that fixes it; one of our own.
    pub href: Option<String>,
}

impl Remedy {
    /// A remedy on a target, linked to its page.
    pub fn on(kind: RemedyKind, target: impl Into<String>) -> Self {
        let target = target.into();
        let href = href(&target);
        Self { kind, target: Some(target), href }
    }
}

/// The page that fixes a target: `budget:x` → `/budgets/x`, `policy:entities/rfq.rego` → `/policies/entities/rfq.rego`,
/// `runs:x` → the runs of agent x.
/// `None` for a target without a page (a field of the request is fixed by its sender).
pub fn href(target: &str) -> Option<String> {
    let (kind, id) = target.split_once(':')?;
    let page = match kind {
        "budget" => "budgets/",
        "policy" => "policies/",
        "agent" => "setup/agents/",
        "entity_type" => "setup/entity-types/",
        "connector" => "setup/connectors/",
        "pause" => "setup/pauses/",
        "schedule" => "setup/schedules/",
        "run" => "runs/",
        "runs" => "runs?agent=",
        _ => return None,
    };
    let mut path = format!("/{page}");
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(path)
}

/// One reason of a denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is: a [`Code`]'s text or a rule's own.
    pub code: String,
    /// Who gave it.
    pub source: Source,
    /// A sentence an operator understands.
    pub message: String,
    /// The policy rule, as `entities/rfq.rego:12`, where one gave it.
    pub rule: Option<String>,
    /// What would lift it.
    pub remedy: Remedy,
    /// When it passes by itself, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
    /// The figures behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl Reason {
    /// A reason with a code of Tollgate's own and its usual remedy.
    pub fn of(code: Code, message: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            code: code.as_str().to_owned(),
            source: code.source(),
            message: message.into(),
            rule: None,
            remedy: Remedy::on(code.remedy(), target),
            retry_at: None,
            details: None,
        }
    }
}

/// Something that did not deny, and that the caller should know: a policy's `warn`, a soft budget passed, an alert,
/// what an observing agent would have been denied for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What it is.
    pub code: String,
    /// Who gave it.
    pub source: Source,
    /// A sentence an operator understands.
    pub message: String,
    /// The policy rule, where one gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The figures behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

/// The latest `retry_at` of the reasons, `None` if one has none: only when the last one has passed is asking again of use.
pub fn retry_at(reasons: &[Reason]) -> Option<String> {
    let mut latest: Option<(Timestamp, &String)> = None;
    for reason in reasons {
        let text = reason.retry_at.as_ref()?;
        let at: Timestamp = text.parse().ok()?;
        if latest.is_none_or(|(seen, _)| at > seen) {
            latest = Some((at, text));
        }
    }
    latest.map(|(_, text)| text.clone())
}
