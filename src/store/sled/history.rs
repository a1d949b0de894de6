//! What was decided and done: the recent part in memory, the older part in the database behind, one list to who asks. What
//! the database behind does not have at present is read from the journal where its place is known, and refused otherwise.

use super::index::{Index, IndexError, Rest, RunDecisions, Shelf};
use super::journal::{Anchor, Sealed, find, find_at};
use super::list::{List, Operation, Part, Query, audit_fits};
use super::position::Position;
use super::progress::{IndexState, MOST_WAITING, Progress, Step};
use super::recent::{At, Recent, RecordPlace, decision};
use super::run_events::RecentEvents;
use super::used_keys::UsedKeys;
use crate::admission::DecisionRecord;
use crate::budget::{Account, AccountKey, Hold};
use crate::runs::RunEvent;
use crate::state::{Effect, Entry, KeyEntry, KeyName, Operation as KeyOperation};
use crate::store::sled::batch::Record;
use crate::store::{AuditFilter, DecisionFilter, ReadError};
use crate::vocabulary::{AdmissionId, BudgetId, HoldId, RunId, StepName};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

/// How many operations one call looks at.
const EXAMINED: usize = 5_000;

/// How many past accounts of a budget one call gives.
const PAST_ACCOUNTS: usize = 1_000;

/// What is behind the journal cannot be read or made at present.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It is being built anew.
    #[error("older records are being read anew from the journal; ask again later")]
    Rebuilding,
    /// sled, or a file.
    #[error("{0}")]
    Failed(String),
}

impl From<HistoryError> for ReadError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Rebuilding => Self::NotYet,
            HistoryError::Failed(why) => Self::Failed(why),
        }
    }
}

/// The history of a state directory.
#[derive(Debug)]
pub(super) struct History {
    pub(super) journal: PathBuf,
    pub(super) database: PathBuf,
    recent: RwLock<Recent>,
    run_events: RwLock<RecentEvents>,
    /// `None` until it is open.
    index: RwLock<Option<Arc<Index>>>,
    /// Where used keys of sealed segments are.
    pub(super) keys: UsedKeys,
    /// The last record of a sealed segment whose keys are there.
    keyed: AtomicU64,
    /// Holds and accounts as they stood at this record may have left memory.
    forgotten: AtomicU64,
    /// How far the database behind has come.
    pub(super) progress: Progress,
    /// What the scrubber found wrong with the database behind.
    damaged: Mutex<Option<IndexError>>,
    wake: Mutex<Option<Sender<()>>>,
}

impl History {
    /// Without a database behind yet. What ended up to the record `base`, the last one of a sealed segment, is not in
    /// memory, and what was done up to it neither.
    pub(super) fn new(journal: PathBuf, database: PathBuf, keys: UsedKeys, base: u64) -> Self {
        let mut recent = Recent::default();
        drop(recent.drop_upto(base));
        let progress = Progress::default();
        progress.set(IndexState::Opening, Step::default());
        Self {
            journal,
            database,
            recent: RwLock::new(recent),
            run_events: RwLock::default(),
            index: RwLock::new(None),
            keys,
            keyed: AtomicU64::new(base),
            forgotten: AtomicU64::new(base),
            progress,
            damaged: Mutex::new(None),
            wake: Mutex::new(None),
        }
    }

    /// Opens the database behind; one that is damaged is put aside, and why is told.
    pub(super) fn open_index(&self, sealed: &[Sealed], anchor: Option<Anchor>) -> Result<(), HistoryError> {
        let was_there = self.database.is_dir();
        let index = match Index::open(&self.database, sealed, anchor) {
            Ok(index) => index,
            Err(error) => {
                self.progress.put_aside(put_aside(
                    &self.database,
                    sealed.last().map_or(0, |last| last.last_seq),
                    &error,
                )?);
                Index::open(&self.database, sealed, anchor).map_err(|error| failed(&error))?
            }
        };
        *self.index.write() = Some(Arc::new(index));
        let Step { done, of } = self.step(sealed);
        if was_there && (of - done > MOST_WAITING || (done == 0 && of > 1)) {
            tracing::warn!(
                done,
                of,
                "the database behind lacks segments that it should have: it was damaged, or was being built; \
                they are read again from the journal"
            );
        }
        self.progress.opened();
        self.wake();
        Ok(())
    }

