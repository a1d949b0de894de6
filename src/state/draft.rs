//! The overlay that a batch is decided on. It reads through to the state; what it has changed itself it sees first.
//!
//! Only what admissions and holds change is overlaid. An operation on budgets, the registry, pauses, keys or policy ends
//! its batch (`Command::ends_batch`), so nothing later in a batch has to see it.

use super::effect::{Changes, Effect, Entry};
use super::hot::State;
use super::keys::{KeyEntry, KeyName};
use super::loaded::Loaded;
use super::runs_draft::{RunsDraft, RunsView};
use crate::attention::{Denied, Item, ItemState, Subject};
use crate::budget::{Account, AccountKey, Accounts, Budget, Hold, HoldState};
use crate::vocabulary::{AgentId, BudgetId, HoldId, ItemId};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A batch in the making.
#[derive(Debug)]
pub struct Draft<'a> {
    state: &'a State,
    loaded: Option<&'a Loaded>,
    changes: Changes,
    /// Accounts under `each` that memory does not hold yet.
    new_accounts: HashMap<BudgetId, usize>,
    holds: HashMap<HoldId, Arc<Hold>>,
    keys: HashMap<KeyName, Arc<KeyEntry>>,
    due: BTreeSet<(Timestamp, HoldId)>,
    open_by_agent: HashMap<AgentId, isize>,
    open: isize,
    runs: RunsDraft,
    items: HashMap<Subject, Arc<Item>>,
    told: HashMap<ItemId, ItemState>,
    denied: HashMap<Subject, Arc<Denied>>,
}

impl<'a> Draft<'a> {
    /// Nothing changed yet.
    pub fn new(state: &'a State) -> Self {
        Self {
            state,
            loaded: None,
            changes: Changes::default(),
            new_accounts: HashMap::new(),
            holds: HashMap::new(),
            keys: HashMap::new(),
            due: BTreeSet::new(),
            open_by_agent: HashMap::new(),
            open: 0,
            runs: RunsDraft::default(),
            items: HashMap::new(),
            told: HashMap::new(),
            denied: HashMap::new(),
        }
    }

    /// The same, with what was read for its commands besides.
    pub fn with(state: &'a State, loaded: &'a Loaded) -> Self {
        Self { loaded: Some(loaded), ..Self::new(state) }
    }

