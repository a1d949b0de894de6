//! Operations of segments that the database behind does not have yet, in memory.

use super::index::Shelf;
use super::position::Position;
use crate::admission::{DecisionRecord, Kind};
use crate::state::{Effect, Entry};
use crate::vocabulary::{RunId, StepName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// An operation and its batch's time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// The batch's time.
    pub time: Timestamp,
    /// The operation.
    pub entry: Entry,
}

impl Recorded {
    /// The decision that it made, if it was an admission.
    pub fn decision(&self) -> Option<&Arc<DecisionRecord>> {
        decision(&self.entry)
    }
}

/// The decision that an operation made, if it was an admission.
pub(super) fn decision(entry: &Entry) -> Option<&Arc<DecisionRecord>> {
    entry.effects.iter().find_map(|effect| match effect {
        Effect::Decision(record) => Some(record),
        _ => None,
    })
}

/// What is kept of one operation.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) shelf: Shelf,
    pub(super) time: Timestamp,
    pub(super) entry: Arc<Entry>,
}

/// The recent operations, by position.
#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: BTreeMap<Position, Kept>,
    last_admissions: HashMap<RunId, BTreeMap<Option<StepName>, Position>>,
    /// Everything up to this record is in the database behind.
    dropped_upto: u64,
}

impl Recent {
    /// Takes in the operations of one record.
    pub(super) fn add(&mut self, seq: u64, time: Timestamp, entries: Vec<Entry>) {
        for (index, entry) in (0u32..).zip(entries) {
            let position = Position { seq, index };
            if let Some(record) = decision(&entry)
                && record.kind == Kind::Action
                && let Some(run) = &record.run
            {
                let steps = self.last_admissions.entry(run.clone()).or_default();
                steps.insert(None, position);
                if record.step.is_some() {
                    steps.insert(record.step.clone(), position);
                }
            }
            let kept = Kept { shelf: Shelf::of(&entry), time, entry: Arc::new(entry) };
            self.entries.insert(position, kept);
        }
    }

    /// Everything before this position is in the database behind, and everything from it on is here.
    pub(super) fn floor(&self) -> Position {
        Position { seq: self.dropped_upto + 1, index: 0 }
    }

    /// The operation that stands there.
    pub(super) fn at(&self, position: Position) -> Option<&Kept> {
        self.entries.get(&position)
    }

    /// Operations before a position (or all), newest first.
    pub(super) fn back(&self, before: Option<Position>) -> impl Iterator<Item = (Position, &Kept)> {
        let before = before.unwrap_or(Position { seq: u64::MAX, index: u32::MAX });
        self.entries.range(..before).rev().map(|(position, kept)| (*position, kept))
    }

    /// Where the last admission of a run, or of one step of it, stands.
    pub(super) fn last_admission(&self, run: &RunId, step: Option<&StepName>) -> Option<Position> {
        self.last_admissions.get(run)?.get(&step.cloned()).copied()
    }

    /// Lets go of what the database behind has now. It is returned, to be dropped when no lock is held: the writer waits
    /// for that lock.
    #[must_use]
    pub(super) fn drop_upto(&mut self, seq: u64) -> BTreeMap<Position, Kept> {
        self.dropped_upto = self.dropped_upto.max(seq);
        let kept = self.entries.split_off(&self.floor());
        self.last_admissions.retain(|_, steps| {
            steps.retain(|_, position| position.seq > seq);
            !steps.is_empty()
        });
        std::mem::replace(&mut self.entries, kept)
    }
}
