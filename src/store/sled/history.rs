//! What was decided and done: the recent part in memory, the older part in the database behind, one list to who asks.

use super::index::{Index, IndexError, Shelf};
use super::journal::{Sealed, sealed_segments};
use super::position::Position;
use super::recent::{Recent, decision};
use super::run_events::RecentEvents;
use crate::admission::DecisionRecord;
use crate::runs::RunEvent;
use crate::state::Entry;
use crate::store::{AuditFilter, DecisionFilter, ReadError};
use crate::vocabulary::{AdmissionId, RunId, StepName};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

/// How many operations one call looks at.
const EXAMINED: usize = 5_000;

/// So many sealed segments may wait for the database behind before commits are refused: they are what is in memory.
const MOST_WAITING: usize = 8;

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
        Self::Failed(error.to_string())
    }
}

/// One operation, and where it stands.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) position: Position,
    pub(super) time: Timestamp,
    pub(super) entry: Arc<Entry>,
}

/// Part of a list, newest first.
#[derive(Debug)]
pub(super) struct Part<T> {
    pub(super) items: Vec<T>,
    /// Where to go on: before this.
    pub(super) next: Option<Position>,
}

/// The history of a state directory.
#[derive(Debug)]
pub(super) struct History {
    journal: PathBuf,
    database: PathBuf,
    recent: RwLock<Recent>,
    run_events: RwLock<RecentEvents>,
    index: RwLock<Arc<Index>>,
    rebuilding: AtomicBool,
    waiting: AtomicUsize,
    wake: Mutex<Option<Sender<()>>>,
}

impl History {
    /// Opens the database behind; one that is damaged is put aside, and why is told.
    pub(super) fn open(journal: PathBuf, database: PathBuf) -> Result<(Self, Option<PutAside>), HistoryError> {
        let sealed = sealed_segments(&journal).map_err(|error| failed(&error))?;
        let (index, aside) = match Index::open(&database, &sealed) {
            Ok(index) => (index, None),
            Err(error) => {
                let aside = put_aside(&database, sealed.last().map_or(0, |last| last.last_seq), &error)?;
                (Index::open(&database, &sealed).map_err(|error| failed(&error))?, Some(aside))
            }
        };
        let mut recent = Recent::default();
        drop(recent.drop_upto(index.last_seq()));
        let history = Self {
            journal,
            database,
            recent: RwLock::new(recent),
            run_events: RwLock::default(),
            index: RwLock::new(Arc::new(index)),
            rebuilding: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            wake: Mutex::new(None),
        };
        Ok((history, aside))
    }

    /// The last record that the database behind has.
    pub(super) fn indexed(&self) -> u64 {
        self.index.read().last_seq()
    }

    /// Whether the database behind is being built anew.
    pub(super) fn is_rebuilding(&self) -> bool {
        self.rebuilding.load(Ordering::Acquire)
    }

    /// Whether more waits for the database behind than memory should hold.
    pub(super) fn lags_too_far(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > MOST_WAITING
    }

    /// Takes in the operations of one durable record.
    pub(super) fn add(&self, seq: u64, time: Timestamp, entries: Vec<Entry>) {
        self.run_events.write().add(seq, &entries);
        self.recent.write().add(seq, time, entries);
    }

    /// A segment was sealed: the database behind can have it.
    pub(super) fn sealed(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Some(wake) = &*self.wake.lock() {
            // it ends only when the store does
            let _ = wake.send(());
        }
    }

    /// From now on `wake` is told of sealed segments; `None` lets it end.
    pub(super) fn set_wake(&self, wake: Option<Sender<()>>) {
        *self.wake.lock() = wake;
    }

