//! What an operator does to an item, each act one function: `(item, act, now) → item or refusal`.

use super::item::{Decided, Item};
use super::kinds::{ItemState, ResolutionCategory};
use crate::vocabulary::{Reason, RemedyKind};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// How large supplied data may be in all, as JSON, in bytes.
const LARGEST_SUPPLY: usize = 64 * 1024;

/// What an operator does.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A person takes it; with a fix and a due time that is a decision.
    Assign {
        /// The person.
        owner: String,
        /// By when.
        due_at: Option<Timestamp>,
        /// Which fix it waits for: a remedy's target, or a reason's code.
        fix: Option<String>,
    },
    /// Nobody wants to see it until then.
    Snooze {
        /// Until when.
        until: Timestamp,
    },
    /// The data that a reason says is missing or malformed, by the field's pointer.
    Supply(BTreeMap<String, Value>),
    /// Hand it to the agent's escalation contact.
    Escalate {
        /// To whom.
        to: String,
    },
    /// End it by hand.
    Resolve {
        /// How.
        category: ResolutionCategory,
        /// Why.
        reason: String,
    },
}

impl Act {
    /// As the audit trail names it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Assign { .. } => "attention.assign",
            Self::Snooze { .. } => "attention.snooze",
            Self::Supply(_) => "attention.supply",
            Self::Escalate { .. } => "attention.escalate",
            Self::Resolve { .. } => "attention.resolve",
        }
    }
}

/// Why an act is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActRefusal {
    /// It is over.
    #[error("the item is resolved")]
    Resolved,
    /// The time is not in the future.
    #[error("must be in the future")]
    Past(&'static str),
    /// A decision needs a due time.
    #[error("waiting on a fix needs a due time")]
    NoDueTime,
    /// There is no such fix on the checklist.
    #[error("{0:?} is on the checklist of this item neither as a target nor as a code")]
    NoSuchFix(String),
    /// No reason names that field.
    #[error("no missing_data or malformed_input reason of this item names it")]
    FieldNotAsked(String),
    /// Too much of it.
    #[error("must be at most {LARGEST_SUPPLY} bytes as JSON")]
    TooMuch,
    /// Nothing in it.
    #[error("must name at least one field")]
    Nothing,
    /// Only an operator's categories.
    #[error("{} is not given by hand", .0.as_str())]
    NotByHand(ResolutionCategory),
}

impl ActRefusal {
    /// The field that is at fault, as a JSON pointer, where it is a field.
    pub fn pointer(&self) -> Option<String> {
        Some(match self {
            Self::Resolved => return None,
            Self::Past(pointer) => (*pointer).to_owned(),
            Self::NoDueTime => "/due_at".to_owned(),
            Self::NoSuchFix(_) => "/fix".to_owned(),
            // a field is itself named by a pointer, and is one key here
            Self::FieldNotAsked(field) => format!("/fields/{}", field.replace('~', "~0").replace('/', "~1")),
            Self::TooMuch | Self::Nothing => "/fields".to_owned(),
            Self::NotByHand(_) => "/category".to_owned(),
        })
    }
}

impl Item {
    /// Carries the act out.
    pub fn acted(&self, act: &Act, by: &str, now: Timestamp) -> Result<Self, ActRefusal> {
        if self.state == ItemState::Resolved {
            return Err(ActRefusal::Resolved);
        }
        let mut item = self.clone();
        match act {
            Act::Assign { owner, due_at, fix } => item.assign(owner, *due_at, fix.as_deref(), now)?,
            Act::Snooze { until } if *until <= now => return Err(ActRefusal::Past("/until")),
            Act::Snooze { until } => item.snoozed_until = Some(*until),
            Act::Supply(fields) => item.supply(fields)?,
            Act::Escalate { to } => {
                item.state = ItemState::Escalated;
                item.escalated_to = Some(to.clone());
                item.snoozed_until = None;
            }
            Act::Resolve { category, reason } => {
                if !ResolutionCategory::BY_HAND.contains(category) {
                    return Err(ActRefusal::NotByHand(*category));
                }
                item = self.over(*category, reason, by, now);
                item.revision = self.revision;
            }
        }
        item.revision += 1;
        Ok(item)
    }

    fn assign(
        &mut self,
        owner: &str,
        due_at: Option<Timestamp>,
        fix: Option<&str>,
        now: Timestamp,
    ) -> Result<(), ActRefusal> {
        if due_at.is_some_and(|due| due <= now) {
            return Err(ActRefusal::Past("/due_at"));
        }
        let decided = match (fix, due_at) {
            (Some(_), None) => return Err(ActRefusal::NoDueTime),
            (Some(fix), Some(due_at)) => {
                let named = self.open_reasons().any(|reason| names(reason, fix));
                if !named {
                    return Err(ActRefusal::NoSuchFix(fix.to_owned()));
                }
                Some((fix.to_owned(), due_at))
            }
            // one thing alone stands in the way: that is the fix
            (None, Some(due_at)) if self.state == ItemState::WaitingOnSetup => {
                let mut open = self.open_reasons();
                match (open.next(), open.next()) {
                    (Some(only), None) => Some((fix_of(only), due_at)),
                    _ => None,
                }
            }
            (None, _) => None,
        };
        self.owner = Some(owner.to_owned());
        self.due_at = due_at;
        self.decided = decided.map(|(fix, due_at)| Decided::Waiting { fix, owner: owner.to_owned(), due_at });
        Ok(())
    }

    /// The fields that may be supplied: pointers that a reason for missing or malformed data names.
    pub fn askable_fields(&self) -> impl Iterator<Item = &str> {
        self.open_reasons()
            .filter(|reason| matches!(reason.remedy.kind, RemedyKind::SupplyData | RemedyKind::CorrectInput))
            .filter_map(|reason| reason.remedy.target.as_deref()?.strip_prefix("field:"))
    }

    fn supply(&mut self, fields: &BTreeMap<String, Value>) -> Result<(), ActRefusal> {
        if fields.is_empty() {
            return Err(ActRefusal::Nothing);
        }
        if let Some(stranger) = fields.keys().find(|field| !self.askable_fields().any(|own| own == field.as_str())) {
            return Err(ActRefusal::FieldNotAsked(stranger.clone()));
        }
        self.supplied.extend(fields.iter().map(|(field, value)| (field.clone(), value.clone())));
        let size: usize = self.supplied.iter().map(|(field, value)| field.len() + value.to_string().len()).sum();
        if size > LARGEST_SUPPLY { Err(ActRefusal::TooMuch) } else { Ok(()) }
    }
}

/// What a fix is called: its target, or the reason's code where it has none.
fn fix_of(reason: &Reason) -> String {
    reason.remedy.target.clone().unwrap_or_else(|| reason.code.clone())
}

fn names(reason: &Reason, fix: &str) -> bool {
    reason.remedy.target.as_deref() == Some(fix) || reason.code == fix
}
