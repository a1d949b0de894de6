//! What is done to items of Command Center, as it is asked for.

use super::attention::one_of;
use super::budget::LONGEST_TEXT;
use crate::attention::{Act, ResolutionCategory};
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::Problem;
use crate::operations::ItemAct;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How long a person's name may be, in bytes.
const LONGEST_NAME: usize = 256;

/// Give it to a person. With a due time and the fix that it waits for, that is a decision.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = AssignRequest, example = json!({"owner": "Kim Osei", "due_at": "2099-12-01T17:00:00Z", "fix": "budget:rfq-draft-daily"}))]
pub struct AssignBody {
    /// The person.
    pub owner: String,
    /// By when.
    #[schema(format = DateTime)]
    pub due_at: Option<String>,
    /// The fix that it waits for, which needs `due_at`: a target or a code of its checklist. Where it is not said, `due_at`
    /// is, and one thing alone stands in the way, it is that.
    pub fix: Option<String>,
    /// A note.
    pub reason: Option<String>,
}

/// Put it off.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = SnoozeRequest, example = json!({"until": "2099-12-01T08:00:00Z"}))]
pub struct SnoozeBody {
    /// Until when.
    #[schema(format = DateTime)]
    pub until: String,
    /// A note.
    pub reason: Option<String>,
}

/// The data that it waits for.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = SupplyRequest, example = json!({"fields": {"/entity/properties/due_date": "2099-12-01"}}))]
pub struct SupplyBody {
    /// Values by the field's pointer; only fields that the item asks for (`supply`).
    #[schema(value_type = Object)]
    pub fields: BTreeMap<String, Value>,
    /// A note.
    pub reason: Option<String>,
}

/// Hand it to somebody who knows more.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = EscalateRequest, example = json!({"reason": "the same step failed again after a retry"}))]
pub struct EscalateBody {
    /// Why.
    pub reason: String,
    /// To whom, where it is not the agent's escalation contact.
    pub to: Option<String>,
}

/// End it by hand.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ResolveRequest, example = json!({"category": "fixed", "reason": "the ERP was restarted"}))]
pub struct ResolveBody {
    /// `fixed`, `no_longer_needed`, `wrong_record`, `noise` or `denial_was_right`.
    pub category: String,
    /// Why.
    pub reason: String,
}

impl RequestBody for AssignBody {}
impl RequestBody for SnoozeBody {}
impl RequestBody for SupplyBody {}
impl RequestBody for EscalateBody {}
impl RequestBody for ResolveBody {}

fn note(check: &mut Check, reason: Option<&str>) {
    if let Some(reason) = reason {
        check.text("/reason", reason, LONGEST_TEXT);
    }
}

impl AssignBody {
    /// The act, or every field at fault.
    pub fn act(self, at: &str) -> Result<ItemAct, Problem> {
        let mut check = Check::new(at);
        check.text("/owner", &self.owner, LONGEST_NAME);
        note(&mut check, self.reason.as_deref());
        let due_at = check.optional::<Timestamp>("/due_at", self.due_at.as_deref());
        let act = Act::Assign { owner: self.owner, due_at, fix: self.fix };
        check.finish(Some(ItemAct::Act { act, reason: self.reason }))
    }
}

impl SnoozeBody {
    /// The act, or every field at fault.
    pub fn act(self, at: &str) -> Result<ItemAct, Problem> {
        let mut check = Check::new(at);
        note(&mut check, self.reason.as_deref());
        let until = check.parse::<Timestamp>("/until", &self.until);
        check.finish(until.map(|until| ItemAct::Act { act: Act::Snooze { until }, reason: self.reason }))
    }
}

impl SupplyBody {
    /// The act, or every field at fault.
    pub fn act(self, at: &str) -> Result<ItemAct, Problem> {
        let mut check = Check::new(at);
        note(&mut check, self.reason.as_deref());
        check.finish(Some(ItemAct::Act { act: Act::Supply(self.fields), reason: self.reason }))
    }
}

impl EscalateBody {
    /// The act, or every field at fault.
    pub fn act(self, at: &str) -> Result<ItemAct, Problem> {
        let mut check = Check::new(at);
        check.text("/reason", &self.reason, LONGEST_TEXT);
        if let Some(to) = &self.to {
            check.text("/to", to, LONGEST_NAME);
        }
        check.finish(Some(ItemAct::Escalate { to: self.to, reason: self.reason }))
    }
}

impl ResolveBody {
    /// The act, or every field at fault.
    pub fn act(self, at: &str) -> Result<ItemAct, Problem> {
        let mut check = Check::new(at);
        check.text("/reason", &self.reason, LONGEST_TEXT);
        let by_hand = |text: &str| {
            ResolutionCategory::parse(text).filter(|category| ResolutionCategory::BY_HAND.contains(category))
        };
        let category = one_of(&mut check, "/category", Some(&self.category), by_hand);
        let reason = self.reason.clone();
        check.finish(
            category.map(|category| ItemAct::Act { act: Act::Resolve { category, reason }, reason: Some(self.reason) }),
        )
    }
}
