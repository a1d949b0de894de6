//! The holds of one run: one by one while it may go on, up to a bound, and as sums beyond it.

use crate::budget::{Hold, HoldState};
use crate::runs::{RunUsage, usage};
use crate::vocabulary::HoldId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many are kept one by one; of more, the oldest that have ended are only summed up.
const KEPT: usize = 2_000;

/// The holds of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunHolds {
    pub(super) kept: BTreeMap<HoldId, Arc<Hold>>,
    pub(super) folded: RunUsage,
}

impl RunHolds {
    pub(super) fn put(&mut self, hold: &Arc<Hold>) {
        let known = self.kept.insert(hold.id.clone(), Arc::clone(hold));
        if known.is_none() && self.kept.len() > KEPT {
            let ended =
                self.kept.values().take(64).find(|hold| hold.state != HoldState::Pending).map(|hold| hold.id.clone());
            if let Some(hold) = ended.and_then(|id| self.kept.remove(&id)) {
                self.folded.add(&usage([&*hold]));
            }
        }
    }

    pub(super) fn fold_all(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        self.folded.add(&usage(kept.values().map(|hold| &**hold)));
    }

    /// Those that are kept one by one, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Hold>> {
        self.kept.values()
    }

    /// What all of them come to.
    pub fn usage(&self) -> RunUsage {
        let mut all = usage(self.kept.values().map(|hold| &**hold));
        all.add(&self.folded);
        all
    }
}
