//! Idempotency keys: what was asked under a key, and which answer it got.

use crate::vocabulary::{AdmissionId, AgentId, ApiKeyId, BudgetId, IdempotencyKey, RaiseId, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// A retry: the run, and the attempt that it made; 0 where it was denied.
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
