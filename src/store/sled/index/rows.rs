//! The rows that one sealed segment gives. An operation's row is read as a [`crate::store::sled::Recorded`].

use super::database::Shelf;
use crate::admission::{Kind, is_action_of_its_run};
use crate::budget::{Account, AccountKey, HoldState};
use crate::runs::RunEvent;
use crate::state::Effect;
use crate::store::sled::batch::Record;
use crate::store::sled::position::Position;
use crate::vocabulary::{BudgetId, RunId, StepName};
use jiff::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

type Sorted = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sorted rows, tree by tree.
#[derive(Debug, Default)]
pub struct Rows {
    /// Operations by position, shelf by shelf.
    pub(super) shelves: [ShelfRows; Shelf::COUNT],
    /// Where holds that are no longer pending were changed last.
    pub(super) holds: Sorted,
    /// Accounts as they stood last.
    pub(super) accounts: Sorted,
    /// The last admission of each run and step.
    pub(super) runs: Sorted,
    /// The events of runs, by run and number.
    pub(super) run_events: Sorted,
    /// Where the decisions of runs stand, by run.
    pub(super) run_decisions: Sorted,
    /// Operations that were written before the segment's end.
    written: usize,
}

/// The rows of one shelf, in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct ShelfRows {
    rows: Vec<([u8; 12], Range<usize>)>,
    bytes: Vec<u8>,
}

impl ShelfRows {
    /// Row by row: key and value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows.iter().map(|(key, range)| (key.as_slice(), &self.bytes[range.clone()]))
    }
}

/// So many bytes of operations wait for the segment's end: a segment's worth of memory is dear to touch.
const MOST_BYTES: usize = 1 << 20;

impl Rows {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        let shelves: usize = self.shelves.iter().map(|shelf| shelf.rows.len()).sum();
        let more = [&self.holds, &self.accounts, &self.runs, &self.run_events, &self.run_decisions];
        self.written + shelves + more.map(BTreeMap::len).iter().sum::<usize>()
    }

    /// Whether operations should be written before more are taken in.
    pub(in crate::store::sled) fn is_large(&self) -> bool {
        self.shelves.iter().map(|shelf| shelf.bytes.len()).sum::<usize>() >= MOST_BYTES
    }

    /// The operations are written. Their memory is kept for the next ones.
    pub(super) fn clear_shelves(&mut self) {
        for shelf in &mut self.shelves {
            self.written += shelf.rows.len();
            shelf.rows.clear();
            shelf.bytes.clear();
        }
    }

    /// Ready for the next segment.
    pub(in crate::store::sled) fn clear(&mut self) {
        self.clear_shelves();
        let shelves = std::mem::take(&mut self.shelves);
        *self = Self { shelves, ..Self::default() };
    }

    /// Takes a record in; `texts` are its operations as they are written there.
    pub(in crate::store::sled) fn add(
        &mut self,
        seq: u64,
        record: &Record,
        texts: &[&str],
    ) -> Result<(), serde_json::Error> {
        let time = serde_json::to_string(&record.time)?;
        for ((index, entry), text) in (0u32..).zip(&record.entries).zip(texts) {
            let (position, shelf) = (Position { seq, index }, Shelf::of(entry));
            for effect in &entry.effects {
                match effect {
                    Effect::Hold(hold) if hold.state != HoldState::Pending => {
                        self.add_ended(hold.id.as_str(), shelf, position);
                    }
                    Effect::RunEvent(event) => self.add_event(event)?,
                    Effect::Decision(record) => {
                        if let Some(run) = &record.run {
                            self.add_decision(run, position);
                        }
                        if let Some(run) = record.action_of() {
                            self.add_admission(run, record.step.as_ref(), position);
                        }
                    }
                    _ => {}
                }
            }
            self.add_operation(shelf, position, &time, text);
        }
        self.add_accounts(&record.accounts)
    }

    /// The same where nobody needs the operations themselves: of their text only that was read which the rows are made of.
    pub(in crate::store::sled) fn add_outlines(
        &mut self,
        seq: u64,
        time: Timestamp,
        outlines: Vec<Outline<'_>>,
        texts: &[&str],
        accounts: &[Account],
    ) -> Result<(), serde_json::Error> {
        let time = serde_json::to_string(&time)?;
        for ((index, outline), text) in (0u32..).zip(outlines).zip(texts) {
            let decides = outline.effects.iter().any(|effect| effect.decision.is_some());
            let (position, shelf) = (Position { seq, index }, Shelf::of_outline(&outline.op, decides));
            for effect in outline.effects {
                if let Some(hold) = effect.hold.filter(|hold| hold.state != HoldState::Pending) {
                    self.add_ended(&hold.id, shelf, position);
                }
                if let Some(event) = effect.run_event {
                    self.add_event(&event)?;
                }
                if let Some(DecisionOutline { kind, codes, run: Some(run), step }) = effect.decision {
                    self.add_decision(&run, position);
                    if is_action_of_its_run(kind, codes.iter().map(AsRef::as_ref)) {
                        self.add_admission(&run, step.as_ref(), position);
                    }
                }
            }
            self.add_operation(shelf, position, &time, text);
        }
        self.add_accounts(accounts)
    }

    fn add_ended(&mut self, hold: &str, shelf: Shelf, position: Position) {
        self.holds.insert(hold.as_bytes().to_vec(), hold_value(shelf, position));
    }

    fn add_event(&mut self, event: &RunEvent) -> Result<(), serde_json::Error> {
        self.run_events.insert(run_event_key(&event.run, event.number), serde_json::to_vec(event)?);
        Ok(())
    }

    fn add_admission(&mut self, run: &RunId, step: Option<&StepName>, position: Position) {
        let value = position_key(position).to_vec();
        if step.is_some() {
            self.runs.insert(run_key(run, step), value.clone());
        }
        self.runs.insert(run_key(run, None), value);
    }

    fn add_decision(&mut self, run: &RunId, position: Position) {
        self.run_decisions.insert(run_decision_key(run, position), Vec::new());
    }

    fn add_operation(&mut self, shelf: Shelf, position: Position, time: &str, text: &str) {
        let ShelfRows { rows, bytes } = &mut self.shelves[shelf as usize];
        let from = bytes.len();
        // read back as a `Recorded`
        for part in ["{\"time\":", time, ",\"entry\":", text, "}"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        rows.push((position_key(position), from..bytes.len()));
    }

    fn add_accounts(&mut self, accounts: &[Account]) -> Result<(), serde_json::Error> {
        for account in accounts {
            self.accounts.insert(account_key(&account.key), serde_json::to_vec(account)?);
        }
        Ok(())
    }
}

