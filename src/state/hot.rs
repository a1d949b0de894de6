//! The hot state: what decisions read, in maps.

use super::accounts::AccountMap;
use super::attention::Items;
use super::effect::{Changes, CheckpointNote, DroppedSegment, Effect, Entry, JournalNote, PolicySetHead};
use super::holds::HoldMap;
use super::keys::{KeyEntry, KeyMap, KeyName};
use super::runs::Runs;
use crate::budget::{Account, AccountKey, Accounts, Budget, BudgetIndex, Facts, Hold};
use crate::registry::{Agent, ApiKey, EntityTypeRecord, Mode, Pause};
use crate::vocabulary::{AgentId, ApiKeyId, BudgetId, EntityType, HoldId, PauseId};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// How many past policy sets are remembered for the list of them.
const POLICY_SETS_KEPT: usize = 1_000;

/// How many pauses that are over are remembered for the list of them.
const ENDED_PAUSES_KEPT: usize = 1_000;

/// How many checkpoints' notes are remembered: more than there are files.
const CHECKPOINTS_KEPT: usize = 8;

/// Everything that decisions depend on. What is over leaves it, see [`State::forget`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub(super) budgets: BTreeMap<BudgetId, Arc<Budget>>,
    index: BudgetIndex,
    pub(super) accounts: AccountMap,
    pub(super) holds: HoldMap,
    keys: KeyMap,
    pub(super) agents: BTreeMap<AgentId, Arc<Agent>>,
    pub(super) entity_types: BTreeMap<EntityType, Arc<EntityTypeRecord>>,
    pub(super) pauses: BTreeMap<PauseId, Arc<Pause>>,
    open_pauses: BTreeSet<PauseId>,
    pub(super) api_keys: BTreeMap<ApiKeyId, Arc<ApiKey>>,
    api_keys_by_hash: HashMap<String, ApiKeyId>,
    pub(super) policy_sets: Vec<PolicySetHead>,
    pub(super) seeds: BTreeMap<String, String>,
    pub(super) checkpoints: Vec<CheckpointNote>,
    /// What the chain said last of segments that are dropped.
    pub(super) dropped: Vec<DroppedSegment>,
    pub(super) runs: Runs,
    pub(super) attention: Items,
}

/// What memory may let go of, because it can be read elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Forget {
    /// The batch's time.
    pub now: Timestamp,
    /// Holds and accounts as they stood at this record or before.
    pub holds_upto: u64,
    /// Keys that were used by this record or before.
    pub keys_upto: u64,
    /// How many of each are looked at.
    pub most: usize,
}

impl State {
    /// Makes the changes of one durable batch, decided at `time`.
    pub fn apply(&mut self, changes: &Changes, time: Timestamp) {
        self.commit(changes.clone(), 0, time);
    }

    /// The same for the batch of the record `seq`, whose operations are handed back.
    pub fn commit(&mut self, changes: Changes, seq: u64, time: Timestamp) -> Vec<Entry> {
        for effect in changes.entries.iter().flat_map(|entry| &entry.effects) {
            self.apply_effect(effect, seq);
        }
        for account in changes.accounts.into_values() {
            self.put_account_at(account, seq, time);
        }
        self.close_pauses(time);
        for run in self.runs.forget(time) {
            self.accounts.run_left(&run);
        }
        changes.entries
    }

    pub(super) fn put_account_at(&mut self, account: Account, seq: u64, time: Timestamp) {
        let budget = self.budgets.get(&account.key.budget);
        let over_at = budget.map_or(account.end, |budget| account.over_at(&budget.spec.window, time));
        let gone = || account.key.run().filter(|run| self.runs.run(run).is_none()).map(|_| Timestamp::MIN);
        let over_at = over_at.or_else(gone);
        self.accounts.put(account, over_at, seq, time);
    }

    /// Lets go of what is over and can be read elsewhere: holds that ended, accounts of past windows in which nothing is
    /// set aside, used keys. The work of one call is bounded.
    pub fn forget(&mut self, what: Forget) {
        self.holds.forget(what.holds_upto, what.most);
        self.keys.forget(what.now, what.keys_upto, what.most);
        self.accounts.forget(what.now, what.holds_upto, what.most);
    }

