//! The database itself: opened and checked against the journal, filled a segment at a time, asked.

use super::blocks::{Blocks, IndexError};
use super::rows::{self, Rows};
use crate::audit::Digest;
use crate::budget::{Account, AccountKey, Hold};
use crate::runs::RunEvent;
use crate::state::{Effect, Entry};
use crate::store::sled::journal::{Anchor, Sealed};
use crate::store::sled::position::Position;
use crate::store::sled::recent::Recorded;
use crate::vocabulary::{BudgetId, HoldId, RunId, StepName};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// sled's cache.
const CACHE_BYTES: u64 = 64 << 20;
/// sled's segments; see [`super::blocks`] for what follows from it.
const SEGMENT_BYTES: usize = 8 << 20;
/// A database of so many bytes is read and checked whole when it is opened; a larger one in the background.
const CHECKED_AT_ONCE: u64 = 64 << 20;

/// So many segments are looked through at once for the decisions of a run.
const SEGMENTS_AT_ONCE: usize = 1_000;

/// What runtimes and clocks do to runs.
const RUNTIME_OPERATIONS: [&str; 4] = ["run.report", "run.claim", "run.clock", "worker.seen"];

/// Where an operation is kept: what is listed together lies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// Admissions.
    Decisions = 0,
    /// What runtimes did with their holds, and their expiry; what they report of their runs, and what clocks do to them.
    Holds = 1,
    /// What people did.
    Audit = 2,
}

impl Shelf {
    pub(super) const COUNT: usize = 3;
    pub(super) const ALL: [Self; Self::COUNT] = [Self::Decisions, Self::Holds, Self::Audit];
    const NAMES: [&'static str; Self::COUNT] = ["decisions", "hold_operations", "audit"];

    /// The shelf of an operation.
    pub fn of(entry: &Entry) -> Self {
        Self::of_outline(&entry.op, entry.effects.iter().any(|effect| matches!(effect, Effect::Decision(_))))
    }

    /// The same by its name, and whether it decides an admission.
    pub(super) fn of_outline(op: &str, decides: bool) -> Self {
        if decides {
            Self::Decisions
        } else if op.starts_with("hold.") || RUNTIME_OPERATIONS.contains(&op) {
            Self::Holds
        } else {
            Self::Audit
        }
    }
}

/// sled, open.
#[derive(Debug)]
pub struct Index {
    db: sled::Db,
    shelves: [Blocks; Shelf::COUNT],
    holds: Blocks,
    accounts: Blocks,
    runs: Blocks,
    run_events: Blocks,
    run_decisions: Blocks,
    meta: sled::Tree,
    /// The segments that are in it: first and last record.
    segments: RwLock<Vec<(u64, u64)>>,
    /// The segments that begin before this were taken in by a Tollgate that did not write where runs' decisions stand.
    by_run_from: AtomicU64,
    path: PathBuf,
}

/// Where decisions of a run stand.
#[derive(Debug)]
pub struct RunDecisions {
    /// Newest first.
    pub found: Vec<Position>,
    /// What may be before them.
    pub rest: Rest,
}

/// What else there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// More, before this position.
    Listed(Position),
    /// What stands before this position was taken in by an older Tollgate: it must be looked through.
    Unlisted(Position),
}

/// What is noted of a segment that is in.
#[derive(Serialize, Deserialize)]
struct Noted {
    last_seq: u64,
    head: Digest,
    rows: usize,
    /// Where runs' decisions stand is among them.
    #[serde(default)]
    by_run: bool,
}

impl Index {
    /// Opens the database, or makes it, and checks that it was made from these segments, and every block of it where that
    /// does not take long. Of segments that were dropped from the journal, the last is the one that `anchor` names.
    pub fn open(path: &Path, sealed: &[Sealed], anchor: Option<Anchor>) -> Result<Self, IndexError> {
        // sled may panic on a file that was changed: that is damage as well
        catch_unwind(AssertUnwindSafe(|| {
            let index = Self::open_unchecked(path)?;
            index.check(sealed, anchor)?;
            if size_of(path) <= CHECKED_AT_ONCE {
                index.verify(&mut || true)?;
            }
            Ok(index)
        }))
        .unwrap_or_else(|_| Err(IndexError::Damaged("the database file".to_owned())))
    }

