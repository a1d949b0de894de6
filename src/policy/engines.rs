//! The engines of one worker: built on first use, kept while they are used, dropped when they take too much room.

use super::compile::{Compiled, to_rego};
use super::rvm::{EnginesInUse, Known, Machine};
use super::set::{Layer, PolicySet};
use super::text::Digest;
use regorus::Value;
use std::collections::{BTreeMap, HashMap};

/// What an interpreter takes beside its source, about: 54 KB were measured for a small module without our built-ins.
const INTERPRETER_BYTES: usize = 64 * 1024;
/// Syntax tree, schedule and tables of a module take some ten times its text.
const BYTES_PER_SOURCE_BYTE: usize = 10;
/// What a machine of the RVM takes beside its program, about: 3.5 KB were measured.
const MACHINE_BYTES: usize = 5 * 1024;
/// What a program takes for each byte of its code.
const BYTES_PER_CODE_BYTE: usize = 5;
/// What one worker keeps by default.
const DEFAULT_CAP_BYTES: usize = 64 * 1024 * 1024;

/// Engines by layer digest, whatever set the layer is of: a set that comes into force leaves those of its unchanged layers
/// as they are. One per worker thread: nothing in it is shared with another, not even a reference count.
pub struct Engines {
    kept: HashMap<Key, Kept>,
    /// The same in the order in which they make room.
    order: BTreeMap<Place, Key>,
    /// The data that layers see, by its first key: engines share it.
    data: BTreeMap<String, (Digest, Value)>,
    bytes: usize,
    cap_bytes: usize,
    clock: u64,
    built: Built,
    pub(super) rvm: Known,
    /// Answers of the RVM so far, for the sample that is judged by both.
    pub(super) by_machine: u32,
}

/// How many engines were built so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// Interpreters: parsed and analysed.
    pub interpreters: u64,
    /// Machines of the RVM: their code read back.
    pub machines: u64,
}

/// What an engine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// To decide, by the interpreter.
    Decide,
    /// To decide, by the RVM.
    Run,
    /// To tell which rule gave which value: see `attribute`.
    Attribute,
}

type Key = (Digest, Purpose);

/// What goes first: the spare ones, and of two the one that was used earlier.
type Place = (Worth, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// The interpreter of a layer that is on the RVM: asked now and then.
    Spare,
    /// The others.
    Needed,
}

struct Kept {
    engine: Engine,
    bytes: usize,
    place: Place,
}

enum Engine {
    Interpreter(Box<Compiled>),
    Machine(Box<Machine>),
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
            order: BTreeMap::new(),
            data: BTreeMap::new(),
            bytes: 0,
            cap_bytes,
            clock: 0,
            built: Built::default(),
            rvm: Known::default(),
            by_machine: 0,
        }
    }

    /// How many engines are kept, and about how many bytes they take.
    pub fn size(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    /// How many engines have been built so far.
    pub fn built(&self) -> Built {
        self.built
    }

    /// The interpreter of a layer, taken out: it comes back with [`Self::put`], or, after a failure, not at all.
    pub(super) fn take(&mut self, set: &PolicySet, layer: &Layer, purpose: Purpose) -> anyhow::Result<Box<Compiled>> {
        if let Some(Engine::Interpreter(compiled)) = self.remove(&(layer.address, purpose)) {
            return Ok(compiled);
        }
        self.built.interpreters += 1;
        let data = self.data(set, layer);
        let mut compiled = match purpose {
            Purpose::Attribute => super::attribute::compile(set, layer, data),
            Purpose::Decide | Purpose::Run => Compiled::of_layer(set, layer, data),
        }?;
        // what an engine takes to be built is not the policy's time
        compiled.prepare()?;
        Ok(Box::new(compiled))
    }

    /// Keeps an interpreter for the next time.
    pub(super) fn put(&mut self, layer: &Layer, purpose: Purpose, compiled: Box<Compiled>) {
        let bytes = INTERPRETER_BYTES + layer.source_bytes * BYTES_PER_SOURCE_BYTE;
        let spare = purpose == Purpose::Decide && self.rvm.was_on_rvm(layer);
        let worth = if spare { Worth::Spare } else { Worth::Needed };
        self.keep((layer.address, purpose), worth, Engine::Interpreter(compiled), bytes);
    }

    /// The machine of a layer, taken out like an interpreter; `None` if the layer has just lost its place on the RVM.
    pub(super) fn take_machine(
        &mut self,
        set: &PolicySet,
        layer: &Layer,
        in_use: &EnginesInUse,
    ) -> anyhow::Result<Option<Box<Machine>>> {
        if let Some(Engine::Machine(machine)) = self.remove(&(layer.address, Purpose::Run)) {
            return Ok(Some(machine));
        }
        let Some(code) = in_use.code(layer) else { return Ok(None) };
        self.built.machines += 1;
        // from now on the interpreter is asked now and then only
        let interpreter = (layer.address, Purpose::Decide);
        if let Some(kept) = self.kept.get_mut(&interpreter) {
            self.order.remove(&kept.place);
            kept.place.0 = Worth::Spare;
            self.order.insert(kept.place, interpreter);
        }
        Machine::new(&code, self.data(set, layer)).map(|machine| Some(Box::new(machine)))
    }

    /// Keeps a machine for the next time.
    pub(super) fn put_machine(&mut self, layer: &Layer, machine: Box<Machine>) {
        let bytes = MACHINE_BYTES + machine.code_bytes * BYTES_PER_CODE_BYTE;
        self.keep((layer.address, Purpose::Run), Worth::Needed, Engine::Machine(machine), bytes);
    }

    /// Keeps an engine, and makes room for it.
    fn keep(&mut self, key: Key, worth: Worth, engine: Engine, bytes: usize) {
        self.remove(&key);
        while self.bytes + bytes > self.cap_bytes {
            let Some((_, first)) = self.order.pop_first() else { break };
            self.bytes -= self.kept.remove(&first).map_or(0, |dropped| dropped.bytes);
        }
        self.clock += 1;
        self.bytes += bytes;
        let place = (worth, self.clock);
        self.order.insert(place, key);
        self.kept.insert(key, Kept { engine, bytes, place });
    }

    fn remove(&mut self, key: &Key) -> Option<Engine> {
        let kept = self.kept.remove(key)?;
        self.order.remove(&kept.place);
        self.bytes -= kept.bytes;
        Some(kept.engine)
    }

    /// What a layer can see of the data.
    fn data(&mut self, set: &PolicySet, layer: &Layer) -> Value {
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
