//! The rows that one sealed segment gives.

use super::blocks::IndexError;
use super::database::Shelf;
use crate::admission::Kind;
use crate::audit::{Frame, SEGMENT_HEADER};
use crate::budget::{AccountKey, HoldState};
use crate::state::{Effect, Entry, KeyName, Operation};
use crate::store::sled::batch::Record;
use crate::store::sled::journal::Sealed;
use crate::store::sled::position::Position;
use crate::store::sled::recent::Recorded;
use crate::vocabulary::{RunId, StepName};
use jiff::Timestamp;
use std::collections::BTreeMap;

type Sorted = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sorted rows, tree by tree.
#[derive(Default)]
pub(super) struct Rows {
    /// Operations by position, shelf by shelf.
    pub(super) shelves: [Vec<([u8; 12], Vec<u8>)>; Shelf::COUNT],
    /// Holds that are no longer pending.
    pub(super) holds: Sorted,
    /// Idempotency keys.
    pub(super) keys: Sorted,
    /// Accounts as they stood last.
    pub(super) accounts: Sorted,
    /// The last admission of each run and step.
    pub(super) runs: Sorted,
    /// The events of runs, by run and number.
    pub(super) run_events: Sorted,
}

impl Rows {
    /// Reads a segment, and checks that it is the one meant.
    pub(super) fn of(sealed: &Sealed) -> Result<Self, IndexError> {
        let wrong = |what: &str| IndexError::Journal(format!("{}: {what}", sealed.path.display()));
        let bytes = std::fs::read(&sealed.path).map_err(|error| wrong(&error.to_string()))?;
        let end = usize::try_from(sealed.length).map_err(|_| wrong("too long"))?;
        let mut rest = bytes.get(SEGMENT_HEADER..end).ok_or_else(|| wrong("cut short"))?;
        let (mut rows, mut head) = (Self::default(), None);
        while !rest.is_empty() {
            let frame = Frame::read(rest).ok_or_else(|| wrong("a record has a wrong checksum"))?;
            let record: Record = serde_json::from_slice(frame.payload).map_err(|error| wrong(&error.to_string()))?;
            rows.add(frame.seq, record).map_err(|error| wrong(&error.to_string()))?;
            rest = &rest[frame.bytes.len()..];
            head = Some(frame);
        }
        match head {
            Some(last) if last.hash() == sealed.head => Ok(rows),
            _ => Err(wrong("it does not end with the record that the next segment names")),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        let shelves: usize = self.shelves.iter().map(Vec::len).sum();
        shelves + self.holds.len() + self.keys.len() + self.accounts.len() + self.runs.len() + self.run_events.len()
    }

    fn add(&mut self, seq: u64, record: Record) -> Result<(), serde_json::Error> {
        let Record { time, entries, accounts } = record;
        for (index, entry) in (0u32..).zip(entries) {
            self.add_entry(Position { seq, index }, time, entry)?;
        }
        for account in accounts {
            self.accounts.insert(account_key(&account.key), serde_json::to_vec(&account)?);
        }
        Ok(())
    }

    fn add_entry(&mut self, position: Position, time: Timestamp, entry: Entry) -> Result<(), serde_json::Error> {
        for effect in &entry.effects {
            match effect {
                Effect::Hold(hold) if hold.state != HoldState::Pending => {
                    self.holds.insert(hold.id.as_str().as_bytes().to_vec(), serde_json::to_vec(hold)?);
                }
                Effect::Key(key) => {
                    self.keys.insert(idempotency_key(&key.name), serde_json::to_vec(key)?);
                }
                Effect::RunEvent(event) => {
                    self.run_events.insert(run_event_key(&event.run, event.number), serde_json::to_vec(event)?);
                }
                Effect::Decision(record) if record.kind == Kind::Action => {
                    if let Some(run) = &record.run {
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
        let shelf = &mut self.shelves[Shelf::of(&entry) as usize];
        shelf.push((position_key(position), serde_json::to_vec(&Recorded { time, entry })?));
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

pub(super) fn idempotency_key(name: &KeyName) -> Vec<u8> {
    let (operation, who) = match &name.operation {
        Operation::Admit(agent) => ("admit", agent.as_str()),
        Operation::Raise(person) => ("raise", person.as_str()),
        Operation::Retry(run) => ("retry", run.as_str()),
    };
    format!("{operation}\0{who}\0{}", name.key).into_bytes()
}

pub(super) fn account_key(key: &AccountKey) -> Vec<u8> {
    format!("{}\0{}\0{}", key.budget, key.window, key.each).into_bytes()
}