    /// Gives the database behind every sealed segment that it lacks, while `go_on` says so. Where that fails once, it is
    /// put aside and built anew.
    pub(super) fn catch_up(&self, go_on: &dyn Fn() -> bool) -> Result<(), HistoryError> {
        let sealed = sealed_segments(&self.journal).map_err(|error| failed(&error))?;
        let Err(error) = self.add_missing(&sealed, go_on) else { return Ok(()) };
        self.rebuilding.store(true, Ordering::Release);
        put_aside(&self.database, self.indexed(), &error)?;
        let fresh = Index::open(&self.database, &sealed).map_err(|error| failed(&error))?;
        *self.index.write() = Arc::new(fresh);
        self.add_missing(&sealed, go_on).map_err(|error| failed(&error))?;
        self.rebuilding.store(false, Ordering::Release);
        Ok(())
    }

    /// At the start: gives the database behind what it lacks of the segments before this one.
    pub(super) fn catch_up_to(&self, first_seq: u64) -> Result<(), HistoryError> {
        let mut sealed = sealed_segments(&self.journal).map_err(|error| failed(&error))?;
        sealed.retain(|segment| segment.first_seq < first_seq);
        self.add_missing(&sealed, &|| true).map_err(|error| failed(&error))
    }

    fn add_missing(&self, sealed: &[Sealed], go_on: &dyn Fn() -> bool) -> Result<(), IndexError> {
        let index = Arc::clone(&self.index.read());
        let missing: Vec<_> = sealed.iter().filter(|segment| segment.first_seq > index.last_seq()).collect();
        for (done, segment) in missing.iter().enumerate() {
            if !go_on() {
                return Ok(());
            }
            index.add(segment)?;
            let gone = self.recent.write().drop_upto(segment.last_seq);
            drop(gone);
            self.run_events.write().drop_upto(segment.last_seq);
            self.waiting.store(missing.len() - done - 1, Ordering::Relaxed);
            tracing::info!(
                segment = segment.first_seq,
                done = done + 1,
                of = missing.len(),
                "a journal segment is in the database behind"
            );
        }
        Ok(())
    }

    /// A recorded decision.
    pub(super) fn decision(&self, id: &AdmissionId) -> Result<Option<Arc<DecisionRecord>>, HistoryError> {
        let Some(position) = position_of(id) else { return Ok(None) };
        Ok(self.decision_at(position)?.filter(|record| record.id == *id))
    }

    fn decision_at(&self, position: Position) -> Result<Option<Arc<DecisionRecord>>, HistoryError> {
        {
            let recent = self.recent.read();
            if let Some(kept) = recent.at(position) {
                return Ok(decision(&kept.entry).cloned());
            }
            if position >= recent.floor() {
                return Ok(None);
            }
        }
        let recorded = self.older()?.at(Shelf::Decisions, position).map_err(|error| failed(&error))?;
        Ok(recorded.and_then(|recorded| recorded.decision().cloned()))
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
        position.map_or(Ok(None), |position| self.decision_at(position))
    }

