//! What a run has spent and set aside: per budget, unit, attempt and step.

use crate::budget::{Hold, HoldLine, HoldState, booked};
use crate::vocabulary::{Balance, BudgetId, StepName, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Three sums of one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Set aside, and not yet settled.
    pub held: Balance,
    /// Spent.
    pub settled: Balance,
    /// Set aside, and expired without a word: it may have been spent.
    pub unsettled: Balance,
}

/// What part of a run spent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UsageKey {
    /// The budget that it counts against; `None` for what the run spent in all.
    pub budget: Option<BudgetId>,
    /// The window of the account.
    pub window: Option<String>,
    /// What is counted.
    pub unit: Unit,
    /// In which attempt.
    pub attempt: u32,
    /// In which step.
    pub step: Option<StepName>,
}

/// The usage of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunUsage {
    /// What was spent in all, by unit; each hold counts once, however many budgets it counts against.
    pub totals: BTreeMap<Unit, Sums>,
    /// The same by attempt and step, and against each budget.
    pub lines: BTreeMap<UsageKey, Sums>,
    /// How many holds these are.
    pub holds: usize,
}

impl RunUsage {
    /// Adds other holds' usage.
    pub fn add(&mut self, more: &Self) {
        for (unit, sums) in &more.totals {
            add(self.totals.entry(unit.clone()).or_default(), sums);
        }
        for (key, sums) in &more.lines {
            add(self.lines.entry(key.clone()).or_default(), sums);
        }
        self.holds += more.holds;
    }

    /// Takes holds' usage out that was added before.
    pub fn take_out(&mut self, less: &Self) {
        for (unit, sums) in &less.totals {
            take_out(self.totals.entry(unit.clone()).or_default(), sums);
        }
        for (key, sums) in &less.lines {
            take_out(self.lines.entry(key.clone()).or_default(), sums);
        }
        self.holds = self.holds.saturating_sub(less.holds);
    }
}

/// Sums up the holds that a run's admissions placed.
pub fn usage<'a>(holds: impl IntoIterator<Item = &'a Hold>) -> RunUsage {
    let mut usage = RunUsage::default();
    for hold in holds {
        let Some(of) = &hold.run else { continue };
        usage.holds += 1;
        let key = |budget: Option<&BudgetId>, window: Option<String>, unit: &Unit| UsageKey {
            budget: budget.cloned(),
            window,
            unit: unit.clone(),
            attempt: of.attempt,
            step: of.step.clone(),
        };
        let mut own: BTreeMap<Unit, Sums> = BTreeMap::new();
        for line in &hold.lines {
            let sums = sums(hold, line);
            let account = &line.account;
            add(
                usage
                    .lines
                    .entry(key(Some(&account.budget), Some(account.window.to_string()), &line.unit))
                    .or_default(),
                &sums,
            );
            own.insert(line.unit.clone(), sums);
        }
        // what was spent of a unit that no budget counts
        for (unit, amount) in hold.settlement.iter().flat_map(|settlement| &settlement.actual) {
            own.entry(unit.clone()).or_insert_with(|| Sums { settled: (*amount).into(), ..Sums::default() });
        }
        for (unit, sums) in &own {
            add(usage.lines.entry(key(None, None, unit)).or_default(), sums);
            add(usage.totals.entry(unit.clone()).or_default(), sums);
        }
    }
    usage
}

fn sums(hold: &Hold, line: &HoldLine) -> Sums {
    let held: Balance = line.held.into();
    match hold.state {
        HoldState::Pending => Sums { held, ..Sums::default() },
        HoldState::Expired => Sums { unsettled: held, ..Sums::default() },
        HoldState::Released => Sums::default(),
        HoldState::Settled => {
            let settled = hold.settlement.as_ref().map(|settlement| booked(line, &settlement.actual));
            Sums { settled: settled.map_or(Balance::ZERO, Balance::from), ..Sums::default() }
        }
    }
}

fn add(to: &mut Sums, more: &Sums) {
    for (sum, more) in [(&mut to.held, more.held), (&mut to.settled, more.settled), (&mut to.unsettled, more.unsettled)]
    {
        // as many holds as fit into memory do not come near 128 bits
        *sum = sum.checked_add(more).unwrap_or(*sum);
    }
}

fn take_out(from: &mut Sums, less: &Sums) {
    let less = [less.held, less.settled, less.unsettled].map(|sum| Balance::from_nanos(-sum.nanos()));
    let [held, settled, unsettled] = less;
    add(from, &Sums { held, settled, unsettled });
}
