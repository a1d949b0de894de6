//! Lists of operations, newest first, in parts: how far one goes, and what fits.

use super::index::Shelf;
use super::position::Position;
use crate::state::Entry;
use crate::store::AuditFilter;
use jiff::Timestamp;
use std::ops::ControlFlow;
use std::sync::Arc;

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

/// What a list is of.
pub(super) struct Query<'a> {
    pub(super) shelves: &'a [Shelf],
    pub(super) since: Option<Timestamp>,
    pub(super) fits: &'a dyn Fn(Timestamp, &Entry) -> bool,
    pub(super) limit: usize,
}

/// A list in the making.
pub(super) struct List<'a> {
    query: &'a Query<'a>,
    items: Vec<Operation>,
    /// How many operations may still be looked at.
    pub(super) left: usize,
    /// Where it was stopped with more to come; `None`: it came to the end.
    stopped: Option<Position>,
    over: bool,
}

impl<'a> List<'a> {
    pub(super) fn new(query: &'a Query<'a>, left: usize) -> Self {
        Self { query, items: Vec::new(), left: left.max(1), stopped: None, over: false }
    }

    /// Looks at the next older operation.
    pub(super) fn look(
        &mut self,
        position: Position,
        time: Timestamp,
        entry: impl FnOnce() -> Arc<Entry>,
    ) -> ControlFlow<()> {
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

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Where there may be more before this position, which was not looked at.
    pub(super) fn page_before(mut self, position: Position) -> Part<Operation> {
        self.stopped = Some(position);
        self.page()
    }

    /// Adds lists of the same stretch: as far as all of them have come.
    pub(super) fn merge(&mut self, parts: Vec<Self>) {
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

    pub(super) fn page(self) -> Part<Operation> {
        Part { items: self.items, next: if self.over { None } else { self.stopped } }
    }
}

/// Whether an operation fits, apart from whether it is an admission's or a hold's.
pub(super) fn audit_fits(filter: &AuditFilter, time: Timestamp, entry: &Entry) -> bool {
    let op = |wanted: &String| {
        if wanted.ends_with('.') { entry.op.starts_with(wanted.as_str()) } else { entry.op == *wanted }
    };
    filter.actor.as_ref().is_none_or(|actor| entry.actor.name == *actor)
        && filter.op.as_ref().is_none_or(op)
        && (filter.kinds.is_empty() || filter.kinds.iter().any(|kind| entry.op.starts_with(kind.as_str())))
        && filter.subject.as_ref().is_none_or(|subject| entry.subject == *subject)
        && filter.since.is_none_or(|since| since <= time)
        && filter.until.is_none_or(|until| time < until)
}
