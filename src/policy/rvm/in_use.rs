//! Which engine each layer is on. The interpreter, until a comparison has shown that the RVM says the same; and again from
//! the first difference on.

use super::{Agreed, Code};
use crate::policy::set::{Layer, PolicySet};
use crate::policy::text::Digest;
use crate::policy::tree::LayerId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What runs a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineInUse {
    /// regorus' interpreter, and why.
    Interpreter(String),
    /// regorus' virtual machine, and what showed that it may be trusted.
    Rvm(String),
}

/// What is known of a layer that was compared.
#[derive(Debug)]
enum Found {
    /// Why it stays on the interpreter.
    Distrusted(String),
    /// What both engines agreed on, with the code that gave the answers: workers run that and no other.
    Trusted(Agreed),
}

/// What was found of the layers, shared between workers.
#[derive(Debug, Default)]
pub struct EnginesInUse {
    /// Grows with every change, so that a worker asks for no lock while nothing changes.
    generation: AtomicU64,
    layers: Mutex<BTreeMap<Digest, Found>>,
    queue: Mutex<Queue>,
    alarmed: AtomicBool,
    alarms: Mutex<Vec<String>>,
}

/// The layers that wait for their comparison.
#[derive(Debug, Default)]
struct Queue {
    /// The set that they are of.
    of: String,
    /// Those that somebody has asked: they come first.
    asked: BTreeSet<LayerId>,
    /// All of them.
    waiting: VecDeque<LayerId>,
}

/// The most layers of earlier sets that are kept in mind because they were not trusted.
const MOST_DISTRUSTED: usize = 4096;

/// The most layers that are kept in mind because somebody asked them; the others come in their turn.
const MOST_ASKED: usize = 1024;

impl EnginesInUse {
    /// What a layer is on.
    pub fn of(&self, layer: &Layer) -> EngineInUse {
        if let Some(why) = &layer.interpreted {
            return EngineInUse::Interpreter(why.clone());
        }
        match self.layers.lock().get(&layer.address) {
            None => EngineInUse::Interpreter("it has not been compared yet".to_owned()),
            Some(Found::Distrusted(why)) => EngineInUse::Interpreter(why.clone()),
            Some(Found::Trusted(agreed)) => {
                EngineInUse::Rvm(format!("both engines gave the same {} answers", agreed.answers))
            }
        }
    }

    /// What a worker runs of a layer that is on the RVM.
    pub(in crate::policy) fn code(&self, layer: &Layer) -> Option<Code> {
        match self.layers.lock().get(&layer.address) {
            Some(Found::Trusted(agreed)) => Some(agreed.code.clone()),
            Some(Found::Distrusted(_)) | None => None,
        }
    }

    /// Notes what a comparison has shown.
    pub fn compared(&self, layer: &Layer, outcome: Result<Agreed, String>) {
        let found = match outcome {
            Ok(agreed) => Found::Trusted(agreed),
            Err(why) => Found::Distrusted(why),
        };
        self.layers.lock().insert(layer.address, found);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Takes a layer off the RVM, with an alarm.
    pub(in crate::policy) fn distrust(&self, layer: &Layer, why: String) {
        self.alarms.lock().push(format!("{}: {why}", layer.id));
        self.alarmed.store(true, Ordering::Release);
        self.compared(layer, Err(why));
    }

    /// Whether a layer has been compared.
    pub fn knows(&self, layer: &Layer) -> bool {
        self.layers.lock().contains_key(&layer.address)
    }

    /// Keeps what concerns a set, and what was not trusted before.
    pub fn retain(&self, set: &PolicySet) {
        let digests: BTreeSet<&Digest> = set.layers().map(|layer| &layer.address).collect();
        let mut layers = self.layers.lock();
        let before = layers.len();
        // a layer that was not trusted is not trusted when it comes back: so many are kept in mind
        let mut distrusted = 0;
        layers.retain(|digest, found| {
            let bad = matches!(found, Found::Distrusted(_));
            distrusted += usize::from(bad);
            digests.contains(digest) || (bad && distrusted <= MOST_DISTRUSTED)
        });
        if layers.len() != before {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether a worker may use the RVM for a layer. One that has not been compared is, before the others.
    fn asked(&self, layer: &Layer) -> bool {
        let found = self.layers.lock().get(&layer.address).map(|found| matches!(found, Found::Trusted(_)));
        if found.is_none() {
            let asked = &mut self.queue.lock().asked;
            if asked.len() < MOST_ASKED && !asked.contains(&layer.id) {
                asked.insert(layer.id.clone());
            }
        }
        found == Some(true)
    }

    /// The next layer of a set that may run on the RVM and has not been compared.
    pub fn next_to_compare(&self, set: &PolicySet) -> Option<LayerId> {
        let mut queue = self.queue.lock();
        if queue.of != set.digest() {
            self.retain(set);
            set.digest().clone_into(&mut queue.of);
            let waits = |layer: &&Layer| layer.may_run_on_rvm() && !self.knows(layer);
            queue.waiting = set.layers().filter(waits).map(|layer| layer.id.clone()).collect();
        }
        loop {
            let next = queue.asked.pop_first().or_else(|| queue.waiting.pop_front())?;
            let layer = set.layer(&next);
            if layer.is_some_and(|layer| layer.may_run_on_rvm() && !self.knows(layer)) {
                return Some(next);
            }
        }
    }

    /// The alarms since they were last taken.
    pub fn take_alarms(&self) -> Vec<String> {
        if !self.alarmed.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.alarms.lock())
    }
}

/// What one worker knows of it.
#[derive(Debug, Default)]
pub(in crate::policy) struct Known {
    generation: u64,
    /// The layers that it has asked for since then, and whether they are on the RVM.
    layers: HashMap<Digest, bool>,
}

impl Known {
    /// Whether a layer is on the RVM.
    pub(in crate::policy) fn on_rvm(&mut self, in_use: &EnginesInUse, layer: &Layer) -> bool {
        if !layer.may_run_on_rvm() {
            return false;
        }
        let generation = in_use.generation.load(Ordering::Acquire);
        if self.generation != generation {
            self.layers.clear();
            self.generation = generation;
        }
        *self.layers.entry(layer.address).or_insert_with(|| in_use.asked(layer))
    }

    /// Whether it was when that was last asked.
    pub(in crate::policy) fn was_on_rvm(&self, layer: &Layer) -> bool {
        self.layers.get(&layer.address) == Some(&true)
    }
}