    /// The database behind fails: it is put aside, and a new one begun.
    pub(super) fn begin_anew(
        &self,
        why: &IndexError,
        sealed: &[Sealed],
        anchor: Option<Anchor>,
    ) -> Result<(), HistoryError> {
        let indexed = self.indexed();
        // readers of the old one keep it open; its files are renamed under them
        *self.index.write() = None;
        self.progress.put_aside(put_aside(&self.database, indexed, why)?);
        self.open_index(sealed, anchor)
    }

    /// The database behind was found damaged: the keeper puts it aside.
    pub(super) fn is_damaged(&self, why: IndexError) {
        *self.damaged.lock() = Some(why);
        self.wake();
    }

    /// What was found wrong with the database behind, once.
    pub(super) fn damage(&self) -> Option<IndexError> {
        self.damaged.lock().take()
    }

    /// The last record that the database behind has.
    pub(super) fn indexed(&self) -> u64 {
        self.index.read().as_ref().map_or(0, |index| index.last_seq())
    }

    /// Whether more waits for the database behind than memory should hold.
    pub(super) fn lags_too_far(&self) -> bool {
        self.progress.lags_too_far()
    }

    /// Why that will not pass by itself, where it will not.
    pub(super) fn failure(&self) -> Option<Arc<str>> {
        self.progress.failure()
    }

    /// Holds and accounts as they stood at the first record or before, and keys that were used by the second or before,
    /// can be read elsewhere, so memory may let go of them.
    pub(super) fn can_forget(&self) -> (u64, u64) {
        let keyed = self.keyed.load(Ordering::Acquire);
        // while the database behind is far from having it, memory is what must stay bounded: reads of it have to wait
        let holds = if self.progress.is_behind() { keyed } else { self.indexed() };
        self.forgotten.fetch_max(holds, Ordering::AcqRel);
        (holds, keyed)
    }

    /// Takes in the operations of one durable record.
    pub(super) fn add(&self, seq: u64, time: Timestamp, entries: Vec<Arc<Entry>>, place: Option<RecordPlace>) {
        self.run_events.write().add(seq, &entries);
        let gone = self.recent.write().add(seq, time, entries, place);
        drop(gone);
    }

    /// A segment was sealed: the keeper can have it.
    pub(super) fn sealed(&self) {
        self.progress.sealed();
        self.wake();
    }

    /// Tells the keeper that there may be something to do.
    pub(super) fn wake(&self) {
        if let Some(wake) = &*self.wake.lock() {
            // it ends only when the store does
            let _ = wake.send(());
        }
    }

    /// From now on `wake` is told of sealed segments; `None` lets it end.
    pub(super) fn set_wake(&self, wake: Option<Sender<()>>) {
        *self.wake.lock() = wake;
    }

    /// The keys of the sealed segments up to this record are in [`Self::keys`].
    pub(super) fn keyed_upto(&self, seq: u64) {
        self.keyed.store(seq, Ordering::Release);
    }

    /// The database behind has this segment, or memory cannot hold what waits for it any longer.
    pub(super) fn let_go_upto(&self, seq: u64) {
        let gone = self.recent.write().drop_upto(seq);
        drop(gone);
        self.run_events.write().drop_upto(seq);
    }

    /// A recorded decision.
    pub(super) fn decision(&self, id: &AdmissionId) -> Result<Option<Arc<DecisionRecord>>, HistoryError> {
        let Some(position) = position_of(id.as_str(), "adm_") else { return Ok(None) };
        let record = self.entry_at(Shelf::Decisions, position)?.and_then(|entry| decision(&entry).cloned());
        Ok(record.filter(|record| record.id == *id))
    }

