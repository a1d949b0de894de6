//! How much one agent and one key may ask at once and by and by, so that a storm of one is nobody else's trouble. Looked at
//! before anything is judged: what is refused here costs next to nothing, and nothing of it is recorded.

use super::roles::Principal;
use crate::admission::{Buckets, Rate, Shares};
use crate::vocabulary::{AgentId, ApiKeyId};
use parking_lot::Mutex;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the log is told of a storm.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// How long to wait for a place in the queue: some batches later there is one.
const PLACE_SOON: Duration = Duration::from_secs(1);

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Admissions of one agent under one key.
    pub agent: Option<Rate>,
    /// Requests under one key; each admission of a batch is one.
    pub key: Option<Rate>,
    /// Buckets of each kind that are remembered one by one.
    pub buckets: usize,
    /// Admissions of one agent under one key that may wait to be decided.
    pub agent_waiting: u32,
    /// Commands under one key that may wait.
    pub key_waiting: u32,
}

/// Whose allowance is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// The agent's admissions by time.
    Agent,
    /// The key's requests by time.
    Key,
    /// The agent's places in the queue.
    AgentWaiting,
    /// The key's.
    KeyWaiting,
}

/// It was asked too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{spent}")]
pub struct Throttled {
    /// Whose allowance is spent.
    pub spent: Spent,
    /// When asking again makes sense.
    pub wait: Duration,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "this agent asks for admissions more often than it may",
            Self::Key => "this key sends requests more often than it may",
            Self::AgentWaiting => "as many admissions of this agent as may wait are waiting to be decided",
            Self::KeyWaiting => "as many requests of this key as may wait are waiting to be decided",
        })
    }
}

impl Spent {
    const fn label(self) -> &'static str {
        match self {
            Self::Agent => "agent_rate",
            Self::Key => "key_rate",
            Self::AgentWaiting => "agent_waiting",
            Self::KeyWaiting => "key_waiting",
        }
    }
}

/// Watches over it. Whoever asks is known by a hash under a secret of this process, so that a long name costs no memory and
/// nobody can choose whom to collide with.
pub struct Throttle {
    allowance: Allowance,
    hasher: RandomState,
    agents: Option<Mutex<Buckets>>,
    keys: Option<Mutex<Buckets>>,
    waiting: Mutex<Shares>,
    /// When the log was told last, in milliseconds of the monotonic clock.
    told_ms: AtomicU64,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("allowance", &self.allowance).finish_non_exhaustive()
    }
}

impl Throttle {
    /// With nothing spent.
    pub fn new(allowance: Allowance) -> Self {
        let buckets = |rate: Option<Rate>| rate.map(|rate| Mutex::new(Buckets::new(rate, allowance.buckets)));
        Self {
            allowance,
            hasher: RandomState::new(),
            agents: buckets(allowance.agent),
            keys: buckets(allowance.key),
            waiting: Mutex::default(),
            told_ms: AtomicU64::new(0),
        }
    }

    /// One more request of a key. Tollgate's own are free.
    pub fn request(&self, principal: &Principal, now: Duration) -> Result<(), Throttled> {
        let (Some(buckets), Some(key)) = (&self.keys, &principal.key) else { return Ok(()) };
        let taken = buckets.lock().take(self.hasher.hash_one(key), now);
        taken.map_err(|wait| self.refused(Throttled { spent: Spent::Key, wait }, principal, None, now))
    }

    /// One more admission of an agent.
    pub fn admission(&self, principal: &Principal, agent: &AgentId, now: Duration) -> Result<(), Throttled> {
        let (Some(buckets), Some(key)) = (&self.agents, &principal.key) else { return Ok(()) };
        let taken = buckets.lock().take(self.hasher.hash_one((key, agent)), now);
        taken.map_err(|wait| self.refused(Throttled { spent: Spent::Agent, wait }, principal, Some(agent), now))
    }

    /// A place among what waits to be decided, given back when it is dropped. Tollgate's own commands need none.
    /// Without one it is for the caller to wait for its own, or to have it [`Self::refused`].
    pub fn place(self: &Arc<Self>, principal: &Principal, agent: Option<&AgentId>) -> Result<Place, Throttled> {
        let key = principal.key.as_ref().map(|key| self.hasher.hash_one(key));
        let pair = principal.key.as_ref().zip(agent).map(|pair| self.hasher.hash_one(pair));
        let spent = {
            let mut waiting = self.waiting.lock();
            if key.is_some_and(|key| !waiting.take(key, self.allowance.key_waiting)) {
                Some(Spent::KeyWaiting)
            } else if pair.is_some_and(|pair| !waiting.take(pair, self.allowance.agent_waiting)) {
                key.into_iter().for_each(|key| waiting.give(key));
                Some(Spent::AgentWaiting)
            } else {
                None
            }
        };
        match spent {
            None => Ok(Place { throttle: Arc::clone(self), taken: [key, pair] }),
            Some(spent) => Err(Throttled { spent, wait: PLACE_SOON }),
        }
    }

    /// Counts it, and tells the log of it now and then: one line for each refusal would be a storm of its own.
    pub fn refused(
        &self,
        throttled: Throttled,
        principal: &Principal,
        agent: Option<&AgentId>,
        now: Duration,
    ) -> Throttled {
        let spent = throttled.spent;
        metrics::counter!("tollgate_throttled_total", "spent" => spent.label()).increment(1);
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let told = self.told_ms.load(Ordering::Relaxed);
        let every = u64::try_from(TOLD_EVERY.as_millis()).unwrap_or(u64::MAX);
        let due = told == 0 || now_ms.saturating_sub(told) >= every;
        if due && self.told_ms.compare_exchange(told, now_ms.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let (key, agent) = (principal.key.as_ref().map(ApiKeyId::as_str), agent.map(AgentId::as_str));
            tracing::warn!(target: "tollgate::throttle", key, agent, %spent, "a storm: requests are refused before they are judged");
        }
        throttled
    }
}

/// A place among what waits to be decided.
pub struct Place {
    throttle: Arc<Throttle>,
    taken: [Option<u64>; 2],
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.throttle.waiting.lock();
        self.taken.into_iter().flatten().for_each(|who| waiting.give(who));
    }
}