    fn open_unchecked(path: &Path) -> Result<Self, IndexError> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).segment_size(SEGMENT_BYTES);
        let db = config.flush_every_ms(None).open()?;
        let blocks = |name| Blocks::open(&db, name);
        let [decisions, hold_operations, audit] = Shelf::NAMES;
        Ok(Self {
            shelves: [blocks(decisions)?, blocks(hold_operations)?, blocks(audit)?],
            holds: blocks("holds")?,
            accounts: blocks("accounts")?,
            runs: blocks("runs")?,
            run_events: blocks("run_events")?,
            run_decisions: blocks("run_decisions")?,
            meta: db.open_tree("segments")?,
            segments: RwLock::new(Vec::new()),
            by_run_from: AtomicU64::new(0),
            path: path.to_owned(),
            db,
        })
    }

    fn check(&self, sealed: &[Sealed], anchor: Option<Anchor>) -> Result<(), IndexError> {
        let other = |what: &str| IndexError::Damaged(format!("the list of segments ({what})"));
        let (mut segments, mut dropped) = (Vec::new(), None);
        let first = anchor.map_or(1, |anchor| anchor.seq + 1);
        let mut sealed = sealed.iter();
        for row in &self.meta {
            let (key, value) = row?;
            let noted: Noted = serde_json::from_slice(&value).map_err(|_| other("it cannot be read"))?;
            let first_seq = key.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| other("it cannot be read"))?;
            if first_seq < first {
                dropped = Some((noted.last_seq, noted.head));
            } else {
                let segment = sealed.next().ok_or_else(|| other("it has more than the journal"))?;
                if (first_seq, noted.last_seq, noted.head) != (segment.first_seq, segment.last_seq, segment.head) {
                    return Err(other("it was made from another journal"));
                }
            }
            if !noted.by_run {
                self.by_run_from.store(noted.last_seq + 1, Ordering::Release);
            }
            segments.push((first_seq, noted.last_seq));
        }
        if dropped.is_some_and(|dropped| anchor.is_none_or(|anchor| dropped != (anchor.seq, anchor.head))) {
            return Err(other("it was made from another journal"));
        }
        *self.segments.write() = segments;
        Ok(())
    }

    /// Reads every block and checks it, while `go_on` says so.
    pub fn verify(&self, go_on: &mut dyn FnMut() -> bool) -> Result<(), IndexError> {
        let mut wanted = 0;
        for row in &self.meta {
            let noted: Result<Noted, _> = serde_json::from_slice(&row?.1);
            wanted += noted.map_err(|_| IndexError::Damaged("the list of segments".to_owned()))?.rows;
        }
        let mut found = 0;
        for blocks in self.all_blocks() {
            match blocks.verify(go_on)? {
                Some(rows) => found += rows,
                None => return Ok(()),
            }
        }
        // a segment that was being written when the daemon was killed leaves rows that nothing counts: they are written
        // again, so only rows that are missing matter
        if found < wanted { Err(IndexError::Damaged("the number of rows".to_owned())) } else { Ok(()) }
    }

    /// Flushes everything to stable storage, which sled by itself does not.
    pub fn make_durable(&self) -> io::Result<()> {
        self.db.flush().map_err(io::Error::other)?;
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    std::fs::File::open(&path)?.sync_all()?;
                }
            }
            std::fs::File::open(&folder)?.sync_all()?;
        }
        Ok(())
    }

    /// How many bytes its files have.
    pub fn bytes(&self) -> u64 {
        size_of(&self.path)
    }

    fn all_blocks(&self) -> impl Iterator<Item = &Blocks> {
        let more = [&self.holds, &self.accounts, &self.runs, &self.run_events, &self.run_decisions];
        self.shelves.iter().chain(more)
    }

    /// The last record that is in it, 0 for none.
    pub fn last_seq(&self) -> u64 {
        self.segments.read().last().map_or(0, |(_, last)| *last)
    }

    /// Writes the operations of a part of a segment.
    pub fn write_shelves(&self, rows: &mut Rows) -> Result<(), IndexError> {
        for (blocks, rows) in self.shelves.iter().zip(&rows.shelves) {
            blocks.write(&[], rows.iter())?;
        }
        rows.clear_shelves();
        Ok(())
    }

    /// Takes a segment in; it must be the next one. Doing so again changes nothing.
    pub fn add(&self, sealed: &Sealed, rows: &Rows) -> Result<(), IndexError> {
        // sled may panic where the disk refuses a write
        catch_unwind(AssertUnwindSafe(|| self.write(sealed, rows)))
            .unwrap_or_else(|_| Err(IndexError::Damaged("the database file".to_owned())))
    }

    fn write(&self, sealed: &Sealed, rows: &Rows) -> Result<(), IndexError> {
        for (blocks, rows) in self.shelves.iter().zip(&rows.shelves) {
            blocks.write(&[], rows.iter())?;
        }
        let run = sealed.first_seq.to_be_bytes();
        for (blocks, rows) in [
            (&self.holds, &rows.holds),
            (&self.accounts, &rows.accounts),
            (&self.runs, &rows.runs),
            (&self.run_events, &rows.run_events),
            (&self.run_decisions, &rows.run_decisions),
        ] {
            blocks.write(&run, rows.iter().map(|(key, value)| (key.as_slice(), value.as_slice())))?;
        }
        self.db.flush()?;
        let noted = Noted { last_seq: sealed.last_seq, head: sealed.head, rows: rows.count(), by_run: true };
        let noted = serde_json::to_vec(&noted).map_err(|error| IndexError::Journal(error.to_string()))?;
        self.meta.insert(run, noted)?;
        self.db.flush()?;
        self.segments.write().push((sealed.first_seq, sealed.last_seq));
        Ok(())
    }

    /// The operation that stands there.
    pub fn at(&self, shelf: Shelf, position: Position) -> Result<Option<Recorded>, IndexError> {
        let row = self.shelves[shelf as usize].get(&[], &rows::position_key(position))?;
        row.map(|row| parse(shelf, &row)).transpose()
    }

    /// The operations of a shelf before a position, newest first, until `visit` breaks.
    pub fn back(
        &self,
        shelf: Shelf,
        before: Position,
        visit: &mut dyn FnMut(Position, Recorded) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let mut failed = None;
        let key = rows::position_key(before);
        let _ = self.shelves[shelf as usize].back(&[], Some(&key), &mut |key, row| match (
            rows::position_of(key),
            parse(shelf, row),
        ) {
            (Some(position), Ok(recorded)) => visit(position, recorded),
            (None, _) => {
                failed = Some(IndexError::Damaged(Shelf::NAMES[shelf as usize].to_owned()));
                ControlFlow::Break(())
            }
            (_, Err(error)) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Where the last admission of a run, or of one step of it, stands.
    pub fn last_admission(&self, run: &RunId, step: Option<&StepName>) -> Result<Option<Position>, IndexError> {
        let found = self.newest(&self.runs, &rows::run_key(run, step), 0)?;
        Ok(found.as_deref().and_then(rows::position_of))
    }

    /// The events of a run with these numbers. Numbers rise from segment to segment, so the newest are looked at first
    /// and the rest only as far as is needed.
    pub fn run_events(&self, run: &RunId, from: u64, to: u64) -> Result<BTreeMap<u64, Arc<RunEvent>>, IndexError> {
        let damaged = || IndexError::Damaged("run_events".to_owned());
        let (mut found, mut failed) = (BTreeMap::new(), None);
        let before = rows::run_event_key(run, to.saturating_add(1));
        for (first_seq, _) in self.segments.read().iter().rev() {
            let _ = self.run_events.back(&first_seq.to_be_bytes(), Some(&before), &mut |key, row| {
                let Some(number) = rows::run_event_number(run, key).filter(|number| *number >= from) else {
                    return ControlFlow::Break(());
                };
                let Ok(event) = serde_json::from_slice(row) else {
                    failed = Some(damaged());
                    return ControlFlow::Break(());
                };
                found.insert(number, Arc::new(event));
                ControlFlow::Continue(())
            })?;
            if failed.is_some() || found.contains_key(&from) {
                break;
            }
        }
        failed.map_or(Ok(found), Err)
    }

    /// Where decisions of a run stand, before a position, newest first: so many at most, out of so many segments at most.
    pub fn run_decisions(&self, run: &RunId, before: Position, most: usize) -> Result<RunDecisions, IndexError> {
        let known_from = self.by_run_from.load(Ordering::Acquire);
        let key = rows::run_decision_key(run, before);
        let (mut found, mut looked_at) = (Vec::new(), 0);
        for (first_seq, last_seq) in self.segments.read().iter().rev().filter(|(first, _)| *first <= before.seq) {
            let upto = Position { seq: last_seq.saturating_add(1), index: 0 };
            if *first_seq < known_from {
                return Ok(RunDecisions { found, rest: Rest::Unlisted(before.min(upto)) });
            }
            if looked_at == SEGMENTS_AT_ONCE || found.len() >= most {
                return Ok(RunDecisions { found, rest: Rest::Listed(before.min(upto)) });
            }
            looked_at += 1;
            let _ = self.run_decisions.back(&first_seq.to_be_bytes(), Some(&key), &mut |key, _| {
                let Some(position) = rows::run_decision_position(run, key) else { return ControlFlow::Break(()) };
                found.push(position);
                if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        Ok(RunDecisions { found, rest: Rest::Nothing })
    }

    /// A hold that is no longer pending, as it stood when it was last changed: never before the record that placed it.
    pub fn hold(&self, id: &HoldId, placed: u64) -> Result<Option<Hold>, IndexError> {
        let damaged = || IndexError::Damaged("holds".to_owned());
        let Some(row) = self.newest(&self.holds, id.as_str().as_bytes(), placed)? else { return Ok(None) };
        if row.starts_with(b"{") {
            return serde_json::from_slice(&row).map(Some).map_err(|_| damaged());
        }
        let (shelf, position) = rows::hold_place(&row).ok_or_else(damaged)?;
        let recorded = self.at(shelf, position)?.ok_or_else(damaged)?;
        let hold = recorded.entry.effects.iter().rev().find_map(|effect| match effect {
            Effect::Hold(hold) if hold.id == *id => Some(Hold::clone(hold)),
            _ => None,
        });
        hold.map(Some).ok_or_else(damaged)
    }

    /// An account, as it stood when it was last touched.
    pub fn account(&self, key: &AccountKey) -> Result<Option<Account>, IndexError> {
        self.newest_value(&self.accounts, "accounts", &rows::account_key(key), 0)
    }

    /// Accounts of a budget, each as it stood when it was last touched, those of the latest segments first.
    pub fn accounts_of(&self, budget: &BudgetId, most: usize) -> Result<Vec<Account>, IndexError> {
        let prefix = rows::accounts_prefix(budget);
        let mut behind = prefix.clone();
        if let Some(last) = behind.last_mut() {
            *last += 1;
        }
        let mut found: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for (first_seq, _) in self.segments.read().iter().rev() {
            let _ = self.accounts.back(&first_seq.to_be_bytes(), Some(&behind), &mut |key, row| {
                if !key.starts_with(&prefix) || found.len() >= most {
                    return ControlFlow::Break(());
                }
                found.entry(key.to_vec()).or_insert_with(|| row.to_vec());
                ControlFlow::Continue(())
            })?;
            if found.len() >= most {
                break;
            }
        }
        let damaged = |_| IndexError::Damaged("accounts".to_owned());
        found.values().map(|row| serde_json::from_slice(row).map_err(damaged)).collect()
    }

    fn newest_value<T: DeserializeOwned>(
        &self,
        blocks: &Blocks,
        name: &str,
        key: &[u8],
        since: u64,
    ) -> Result<Option<T>, IndexError> {
        let row = self.newest(blocks, key, since)?;
        row.map(|row| serde_json::from_slice(&row).map_err(|_| IndexError::Damaged(name.to_owned()))).transpose()
    }

    /// Each segment has sorted rows of its own; the newest that has the key knows it best.
    fn newest(&self, blocks: &Blocks, key: &[u8], since: u64) -> Result<Option<Vec<u8>>, IndexError> {
        for (first_seq, _) in self.segments.read().iter().rev().take_while(|(_, last)| *last >= since) {
            if let Some(row) = blocks.get(&first_seq.to_be_bytes(), key)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

fn size_of(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    files.filter_map(|file| file.metadata().ok()).filter(std::fs::Metadata::is_file).map(|meta| meta.len()).sum()
}

fn parse(shelf: Shelf, row: &[u8]) -> Result<Recorded, IndexError> {
    serde_json::from_slice(row).map_err(|_| IndexError::Damaged(Shelf::NAMES[shelf as usize].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sled::batch::Record;
    use serde_json::json;
    use serde_json::value::RawValue;

    fn hold(id: &str, state: &str) -> serde_json::Value {
        json!({"id": id, "admission": "adm_1", "agent": "a", "state": state, "placed_at": "2026-11-23T12:00:00Z",
            "expires_at": "2026-11-23T12:10:00Z", "lines": []})
    }

    /// A record, and its operations as they are written.
    fn record_of(entries: &[serde_json::Value], accounts: &serde_json::Value) -> (Record, Vec<Box<RawValue>>) {
        let payload = json!({"time": "2026-11-23T12:00:00Z", "entries": entries, "accounts": accounts}).to_string();
        let texts = entries.iter().map(|entry| serde_json::value::to_raw_value(entry).unwrap()).collect();
        (serde_json::from_str(&payload).unwrap(), texts)
    }

    #[test]
    fn rows_are_the_same_whether_operations_are_read_whole_or_not() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../../tests/golden/effects-v1.json")).unwrap();
        let effects = golden["effects"].as_array().unwrap();
        let mut decision = effects.iter().find(|effect| effect.get("decision").is_some()).unwrap().clone();
        let mut others = Vec::new();
        for (run, step, codes) in [
            ("r1", json!("s"), json!([])),
            ("r2", json!(null), json!([])),
            ("r3", json!("s"), json!(["attempt_fenced"])),
        ] {
            decision["decision"]["run"] = json!(run);
            decision["decision"]["step"] = step;
            decision["decision"]["codes"] = codes;
            if decision["decision"]["codes"] == json!([]) {
                // an empty list is not written
                decision["decision"].as_object_mut().unwrap().remove("codes");
            }
            others.push(decision.clone());
        }
        let entries: Vec<_> = effects
            .iter()
            .chain(&others)
            .zip(["admit", "hold.expire", "run.report", "budget.raise"].iter().cycle())
            .map(|(effect, op)| json!({"op": op, "actor": {"name": "x"}, "subject": "s", "effects": [effect]}))
            .collect();
        let (record, texts) = record_of(&entries, &golden["accounts"]);
        let texts: Vec<&str> = texts.iter().map(|text| text.get()).collect();
        let outlines = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let (mut whole, mut outlined) = (Rows::default(), Rows::default());
        whole.add(7, &record, &texts).unwrap();
        outlined.add_outlines(7, record.time, outlines, &texts, &record.accounts).unwrap();
        assert_eq!(format!("{whole:?}"), format!("{outlined:?}"));
        assert!(!whole.holds.is_empty() && !whole.run_events.is_empty());
        assert!(whole.runs.contains_key(b"r1\0s".as_slice()) && !whole.runs.contains_key(b"r3".as_slice()));
    }

    fn sealed(first_seq: u64, last_seq: u64) -> Sealed {
        Sealed {
            path: PathBuf::from("1.seg"),
            first_seq,
            last_seq,
            head: Digest::default(),
            length: 0,
            next: crate::audit::SegmentHeader {
                version: crate::audit::FORMAT_VERSION,
                writer: crate::audit::WriterId::from_bytes([0; 16]),
                first_seq: last_seq + 1,
                previous_hash: Digest::default(),
                previous: crate::audit::Previous { length: 0, abandoned: false },
            },
        }
    }

    /// A segment of the records `first_seq` to `last_seq`, with a decision of each of these runs in each.
    fn segment(index: &Index, first_seq: u64, last_seq: u64, runs: &[&str]) {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../../tests/golden/effects-v1.json")).unwrap();
        let effects = golden["effects"].as_array().unwrap();
        let decision = effects.iter().find(|effect| effect.get("decision").is_some()).unwrap();
        let of = |run: &&str| {
            let mut decision = decision.clone();
            decision["decision"]["run"] = json!(run);
            json!({"op": "admit", "actor": {"name": "x"}, "subject": "s", "effects": [decision]})
        };
        let mut rows = Rows::default();
        for seq in first_seq..=last_seq {
            let (record, texts) = record_of(&runs.iter().map(of).collect::<Vec<_>>(), &json!([]));
            rows.add(seq, &record, &texts.iter().map(|text| text.get()).collect::<Vec<_>>()).unwrap();
        }
        index.add(&sealed(first_seq, last_seq), &rows).unwrap();
    }

    #[test]
    fn the_decisions_of_a_run_are_found_without_a_look_at_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path(), &[], None).unwrap();
        segment(&index, 1, 2, &["r", "r1"]);
        segment(&index, 3, 3, &["other"]);
        segment(&index, 4, 6, &["a", "r", "r"]);
        let (run, at) = ("r".parse().unwrap(), |seq, index| Position { seq, index });
        let ask = |index: &Index, before, most| {
            let RunDecisions { found, rest } = index.run_decisions(&run, before, most).unwrap();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            (found.join(" "), rest)
        };
        let all = "6-2 6-1 5-2 5-1 4-2 4-1 2-0 1-0";
        assert_eq!(ask(&index, Position::LAST, 100), (all.to_owned(), Rest::Nothing));
        assert_eq!(ask(&index, at(5, 2), 100), ("5-1 4-2 4-1 2-0 1-0".to_owned(), Rest::Nothing));
        assert_eq!(ask(&index, Position::LAST, 6), ("6-2 6-1 5-2 5-1 4-2 4-1".to_owned(), Rest::Listed(at(4, 0))));
        assert_eq!(ask(&index, at(4, 0), 1), ("2-0".to_owned(), Rest::Nothing), "the caller goes on before the last");
        // an older Tollgate wrote the first two segments
        for (first_seq, last_seq) in [(1u64, 2u64), (3, 3)] {
            let noted = json!({"last_seq": last_seq, "head": Digest::default(), "rows": 0});
            index.meta.insert(first_seq.to_be_bytes(), noted.to_string().as_bytes()).unwrap();
        }
        drop(index);
        let index = Index::open(dir.path(), &[sealed(1, 2), sealed(3, 3), sealed(4, 6)], None).unwrap();
        let latest = "6-2 6-1 5-2 5-1 4-2 4-1";
        assert_eq!(ask(&index, Position::LAST, 100), (latest.to_owned(), Rest::Unlisted(at(4, 0))));
        assert_eq!(ask(&index, at(2, 5), 100), (String::new(), Rest::Unlisted(at(2, 5))));
    }

    #[test]
    fn holds_are_found_where_they_stand_and_as_older_versions_wrote_them() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path(), &[], None).unwrap();
        let entry = |op: &str, hold: serde_json::Value| json!({"op": op, "actor": {"name": "x"}, "subject": "hold:h", "effects": [{"hold": hold}]});
        let mut rows = Rows::default();
        for (seq, entries) in [
            (1, [entry("admit", hold("hold_1", "pending")), entry("hold.release", hold("hold_1", "released"))]),
            (2, [entry("hold.expire", hold("hold_2", "expired")), entry("hold.settle", hold("hold_2", "settled"))]),
        ] {
            let (record, texts) = record_of(&entries, &json!([]));
            rows.add(seq, &record, &texts.iter().map(|text| text.get()).collect::<Vec<_>>()).unwrap();
        }
        index.add(&sealed(1, 2), &rows).unwrap();
        let old = serde_json::to_vec(&hold("hold_old", "expired")).unwrap();
        index.holds.write(&1u64.to_be_bytes(), [(&b"hold_old"[..], old.as_slice())].into_iter()).unwrap();
        for (id, state) in
            [("hold_1", Some("released")), ("hold_2", Some("settled")), ("hold_old", Some("expired")), ("hold_3", None)]
        {
            let found = index.hold(&id.parse().unwrap(), 0).unwrap();
            let state_found = found.map(|hold| serde_json::to_value(hold.state).unwrap());
            assert_eq!(state_found, state.map(serde_json::Value::from), "{id}");
        }
    }
}