    /// The operation that stands there, on the shelf where it is looked for.
    fn entry_at(&self, shelf: Shelf, position: Position) -> Result<Option<Arc<Entry>>, HistoryError> {
        let at = self.recent.read().at(position);
        match at {
            At::Whole(entry) => return Ok(Some(entry)),
            At::Written(place) => {
                let record = self.record(position.seq, place)?;
                return Ok(nth(record, position));
            }
            At::Nothing => return Ok(None),
            At::Older => {}
        }
        if let Some(index) = self.index.read().clone().filter(|index| position.seq <= index.last_seq()) {
            let recorded = index.at(shelf, position).map_err(|error| failed(&error))?;
            return Ok(recorded.map(|recorded| Arc::new(recorded.entry)));
        }
        Ok(nth(self.record(position.seq, None)?, position))
    }

    /// A record out of the journal.
    fn record(&self, seq: u64, place: Option<RecordPlace>) -> Result<Record, HistoryError> {
        let found = match place {
            Some(place) => find_at(&self.journal, seq, place.segment, place.offset),
            None => find(&self.journal, seq),
        };
        let found = found.map_err(|error| failed(&error))?.ok_or(HistoryError::Rebuilding)?;
        serde_json::from_slice(&found.payload).map_err(|error| failed(&error))
    }

    /// A hold that ended and has left memory.
    pub(super) fn hold(&self, id: &HoldId) -> Result<Option<Arc<Hold>>, HistoryError> {
        let Some(placed) = position_of(id.as_str(), "hold_") else { return Ok(None) };
        let index = self.what_memory_lacks()?;
        Ok(index.hold(id, placed.seq).map_err(|error| failed(&error))?.map(Arc::new))
    }

    /// An account that has left memory.
    pub(super) fn account(&self, key: &AccountKey) -> Result<Option<Account>, HistoryError> {
        self.what_memory_lacks()?.account(key).map_err(|error| failed(&error))
    }

    /// The accounts of a budget as the database behind has them, the latest segments' first.
    pub(super) fn past_accounts(&self, budget: &BudgetId) -> Result<Vec<Account>, HistoryError> {
        self.older()?.accounts_of(budget, PAST_ACCOUNTS).map_err(|error| failed(&error))
    }

    /// A key that was used in a sealed segment, and is remembered at `now`.
    pub(super) fn key(&self, name: &KeyName, now: Timestamp) -> Result<Option<Arc<KeyEntry>>, HistoryError> {
        let shelf = match name.operation {
            KeyOperation::Admit(_) => Shelf::Decisions,
            KeyOperation::Raise(_) | KeyOperation::Retry(_) => Shelf::Audit,
        };
        for position in self.keys.places(name) {
            let entry = self.entry_at(shelf, position)?;
            let used = entry.iter().flat_map(|entry| &entry.effects).find_map(|effect| match effect {
                Effect::Key(key) if key.name == *name && now < key.expires_at => Some(Arc::clone(key)),
                _ => None,
            });
            if used.is_some() {
                return Ok(used);
            }
        }
        Ok(None)
    }

    /// The last admission of a run, or of one step of it.
    pub(super) fn last_admission(
        &self,
        run: &RunId,
        step: Option<&StepName>,
    ) -> Result<Option<Arc<DecisionRecord>>, HistoryError> {
        let recent = self.recent.read().last_admission(run, step);
        let position = match recent {
            Some(position) => Some(position),
            None => self.older()?.last_admission(run, step).map_err(|error| failed(&error))?,
        };
        let Some(position) = position else { return Ok(None) };
        Ok(self.entry_at(Shelf::Decisions, position)?.and_then(|entry| decision(&entry).cloned()))
    }

    /// The events of a run with these numbers, in order. One that was just decided may not be there yet.
    pub(super) fn run_events(&self, run: &RunId, from: u64, to: u64) -> Result<Vec<Arc<RunEvent>>, HistoryError> {
        if from > to {
            return Ok(Vec::new());
        }
        // memory first: what it lets go of meanwhile is in the database by then
        let mut found = self.run_events.read().between(run, from, to);
        if found.first_key_value().is_none_or(|(first, _)| *first > from) {
            let upto = found.first_key_value().map_or(to, |(first, _)| first - 1);
            found.extend(self.older()?.run_events(run, from, upto).map_err(|error| failed(&error))?);
        }
        // numbers have no gaps: what is missing here is in a segment that the database behind does not have yet
        if !found.contains_key(&from) && (!found.is_empty() || self.progress.is_behind()) {
            return Err(HistoryError::Rebuilding);
        }
        Ok(found.into_values().collect())
    }