    /// The state below, as it stood before the batch. For what a batch cannot change before its end.
    pub fn state(&self) -> &'a State {
        self.state
    }

    /// Runs, and what they hang on, as they stand in this batch.
    pub fn runs(&self) -> RunsView<'_> {
        RunsView { below: self.state.runs(), own: &self.runs }
    }

    /// What the batch changes so far.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What the batch changes, in the end.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    /// A hold as it stands in this batch.
    pub fn hold(&self, id: &HoldId) -> Option<&Arc<Hold>> {
        let below = || self.state.hold(id).or_else(|| self.loaded?.holds.get(id));
        self.holds.get(id).or_else(below)
    }

    /// A used key that is still remembered.
    pub fn key(&self, name: &KeyName, now: Timestamp) -> Option<&Arc<KeyEntry>> {
        let own = self.keys.get(name).filter(|entry| now < entry.expires_at);
        let loaded = || self.loaded?.keys.get(name).filter(|entry| now < entry.expires_at);
        own.or_else(|| self.state.key(name, now)).or_else(loaded)
    }

    /// Pending holds whose time has come, so many at most.
    pub fn due_holds(&self, now: Timestamp, most: usize) -> Vec<HoldId> {
        let still_pending = |id: &HoldId| self.hold(id).is_some_and(|hold| hold.is_due(now));
        let below = self.state.due_holds(now).filter(|id| still_pending(id));
        let own = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id);
        let own = own.filter(|id| still_pending(id) && !self.in_state_due(id, now));
        below.chain(own).take(most).cloned().collect()
    }

    fn in_state_due(&self, id: &HoldId, now: Timestamp) -> bool {
        self.state.hold(id).is_some_and(|hold| hold.is_due(now))
    }

    /// The accounts of one budget that are in memory, as they stand in this batch.
    pub fn accounts_of(&self, budget: &BudgetId) -> Vec<Account> {
        let untouched =
            self.state.accounts_of(budget).filter(|account| !self.changes.accounts.contains_key(&account.key));
        let touched = self.changes.accounts.values().filter(|account| account.key.budget == *budget);
        untouched.chain(touched).cloned().collect()
    }

    /// How many accounts memory will hold: of one budget, and in all.
    pub fn account_counts(&self, budget: &BudgetId) -> (usize, usize) {
        let new = self.new_accounts.get(budget).copied().unwrap_or(0);
        let all = self.state.account_count().saturating_add(self.new_accounts.values().sum());
        (self.state.account_count_of(budget).saturating_add(new), all)
    }

    /// How many holds are pending in all.
    pub fn open_holds(&self) -> usize {
        self.state.open_holds().saturating_add_signed(self.open)
    }

    /// How many holds of one agent are pending.
    pub fn open_holds_of(&self, agent: &AgentId) -> usize {
        let change = self.open_by_agent.get(agent).copied().unwrap_or(0);
        self.state.open_holds_of(agent).saturating_add_signed(change)
    }

    /// The item about this, as it stands in this batch.
    pub fn item_about(&self, subject: &Subject) -> Option<&Arc<Item>> {
        self.items.get(subject).or_else(|| self.state.attention().about(subject))
    }

    /// The item of that id, as it stands in this batch.
    pub fn item(&self, id: &ItemId) -> Option<&Arc<Item>> {
        let own = self.items.values().find(|item| item.id == *id);
        own.or_else(|| self.state.attention().get(id))
    }

    /// The state of an item that another Command Center was told last.
    pub fn told(&self, item: &ItemId) -> Option<ItemState> {
        self.told.get(item).copied().or_else(|| self.state.attention().deliveries().told(item))
    }

    /// The denial that is remembered of this, as it stands in this batch.
    pub fn denied(&self, subject: &Subject) -> Option<&Arc<Denied>> {
        let found = self.denied.get(subject).or_else(|| self.state.attention().denied(subject));
        found.filter(|denied| !denied.over)
    }

    /// Denials that nothing followed in time, so many at most.
    pub fn due_denials(&self, now: Timestamp, most: usize) -> Vec<Arc<Denied>> {
        let due = self.state.attention().due_denials(now);
        let due = due.filter_map(|subject| self.denied(subject));
        due.filter(|denied| denied.due_at.is_some_and(|at| at <= now)).take(most).cloned().collect()
    }

    /// Adds effects to an operation that this batch has pushed already.
    pub fn extend(&mut self, index: usize, effects: Vec<Effect>) {
        effects.iter().for_each(|effect| self.overlay(effect));
        if let Some(entry) = self.changes.entries.get_mut(index) {
            entry.effects.extend(effects);
        }
    }

    /// Takes in one operation's outcome. Accounts come by [`Accounts::put_account`], before or after.
    pub fn push(&mut self, entry: Entry) {
        entry.effects.iter().for_each(|effect| self.overlay(effect));
        self.changes.entries.push(entry);
    }

    fn overlay(&mut self, effect: &Effect) {
        self.runs.overlay(effect, self.state.runs());
        match effect {
            Effect::Hold(hold) => self.overlay_hold(hold),
            Effect::Key(key) => {
                self.keys.insert(key.name.clone(), Arc::clone(key));
            }
            Effect::Item(item) => {
                self.items.insert(item.subject.clone(), Arc::clone(item));
            }
            Effect::Delivery(delivery) if delivery.tries == 0 => {
                self.told.insert(delivery.item.clone(), delivery.state);
            }
            Effect::Denied(denied) => {
                self.denied.insert(denied.subject.clone(), Arc::clone(denied));
            }
            _ => {}
        }
    }

    fn overlay_hold(&mut self, hold: &Arc<Hold>) {
        let pending = |hold: &Hold| isize::from(hold.state == HoldState::Pending);
        let before = self.hold(&hold.id).map_or(0, |old| pending(old));
        let change = pending(hold) - before;
        self.open += change;
        *self.open_by_agent.entry(hold.agent.clone()).or_default() += change;
        if hold.state == HoldState::Pending {
            self.due.insert((hold.expires_at, hold.id.clone()));
        }
        self.holds.insert(hold.id.clone(), Arc::clone(hold));
    }
}

impl Accounts for Draft<'_> {
    fn budget(&self, id: &BudgetId) -> Option<&Arc<Budget>> {
        self.state.budget(id)
    }

    fn account(&self, key: &AccountKey) -> Option<&Account> {
        let below = || self.state.account(key).or_else(|| self.loaded?.accounts.get(key));
        self.changes.accounts.get(key).or_else(below)
    }

    fn put_account(&mut self, account: Account) {
        let key = &account.key;
        if !key.each.is_empty() && !self.changes.accounts.contains_key(key) && self.state.account(key).is_none() {
            *self.new_accounts.entry(key.budget.clone()).or_default() += 1;
        }
        self.changes.accounts.insert(account.key.clone(), account);
    }
}
