//! Which events of a run are known: a repeat is told from another event of the same id.

use crate::runs::{OWN_SOURCE, RunEvent};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

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

/// The known events of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenEvents(pub(super) HashMap<EventName, Seen>);

impl SeenEvents {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl SeenEvents {
    /// What an event is known by; Tollgate's own are not repeated.
    pub fn of(event: &RunEvent) -> Option<(EventName, Seen)> {
        let seen = Seen { body: body_name(&event.body), number: event.number };
        (event.source != OWN_SOURCE || !event.body.is_empty()).then(|| (event_name(&event.source, &event.id), seen))
    }

    pub(super) fn insert(&mut self, name: EventName, seen: Seen) {
        self.0.insert(name, seen);
    }

    pub(super) fn get(&self, name: EventName) -> Option<Seen> {
        self.0.get(&name).copied()
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