    /// Recorded decisions that fit, newest first.
    pub(super) fn decisions(
        &self,
        filter: &DecisionFilter,
        cursor: Option<Position>,
        limit: usize,
    ) -> Result<Part<Arc<DecisionRecord>>, HistoryError> {
        let fits = |_: Timestamp, entry: &Entry| decision(entry).is_some_and(|record| filter.fits(record));
        let query = Query { shelves: &[Shelf::Decisions], since: filter.since, fits: &fits, limit };
        let page = match &filter.run {
            Some(run) => self.list_of_run(run, &query, cursor)?,
            None => self.list(&query, cursor)?,
        };
        let items = page.items.iter().filter_map(|item| decision(&item.entry).cloned()).collect();
        Ok(Part { items, next: page.next })
    }

    /// Operations that fit, newest first.
    pub(super) fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<Position>,
        limit: usize,
    ) -> Result<Part<Operation>, HistoryError> {
        const ALL: &[Shelf] = &[Shelf::Audit, Shelf::Decisions, Shelf::Holds];
        let shelves = if filter.include_admissions { ALL } else { &ALL[..1] };
        let fits = |time: Timestamp, entry: &Entry| audit_fits(filter, time, entry);
        self.list(&Query { shelves, since: filter.since, fits: &fits, limit }, cursor)
    }

    /// The decisions of a run, by where they stand. As far as an older Tollgate did not note that, all are looked through.
    fn list_of_run(
        &self,
        run: &RunId,
        query: &Query<'_>,
        cursor: Option<Position>,
    ) -> Result<Part<Operation>, HistoryError> {
        let mut list = List::new(query, EXAMINED);
        let (floor, recent) = {
            let recent = self.recent.read();
            (recent.floor(), recent.decisions_of(run, cursor, EXAMINED))
        };
        for (position, time) in recent {
            let Some(entry) = self.entry_at(Shelf::Decisions, position)? else { continue };
            if list.look(position, time, || entry).is_break() {
                return Ok(list.page());
            }
        }
        let before = cursor.map_or(floor, |cursor| cursor.min(floor));
        let index = self.older()?;
        let RunDecisions { found, rest } =
            index.run_decisions(run, before, list.left).map_err(|error| failed(&error))?;
        if rest == Rest::Unlisted(before) {
            return if list.is_empty() { self.list(query, Some(before)) } else { Ok(list.page_before(before)) };
        }
        for position in found {
            let Some(recorded) = index.at(Shelf::Decisions, position).map_err(|error| failed(&error))? else {
                continue;
            };
            if list.look(position, recorded.time, || Arc::new(recorded.entry)).is_break() {
                return Ok(list.page());
            }
        }
        Ok(match rest {
            Rest::Nothing => list.page(),
            Rest::Listed(position) | Rest::Unlisted(position) => list.page_before(position),
        })
    }

    fn list(&self, query: &Query<'_>, cursor: Option<Position>) -> Result<Part<Operation>, HistoryError> {
        let mut list = List::new(query, EXAMINED);
        let (floor, first_whole, written) = {
            let recent = self.recent.read();
            for (position, kept) in recent.back(cursor) {
                if query.shelves.contains(&kept.shelf)
                    && list.look(position, kept.time, || Arc::clone(&kept.entry)).is_break()
                {
                    return Ok(list.page());
                }
            }
            let first_whole = cursor.map_or(recent.first_whole(), |cursor| cursor.min(recent.first_whole()));
            (recent.floor(), first_whole, recent.written_back(first_whole, query.shelves, list.left))
        };
        for (seq, time, place) in written {
            let record = self.record(seq, place)?;
            for (index, entry) in (0u32..).zip(record.entries).collect::<Vec<_>>().into_iter().rev() {
                let position = Position { seq, index };
                if position < first_whole
                    && query.shelves.contains(&Shelf::of(&entry))
                    && list.look(position, time, || Arc::new(entry)).is_break()
                {
                    return Ok(list.page());
                }
            }
        }
        let before = cursor.map_or(floor, |cursor| cursor.min(floor));
        let index = self.older()?;
        let parts: Result<Vec<List<'_>>, IndexError> = query
            .shelves
            .iter()
            .map(|shelf| {
                let mut part = List::new(query, list.left);
                index.back(*shelf, before, &mut |position, recorded| {
                    part.look(position, recorded.time, || Arc::new(recorded.entry))
                })?;
                Ok(part)
            })
            .collect();
        list.merge(parts.map_err(|error| failed(&error))?);
        Ok(list.page())
    }

    /// The database behind, where it has everything that is not in memory as operations.
    fn older(&self) -> Result<Arc<Index>, HistoryError> {
        let floor = self.recent.read().floor();
        let index = self.index.read().clone();
        index.filter(|index| index.last_seq() + 1 >= floor.seq).ok_or(HistoryError::Rebuilding)
    }

    /// The database behind, where it has every hold and account that is not in memory.
    fn what_memory_lacks(&self) -> Result<Arc<Index>, HistoryError> {
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let index = self.index.read().clone();
        index.filter(|index| index.last_seq() >= forgotten).ok_or(HistoryError::Rebuilding)
    }

    /// The database behind, where it is open.
    pub(super) fn index(&self) -> Option<Arc<Index>> {
        self.index.read().clone()
    }

    /// How far the database behind has come with the sealed segments.
    pub(super) fn step(&self, sealed: &[Sealed]) -> Step {
        let indexed = self.indexed();
        let missing = sealed.iter().filter(|segment| segment.first_seq > indexed).count();
        Step { done: sealed.len() - missing, of: sealed.len() }
    }
}

