//! The limits of an evaluation, and the quarantine of a layer that keeps hitting them.

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How much CPU time the calling thread has used. What a policy is charged for is the work it causes, not how long
/// the machine kept it waiting; the core reads no clock, so this one is handed in.
pub trait ThreadClock {
    /// CPU time of this thread since some fixed moment. Asking for it is a system call.
    fn cpu(&self) -> Duration;

    /// A monotonic clock that costs next to nothing: a thread works no longer than it takes.
    fn wall(&self) -> Duration {
        self.cpu()
    }
}

/// What one layer's evaluation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of a layer's evaluation.
    pub time: Duration,
    /// Hits in a row that put a layer into quarantine.
    pub quarantine_after: u32,
    /// How long it stays there.
    pub quarantine_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_millis(10), quarantine_after: 3, quarantine_for: Duration::from_secs(30) }
    }
}

/// Which layers hit their limit of late, by layer digest; shared between workers.
///
/// While no layer has, asking takes one atomic load and no lock.
#[derive(Debug, Default)]
pub struct Quarantine {
    tracked: AtomicUsize,
    layers: Mutex<BTreeMap<String, Hits>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Hits {
    in_a_row: u32,
    until: Option<Timestamp>,
}

/// More layers than this are not tracked: the oldest of a long row of policy sets make room.
const MAX_TRACKED: usize = 4096;

impl Quarantine {
    /// Until when a layer is not run, if it is in quarantine at `now`.
    pub fn until(&self, digest: &str, now: Timestamp) -> Option<Timestamp> {
        if self.tracked.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.layers.lock().get(digest).and_then(|hits| hits.until).filter(|until| now < *until)
    }

    /// The layers that are in quarantine at `now`, with its end.
    pub fn list(&self, now: Timestamp) -> Vec<(String, Timestamp)> {
        let layers = self.layers.lock();
        let held = layers.iter().filter_map(|(digest, hits)| Some((digest.clone(), hits.until?)));
        held.filter(|(_, until)| now < *until).collect()
    }

    /// Notes that a layer hit its limit.
    pub(super) fn hit(&self, digest: &str, now: Timestamp, limits: &Limits) {
        let mut layers = self.layers.lock();
        if layers.len() >= MAX_TRACKED && !layers.contains_key(digest) {
            layers.pop_first();
        }
        let hits = layers.entry(digest.to_owned()).or_default();
        hits.in_a_row = hits.in_a_row.saturating_add(1);
        if hits.in_a_row >= limits.quarantine_after {
            let length = SignedDuration::try_from(limits.quarantine_for).unwrap_or(SignedDuration::MAX);
            hits.until = Some(now.saturating_add(length).unwrap_or(Timestamp::MAX));
            hits.in_a_row = 0;
        }
        self.tracked.store(layers.len(), Ordering::Release);
    }

    /// Notes that a layer finished within its limit. That ends a row of hits, not a quarantine: an evaluation that
    /// was on its way when the others hit the limit says nothing about the next.
    pub(super) fn well(&self, digest: &str, now: Timestamp) {
        if self.tracked.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut layers = self.layers.lock();
        if layers.get(digest).is_some_and(|hits| hits.until.is_none_or(|until| until <= now)) {
            layers.remove(digest);
        }
        self.tracked.store(layers.len(), Ordering::Release);
    }
}
