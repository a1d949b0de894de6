//! One sealed segment, read once.

use super::records::Records;
use super::text::{self, Text};
use super::work::{KeepError, Work};
use crate::audit::Chain;
use crate::state::{Effect, Entry, Forget};
use crate::store::sled::batch::Record;
use crate::store::sled::index::{Outline, Rows};
use crate::store::sled::journal::Sealed;
use crate::store::sled::position::Position;
use crate::store::sled::used_keys::Collected;
use jiff::Timestamp;

/// What becomes of a segment's records.
struct Taking {
    /// The copy of the state takes them in.
    copy: bool,
    /// The database behind does.
    index: bool,
    rows: Rows,
    keys: Collected,
}

impl Work {
    /// Reads a segment, for the copy of the state, for the database behind, or for both.
    pub(super) fn take(&mut self, sealed: &Sealed, copy: bool, index: bool) -> Result<(), KeepError> {
        let wrong = |what: String| KeepError::Segment(sealed.path.clone(), what);
        let mut taking = Taking { copy, index, rows: std::mem::take(&mut self.rows), keys: Collected::default() };
        let (mut buffer, mut room) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.room));
        let mut records = Records::open(sealed, &mut buffer).map_err(|error| wrong(error.to_string()))?;
        let mut chain = Chain { seq: sealed.first_seq - 1, ..Chain::START };
        let mut bytes = 0;
        while !records.is_over() {
            let frame = records.next().map_err(|error| wrong(error.to_string()))?;
            let Some(frame) = frame.filter(|frame| frame.seq == chain.seq + 1) else {
                let why = format!("record {} is damaged", chain.seq + 1);
                self.findings.note(&sealed.path, &why);
                return Err(wrong(why));
            };
            let last = frame.seq == sealed.last_seq;
            let head = if last { frame.hash() } else { chain.head };
            chain = Chain { seq: frame.seq, head, time_ns: frame.time_ns };
            let json = frame.payload.json_in(&mut room).map_err(|error| wrong(error.to_string()))?;
            bytes += json.len() as u64;
            self.take_record(frame.seq, json, &mut taking).map_err(|error| wrong(error.to_string()))?;
            if taking.index && taking.rows.is_large() {
                taking.index = self.write_shelves(&mut taking.rows);
            }
        }
        if chain.head != sealed.head || chain.seq != sealed.last_seq {
            let why = "it does not end with the record that the next segment names".to_owned();
            self.findings.note(&sealed.path, &why);
            return Err(wrong(why));
        }
        let Taking { index, mut rows, keys, .. } = taking;
        if copy {
            let now = Timestamp::from_nanosecond(i128::from(chain.time_ns)).unwrap_or(Timestamp::MIN);
            // what a checkpoint need not have: it can be read from behind
            let all = Forget { now, holds_upto: u64::MAX, keys_upto: u64::MAX, most: usize::MAX };
            self.copy.state.forget(all);
            self.copy.chain = chain;
            self.since += bytes;
            self.history.keys.add(keys, chain.seq, now);
            self.history.keyed_upto(chain.seq);
        }
        if index {
            self.add_to_index(sealed, &rows);
        }
        rows.clear();
        (self.rows, self.buffer, self.room) = (rows, buffer, room);
        Ok(())
    }

    fn take_record(&mut self, seq: u64, payload: &[u8], taking: &mut Taking) -> Result<(), serde_json::Error> {
        if !taking.copy {
            let Text { time, entries, texts, accounts } = text::read::<Outline<'_>>(payload)?;
            return taking.rows.add_outlines(seq, time, entries, &texts, &accounts);
        }
        let Text { time, entries, texts, accounts } = text::read::<Entry>(payload)?;
        let record = Record { time, entries, accounts };
        if taking.index {
            taking.rows.add(seq, &record, &texts)?;
        }
        collect_keys(seq, &record, &mut taking.keys);
        self.copy.state.commit(record.into_changes(), seq, time);
        Ok(())
    }

    /// A part of a segment's operations; `false` where the database behind had to be begun anew.
    fn write_shelves(&self, rows: &mut Rows) -> bool {
        let Some(index) = self.history.index() else { return false };
        let Err(error) = index.write_shelves(rows) else { return true };
        drop(index);
        self.begin_anew(&error);
        false
    }

    /// Where the database behind fails, it is put aside and begun anew; where that fails too, it is tried again later.
    fn add_to_index(&self, sealed: &Sealed, rows: &Rows) {
        let Some(index) = self.history.index() else { return };
        let Err(error) = index.add(sealed, rows) else { return };
        drop(index);
        self.begin_anew(&error);
    }
}

/// Where the keys of a record were used.
pub(in crate::store::sled) fn collect_keys(seq: u64, record: &Record, keys: &mut Collected) {
    for (index, entry) in (0u32..).zip(&record.entries) {
        for effect in &entry.effects {
            if let Effect::Key(key) = effect {
                keys.add(Position { seq, index }, key);
            }
        }
    }
}
