//! How far the database behind has come, for whoever asks and for how much memory may wait for it.

use super::history::PutAside;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// So many sealed segments may wait for the database behind in memory.
pub(super) const MOST_WAITING: usize = 8;

/// What the database behind is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// It is being opened.
    #[default]
    Opening,
    /// It reads sealed segments that it lacks, from long ago: older history has to wait.
    Building,
    /// It has every sealed segment, but for the last few.
    InStep,
    /// It cannot be read or written; the log says more.
    Failing,
}

/// Segments that it has, of those that are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// In it.
    pub done: usize,
    /// Sealed.
    pub of: usize,
}

/// Shared between the keeper, who writes it, and everybody else.
#[derive(Debug, Default)]
pub(super) struct Progress {
    now: Mutex<(IndexState, Step)>,
    put_aside: Mutex<Option<PutAside>>,
    behind: AtomicBool,
    waiting: AtomicUsize,
    stuck: Mutex<Option<Arc<str>>>,
}

impl Progress {
    /// It is open; whether it is in step is not known yet.
    pub(super) fn opened(&self) {
        self.set(IndexState::Building, Step::default());
    }

    pub(super) fn set(&self, state: IndexState, step: Step) {
        *self.now.lock() = (state, step);
        self.behind.store(state != IndexState::InStep, Ordering::Release);
    }

    pub(super) fn get(&self) -> (IndexState, Step) {
        *self.now.lock()
    }

    pub(super) fn put_aside(&self, aside: PutAside) {
        *self.put_aside.lock() = Some(aside);
    }

    /// What was put aside since the start.
    pub(super) fn was_put_aside(&self) -> Option<PutAside> {
        self.put_aside.lock().clone()
    }

    /// Whether it lacks segments from before those that memory holds.
    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// A segment was sealed.
    pub(super) fn sealed(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// So many sealed segments are not in it.
    pub(super) fn waiting(&self, segments: usize) {
        self.waiting.store(segments, Ordering::Relaxed);
    }

    /// Why sealed segments cannot be taken in at present; `None` when they can again.
    pub(super) fn stuck(&self, why: Option<&str>) {
        *self.stuck.lock() = why.map(Arc::from);
    }

    /// Why nothing can be committed: sealed segments cannot be read, and memory cannot hold what waits for them any longer.
    pub(super) fn failure(&self) -> Option<Arc<str>> {
        self.lags_too_far().then(|| self.stuck.lock().clone()).flatten()
    }

    /// Whether more waits in memory than it should hold. While it is built anew nothing waits in memory.
    pub(super) fn lags_too_far(&self) -> bool {
        !self.is_behind() && self.waiting.load(Ordering::Relaxed) > MOST_WAITING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_busy_and_only_what_will_not_pass_is_a_failure() {
        let progress = Progress::default();
        progress.set(IndexState::InStep, Step::default());
        let seen = |progress: &Progress| (progress.lags_too_far(), progress.failure().map(|why| why.to_string()));
        progress.waiting(MOST_WAITING);
        progress.stuck(Some("unreadable"));
        assert_eq!(seen(&progress), (false, None), "memory still holds it");
        progress.sealed();
        assert_eq!(seen(&progress), (true, Some("unreadable".to_owned())));
        progress.stuck(None);
        assert_eq!(seen(&progress), (true, None), "it will pass");
        progress.set(IndexState::Building, Step::default());
        assert_eq!(seen(&progress), (false, None), "nothing waits in memory while it is built anew");
    }
}
