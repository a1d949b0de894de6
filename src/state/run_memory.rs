//! What is remembered of a run beside it, as a checkpoint has it: its known events, its holds, its last admission.

use super::run_holds::RunHolds;
use super::run_seen::{Seen, SeenEvents};
use crate::budget::Hold;
use crate::runs::{RunUsage, Sums, UsageKey};
use crate::vocabulary::{RunId, Unit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is remembered of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunMemory {
    /// Which.
    pub run: RunId,
    /// When an admission of it was last asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_at: Option<Timestamp>,
    /// Its known events: name and body in hex, and number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seen: Vec<(String, String, u64)>,
    /// Its holds, those that are kept one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    holds: Vec<Arc<Hold>>,
    /// How many others are only summed up.
    #[serde(default, skip_serializing_if = "is_zero")]
    folded: usize,
    /// Their sums by unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    totals: Vec<(Unit, Sums)>,
    /// And by budget, attempt and step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<(UsageKey, Sums)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl RunMemory {
    /// `None` where nothing is remembered.
    pub(super) fn of(
        run: RunId,
        asked_at: Option<Timestamp>,
        seen: Option<&SeenEvents>,
        holds: Option<&RunHolds>,
    ) -> Option<Self> {
        if asked_at.is_none() && seen.is_none() && holds.is_none() {
            return None;
        }
        let known: Vec<(String, String, u64)> = seen
            .into_iter()
            .flat_map(SeenEvents::iter)
            .map(|(name, seen)| (format!("{name:032x}"), format!("{:032x}", seen.body), seen.number))
            .collect();
        let folded = holds.map(|holds| &holds.folded);
        Some(Self {
            run,
            asked_at,
            seen: known,
            holds: holds.into_iter().flat_map(|holds| holds.kept.values().cloned()).collect(),
            folded: folded.map_or(0, |usage| usage.holds),
            totals: folded.into_iter().flat_map(|usage| usage.totals.clone()).collect(),
            lines: folded.into_iter().flat_map(|usage| usage.lines.clone()).collect(),
        })
    }

    /// When an admission of it was last asked for.
    pub(super) fn asked_at(&self) -> Option<Timestamp> {
        self.asked_at
    }

    pub(super) fn seen_events(&self) -> SeenEvents {
        let hex = |text: &str| u128::from_str_radix(text, 16).ok();
        let mut known = SeenEvents::default();
        for (name, body, number) in &self.seen {
            if let (Some(name), Some(body)) = (hex(name), hex(body)) {
                known.insert(name, Seen { body, number: *number });
            }
        }
        known
    }

    /// `None` where it never had any.
    pub(super) fn run_holds(&self) -> Option<RunHolds> {
        if self.holds.is_empty() && self.folded == 0 {
            return None;
        }
        let kept = self.holds.iter().map(|hold| (hold.id.clone(), Arc::clone(hold))).collect();
        let totals = self.totals.iter().cloned().collect();
        let lines = self.lines.iter().cloned().collect();
        Some(RunHolds { kept, folded: RunUsage { totals, lines, holds: self.folded } })
    }
}
