//! Which events of a run are known: a repeat is told from another event of the same id.

use crate::runs::{OWN_SOURCE, RunEvent};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// Digest of an event's source and id.
pub type EventName = u128;

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Digest of its body's digest.
    pub body: u128,
    /// Its number in the run.
    pub number: u64,
}

/// How many of a run's events are told from repeats, the last ones.
pub const KNOWN_EVENTS: usize = 100_000;

/// The known events of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenEvents {
    by_name: HashMap<EventName, Seen>,
    by_number: BTreeMap<u64, EventName>,
}

impl SeenEvents {
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// By number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (EventName, Seen)> {
        self.by_number.values().filter_map(|name| Some((*name, self.get(*name)?)))
    }
}

impl SeenEvents {
    /// What an event is known by; Tollgate's own are not repeated.
    pub fn of(event: &RunEvent) -> Option<(EventName, Seen)> {
        let seen = Seen { body: body_name(&event.body), number: event.number };
        (event.source != OWN_SOURCE || !event.body.is_empty()).then(|| (event_name(&event.source, &event.id), seen))
    }

    pub(super) fn insert(&mut self, name: EventName, seen: Seen) {
        self.insert_within(name, seen, KNOWN_EVENTS);
    }

    fn insert_within(&mut self, name: EventName, seen: Seen, most: usize) {
        if let Some(old) = self.by_name.insert(name, seen) {
            self.by_number.remove(&old.number);
        }
        self.by_number.insert(seen.number, name);
        if self.by_number.len() > most
            && let Some((_, oldest)) = self.by_number.pop_first()
        {
            self.by_name.remove(&oldest);
        }
    }

    pub(super) fn get(&self, name: EventName) -> Option<Seen> {
        self.by_name.get(&name).copied()
    }
}

/// What an event of that source and id is known by. Neither holds a zero byte.
pub fn event_name(source: &str, id: &str) -> EventName {
    short(&[source.as_bytes(), b"\0", id.as_bytes()])
}

/// What a body is known by.
pub fn body_name(body: &str) -> u128 {
    short(&[body.as_bytes()])
}

fn short(parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut first = [0; 16];
    first.copy_from_slice(&hash.finalize()[..16]);
    u128::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_known_in_whatever_order_they_are_read() {
        let seen = |n: u64| (event_name("s", &n.to_string()), Seen { body: 1, number: n });
        let made = |numbers: &[u64]| {
            let mut events = SeenEvents::default();
            for n in numbers {
                let (name, seen) = seen(*n);
                events.insert_within(name, seen, 3);
            }
            assert_eq!(events.by_name.len(), events.by_number.len());
            events
        };
        let events = made(&[1, 2, 3, 4, 5]);
        let known: Vec<u64> = events.iter().map(|(_, seen)| seen.number).collect();
        assert_eq!((known, events.get(seen(2).0), events.get(seen(5).0)), (vec![3, 4, 5], None, Some(seen(5).1)));
        assert_eq!(made(&[1, 2, 3, 4, 5, 1, 2, 3, 4, 5]), events, "applied twice, nothing changes");
        assert_eq!(made(&[5, 4, 3]), events);
    }
}
