//! The engines of one worker: built on first use, kept while they are used, dropped when they take too much room.

use super::compile::{Compiled, data_of};
use super::rvm::Known;
use super::set::{Layer, PolicySet};
use regorus::Value;
use std::collections::BTreeMap;

/// What an engine takes beside its source, as measured for small modules.
const ENGINE_BYTES: usize = 47 * 1024;
/// Syntax tree, schedule and tables of a module take some ten times its text.
const BYTES_PER_SOURCE_BYTE: usize = 10;
/// What one worker keeps by default.
const DEFAULT_CAP_BYTES: usize = 64 * 1024 * 1024;

/// Interpreter engines by layer digest. One per worker thread: nothing in it is shared with another, not even a
/// reference count.
pub struct Engines {
    kept: BTreeMap<Key, Kept>,
    /// The data document of the set that was used last; engines of a set share it.
    data: Option<(String, Value)>,
    bytes: usize,
    cap_bytes: usize,
    clock: u64,
    pub(super) rvm: Known,
    /// Answers of the RVM so far, for the sample that is judged by both.
    pub(super) by_machine: u32,
}

/// What an engine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// To decide.
    Decide,
    /// To tell which rule gave which value: see `attribute`.
    Attribute,
}

type Key = (String, Purpose);

struct Kept {
    compiled: Compiled,
    bytes: usize,
    used: u64,
}

impl Default for Engines {
    fn default() -> Self {
        Self::new(DEFAULT_CAP_BYTES)
    }
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").field("kept", &self.kept.len()).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Engines {
    /// No engines yet, and at most about this many bytes of them ever (but always the one in use).
    pub fn new(cap_bytes: usize) -> Self {
        Self { kept: BTreeMap::new(), data: None, bytes: 0, cap_bytes, clock: 0, rvm: Known::default(), by_machine: 0 }
    }

    /// How many engines are kept, and about how many bytes they take.
    pub fn size(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    /// The engine of a layer, taken out: it comes back with [`Self::put`], or, after a failure, not at all.
    pub(super) fn take(&mut self, set: &PolicySet, layer: &Layer, purpose: Purpose) -> anyhow::Result<Compiled> {
        if let Some(kept) = self.kept.remove(&(layer.digest.clone(), purpose)) {
            self.bytes -= kept.bytes;
            return Ok(kept.compiled);
        }
        let data = self.data(set);
        let mut compiled = match purpose {
            Purpose::Decide => Compiled::of_layer(set, layer, data),
            Purpose::Attribute => super::attribute::compile(set, layer, data),
        }?;
        // what an engine takes to be built is not the policy's time
        compiled.prepare()?;
        Ok(compiled)
    }

    /// Keeps an engine for the next time, and makes room for it.
    pub(super) fn put(&mut self, layer: &Layer, purpose: Purpose, compiled: Compiled) {
        self.clock += 1;
        let bytes = ENGINE_BYTES + layer.source_bytes * BYTES_PER_SOURCE_BYTE;
        while self.bytes + bytes > self.cap_bytes {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone());
            let Some(dropped) = oldest.and_then(|key| self.kept.remove(&key)) else { break };
            self.bytes -= dropped.bytes;
        }
        self.bytes += bytes;
        let kept = Kept { compiled, bytes, used: self.clock };
        if let Some(replaced) = self.kept.insert((layer.digest.clone(), purpose), kept) {
            self.bytes -= replaced.bytes;
        }
    }

    pub(super) fn data(&mut self, set: &PolicySet) -> Value {
        match &self.data {
            Some((digest, data)) if *digest == set.digest => data.clone(),
            _ => {
                let data = data_of(set);
                self.data = Some((set.digest.clone(), data.clone()));
                data
            }
        }
    }
}
