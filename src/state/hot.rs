//! The hot state: what decisions read, in maps.

use super::attention::Items;
use super::effect::{Changes, Effect, PolicySetHead};
use super::keys::{KeyEntry, KeyName};
use super::runs::Runs;
use crate::budget::{Account, AccountKey, Accounts, Budget, BudgetIndex, Facts, Hold, HoldState};
use crate::registry::{Agent, ApiKey, EntityTypeRecord, Mode, Pause};
use crate::vocabulary::{AgentId, ApiKeyId, BudgetId, EntityType, HoldId, PauseId};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How many past policy sets are remembered for the list of them.
const POLICY_SETS_KEPT: usize = 1_000;

/// Everything that decisions depend on.
#[derive(Debug, Default, PartialEq)]
pub struct State {
    budgets: BTreeMap<BudgetId, Arc<Budget>>,
    index: BudgetIndex,
    accounts: HashMap<AccountKey, Account>,
    holds: HashMap<HoldId, Arc<Hold>>,
    due: BTreeSet<(Timestamp, HoldId)>,
    open_by_agent: HashMap<AgentId, usize>,
    keys: HashMap<KeyName, Arc<KeyEntry>>,
    key_ends: BTreeSet<(Timestamp, KeyName)>,
    agents: BTreeMap<AgentId, Arc<Agent>>,
    entity_types: BTreeMap<EntityType, Arc<EntityTypeRecord>>,
    pauses: BTreeMap<PauseId, Arc<Pause>>,
    open_pauses: BTreeSet<PauseId>,
    api_keys: BTreeMap<ApiKeyId, Arc<ApiKey>>,
    api_keys_by_hash: HashMap<String, ApiKeyId>,
    policy_sets: Vec<PolicySetHead>,
    seeds: BTreeMap<String, String>,
    runs: Runs,
    attention: Items,
}

impl State {
    /// Makes the changes of one durable batch, decided at `time`.
    pub fn apply(&mut self, changes: &Changes, time: Timestamp) {
        for effect in changes.entries.iter().flat_map(|entry| &entry.effects) {
            self.apply_effect(effect);
            self.runs.apply(effect);
        }
        for account in changes.accounts.values() {
            self.accounts.insert(account.key.clone(), account.clone());
        }
        self.forget_keys(time);
        self.runs.forget(time);
    }

    /// Makes one change.
    fn apply_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Decision(_) | Effect::Alert(_) => {}
            Effect::Run(_) | Effect::RunEvent(_) | Effect::Connector(_) | Effect::Schedule(_) | Effect::Worker(_) => {}
            Effect::ClockConfirmed { .. } => {}
            Effect::Hold(hold) => self.apply_hold(hold),
            Effect::Key(entry) => {
                if let Some(old) = self.keys.insert(entry.name.clone(), Arc::clone(entry)) {
                    self.key_ends.remove(&(old.expires_at, old.name.clone()));
                }
                self.key_ends.insert((entry.expires_at, entry.name.clone()));
            }
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
            Effect::Pause(pause) => {
                if pause.ended.is_none() {
                    self.open_pauses.insert(pause.id.clone());
                } else {
                    self.open_pauses.remove(&pause.id);
                }
                self.pauses.insert(pause.id.clone(), Arc::clone(pause));
            }
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
            Effect::Delivery(delivery) => self.attention.deliveries_mut().put(delivery),
            Effect::Seed { file, sha256 } => {
                self.seeds.insert(file.clone(), sha256.clone());
            }
        }
    }

    fn apply_hold(&mut self, hold: &Arc<Hold>) {
        if let Some(old) = self.holds.insert(hold.id.clone(), Arc::clone(hold))
            && old.state == HoldState::Pending
        {
            self.due.remove(&(old.expires_at, old.id.clone()));
            if let Some(open) = self.open_by_agent.get_mut(&old.agent) {
                *open -= 1;
                if *open == 0 {
                    self.open_by_agent.remove(&old.agent);
                }
            }
        }
        if hold.state == HoldState::Pending {
            self.due.insert((hold.expires_at, hold.id.clone()));
            *self.open_by_agent.entry(hold.agent.clone()).or_default() += 1;
        }
    }

    fn forget_keys(&mut self, now: Timestamp) {
        while let Some((end, _)) = self.key_ends.first()
            && *end <= now
        {
            if let Some((_, name)) = self.key_ends.pop_first() {
                self.keys.remove(&name);
            }
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

    /// The budgets whose scope these facts fit.
    pub fn matching(&self, facts: &Facts<'_>) -> Vec<Arc<Budget>> {
        self.index.matching(facts)
    }

    /// The accounts of one budget.
    pub fn accounts_of<'a>(&'a self, budget: &'a BudgetId) -> impl Iterator<Item = &'a Account> {
        self.accounts.values().filter(move |account| account.key.budget == *budget)
    }

    /// How many accounts are in memory.
    pub fn account_count(&self) -> usize {
        self.accounts.len()
    }

    /// A hold in whatever state.
    pub fn hold(&self, id: &HoldId) -> Option<&Arc<Hold>> {
        self.holds.get(id)
    }

    /// Pending holds whose time has come, earliest first.
    pub fn due_holds(&self, now: Timestamp) -> impl Iterator<Item = &HoldId> {
        self.due.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| id)
    }

    /// When the next pending hold expires.
    pub fn next_hold_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
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
        self.due.len()
    }

    /// How many holds of one agent are pending.
    pub fn open_holds_of(&self, agent: &AgentId) -> usize {
        self.open_by_agent.get(agent).copied().unwrap_or(0)
    }

    /// A used key that is still remembered at `now`.
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
        self.accounts.insert(account.key.clone(), account);
    }
}
