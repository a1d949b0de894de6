//! Where the idempotency keys of sealed segments were used: for each a fingerprint and a place in the journal, 16 bytes,
//! in sorted generations. What the key was used for is read from that place, so nothing is decided by a fingerprint.

use super::position::Position;
use crate::audit::Digest;
use crate::state::{KeyEntry, KeyName, Operation};
use jiff::Timestamp;
use parking_lot::RwLock;
use std::sync::Arc;

/// A generation is full with so many keys.
const FULL: usize = 1 << 20;

/// The keys of some segments that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    /// The last record that is in it.
    pub(super) upto: u64,
    /// When the last of them is no longer remembered.
    pub(super) last_end: Timestamp,
    /// Fingerprint and place, sorted.
    pub(super) keys: Vec<(u64, u64)>,
}

/// Keys of one segment, in the making.
#[derive(Debug, Default)]
pub(super) struct Collected {
    keys: Vec<(u64, u64)>,
    last_end: Option<Timestamp>,
}

/// The used keys of all sealed segments.
#[derive(Debug, Default)]
pub(super) struct UsedKeys {
    generations: RwLock<Arc<Vec<Arc<Generation>>>>,
}

/// 64 bits of the key's name: enough to rule nearly every other key out.
fn fingerprint(name: &KeyName) -> u64 {
    let (operation, who) = match &name.operation {
        Operation::Admit(agent) => ("admit", agent.as_str()),
        Operation::Raise(person) => ("raise", person.as_str()),
        Operation::Retry(run) => ("retry", run.as_str()),
    };
    // the parts hold no control characters: a zero between them keeps them apart
    let digest = Digest::of(format!("{operation}\0{who}\0{}", name.key).as_bytes());
    digest.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

fn pack(position: Position) -> u64 {
    (position.seq << 16) | u64::from(position.index & 0xffff)
}

fn unpack(place: u64) -> Position {
    Position { seq: place >> 16, index: u32::try_from(place & 0xffff).unwrap_or(0) }
}

impl Collected {
    /// A key was used by the operation that stands there.
    pub(super) fn add(&mut self, position: Position, entry: &KeyEntry) {
        self.keys.push((fingerprint(&entry.name), pack(position)));
        self.last_end = self.last_end.max(Some(entry.expires_at));
    }
}

impl UsedKeys {
    /// As a checkpoint has them.
    pub(super) fn new(generations: Vec<Generation>) -> Self {
        Self { generations: RwLock::new(Arc::new(generations.into_iter().map(Arc::new).collect())) }
    }

    /// As they stand, for a checkpoint.
    pub(super) fn generations(&self) -> Arc<Vec<Arc<Generation>>> {
        Arc::clone(&self.generations.read())
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.generations().iter().map(|generation| generation.keys.len()).sum()
    }

    /// Takes in the keys of the segment that ends with the record `upto`, decided at `now`, and lets go of generations that
    /// nobody has to remember any longer. Readers see the old list or the new one.
    pub(super) fn add(&self, collected: Collected, upto: u64, now: Timestamp) {
        let Collected { mut keys, last_end } = collected;
        keys.sort_unstable();
        let mut generations: Vec<Arc<Generation>> = self.generations().to_vec();
        generations.retain(|generation| generation.last_end > now);
        if let Some(last_end) = last_end {
            match generations.last_mut() {
                Some(last) if last.keys.len() < FULL => {
                    let last_end = last.last_end.max(last_end);
                    *last = Arc::new(Generation { upto, last_end, keys: merged(&last.keys, &keys) });
                }
                _ => generations.push(Arc::new(Generation { upto, last_end, keys })),
            }
        }
        *self.generations.write() = Arc::new(generations);
    }

    /// Where keys of this name's fingerprint were used, the latest first: nearly always nowhere, or at one place.
    pub(super) fn places(&self, name: &KeyName) -> Vec<Position> {
        let generations = self.generations();
        if generations.is_empty() {
            return Vec::new();
        }
        let wanted = fingerprint(name);
        let mut places: Vec<u64> = Vec::new();
        for generation in generations.iter() {
            let from = generation.keys.partition_point(|(fingerprint, _)| *fingerprint < wanted);
            let same = generation.keys[from..].iter().take_while(|(fingerprint, _)| *fingerprint == wanted);
            places.extend(same.map(|(_, place)| *place));
        }
        places.sort_unstable_by(|a, b| b.cmp(a));
        places.into_iter().map(unpack).collect()
    }
}

fn merged(old: &[(u64, u64)], new: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut all = Vec::with_capacity(old.len() + new.len());
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    while let (Some(a), Some(b)) = (old.peek(), new.peek()) {
        let next = if a <= b { old.next() } else { new.next() };
        all.extend(next);
    }
    all.extend(old);
    all.extend(new);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::FirstAnswer;

    fn entry(key: &str, end: &str) -> KeyEntry {
        KeyEntry {
            name: KeyName { operation: Operation::Admit("a".parse().unwrap()), key: key.parse().unwrap() },
            body: "body".to_owned(),
            first: FirstAnswer::Admission("adm_1".parse().unwrap()),
            expires_at: end.parse().unwrap(),
        }
    }

    #[test]
    fn keys_are_found_where_they_were_used_and_leave_when_nobody_has_to_remember_them() {
        let used = UsedKeys::default();
        let noon: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for segment in 0..5u64 {
            let mut collected = Collected::default();
            for n in 0..100u32 {
                let key = entry(&format!("k{segment}-{n}"), "2026-11-24T12:00:00Z");
                collected.add(Position { seq: segment * 10 + 1, index: n }, &key);
            }
            collected.add(Position { seq: segment * 10 + 2, index: 0 }, &entry("again", "2026-11-24T12:00:00Z"));
            used.add(collected, segment * 10 + 9, noon);
        }
        assert_eq!((used.len(), used.generations().len()), (505, 1));
        let places = |key: &str| used.places(&entry(key, "2026-11-24T12:00:00Z").name);
        assert_eq!(places("k3-17"), [Position { seq: 31, index: 17 }]);
        assert_eq!(places("never"), []);
        let seqs: Vec<u64> = places("again").iter().map(|place| place.seq).collect();
        assert_eq!(seqs, [42, 32, 22, 12, 2], "the latest first");
        used.add(Collected::default(), 59, "2026-11-24T12:00:00Z".parse().unwrap());
        assert_eq!(used.len(), 0);
    }
}
