//! The events of runs of segments that the database behind does not have yet, in memory.

use crate::runs::RunEvent;
use crate::state::{Effect, Entry};
use crate::vocabulary::RunId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Events by run and number, each with the record that it stands in.
#[derive(Debug, Default)]
pub(super) struct RecentEvents(HashMap<RunId, BTreeMap<u64, (u64, Arc<RunEvent>)>>);

/// The events of one operation.
pub(super) fn events(entry: &Entry) -> impl Iterator<Item = &Arc<RunEvent>> {
    entry.effects.iter().filter_map(|effect| match effect {
        Effect::RunEvent(event) => Some(event),
        _ => None,
    })
}

impl RecentEvents {
    /// Takes in the events of one record.
    pub(super) fn add(&mut self, seq: u64, entries: &[Arc<Entry>]) {
        for event in entries.iter().flat_map(|entry| events(entry)) {
            self.0.entry(event.run.clone()).or_default().insert(event.number, (seq, Arc::clone(event)));
        }
    }

    /// The events of a run with these numbers, as far as they are here.
    pub(super) fn between(&self, run: &RunId, from: u64, to: u64) -> BTreeMap<u64, Arc<RunEvent>> {
        let found = self.0.get(run).into_iter().flat_map(|events| events.range(from..=to));
        found.map(|(number, (_, event))| (*number, Arc::clone(event))).collect()
    }

    /// Lets go of what the database behind has now.
    pub(super) fn drop_upto(&mut self, seq: u64) {
        self.0.retain(|_, events| {
            events.retain(|_, (at, _)| *at > seq);
            !events.is_empty()
        });
    }
}
