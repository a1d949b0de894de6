//! What can be asked of the state, what it answers, and why it may refuse.

use super::runs::{RunAnswer, RunCommand};
use crate::admission::{AdmissionAnswer, DecisionRecord, Judged, Request};
use crate::attention::{Act, Classifier, Item};
use crate::budget::{Budget, BudgetError, BudgetSpec, Hold, HoldRefusal, LONGEST_HOLD_S, Raise};
use crate::registry::{
    Actor, Agent, AgentSpec, ApiKey, EntityTypeRecord, EntityTypeSpec, ModeSpec, Pause, PauseTarget, Roles,
};
use crate::runs::{Clocks, RetryRefusal, StopRefusal};
use crate::state::{FirstAnswer, JournalNote, PolicySetHead};
use crate::vocabulary::{
    AdmissionId, AgentId, Amount, ApiKeyId, Balance, BudgetId, EntityType, HoldId, IdempotencyKey, ItemId, PauseId,
    RaiseId, Reason, Unit, Warning,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A command and who sent it.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// What.
    pub command: Command,
    /// Who.
    pub actor: Actor,
}

/// What can be asked.
#[derive(Clone, Debug)]
pub enum Command {
    /// One admission.
    Admit(Box<Admit>),
    /// Settle, release or extend a hold.
    Hold(HoldId, HoldCommand),
    /// Change a budget.
    Budget(BudgetEdit),
    /// Change the registry.
    Registry(RegistryCommand),
    /// Make or revoke an API key.
    Key(KeyCommand),
    /// Do something to an item of Command Center.
    Item(ItemCommand),
    /// Note what became of a try to deliver.
    Delivered {
        /// The delivery.
        id: String,
        /// Taken, or why not.
        outcome: Result<(), String>,
    },
    /// Put another policy set in force; its text is stored already.
    PublishPolicySet {
        /// Its digest.
        digest: String,
        /// Why, where somebody said so.
        reason: Option<String>,
    },
    /// Note what a seed file held when it was taken in.
    NoteSeed {
        /// The file's name.
        file: String,
        /// SHA-256 of its text.
        sha256: String,
    },
    /// Note that an admin confirmed the wall clock after a jump.
    NoteClock {
        /// What it showed.
        wall: Timestamp,
    },
    /// Do something with runs, or with what they hang on.
    Run(RunCommand),
    /// Note what became of the journal's files.
    NoteJournal(JournalNote),
    /// Let the holds expire whose time has come: what every batch begins with, for a quiet hour.
    Tick,
}

impl Command {
    /// Whether its batch must end behind it, because what it changes is not overlaid (see [`crate::state::Draft`]).
    pub fn ends_batch(&self) -> bool {
        match self {
            Self::Admit(_) | Self::Hold(..) | Self::Item(_) | Self::Tick => false,
            Self::Run(command) => command.ends_batch(),
            _ => true,
        }
    }
}

/// An admission that policy has judged.
#[derive(Clone, Debug)]
pub struct Admit {
    /// The question; a retry's action, entity and estimate are those that it would repeat.
    pub request: Request,
    /// Keyed digest of the canonical body.
    pub body: String,
    /// The versions it was judged under.
    pub judged: Judged,
    /// What policy and schema said, masked.
    pub verdict: PolicyVerdict,
    /// The policy's input, masked.
    pub input: Box<RawValue>,
    /// Nothing was masked.
    pub replayable: bool,
}

/// What the layers that apply said.
#[derive(Clone, Debug, Default)]
pub struct PolicyVerdict {
    /// Why not; empty is yes.
    pub reasons: Vec<Reason>,
    /// What else they said.
    pub warnings: Vec<Warning>,
}

/// What can be done to a hold.
#[derive(Clone, Debug)]
pub enum HoldCommand {
    /// Book what was spent.
    Settle(BTreeMap<Unit, Amount>),
    /// Free it.
    Release(String),
    /// Keep it for so many seconds from now.
    Extend(u32),
}

/// What can be done to budgets.
#[derive(Clone, Debug)]
pub enum BudgetEdit {
    /// Make a new one.
    Create(BudgetSpec),
    /// Write it anew, if it still is the revision that the admin saw; without one, whatever it is.
    Replace(BudgetSpec, Option<u64>),
    /// Delete it, if it still is that revision; without one, whatever it is.
    Delete(BudgetId, Option<u64>),
    /// Raise its limit.
    Raise(RaiseCommand),
    /// Withdraw a raise.
    Withdraw(BudgetId, RaiseId, String),
    /// Make these the budgets: create, replace and delete as needed, all or nothing.
    Apply(Vec<BudgetSpec>),
}