    /// Makes one change.
    pub(super) fn apply_effect(&mut self, effect: &Effect, seq: u64) {
        self.runs.apply(effect);
        match effect {
            Effect::Run(_)
            | Effect::RunEvent(_)
            | Effect::RunMemory(_)
            | Effect::Connector(_)
            | Effect::Schedule(_)
            | Effect::Worker(_)
            | Effect::ClockConfirmed { .. }
            | Effect::Decision(_)
            | Effect::Alert(_) => {}
            Effect::Journal(JournalNote::Dropped(segments)) => self.dropped.clone_from(segments),
            Effect::Hold(hold) => self.holds.put(hold, seq),
            Effect::Key(entry) => self.keys.put(entry, seq),
            Effect::Budget(budget) => {
                if let Some(old) = self.budgets.insert(budget.id().clone(), Arc::clone(budget)) {
                    self.index.remove(&old);
                }
                if budget.deleted_at.is_none() {
                    self.index.insert(Arc::clone(budget));
                }
            }
            Effect::Agent(agent) => {
                self.agents.insert(agent.id.clone(), Arc::clone(agent));
            }
            Effect::EntityType(record) => {
                self.entity_types.insert(record.name.clone(), Arc::clone(record));
            }
            Effect::Pause(pause) => self.put_pause(pause),
            Effect::ApiKey(key) => {
                if key.revoked_at.is_none() {
                    self.api_keys_by_hash.insert(key.sha256.clone(), key.id.clone());
                } else {
                    self.api_keys_by_hash.remove(&key.sha256);
                }
                self.api_keys.insert(key.id.clone(), Arc::clone(key));
            }
            Effect::PolicySet(head) => {
                if self.policy_sets.last() != Some(head) {
                    self.policy_sets.push(head.clone());
                }
                if self.policy_sets.len() > POLICY_SETS_KEPT {
                    self.policy_sets.remove(0);
                }
            }
            Effect::Item(item) => self.attention.put(item),
            Effect::Denied(denied) => self.attention.put_denied(denied),
            Effect::ItemTold { item, state } => self.attention.deliveries_mut().put_told(item, *state),
            Effect::Delivery(delivery) => self.attention.deliveries_mut().put(delivery),
            Effect::Seed { file, sha256 } => {
                self.seeds.insert(file.clone(), sha256.clone());
            }
            Effect::Journal(JournalNote::Checkpoint(note)) => {
                if self.checkpoints.last() != Some(note) {
                    self.checkpoints.push(note.clone());
                }
                if self.checkpoints.len() > CHECKPOINTS_KEPT {
                    self.checkpoints.remove(0);
                }
            }
        }
    }

    /// Pauses that are over stay for the list of them, the last thousand.
    fn put_pause(&mut self, pause: &Arc<Pause>) {
        if pause.ended.is_none() {
            self.open_pauses.insert(pause.id.clone());
        } else {
            self.open_pauses.remove(&pause.id);
        }
        self.pauses.insert(pause.id.clone(), Arc::clone(pause));
        while self.pauses.len() - self.open_pauses.len() > ENDED_PAUSES_KEPT {
            let oldest = self.pauses.keys().find(|id| !self.open_pauses.contains(*id)).cloned();
            let Some(oldest) = oldest else { return };
            self.pauses.remove(&oldest);
        }
    }

    /// A pause whose end has come is not looked at for every admission any more. Whether it is in force is its own times'
    /// word, here and in a list.
    fn close_pauses(&mut self, now: Timestamp) {
        if !self.open_pauses.is_empty() {
            let pauses = &self.pauses;
            let lasts = |id: &PauseId| pauses.get(id).is_some_and(|pause| pause.ends_at.is_none_or(|end| now < end));
            self.open_pauses.retain(lasts);
        }
    }

    /// A budget, also a deleted one.
    pub fn budget(&self, id: &BudgetId) -> Option<&Arc<Budget>> {
        self.budgets.get(id)
    }

    /// Every budget, also deleted ones, by id.
    pub fn budgets(&self) -> impl Iterator<Item = &Arc<Budget>> {
        self.budgets.values()
    }

