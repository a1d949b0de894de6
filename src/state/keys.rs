//! Idempotency keys: what was asked under a key, and which answer it got.

use crate::vocabulary::{AdmissionId, AgentId, ApiKeyId, BudgetId, IdempotencyKey, RaiseId, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What a key was used for: the same text may be used once for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// An admission of this agent.
    Admit(AgentId),
    /// A raise of a budget, by this person.
    Raise(ApiKeyId),
    /// A retry of this run.
    Retry(RunId),
}

/// A key in its scope: agent (or person) and operation. Never the secret it was sent with: a rotated secret must not
/// make a repeated request count twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyName {
    /// For what.
    pub operation: Operation,
    /// The key.
    pub key: IdempotencyKey,
}

/// Which answer was the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstAnswer {
    /// A recorded decision.
    Admission(AdmissionId),
    /// A raise.
    Raise(BudgetId, RaiseId),
    /// A retry: the run, and the attempt that it made.
    Retry(RunId, u32),
}

/// A key that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// Which.
    pub name: KeyName,
    /// Keyed digest of the canonical body.
    pub body: String,
    /// Where its answer is.
    pub first: FirstAnswer,
    /// Until when it is remembered.
    pub expires_at: Timestamp,
}

/// The keys in memory: the recently used ones, until they can be read elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KeyMap {
    keys: HashMap<KeyName, (Arc<KeyEntry>, u64)>,
    order: VecDeque<(u64, KeyName)>,
}

impl KeyMap {
    /// A key was used by the record `seq`.
    pub(super) fn put(&mut self, entry: &Arc<KeyEntry>, seq: u64) {
        let old = self.keys.insert(entry.name.clone(), (Arc::clone(entry), seq));
        if old.is_none_or(|(_, before)| before != seq) {
            self.order.push_back((seq, entry.name.clone()));
        }
    }

    pub(super) fn get(&self, name: &KeyName) -> Option<&Arc<KeyEntry>> {
        self.keys.get(name).map(|(entry, _)| entry)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Lets go of keys that were used by the record `upto` or before, or that are not remembered any longer; it looks at
    /// so many at most.
    pub(super) fn forget(&mut self, now: Timestamp, upto: u64, most: usize) {
        for _ in 0..most {
            let Some((seq, name)) = self.order.front() else { return };
            let kept = self.keys.get(name).filter(|(_, used)| used == seq);
            if kept.is_some_and(|(entry, _)| *seq > upto && entry.expires_at > now) {
                return;
            }
            if kept.is_some() {
                self.keys.remove(name);
            }
            self.order.pop_front();
        }
    }
}