/// A raise as asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct RaiseCommand {
    /// Which budget.
    pub budget: BudgetId,
    /// The new limit.
    pub limit: Balance,
    /// Under `each`: which account, in its text form.
    pub account: Option<String>,
    /// Under `each`: every account.
    pub all: bool,
    /// Why.
    pub reason: String,
    /// What shows that it is worth it.
    pub evidence: Option<String>,
    /// When it ends; without one it ends with the current window.
    pub ends_at: Option<Timestamp>,
    /// It does not end.
    pub permanent: bool,
    /// So that asking twice raises once.
    pub key: IdempotencyKey,
    /// Keyed digest of the canonical body.
    pub body: String,
}

/// What can be done to the registry.
#[derive(Clone, Debug)]
pub enum RegistryCommand {
    /// Register an agent, or write its record anew (its mode stays).
    PutAgent(AgentId, AgentSpec),
    /// Remove it.
    RemoveAgent(AgentId),
    /// Set its mode.
    SetMode(AgentId, ModeSpec),
    /// Register an entity type, or write it anew.
    PutEntityType(EntityType, EntityTypeSpec),
    /// Remove it.
    RemoveEntityType(EntityType),
    /// Stop something.
    Pause {
        /// What.
        target: PauseTarget,
        /// Why.
        reason: String,
        /// Until when.
        ends_at: Option<Timestamp>,
    },
    /// Let it go on.
    EndPause(PauseId),
}

/// What can be done to API keys.
#[derive(Clone, Debug)]
pub enum KeyCommand {
    /// Make one.
    Create(NewKey),
    /// Revoke one.
    Revoke(ApiKeyId),
}

/// What is done to an item of Command Center.
#[derive(Clone, Debug)]
pub enum ItemCommand {
    /// An operator's act.
    Act {
        /// Which item.
        id: ItemId,
        /// What.
        act: Act,
        /// Why, where somebody said so.
        reason: Option<String>,
        /// The revision that the operator saw.
        revision: Option<u64>,
    },
    /// Hand it to somebody who knows more.
    Escalate {
        /// Which item.
        id: ItemId,
        /// To whom, where it is not the agent's escalation contact.
        to: Option<String>,
        /// Why.
        reason: String,
        /// The revision that the operator saw.
        revision: Option<u64>,
    },
    /// What a re-check found to stand in the way still.
    Rechecked {
        /// Which item.
        id: ItemId,
        /// These reasons.
        still: Vec<Reason>,
        /// What might have lifted them, in words.
        cause: String,
        /// The revision that was re-checked.
        revision: u64,
    },
}

impl ItemCommand {
    /// Which item.
    pub fn id(&self) -> &ItemId {
        match self {
            Self::Act { id, .. } | Self::Escalate { id, .. } | Self::Rechecked { id, .. } => id,
        }
    }

    /// The revision that it goes by.
    pub fn revision(&self) -> Option<u64> {
        match self {
            Self::Act { revision, .. } | Self::Escalate { revision, .. } => *revision,
            Self::Rechecked { revision, .. } => Some(*revision),
        }
    }
}

/// A new API key; its secret was made outside and shown once.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its name.
    pub id: ApiKeyId,
    /// The person or service that holds it.
    pub holder: String,
    /// What it may do.
    pub roles: Roles,
    /// A runtime's agents; `None` means all.
    pub agents: Option<Vec<AgentId>>,
    /// SHA-256 of the secret, in hex.
    pub sha256: String,
}

/// Bounds that decisions keep to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Pending holds of one agent.
    pub holds_per_agent: usize,
    /// Pending holds in all.
    pub holds: usize,
    /// Accounts in memory of one budget under `each`.
    pub accounts_per_budget: usize,
    /// Accounts in memory in all, beyond which `each` makes no more.
    pub accounts: usize,
    /// Open runs of one agent.
    pub runs_per_agent: usize,
    /// Open runs in all.
    pub runs: usize,
    /// How long an idempotency key is remembered, in seconds.
    pub key_ttl_s: i64,
    /// How long each clock of a run takes.
    pub clocks: Clocks,
    /// Since when the store has been open: nobody was silent before that.
    pub up_since: Option<Timestamp>,
    /// How long after a denial something must follow, before it is an item, in seconds.
    pub blocked_after_s: u32,
    /// What failures are known by.
    pub classifier: Arc<Classifier>,
    /// Another Command Center is told of items.
    pub webhook: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            holds_per_agent: 10_000,
            holds: 1_000_000,
            accounts_per_budget: 2_000_000,
            accounts: 4_000_000,
            runs_per_agent: 100_000,
            runs: 1_000_000,
            key_ttl_s: 24 * 60 * 60,
            clocks: Clocks::default(),
            up_since: None,
            blocked_after_s: 300,
            classifier: Classifier::shared(),
            webhook: false,
        }
    }
}