    /// Budgets behind this id (or all), also deleted ones, by id.
    pub fn budgets_behind(&self, id: Option<&BudgetId>) -> impl Iterator<Item = &Arc<Budget>> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.budgets.range::<BudgetId, _>((from, Bound::Unbounded)).map(|(_, budget)| budget)
    }

    /// The budgets whose scope these facts fit.
    pub fn matching(&self, facts: &Facts<'_>) -> Vec<Arc<Budget>> {
        self.index.matching(facts)
    }

    /// The accounts of one budget that are in memory: those of windows that go on, or in which something is set aside.
    pub fn accounts_of<'a>(&'a self, budget: &BudgetId) -> impl Iterator<Item = &'a Account> {
        self.accounts.of(budget)
    }

    /// How many accounts of one budget are in memory.
    pub fn account_count_of(&self, budget: &BudgetId) -> usize {
        self.accounts.count_of(budget)
    }

    /// The budget that has most accounts in memory, and how many.
    pub fn most_accounts(&self) -> Option<(&BudgetId, usize)> {
        self.accounts.most()
    }

    /// How many accounts are in memory.
    pub fn account_count(&self) -> usize {
        self.accounts.len()
    }

    /// A hold that is in memory: every pending one, and what ended lately.
    pub fn hold(&self, id: &HoldId) -> Option<&Arc<Hold>> {
        self.holds.get(id)
    }

    /// How many holds are in memory.
    pub fn hold_count(&self) -> usize {
        self.holds.len()
    }

    /// How many used keys are in memory.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// The segments of the journal that were dropped last: it may begin behind them.
    pub fn dropped(&self) -> &[DroppedSegment] {
        &self.dropped
    }

    /// The checkpoints that the chain names, oldest first.
    pub fn checkpoints(&self) -> &[CheckpointNote] {
        &self.checkpoints
    }

    /// Pending holds whose time has come, earliest first.
    pub fn due_holds(&self, now: Timestamp) -> impl Iterator<Item = &HoldId> {
        self.holds.due().take_while(move |(at, _)| *at <= now).map(|(_, id)| id)
    }

    /// When the next pending hold expires.
    pub fn next_hold_due(&self) -> Option<Timestamp> {
        self.holds.due().next().map(|(at, _)| *at)
    }

    /// When the next thing is due by itself: a hold's end, a run's clock, a schedule's start.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.next_hold_due().into_iter().chain(self.runs.next_due()).chain(self.attention.next_due()).min()
    }

    /// Runs, and what they hang on.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// The items of Command Center.
    pub fn attention(&self) -> &Items {
        &self.attention
    }

    /// How many holds are pending in all.
    pub fn open_holds(&self) -> usize {
        self.holds.open()
    }

    /// How many holds of one agent are pending.
    pub fn open_holds_of(&self, agent: &AgentId) -> usize {
        self.holds.open_of(agent)
    }

    /// A used key that is in memory, and still remembered at `now`.
    pub fn key(&self, name: &KeyName, now: Timestamp) -> Option<&Arc<KeyEntry>> {
        self.keys.get(name).filter(|entry| now < entry.expires_at)
    }

    /// An agent's record, unless it was removed.
    pub fn agent(&self, id: &AgentId) -> Option<&Arc<Agent>> {
        self.agents.get(id).filter(|agent| !agent.removed)
    }

    /// The revision of an agent's record: 0 where there never was one.
    pub fn agent_revision(&self, id: &AgentId) -> u64 {
        self.agents.get(id).map_or(0, |agent| agent.revision)
    }

    /// Every registered agent, by id.
    pub fn agents(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.agents.values().filter(|agent| !agent.removed)
    }

    /// An entity type's record, unless it was removed.
    pub fn entity_type(&self, name: &EntityType) -> Option<&Arc<EntityTypeRecord>> {
        self.entity_types.get(name).filter(|record| !record.removed)
    }

    /// The revision of an entity type's record: 0 where there never was one.
    pub fn entity_type_revision(&self, name: &EntityType) -> u64 {
        self.entity_types.get(name).map_or(0, |record| record.revision)
    }

    /// Every registered entity type, by name.
    pub fn entity_types(&self) -> impl Iterator<Item = &Arc<EntityTypeRecord>> {
        self.entity_types.values().filter(|record| !record.removed)
    }

    /// A pause, also one that has ended.
    pub fn pause(&self, id: &PauseId) -> Option<&Arc<Pause>> {
        self.pauses.get(id)
    }

    /// Every pause, by id.
    pub fn pauses(&self) -> impl Iterator<Item = &Arc<Pause>> {
        self.pauses.values()
    }

    /// The pauses in force.
    pub fn pauses_in_force(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Pause>> {
        self.open_pauses.iter().filter_map(|id| self.pauses.get(id)).filter(move |pause| pause.in_force(now))
    }

    /// An API key, also a revoked one.
    pub fn api_key(&self, id: &ApiKeyId) -> Option<&Arc<ApiKey>> {
        self.api_keys.get(id)
    }

    /// The key whose secret has this SHA-256 (hex), unless revoked. The map is over digests of 256-bit secrets: how long
    /// a look-up takes tells nothing of a secret.
    pub fn api_key_by_hash(&self, sha256: &str) -> Option<&Arc<ApiKey>> {
        self.api_keys_by_hash.get(sha256).and_then(|id| self.api_keys.get(id))
    }

    /// Every API key, by id.
    pub fn api_keys(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.api_keys.values()
    }

    /// The policy set in force.
    pub fn policy_set(&self) -> Option<&PolicySetHead> {
        self.policy_sets.last()
    }

    /// The policy sets that were in force, oldest first.
    pub fn policy_sets(&self) -> &[PolicySetHead] {
        &self.policy_sets
    }

    /// SHA-256 of a seed file when it was last taken in.
    pub fn seed(&self, file: &str) -> Option<&str> {
        self.seeds.get(file).map(String::as_str)
    }

    /// The mode of an agent at `now`; an unregistered one is enforced.
    pub fn mode_of(&self, agent: &AgentId, now: Timestamp) -> Mode {
        self.agent(agent).map_or(Mode::Enforce, |agent| agent.mode_at(now))
    }
}

impl Accounts for State {
    fn budget(&self, id: &BudgetId) -> Option<&Arc<Budget>> {
        self.budgets.get(id)
    }

    fn account(&self, key: &AccountKey) -> Option<&Account> {
        self.accounts.get(key)
    }

    fn put_account(&mut self, account: Account) {
        self.put_account_at(account, 0, Timestamp::MIN);
    }
}
