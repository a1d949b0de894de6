//! A budget as an admin writes it, and as it stands.

use super::raise::Raise;
use super::scope::{Dimension, Scope};
use super::window::Window;
use crate::vocabulary::{Balance, BudgetId, NANOS, Unit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The largest limit: 10^18 units, far from where sums of balances could overflow.
const LARGEST_LIMIT: Balance = Balance::from_nanos(1_000_000_000_000_000_000 * NANOS);
/// The most alert thresholds.
const MOST_ALERTS: usize = 20;

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
    /// How much: zero or more, and not bound to what one request can name.
    pub limit: Balance,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct FieldFault {
    /// Where, as a JSON pointer into the specification.
    pub pointer: String,
    /// In words.
    pub message: String,
}

impl FieldFault {
    /// A fault of a field.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

/// The fields of a specification that can be at fault, as far as they could be read: what is `None` could not, and is a
/// fault already.
#[derive(Clone, Copy, Debug)]
pub struct SpecParts<'a> {
    /// In a sentence.
    pub description: Option<&'a str>,
    /// What it covers.
    pub scope: &'a Scope,
    /// What it counts.
    pub unit: Option<&'a Unit>,
    /// How much.
    pub limit: Option<Balance>,
    /// In which stretch of time.
    pub window: Option<&'a Window>,
    /// By which dimensions.
    pub each: &'a [Dimension],
    /// At which thresholds.
    pub alert_at_percent: &'a [u32],
    /// Whether an estimate must name its unit.
    pub require_estimate: bool,
}

impl SpecParts<'_> {
    /// Every field at fault.
    pub fn faults(&self) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        if self.description.is_some_and(|text| text.len() > 1000 || text.chars().any(char::is_control)) {
            faults.push(FieldFault::at("/description", "must be at most 1000 bytes, without control characters"));
        }
        faults.extend(self.limit.and_then(limit_fault));
        if let Some(Window::Rolling { length_s }) = self.window
            && !Window::LENGTHS_S.contains(length_s)
        {
            faults.push(FieldFault::at("/window/length_s", "must be from 60 seconds to 366 days"));
        }
        self.each_faults(&mut faults);
        self.alert_faults(&mut faults);
        if self.require_estimate && self.unit.is_some_and(|unit| unit.as_str() == "calls") {
            faults.push(FieldFault::at("/require_estimate", "has no meaning for calls, which count by themselves"));
        }
        faults
    }

    fn each_faults(&self, faults: &mut Vec<FieldFault>) {
        for (n, dimension) in self.each.iter().enumerate() {
            let mut fault = |message: &str| faults.push(FieldFault::at(format!("/each/{n}"), message));
            if self.each.iter().take(n).any(|seen| seen == dimension) {
                fault("is named twice");
            }
            if self.scope.get(*dimension).is_some() {
                fault("is fixed by the scope already");
            }
        }
    }

    fn alert_faults(&self, faults: &mut Vec<FieldFault>) {
        for (n, percent) in self.alert_at_percent.iter().enumerate() {
            let mut fault = |message: &str| faults.push(FieldFault::at(format!("/alert_at_percent/{n}"), message));
            if !(1..=1000).contains(percent) {
                fault("must be from 1 to 1000");
            }
            if self.alert_at_percent.iter().take(n).any(|seen| seen == percent) {
                fault("is named twice");
            }
        }
        if self.alert_at_percent.len() > MOST_ALERTS {
            faults.push(FieldFault::at("/alert_at_percent", format!("must have at most {MOST_ALERTS} entries")));
        }
    }
}

/// What is wrong with a limit: a budget's or a raise's.
pub(super) fn limit_fault(limit: Balance) -> Option<FieldFault> {
    let fits = (Balance::ZERO..=LARGEST_LIMIT).contains(&limit);
    (!fits).then(|| FieldFault::at("/limit", "must be from 0 to 1000000000000000000"))
}

impl BudgetSpec {
    /// Every field at fault.
    pub fn faults(&self) -> Vec<FieldFault> {
        let parts = SpecParts {
            description: self.description.as_deref(),
            scope: &self.scope,
            unit: Some(&self.unit),
            limit: Some(self.limit),
            window: Some(&self.window),
            each: &self.each,
            alert_at_percent: &self.alert_at_percent,
            require_estimate: self.require_estimate,
        };
        parts.faults()
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
        // The order in which dimensions are named means nothing.
        let sorted = |each: &[Dimension]| each.iter().copied().collect::<BTreeSet<_>>();
        if sorted(&self.each) != sorted(&to.each) {
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