/// What of an operation's text the rows are made of; the rest is passed over.
#[derive(Deserialize)]
pub(in crate::store::sled) struct Outline<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    effects: Vec<EffectOutline<'a>>,
}

/// An effect has one of these, or is another one.
#[derive(Deserialize)]
struct EffectOutline<'a> {
    #[serde(borrow)]
    decision: Option<DecisionOutline<'a>>,
    #[serde(borrow)]
    hold: Option<HoldOutline<'a>>,
    run_event: Option<RunEvent>,
}

#[derive(Deserialize)]
struct DecisionOutline<'a> {
    kind: Kind,
    #[serde(borrow, default)]
    codes: Vec<Cow<'a, str>>,
    run: Option<RunId>,
    step: Option<StepName>,
}

#[derive(Deserialize)]
struct HoldOutline<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    state: HoldState,
}

/// Where a hold that is no longer pending stands: the operation that changed it last. Before version 3 of the database it
/// was the hold itself, as JSON.
fn hold_value(shelf: Shelf, position: Position) -> Vec<u8> {
    let mut value = Vec::with_capacity(13);
    value.push(shelf as u8);
    value.extend_from_slice(&position_key(position));
    value
}

/// And back; `None` for what [`hold_value`] did not make.
pub(super) fn hold_place(value: &[u8]) -> Option<(Shelf, Position)> {
    let (shelf, position) = value.split_first()?;
    let shelf = Shelf::ALL.into_iter().find(|known| *known as u8 == *shelf)?;
    Some((shelf, position_of(position)?))
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

pub(super) fn run_decision_key(run: &RunId, position: Position) -> Vec<u8> {
    [run.as_str().as_bytes(), b"\0", &position_key(position)].concat()
}

/// Where a decision of this run stands; `None` for another run's.
pub(super) fn run_decision_position(run: &RunId, key: &[u8]) -> Option<Position> {
    position_of(key.strip_prefix(run.as_str().as_bytes())?.strip_prefix(b"\0")?)
}

/// What the keys of a budget's accounts begin with.
pub(super) fn accounts_prefix(budget: &BudgetId) -> Vec<u8> {
    format!("{budget}\0").into_bytes()
}

pub(super) fn account_key(key: &AccountKey) -> Vec<u8> {
    format!("{}\0{}\0{}", key.budget, key.window, key.each).into_bytes()
}
