//! The policy set in force and the engines of each worker.
//!
//! An admission is judged by the set that the state names, never by "the newest one that this thread has seen": the
//! digest is read together with the registry, and the set of that digest is found here.

use crate::policy::{
    Built, Conditions, Engines, EnginesInUse, Explanation, Input, LayerId, Layers, Limits, Outcome, PolicySet,
    Quarantine, Report, agree, report,
};
use crate::thread_time::ThreadTime;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

/// Rooms are told apart, for threads that serve several (tests).
static ROOMS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::new(Worker::of(0));
}

/// What one thread has of its own: no lock and no shared count on the way of an evaluation.
struct Worker {
    room: u64,
    set: Option<Arc<PolicySet>>,
    engines: Engines,
    /// What the metrics were told of them.
    told: (Built, usize),
}

impl Worker {
    fn of(room: u64) -> Self {
        Self { room, set: None, engines: Engines::default(), told: Default::default() }
    }

    /// Tells the metrics what had to be built, and what is kept now.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn tell(&mut self) {
        let (built, (_, bytes)) = (self.engines.built(), self.engines.size());
        let (told, bytes_told) = std::mem::replace(&mut self.told, (built, bytes));
        if told != built {
            let built_by = |engine| metrics::counter!("tollgate_policy_engines_built_total", "engine" => engine);
            built_by("interpreter").increment(built.interpreters - told.interpreters);
            built_by("rvm").increment(built.machines - told.machines);
        }
        if bytes_told != bytes {
            metrics::gauge!("tollgate_policy_engine_bytes").increment(bytes as f64 - bytes_told as f64);
        }
    }
}

/// The sets that may be asked for: the one in force, and one that is about to be.
#[derive(Debug)]
pub struct PolicyRoom {
    id: u64,
    sets: RwLock<Vec<Arc<PolicySet>>>,
    quarantine: Quarantine,
    limits: Limits,
    in_use: Arc<EnginesInUse>,
    /// Told of every set that comes into force.
    listener: Mutex<Option<Sender<()>>>,
    /// One set at a time is on its way into force.
    publishing: tokio::sync::Mutex<()>,
}

/// A layer whose engines are to be compared. It holds nothing of the daemon but this.
pub struct Comparison {
    set: Arc<PolicySet>,
    layer: LayerId,
    in_use: Arc<EnginesInUse>,
}

impl Comparison {
    /// Which layer.
    pub fn layer(&self) -> &LayerId {
        &self.layer
    }

    /// Has both engines judge what derives from these inputs, and moves the layer to the faster one where they agree. It
    /// takes its time, and belongs on a thread of its own.
    pub fn run(self, recorded: &[Value]) {
        if let Some(layer) = self.set.layer(&self.layer) {
            self.in_use.compared(layer, agree(&self.set, layer, recorded));
        }
    }
}

impl PolicyRoom {
    /// With the set in force.
    pub fn new(set: Arc<PolicySet>, limits: Limits) -> Self {
        let id = ROOMS.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            sets: RwLock::new(vec![set]),
            quarantine: Quarantine::default(),
            limits,
            in_use: Arc::default(),
            listener: Mutex::default(),
            publishing: tokio::sync::Mutex::default(),
        }
    }

    /// Waits until no other set is on its way into force, and keeps others from it as long as the guard lives.
    pub async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.publishing.lock().await
    }

    /// A set is about to be published: whoever reads its digest from the state must find it here.
    pub fn announce(&self, set: Arc<PolicySet>) {
        let mut sets = self.sets.write();
        if !sets.iter().any(|known| known.digest() == set.digest()) {
            sets.push(set);
        }
    }

    /// This one is in force now; the others are not asked for any more.
    pub fn settle_on(&self, digest: &str) {
        self.sets.write().retain(|set| set.digest() == digest);
        self.tell();
    }

    /// From now on `listener` is told of every set that comes into force, and once of the one that is.
    pub fn set_listener(&self, listener: Sender<()>) {
        *self.listener.lock() = Some(listener);
        self.tell();
    }

    fn tell(&self) {
        if let Some(listener) = &*self.listener.lock() {
            // who does not listen any more is not missed
            let _ = listener.send(());
        }
    }

    /// The set of that digest, if it is in force or about to be.
    pub fn set(&self, digest: &str) -> Option<Arc<PolicySet>> {
        self.sets.read().iter().find(|set| set.digest() == digest).cloned()
    }

    /// The set that came last.
    pub fn newest(&self) -> Option<Arc<PolicySet>> {
        self.sets.read().last().cloned()
    }

    /// Judges an input by the set of that digest; `None` if it is not here (any more).
    pub fn judge(&self, digest: &str, layers: &Layers<'_>, input: &Input, now: Timestamp) -> Option<Outcome> {
        WORKER.with_borrow_mut(|worker| {
            if worker.room != self.id {
                *worker = Worker::of(self.id);
            }
            if worker.set.as_ref().is_none_or(|set| set.digest() != digest) {
                worker.set = Some(self.set(digest)?);
            }
            let set = worker.set.as_ref()?;
            let outcome = worker.engines.evaluate_input(set, layers, input, &self.conditions(now));
            worker.tell();
            if outcome.asked_again > 0 {
                metrics::counter!("tollgate_policy_asked_again_total").increment(u64::from(outcome.asked_again));
            }
            Some(outcome)
        })
    }

    /// Layers that lost the trust in the faster engine since this was last asked: each is an alarm.
    pub fn take_alarms(&self) -> Vec<String> {
        self.in_use.take_alarms()
    }

    /// The rules that fire on an input, by the set given: of the past, perhaps.
    pub fn explain(&self, set: &PolicySet, layers: &Layers<'_>, input: &Value, now: Timestamp) -> Explanation {
        Engines::default().explain(set, layers, input, &self.conditions(now))
    }

    /// The next layer of a set that may run on the faster engine and has not been compared yet.
    pub fn next_to_compare(&self, digest: &str) -> Option<Comparison> {
        let set = self.set(digest)?;
        let layer = self.in_use.next_to_compare(&set)?;
        Some(Comparison { set, layer, in_use: Arc::clone(&self.in_use) })
    }

    /// What operators see of a set.
    pub fn report(&self, set: &PolicySet) -> Report {
        report(set, Some(&self.in_use))
    }

    /// Layers in quarantine at `now`, by digest, with its end.
    pub fn quarantined(&self, now: Timestamp) -> Vec<(String, Timestamp)> {
        self.quarantine.list(now)
    }

    fn conditions(&self, now: Timestamp) -> Conditions<'_> {
        Conditions {
            now,
            limits: &self.limits,
            quarantine: &self.quarantine,
            clock: &ThreadTime,
            in_use: Some(&self.in_use),
        }
    }
}
