//! Operations of segments that the database behind does not have yet, in memory.

use super::index::Shelf;
use super::position::Position;
use crate::admission::DecisionRecord;
use crate::state::{Effect, Entry};
use crate::vocabulary::{RunId, StepName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// How many of the newest operations are kept whole: what is asked for again soon, by a caller who missed an answer.
const WHOLE: usize = 4_096;

/// One operation, whole.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) shelf: Shelf,
    pub(super) time: Timestamp,
    pub(super) entry: Arc<Entry>,
}

/// Where a record stands in the journal, for what is not kept whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordPlace {
    /// The first record of its segment.
    pub(super) segment: u64,
    /// Where in the file it begins.
    pub(super) offset: u64,
}

/// What is kept of a record.
#[derive(Debug)]
struct Outline {
    place: Option<RecordPlace>,
    time: Timestamp,
    shelves: Box<[Shelf]>,
}

/// The recent operations, by position: the newest ones whole, the others as a place in the journal.
#[derive(Debug, Default)]
pub(super) struct Recent {
    whole: BTreeMap<Position, Kept>,
    records: BTreeMap<u64, Outline>,
    last_admissions: HashMap<RunId, BTreeMap<Option<StepName>, Position>>,
    /// Where the decisions of each run stand.
    of_runs: HashMap<RunId, BTreeSet<Position>>,
    /// Everything up to this record is in the database behind.
    dropped_upto: u64,
}

/// What is known here of a position.
pub(super) enum At {
    /// The operation.
    Whole(Arc<Entry>),
    /// It is in this record of the journal.
    Written(Option<RecordPlace>),
    /// There is no such operation.
    Nothing,
    /// It is older than what is here.
    Older,
}

impl Recent {
    /// Takes in the operations of one record. What is not kept whole any more is returned, to be dropped when no lock is
    /// held.
    #[must_use]
    pub(super) fn add(
        &mut self,
        seq: u64,
        time: Timestamp,
        entries: Vec<Arc<Entry>>,
        place: Option<RecordPlace>,
    ) -> Vec<Kept> {
        let shelves = entries.iter().map(|entry| Shelf::of(entry)).collect();
        self.records.insert(seq, Outline { place, time, shelves });
        for (index, entry) in (0u32..).zip(entries) {
            let position = Position { seq, index };
            if let Some(run) = decision(&entry).and_then(|record| record.run.as_ref()) {
                self.of_runs.entry(run.clone()).or_default().insert(position);
            }
            if let Some(record) = decision(&entry)
                && let Some(run) = record.action_of()
            {
                let steps = match self.last_admissions.get_mut(run) {
                    Some(steps) => steps,
                    None => self.last_admissions.entry(run.clone()).or_default(),
                };
                steps.insert(None, position);
                if record.step.is_some() {
                    steps.insert(record.step.clone(), position);
                }
            }
            let kept = Kept { shelf: Shelf::of(&entry), time, entry };
            self.whole.insert(position, kept);
        }
        let over = self.whole.len().saturating_sub(WHOLE);
        (0..over).filter_map(|_| self.whole.pop_first()).map(|(_, kept)| kept).collect()
    }

    /// Everything before this position is in the database behind, and everything from it on is here.
    pub(super) fn floor(&self) -> Position {
        Position { seq: self.dropped_upto + 1, index: 0 }
    }

    /// What stands there.
    pub(super) fn at(&self, position: Position) -> At {
        if let Some(kept) = self.whole.get(&position) {
            return At::Whole(Arc::clone(&kept.entry));
        }
        match self.records.get(&position.seq) {
            Some(outline) if usize::try_from(position.index).is_ok_and(|index| index < outline.shelves.len()) => {
                At::Written(outline.place)
            }
            _ if position < self.floor() => At::Older,
            _ => At::Nothing,
        }
    }

    /// Whole operations before a position (or all), newest first.
    pub(super) fn back(&self, before: Option<Position>) -> impl Iterator<Item = (Position, &Kept)> {
        self.whole.range(..before.unwrap_or(Position::LAST)).rev().map(|(position, kept)| (*position, kept))
    }

    /// Where the operations begin that are kept whole.
    pub(super) fn first_whole(&self) -> Position {
        self.whole.first_key_value().map_or(Position::LAST, |(position, _)| *position)
    }

    /// Records with operations on these shelves before a position, newest first, with at most about so many operations.
    pub(super) fn written_back(
        &self,
        before: Position,
        shelves: &[Shelf],
        most: usize,
    ) -> Vec<(u64, Timestamp, Option<RecordPlace>)> {
        let (mut records, mut operations) = (Vec::new(), 0);
        for (seq, outline) in self.records.range(..=before.seq).rev() {
            let fitting = outline.shelves.iter().filter(|shelf| shelves.contains(shelf)).count();
            if fitting > 0 {
                records.push((*seq, outline.time, outline.place));
                operations += fitting;
            }
            if operations >= most {
                break;
            }
        }
        records
    }

    /// Where the last admission of a run, or of one step of it, stands.
    pub(super) fn last_admission(&self, run: &RunId, step: Option<&StepName>) -> Option<Position> {
        self.last_admissions.get(run)?.get(&step.cloned()).copied()
    }

    /// Where the decisions of a run stand, before a position (or all), newest first, and when they were made: so many at most.
    pub(super) fn decisions_of(
        &self,
        run: &RunId,
        before: Option<Position>,
        most: usize,
    ) -> Vec<(Position, Timestamp)> {
        let places = self.of_runs.get(run).into_iter();
        let places = places.flat_map(|places| places.range(..before.unwrap_or(Position::LAST)).rev()).take(most);
        places.filter_map(|place| Some((*place, self.records.get(&place.seq)?.time))).collect()
    }

    /// Lets go of what the database behind has now. It is returned, to be dropped when no lock is held: the writer waits
    /// for that lock.
    #[must_use]
    pub(super) fn drop_upto(&mut self, seq: u64) -> BTreeMap<Position, Kept> {
        self.dropped_upto = self.dropped_upto.max(seq);
        let floor = self.floor();
        let kept = self.whole.split_off(&floor);
        self.records = self.records.split_off(&floor.seq);
        self.last_admissions.retain(|_, steps| {
            steps.retain(|_, position| position.seq > seq);
            !steps.is_empty()
        });
        self.of_runs.retain(|_, places| {
            *places = places.split_off(&floor);
            !places.is_empty()
        });
        std::mem::replace(&mut self.whole, kept)
    }
}
