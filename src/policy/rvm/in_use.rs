//! Which engine each layer is on. The interpreter, until a comparison has shown that the RVM says the same; and again from
//! the first difference on.

use crate::policy::set::{Layer, PolicySet};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What runs a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineInUse {
    /// regorus' interpreter, and why.
    Interpreter(String),
    /// regorus' virtual machine, and what showed that it may be trusted.
    Rvm(String),
}

/// What was found of the layers, shared between workers.
#[derive(Debug, Default)]
pub struct EnginesInUse {
    /// Grows with every change, so that a worker asks for no lock while nothing changes.
    generation: AtomicU64,
    layers: Mutex<BTreeMap<String, EngineInUse>>,
    alarmed: AtomicBool,
    alarms: Mutex<Vec<String>>,
}

impl EnginesInUse {
    /// What a layer is on.
    pub fn of(&self, layer: &Layer) -> EngineInUse {
        if let Some(why) = &layer.interpreted {
            return EngineInUse::Interpreter(why.clone());
        }
        let found = self.layers.lock().get(&layer.digest).cloned();
        found.unwrap_or_else(|| EngineInUse::Interpreter("it has not been compared yet".to_owned()))
    }

    /// Notes what a comparison has shown.
    pub fn compared(&self, layer: &Layer, outcome: Result<usize, String>) {
        let found = match outcome {
            Ok(answers) => EngineInUse::Rvm(format!("both engines gave the same {answers} answers")),
            Err(why) => EngineInUse::Interpreter(why),
        };
        self.layers.lock().insert(layer.digest.clone(), found);
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
        self.layers.lock().contains_key(&layer.digest)
    }

    /// Keeps only what concerns a set.
    pub fn retain(&self, set: &PolicySet) {
        let digests: BTreeSet<&str> = set.layers().map(|layer| layer.digest.as_str()).collect();
        let mut layers = self.layers.lock();
        let before = layers.len();
        layers.retain(|digest, _| digests.contains(digest.as_str()));
        if layers.len() != before {
            self.generation.fetch_add(1, Ordering::Release);
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
    on_rvm: BTreeSet<String>,
}

impl Known {
    /// Whether a layer is on the RVM.
    pub(in crate::policy) fn on_rvm(&mut self, in_use: &EnginesInUse, layer: &Layer) -> bool {
        let generation = in_use.generation.load(Ordering::Acquire);
        if generation == 0 {
            return false;
        }
        if self.generation != generation {
            let layers = in_use.layers.lock();
            let on_rvm = layers.iter().filter(|(_, engine)| matches!(engine, EngineInUse::Rvm(_)));
            self.on_rvm = on_rvm.map(|(digest, _)| digest.clone()).collect();
            self.generation = generation;
        }
        self.on_rvm.contains(&layer.digest)
    }
}
