//! How full is what has a cap: told from nine tenths on, long before anything is refused or leaves.

use super::app::App;
use crate::state::{DENIALS_KEPT, ITEMS_OUTSIDE_RUNS};

/// The caps that the configuration sets.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Open holds in all.
    pub holds: usize,
    /// Accounts in all.
    pub accounts: usize,
    /// Accounts of one budget.
    pub accounts_per_budget: usize,
    /// Open runs in all.
    pub runs: usize,
    /// Open runs of one agent.
    pub runs_per_agent: usize,
    /// Used idempotency keys.
    pub keys: usize,
}

/// How much of a cap is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapUse {
    /// Of what, in words.
    pub what: String,
    /// So many there are.
    pub used: u64,
    /// So many there may be.
    pub cap: u64,
}

impl CapUse {
    fn new(what: impl Into<String>, used: usize, cap: usize) -> Self {
        Self { what: what.into(), used: used as u64, cap: cap as u64 }
    }

    /// Nine tenths are used.
    pub fn is_near(&self) -> bool {
        u128::from(self.used) * 10 >= u128::from(self.cap) * 9
    }

    /// No more than eight tenths are: between the two nothing new is said.
    pub fn has_room(&self) -> bool {
        u128::from(self.used) * 10 <= u128::from(self.cap) * 8
    }
}

/// Everything that has a cap that could be reached.
pub fn cap_uses(app: &App) -> Vec<CapUse> {
    let caps = app.caps;
    let older_keys = usize::try_from(app.store.status().used_keys).unwrap_or(usize::MAX);
    app.read(|state| {
        let (runs, items) = (state.runs(), state.attention());
        let (denials, budgets) = items.outside_runs();
        let mut uses = vec![
            CapUse::new("open runs", runs.open_count(), caps.runs),
            CapUse::new("open holds", state.open_holds(), caps.holds),
            CapUse::new("accounts", state.account_count(), caps.accounts),
            CapUse::new("idempotency keys", state.key_count().saturating_add(older_keys), caps.keys),
            CapUse::new("open items of denials outside of runs", denials, ITEMS_OUTSIDE_RUNS),
            CapUse::new("open items of budgets", budgets, ITEMS_OUTSIDE_RUNS),
            CapUse::new("remembered denials", items.denial_count(), DENIALS_KEPT),
        ];
        if let Some((agent, open)) = runs.most_open() {
            uses.push(CapUse::new(format!("open runs of agent {agent}"), open, caps.runs_per_agent));
        }
        // a look at every budget, where one could be near
        let accounts = CapUse::new(String::new(), state.account_count(), caps.accounts_per_budget);
        if !accounts.has_room()
            && let Some((budget, count)) = state.most_accounts()
        {
            uses.push(CapUse::new(format!("accounts of budget {budget}"), count, caps.accounts_per_budget));
        }
        uses
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_from_nine_tenths_on_until_two_are_free() {
        for (used, cap, near, room) in [
            (0, 10, false, true),
            (8, 10, false, true),
            (85, 100, false, false),
            (9, 10, true, false),
            (899_999, 1_000_000, false, false),
            (900_000, 1_000_000, true, false),
            (usize::MAX, usize::MAX, true, false),
        ] {
            let found = CapUse::new("x", used, cap);
            assert_eq!((found.is_near(), found.has_room()), (near, room), "{used} of {cap}");
        }
    }
}