/// The database behind was damaged and put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutAside {
    /// What was wrong with it.
    pub why: String,
    /// Where it is now; nothing needs it, it is kept to be looked at.
    pub to: PathBuf,
}

fn put_aside(database: &Path, seq: u64, why: &IndexError) -> Result<PutAside, HistoryError> {
    let mut to = database.with_extension(format!("damaged-{seq}"));
    let mut more = 1;
    while to.exists() {
        to = database.with_extension(format!("damaged-{seq}-{more}"));
        more += 1;
    }
    std::fs::rename(database, &to).map_err(|error| HistoryError::Failed(format!("{}: {error}", database.display())))?;
    tracing::warn!(%why, to = %to.display(), "the database behind the journal was put aside; it is built anew");
    Ok(PutAside { why: why.to_string(), to })
}

fn nth(record: Record, position: Position) -> Option<Arc<Entry>> {
    let index = usize::try_from(position.index).ok()?;
    record.entries.into_iter().nth(index).map(Arc::new)
}

pub(super) fn failed(error: &dyn std::error::Error) -> HistoryError {
    HistoryError::Failed(error.to_string())
}

/// Where an id made by [`crate::decide::Context::id`] says that it stands in the journal: the middle of its bits.
fn position_of(id: &str, prefix: &str) -> Option<Position> {
    const LETTERS: &str = "0123456789abcdefghjkmnpqrstvwxyz";
    let text = id.strip_prefix(prefix).filter(|text| text.len() == 26)?;
    let bits = text.chars().try_fold(0u128, |bits, letter| Some(bits << 5 | LETTERS.find(letter)? as u128))?;
    let part = |shift: u32, mask: u128| u64::try_from((bits >> shift) & mask).ok();
    Some(Position { seq: part(32, 0xffff_ffff_ffff)?, index: u32::try_from(part(16, 0xffff)?).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Context, Limits};

    #[test]
    fn an_id_tells_where_it_stands() {
        let limits = Limits::default();
        for (seq, index) in [(1, 0), (77, 511), (1 << 40, 65_535)] {
            let now = "2026-11-23T12:00:00Z".parse().unwrap();
            let context = Context { now, writer: 0xabcd, seq, index, limits: &limits };
            let id = AdmissionId::new(context.id("adm_")).unwrap();
            assert_eq!(position_of(id.as_str(), "adm_"), Some(Position { seq, index }));
        }
        assert_eq!(position_of("adm_1", "adm_"), None);
        assert_eq!(position_of("adm_uuuuuuuuuuuuuuuuuuuuuuuuuu", "adm_"), None);
    }
}
