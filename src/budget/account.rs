//! Accounts: one budget in one window, and for one value of each of its `each` dimensions.

use super::alert::Fired;
use super::definition::Budget;
use super::label::values;
use super::scope::Dimension;
use super::window::Window;
use crate::vocabulary::{Balance, BudgetId, RunId, Unit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where accounts are kept.
pub trait Accounts {
    /// A budget as it stands, also a deleted one: its holds still settle.
    fn budget(&self, id: &BudgetId) -> Option<&Arc<Budget>>;
    /// The account as it stands, if it was ever used.
    fn account(&self, key: &AccountKey) -> Option<&Account>;
    /// How it stands from now on.
    fn put_account(&mut self, account: Account);
}

/// Which account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountKey {
    /// The budget.
    pub budget: BudgetId,
    /// The window's label: `2026-11-23@America/New_York`, `rolling`, `lifetime`.
    pub window: Arc<str>,
    /// One value per `each` dimension: `agent=rfq-draft,run=run-17`; empty without `each`.
    #[serde(default = "nothing", skip_serializing_if = "is_nothing")]
    pub each: Arc<str>,
}

fn nothing() -> Arc<str> {
    Arc::from("")
}

fn is_nothing(text: &Arc<str>) -> bool {
    text.is_empty()
}

impl AccountKey {
    /// The run whose account it is, where `each` names one.
    pub fn run(&self) -> Option<RunId> {
        // most have none: the look at the text is cheap
        let values = self.each.contains("run=").then(|| values(&self.each)).flatten()?;
        RunId::new(values.get(&Dimension::Run)?).ok()
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.each.is_empty() { f.write_str(&self.window) } else { write!(f, "{}/{}", self.window, self.each) }
    }
}

/// Sums of one bucket of a rolling window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Booked.
    pub spent: Balance,
    /// Set aside.
    pub held: Balance,
    /// Set aside by holds that expired.
    pub unsettled: Balance,
}

/// The sums of an account at some moment.
pub type Figures = Bucket;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Which.
    pub key: AccountKey,
    /// What it counts.
    pub unit: Unit,
    /// The first moment of its window, or of the budget's life in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// The first moment behind its window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// Booked, set aside, unsettled; of a rolling window see `buckets`.
    #[serde(flatten)]
    pub sums: Bucket,
    /// A rolling window's sums by bucket.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub buckets: BTreeMap<i64, Bucket>,
    /// Thresholds that were alerted on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Fired>,
}

/// A sum outgrew 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// What changes in one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) spent: Balance,
    pub(super) held: Balance,
    pub(super) unsettled: Balance,
}

impl Account {
    /// An unused one.
    pub(super) fn new(key: AccountKey, budget: &Budget, start: Option<Timestamp>, end: Option<Timestamp>) -> Self {
        let unit = budget.spec.unit.clone();
        Self { key, unit, start, end, sums: Bucket::default(), buckets: BTreeMap::new(), alerts: Vec::new() }
    }

    /// From when on nothing will be placed on it, if nothing is changed behind `now`: the end of its window, or when a
    /// rolling one has left all behind. `None` where that may be at any time.
    pub fn over_at(&self, window: &Window, now: Timestamp) -> Option<Timestamp> {
        match window.bucket(now) {
            Some(bucket) => window.bucket_leaves(bucket),
            None => self.end,
        }
    }

    /// Its sums at `now`.
    pub fn figures(&self, window: &Window, now: Timestamp) -> Figures {
        let Some(oldest) = window.oldest_bucket(now) else { return self.sums };
        let mut sums = Bucket::default();
        for bucket in self.buckets.range(oldest..).map(|(_, bucket)| bucket) {
            // Each sum was checked when it was made, and there are 61 at most: a saturated sum refuses, which is safe.
            sums.spent = sums.spent.checked_add(bucket.spent).unwrap_or(Balance::from_nanos(i128::MAX));
            sums.held = sums.held.checked_add(bucket.held).unwrap_or(Balance::from_nanos(i128::MAX));
            sums.unsettled = sums.unsettled.checked_add(bucket.unsettled).unwrap_or(Balance::from_nanos(i128::MAX));
        }
        sums
    }

    /// Books a change into it. `bucket` is the rolling bucket of the hold's placing: one that has left the window counts
    /// nowhere any more, so a change to it is none.
    pub(super) fn change(&mut self, change: Change, bucket: Option<i64>, oldest: Option<i64>) -> Result<(), Overflow> {
        if change == Change::default() {
            return Ok(());
        }
        let sums = match (bucket, oldest) {
            (Some(bucket), Some(oldest)) => {
                self.buckets.retain(|index, _| *index >= oldest);
                if bucket < oldest {
                    return Ok(());
                }
                self.buckets.entry(bucket).or_default()
            }
            (Some(bucket), None) => self.buckets.entry(bucket).or_default(),
            _ => &mut self.sums,
        };
        *sums = Bucket {
            spent: sums.spent.checked_add(change.spent).ok_or(Overflow)?,
            held: sums.held.checked_add(change.held).ok_or(Overflow)?,
            unsettled: sums.unsettled.checked_add(change.unsettled).ok_or(Overflow)?,
        };
        Ok(())
    }
}
