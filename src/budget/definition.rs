//! A budget as an admin writes it, and as it stands.

use super::raise::Raise;
use super::scope::{Dimension, Scope};
use super::window::Window;
use crate::vocabulary::{Amount, BudgetId, Unit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happens at the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// Deny.
    #[default]
    Hard,
    /// Warn, hold and count.
    Soft,
}

/// What an admin writes of a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// Its id, for ever.
    pub id: BudgetId,
    /// In a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it covers.
    #[serde(default)]
    pub scope: Scope,
    /// What it counts.
    pub unit: Unit,
    /// How much.
    pub limit: Amount,
    /// In which stretch of time.
    pub window: Window,
    /// One account for each value of these dimensions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<Dimension>,
    /// What happens at the limit.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Thresholds, in percent of the limit in force, of what is spent and held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alert_at_percent: Vec<u32>,
    /// An estimate must name its unit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_estimate: bool,
    /// What expired holds set aside lowers what remains.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub count_unsettled: bool,
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// Where, as a JSON pointer into the specification.
    pub pointer: String,
    /// In words.
    pub message: String,
}

impl BudgetSpec {
    /// Every field at fault.
    pub fn faults(&self) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let mut fault = |pointer: String, message: &str| {
            faults.push(FieldFault { pointer, message: message.to_owned() });
        };
        if let Window::Rolling { length_s } = self.window
            && !(60..=366 * 24 * 3600).contains(&length_s)
        {
            fault("/window/length_s".to_owned(), "must be from 60 seconds to 366 days");
        }
        for (n, dimension) in self.each.iter().enumerate() {
            if self.each[..n].contains(dimension) {
                fault(format!("/each/{n}"), "is named twice");
            }
            if self.scope.get(*dimension).is_some() {
                fault(format!("/each/{n}"), "is fixed by the scope already");
            }
        }
        for (n, percent) in self.alert_at_percent.iter().enumerate() {
            if !(1..=1000).contains(percent) {
                fault(format!("/alert_at_percent/{n}"), "must be from 1 to 1000");
            }
            if self.alert_at_percent[..n].contains(percent) {
                fault(format!("/alert_at_percent/{n}"), "is named twice");
            }
        }
        if self.alert_at_percent.len() > 20 {
            fault("/alert_at_percent".to_owned(), "must have at most 20 entries");
        }
        if self.description.as_ref().is_some_and(|text| text.len() > 1000 || text.chars().any(char::is_control)) {
            fault("/description".to_owned(), "must be at most 1000 bytes, without control characters");
        }
        if self.require_estimate && self.unit.as_str() == "calls" {
            fault("/require_estimate".to_owned(), "has no meaning for calls, which count by themselves");
        }
        faults
    }

    /// The fields that an edit may not touch, where they differ.
    pub(super) fn fixed_fields_changed(&self, to: &Self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        if self.scope != to.scope {
            changed.push("scope");
        }
        if self.unit != to.unit {
            changed.push("unit");
        }
        if self.window != to.window {
            changed.push("window");
        }
        if self.each != to.each {
            changed.push("each");
        }
        changed
    }
}

/// A budget as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What the admin wrote.
    pub spec: BudgetSpec,
    /// Its raises, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raises: Vec<Raise>,
    /// It counts from then on.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts its changes, from 1.
    pub revision: u64,
    /// It limits nothing any more; its id is not used again, and its holds still settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

impl Budget {
    /// Its id.
    pub fn id(&self) -> &BudgetId {
        &self.spec.id
    }
}
