//! The engines of one worker: built on first use, kept while they are used, dropped when they take too much room.

use super::compile::{Compiled, to_rego};
use super::rvm::Known;
use super::set::{Layer, PolicySet};
use super::text::Digest;
use regorus::Value;
use std::collections::{BTreeMap, HashMap};

/// What an engine takes beside its source, as measured for small modules.
const ENGINE_BYTES: usize = 47 * 1024;
/// The same of the other engine's program and machine.
const MACHINE_BYTES: usize = 24 * 1024;
/// Syntax tree, schedule and tables of a module take some ten times its text.
const BYTES_PER_SOURCE_BYTE: usize = 10;
/// What one worker keeps by default.
const DEFAULT_CAP_BYTES: usize = 64 * 1024 * 1024;

/// Engines by layer digest, whatever set the layer is of: a set that comes into force leaves those of its unchanged layers
/// as they are. One per worker thread: nothing in it is shared with another, not even a reference count.
pub struct Engines {
    kept: HashMap<Key, Kept>,
    /// The same by when they were used last.
    by_use: BTreeMap<u64, Key>,
    /// The data that layers see, by its first key: engines share it.
    data: BTreeMap<String, (Digest, Value)>,
    bytes: usize,
    cap_bytes: usize,
    clock: u64,
    /// Engines that were built so far.
    built: u64,
    pub(super) rvm: Known,
    /// Answers of the RVM so far, for the sample that is judged by both.
    pub(super) by_machine: u32,
}

/// What an engine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// To decide.
    Decide,
    /// To tell which rule gave which value: see `attribute`.
    Attribute,
}

type Key = (Digest, Purpose);

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
        Self {
            kept: HashMap::new(),
            by_use: BTreeMap::new(),
            data: BTreeMap::new(),
            bytes: 0,
            cap_bytes,
            clock: 0,
            built: 0,
            rvm: Known::default(),
            by_machine: 0,
        }
    }

    /// How many engines are kept, and about how many bytes they take.
    pub fn size(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    /// How many engines have been built so far.
    pub fn built(&self) -> u64 {
        self.built
    }

    /// The engine of a layer, taken out: it comes back with [`Self::put`], or, after a failure, not at all.
    pub(super) fn take(&mut self, set: &PolicySet, layer: &Layer, purpose: Purpose) -> anyhow::Result<Compiled> {
        if let Some(kept) = self.kept.remove(&(layer.address, purpose)) {
            self.by_use.remove(&kept.used);
            self.bytes -= kept.bytes;
            return Ok(kept.compiled);
        }
        self.built += 1;
        let data = self.data(set, layer);
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
        let machine = if compiled.machine.is_some() { MACHINE_BYTES } else { 0 };
        let bytes = ENGINE_BYTES + machine + layer.source_bytes * BYTES_PER_SOURCE_BYTE;
        while self.bytes + bytes > self.cap_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.bytes -= self.kept.remove(&oldest).map_or(0, |dropped| dropped.bytes);
        }
        self.clock += 1;
        self.bytes += bytes;
        let key = (layer.address, purpose);
        self.by_use.insert(self.clock, key);
        if let Some(replaced) = self.kept.insert(key, Kept { compiled, bytes, used: self.clock }) {
            self.by_use.remove(&replaced.used);
            self.bytes -= replaced.bytes;
        }
    }

    /// What a layer can see of the data.
    pub(super) fn data(&mut self, set: &PolicySet, layer: &Layer) -> Value {
        let mut seen = BTreeMap::new();
        for key in &layer.sees {
            let (Some(digest), Some(value)) = (set.data.digest(key), set.data.all.get(key)) else { continue };
            let known = self.data.get(key).filter(|(known, _)| known == digest).map(|(_, value)| value.clone());
            let value = known.unwrap_or_else(|| {
                // what no set has any more makes room
                self.data.retain(|key, (known, _)| set.data.digest(key) == Some(known));
                let value = to_rego(value);
                self.data.insert(key.clone(), (*digest, value.clone()));
                value
            });
            seen.insert(Value::from(key.as_str()), value);
        }
        Value::from(seen)
    }
}