    /// The events of a run with these numbers, in order. One that was just decided may not be there yet.
    pub(super) fn run_events(&self, run: &RunId, from: u64, to: u64) -> Result<Vec<Arc<RunEvent>>, HistoryError> {
        // memory first: what it lets go of meanwhile is in the database by then
        let mut found = self.run_events.read().between(run, from, to);
        if from <= to && found.first_key_value().is_none_or(|(first, _)| *first > from) {
            let upto = found.first_key_value().map_or(to, |(first, _)| first - 1);
            found.extend(self.older()?.run_events(run, from, upto).map_err(|error| failed(&error))?);
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
        let page = self.list(&query, cursor)?;
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

    fn list(&self, query: &Query<'_>, cursor: Option<Position>) -> Result<Part<Operation>, HistoryError> {
        let mut list = List::new(query, EXAMINED);
        let floor = {
            let recent = self.recent.read();
            for (position, kept) in recent.back(cursor) {
                if query.shelves.contains(&kept.shelf)
                    && list.look(position, kept.time, || Arc::clone(&kept.entry)).is_break()
                {
                    return Ok(list.page());
                }
            }
            recent.floor()
        };
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

    fn older(&self) -> Result<Arc<Index>, HistoryError> {
        if self.is_rebuilding() { Err(HistoryError::Rebuilding) } else { Ok(Arc::clone(&self.index.read())) }
    }

    /// The database behind, for what only tests and later parts ask of it.
    pub(super) fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.read())
    }
}

/// Whether an operation fits, apart from whether it is an admission's or a hold's.
fn audit_fits(filter: &AuditFilter, time: Timestamp, entry: &Entry) -> bool {
    let op = |wanted: &String| {
        if wanted.ends_with('.') { entry.op.starts_with(wanted.as_str()) } else { entry.op == *wanted }
    };
    filter.actor.as_ref().is_none_or(|actor| entry.actor.name == *actor)
        && filter.op.as_ref().is_none_or(op)
        && filter.subject.as_ref().is_none_or(|subject| entry.subject == *subject)
        && filter.since.is_none_or(|since| since <= time)
        && filter.until.is_none_or(|until| time < until)
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

fn failed(error: &dyn std::error::Error) -> HistoryError {
    HistoryError::Failed(error.to_string())
}

/// Where an admission's id says that it stands in the journal: the middle of its bits, see [`crate::decide::Context::id`].
fn position_of(id: &AdmissionId) -> Option<Position> {
    const LETTERS: &str = "0123456789abcdefghjkmnpqrstvwxyz";
    let text = id.as_str().strip_prefix("adm_").filter(|text| text.len() == 26)?;
    let bits = text.chars().try_fold(0u128, |bits, letter| Some(bits << 5 | LETTERS.find(letter)? as u128))?;
    let part = |shift: u32, mask: u128| u64::try_from((bits >> shift) & mask).ok();
    Some(Position { seq: part(32, 0xffff_ffff_ffff)?, index: u32::try_from(part(16, 0xffff)?).ok()? })
}

/// What a list is of.
struct Query<'a> {
    shelves: &'a [Shelf],
    since: Option<Timestamp>,
    fits: &'a dyn Fn(Timestamp, &Entry) -> bool,
    limit: usize,
}

/// A list in the making.
struct List<'a> {
    query: &'a Query<'a>,
    items: Vec<Operation>,
    /// How many operations may still be looked at.
    left: usize,
    /// Where it was stopped with more to come; `None`: it came to the end.
    stopped: Option<Position>,
    over: bool,
}

impl<'a> List<'a> {
    fn new(query: &'a Query<'a>, left: usize) -> Self {
        Self { query, items: Vec::new(), left: left.max(1), stopped: None, over: false }
    }

    /// Looks at the next older operation.
    fn look(&mut self, position: Position, time: Timestamp, entry: impl FnOnce() -> Arc<Entry>) -> ControlFlow<()> {
        if self.query.since.is_some_and(|since| time < since) {
            self.over = true;
            return ControlFlow::Break(());
        }
        let entry = entry();
        if (self.query.fits)(time, &entry) {
            self.items.push(Operation { position, time, entry });
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || self.items.len() >= self.query.limit.max(1) {
            self.stopped = Some(position);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Adds lists of the same stretch: as far as all of them have come.
    fn merge(&mut self, parts: Vec<Self>) {
        self.stopped = parts.iter().filter_map(|part| part.stopped).max();
        let mut more: Vec<Operation> = parts.into_iter().flat_map(|part| part.items).collect();
        more.retain(|item| self.stopped.is_none_or(|stopped| item.position >= stopped));
        more.sort_unstable_by_key(|item| std::cmp::Reverse(item.position));
        let room = self.query.limit.max(1) - self.items.len();
        if more.len() > room {
            more.truncate(room);
            self.stopped = more.last().map(|item| item.position);
        }
        self.items.extend(more);
    }

    fn page(self) -> Part<Operation> {
        Part { items: self.items, next: if self.over { None } else { self.stopped } }
    }
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
            assert_eq!(position_of(&id), Some(Position { seq, index }));
        }
        assert_eq!(position_of(&AdmissionId::new("adm_1").unwrap()), None);
        assert_eq!(position_of(&AdmissionId::new("adm_uuuuuuuuuuuuuuuuuuuuuuuuuu").unwrap()), None);
    }
}