/// Where in the journal a command is decided, and when.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The batch's time.
    pub now: Timestamp,
    /// Which writer.
    pub writer: u16,
    /// The batch's sequence number.
    pub seq: u64,
    /// The command's place in the batch.
    pub index: u32,
    /// Bounds.
    pub limits: &'a Limits,
}

impl Context<'_> {
    /// Until when a key that is used now is remembered: never less than 24 hours. A hold lives no longer than that in all,
    /// so a key outlives its hold.
    pub fn key_expires_at(&self) -> Timestamp {
        let ttl = SignedDuration::from_secs(self.limits.key_ttl_s.max(LONGEST_HOLD_S));
        self.now.checked_add(ttl).unwrap_or(Timestamp::MAX)
    }

    /// An id of that prefix: 48 bits of milliseconds, 48 of sequence, 16 of place, 16 of writer, as 26 letters of
    /// Crockford's base 32. Unique by its place in the journal, and sorted by time.
    pub fn id(&self, prefix: &str) -> String {
        const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let ms = u128::from(u64::try_from(self.now.as_millisecond()).unwrap_or(0)) & 0xffff_ffff_ffff;
        let seq = u128::from(self.seq & 0xffff_ffff_ffff);
        let bits = (ms << 80) | (seq << 32) | (u128::from(self.index & 0xffff) << 16) | u128::from(self.writer);
        let mut id = String::with_capacity(prefix.len() + 26);
        id.push_str(prefix);
        for n in (0..26).rev() {
            let letter = usize::try_from((bits >> (n * 5)) & 31).unwrap_or(0);
            id.push(char::from(LETTERS[letter]));
        }
        id
    }
}

/// What a command got.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A new decision, recorded.
    Decided(Arc<DecisionRecord>),
    /// A dry run's answer.
    DryRun(Box<AdmissionAnswer>),
    /// It was asked before: that answer again.
    Repeated(FirstAnswer),
    /// The hold as it stands now.
    Hold(Arc<Hold>),
    /// The budget as it stands now.
    Budget(Arc<Budget>),
    /// What an apply changed: created, replaced, deleted, unchanged.
    Applied {
        /// New ones.
        created: Vec<BudgetId>,
        /// Changed ones.
        replaced: Vec<BudgetId>,
        /// Deleted ones.
        deleted: Vec<BudgetId>,
        /// Untouched ones.
        unchanged: Vec<BudgetId>,
    },
    /// The raise.
    Raise(BudgetId, Box<Raise>),
    /// The agent as it stands now.
    Agent(Arc<Agent>),
    /// The entity type as it stands now.
    EntityType(Arc<EntityTypeRecord>),
    /// The pause as it stands now.
    Pause(Arc<Pause>),
    /// The key as it stands now.
    ApiKey(Arc<ApiKey>),
    /// The policy set in force.
    PolicySet(PolicySetHead),
    /// What became of runs, or of what they hang on.
    Run(Box<RunAnswer>),
    /// The item as it stands now.
    Item(Arc<Item>),
    /// Nothing more to say.
    Done,
}

/// Why a command was not carried out. Not a denial: that is an answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// There is one already.
    #[error("there is a {what} {id:?} already, or there was one: ids are not used again")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The key was used for another body.
    #[error("this idempotency key was used for another request")]
    IdempotencyConflict {
        /// The decision that it was used for, if it was one.
        admission: Option<AdmissionId>,
    },
    /// The policy set or the registry changed since it was judged: judge again.
    #[error("the policy set or the registry changed while this was judged")]
    Stale,
    /// The revision is not the one that the admin saw.
    #[error("it was changed since: its revision is {current} now")]
    Revision {
        /// The revision now.
        current: u64,
    },
    /// The hold does not allow it.
    #[error(transparent)]
    Hold(#[from] HoldRefusal),
    /// The budget does not allow it.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The run is not retried.
    #[error(transparent)]
    Retry(#[from] RetryRefusal),
    /// The run is not stopped.
    #[error(transparent)]
    Stop(#[from] StopRefusal),
    /// A field is at fault.
    #[error("{pointer}: {message}")]
    Invalid {
        /// Where, as a JSON pointer.
        pointer: String,
        /// In words.
        message: String,
    },
    /// What was asked for is done already, or its time is over.
    #[error("{0}")]
    Over(String),
}
