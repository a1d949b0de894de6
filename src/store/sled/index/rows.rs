//! The rows that one sealed segment gives. An operation's row is read as a [`crate::store::sled::Recorded`].

use super::database::Shelf;
use crate::budget::{AccountKey, HoldState};
use crate::state::{Effect, Entry};
use crate::store::sled::batch::Record;
use crate::store::sled::position::Position;
use crate::vocabulary::{BudgetId, RunId, StepName};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

type Sorted = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sorted rows, tree by tree.
#[derive(Debug, Default)]
pub struct Rows {
    /// Operations by position, shelf by shelf.
    pub(super) shelves: [Vec<([u8; 12], Vec<u8>)>; Shelf::COUNT],
    /// Holds that are no longer pending.
    pub(super) holds: Sorted,
    /// Accounts as they stood last.
    pub(super) accounts: Sorted,
    /// The last admission of each run and step.
    pub(super) runs: Sorted,
    /// The events of runs, by run and number.
    pub(super) run_events: Sorted,
    /// Bytes of the operations that wait here.
    bytes: usize,
    /// Operations that were written before the segment's end.
    written: usize,
}

/// So many bytes of operations wait for the segment's end: a segment's worth of memory is dear to touch.
const MOST_BYTES: usize = 1 << 20;

/// A row of a shelf.
#[derive(Serialize)]
struct Row<'a> {
    time: Timestamp,
    entry: &'a Entry,
}

impl Rows {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        let shelves: usize = self.shelves.iter().map(Vec::len).sum();
        self.written + shelves + self.holds.len() + self.accounts.len() + self.runs.len() + self.run_events.len()
    }

    /// Whether operations should be written before more are taken in.
    pub(in crate::store::sled) fn is_large(&self) -> bool {
        self.bytes >= MOST_BYTES
    }

    /// The operations are written.
    pub(super) fn clear_shelves(&mut self) {
        for shelf in &mut self.shelves {
            self.written += shelf.len();
            shelf.clear();
        }
        self.bytes = 0;
    }

    /// Takes a record in.
    pub(in crate::store::sled) fn add(&mut self, seq: u64, record: &Record) -> Result<(), serde_json::Error> {
        for (index, entry) in (0u32..).zip(&record.entries) {
            self.add_entry(Position { seq, index }, record.time, entry)?;
        }
        for account in &record.accounts {
            self.accounts.insert(account_key(&account.key), serde_json::to_vec(account)?);
        }
        Ok(())
    }

    fn add_entry(&mut self, position: Position, time: Timestamp, entry: &Entry) -> Result<(), serde_json::Error> {
        for effect in &entry.effects {
            match effect {
                Effect::Hold(hold) if hold.state != HoldState::Pending => {
                    self.holds.insert(hold.id.as_str().as_bytes().to_vec(), serde_json::to_vec(hold)?);
                }
                Effect::RunEvent(event) => {
                    self.run_events.insert(run_event_key(&event.run, event.number), serde_json::to_vec(event)?);
                }
                Effect::Decision(record) => {
                    if let Some(run) = record.action_of() {
                        let value = position_key(position).to_vec();
                        if record.step.is_some() {
                            self.runs.insert(run_key(run, record.step.as_ref()), value.clone());
                        }
                        self.runs.insert(run_key(run, None), value);
                    }
                }
                _ => {}
            }
        }
        let row = serde_json::to_vec(&Row { time, entry })?;
        self.bytes += row.len();
        self.shelves[Shelf::of(entry) as usize].push((position_key(position), row));
        Ok(())
    }
}

/// A position as a key that sorts as it does.
pub(super) fn position_key(position: Position) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&position.seq.to_be_bytes());
    key[8..].copy_from_slice(&position.index.to_be_bytes());
    key
}

/// And back.
pub(super) fn position_of(key: &[u8]) -> Option<Position> {
    let (seq, index) = key.split_first_chunk::<8>()?;
    Some(Position { seq: u64::from_be_bytes(*seq), index: u32::from_be_bytes(index.try_into().ok()?) })
}

// The parts of these keys are names, which hold no control characters: a zero between them keeps them apart.

pub(super) fn run_key(run: &RunId, step: Option<&StepName>) -> Vec<u8> {
    step.map_or_else(|| run.as_str().to_owned(), |step| format!("{run}\0{step}")).into_bytes()
}

pub(super) fn run_event_key(run: &RunId, number: u64) -> Vec<u8> {
    [run.as_str().as_bytes(), b"\0", &number.to_be_bytes()].concat()
}

/// The number of an event of this run; `None` for another run's.
pub(super) fn run_event_number(run: &RunId, key: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(run.as_str().as_bytes())?.strip_prefix(b"\0")?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

/// What the keys of a budget's accounts begin with.
pub(super) fn accounts_prefix(budget: &BudgetId) -> Vec<u8> {
    format!("{budget}\0").into_bytes()
}

pub(super) fn account_key(key: &AccountKey) -> Vec<u8> {
    format!("{}\0{}\0{}", key.budget, key.window, key.each).into_bytes()
}
