//! The reference: its own books of what was answered. Every hold with what it set aside, sums by account in windows of its
//! own reckoning, the keys with their answers, and what stops admissions.

use crate::budget::{Budget, Raise, Window};
use crate::registry::{Agent, Mode, PauseTarget};
use crate::state::State;
use crate::vocabulary::{AdmissionId, HoldId, RunId};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub(super) const UNIT: i128 = 1_000_000_000;
pub(super) const ROLLING_S: i64 = 3_600;

/// Budget, window, and the account's part of it.
pub(super) type Name = (String, String, String);

/// Spent, held, unsettled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) spent: i128,
    pub(super) held: i128,
    pub(super) unsettled: i128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Pending,
    Settled,
    Released,
    Expired,
}

/// One account that a hold counts against.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) account: Name,
    pub(super) unit: String,
    pub(super) held: i128,
}

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) id: HoldId,
    pub(super) run: Option<String>,
    pub(super) placed: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) stage: Stage,
    pub(super) lines: Vec<Line>,
    pub(super) actual: BTreeMap<&'static str, i128>,
}

impl Kept {
    /// What it comes to on one of its lines.
    fn sums(&self, line: &Line) -> Sums {
        let mut sums = Sums::default();
        match self.stage {
            Stage::Pending => sums.held = line.held,
            Stage::Expired => sums.unsettled = line.held,
            Stage::Released => {}
            Stage::Settled if line.unit == "calls" => sums.spent = line.held,
            Stage::Settled => sums.spent = self.actual.get(line.unit.as_str()).copied().unwrap_or(0),
        }
        sums
    }
}

/// An admission as it was asked, with the answer that it got.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) body: String,
    pub(super) id: AdmissionId,
    pub(super) answer: String,
    /// From then on the key is free again.
    pub(super) until: Timestamp,
}

/// What an admission is, as budgets and pauses see it.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) agent: String,
    pub(super) action: &'static str,
    pub(super) entity_type: Option<&'static str>,
    pub(super) run: Option<String>,
    pub(super) usd: Option<i128>,
    pub(super) tokens: Option<i128>,
}

impl Facts {
    /// What is asked of a unit; a call counts by itself.
    fn asked(&self, unit: &str) -> Option<i128> {
        match unit {
            "usd" => self.usd,
            "tokens" => self.tokens,
            _ => Some(UNIT),
        }
    }
}

#[derive(Default)]
pub(super) struct Reference {
    pub(super) holds: Vec<Kept>,
    pub(super) places: HashMap<HoldId, usize>,
    sums: BTreeMap<Name, Sums>,
    due: BTreeSet<(Timestamp, usize)>,
    pub(super) budgets: BTreeMap<String, Arc<Budget>>,
    pub(super) raises: BTreeMap<String, Vec<Raise>>,
    /// By agent and key.
    pub(super) keys: BTreeMap<(String, String), Asked>,
    pub(super) pauses: BTreeMap<String, (PauseTarget, Option<Timestamp>)>,
    pub(super) agents: BTreeMap<String, Arc<Agent>>,
    pub(super) down: BTreeSet<String>,
    pub(super) cancelled: BTreeSet<RunId>,
    /// Attempts that came to their end, and how.
    pub(super) ended: BTreeMap<(RunId, u32), &'static str>,
    /// Events that were taken, by run and id: their number.
    pub(super) events: HashMap<(RunId, String), u64>,
    /// Retries by run and key: the attempt.
    pub(super) retries: BTreeMap<(RunId, String), u32>,
    /// Revisions of items that were answered.
    pub(super) items: BTreeMap<String, u64>,
}

fn window(budget: &Budget, at: Timestamp) -> String {
    let text = at.to_string();
    match budget.spec.window {
        Window::Hour { .. } => format!("{}+00:00@UTC", &text[..13]),
        Window::Day { .. } => format!("{}@UTC", &text[..10]),
        Window::Lifetime => "lifetime".to_owned(),
        Window::Rolling { .. } => "rolling".to_owned(),
        ref other => panic!("{other:?}"),
    }
}

pub(super) fn is_rolling(budget: &Budget) -> bool {
    matches!(budget.spec.window, Window::Rolling { .. })
}

/// The account that counts; none where the request lacks the dimension.
pub(super) fn account(budget: &Budget, facts: &Facts, at: Timestamp) -> Option<Name> {
    let each = match budget.spec.each.first().map(|dimension| dimension.as_str()) {
        None => String::new(),
        Some("agent") => format!("agent={}", facts.agent),
        Some(_) => format!("run={}", facts.run.as_ref()?),
    };
    Some((budget.id().to_string(), window(budget, at), each))
}

impl Reference {
    /// What stands in the store now is what stands here: behind edits of which nobody knows whether they were made.
    pub(super) fn adopt(&mut self, state: &State, now: Timestamp) {
        for budget in state.budgets() {
            self.put_budget(budget);
        }
        self.agents = state.agents().map(|agent| (agent.id.to_string(), Arc::clone(agent))).collect();
        let pause = |pause: &Arc<crate::registry::Pause>| (pause.id.to_string(), (pause.target.clone(), pause.ends_at));
        self.pauses = state.pauses_in_force(now).map(pause).collect();
        let down = state.runs().connectors().filter(|connector| connector.status.as_str() == "down");
        self.down = down.map(|connector| connector.id.to_string()).collect();
    }

    pub(super) fn put_budget(&mut self, budget: &Arc<Budget>) {
        self.raises.insert(budget.id().to_string(), budget.raises.clone());
        self.budgets.insert(budget.id().to_string(), Arc::clone(budget));
    }

    pub(super) fn team(&self, agent: &str) -> Option<String> {
        self.agents.get(agent)?.spec.team.as_ref().map(ToString::to_string)
    }

    /// Whether its policy denials only tell.
    pub(super) fn is_observed(&self, agent: &str, now: Timestamp) -> bool {
        let agent = self.agents.get(agent).filter(|agent| agent.mode == Mode::Observe);
        agent.is_some_and(|agent| agent.mode_ends_at.is_some_and(|end| now < end))
    }

    /// The budgets that an admission falls under.
    pub(super) fn matching(&self, facts: &Facts) -> Vec<Arc<Budget>> {
        let team = self.team(&facts.agent);
        let fits = |budget: &&Arc<Budget>| {
            let scope = &budget.spec.scope;
            budget.deleted_at.is_none()
                && scope.agent.as_ref().is_none_or(|agent| agent.as_str() == facts.agent)
                && scope.team.as_ref().is_none_or(|wanted| team.as_deref() == Some(wanted.as_str()))
                && scope.action.as_ref().is_none_or(|action| action.as_str() == facts.action)
                && scope.entity_type.as_ref().is_none_or(|wanted| facts.entity_type == Some(wanted.as_str()))
        };
        self.budgets.values().filter(fits).cloned().collect()
    }

    /// The highest of its own limit and its raises in force.
    fn limit(&self, budget: &Budget, each: &str, now: Timestamp) -> i128 {
        let raises = self.raises.get(budget.id().as_str()).into_iter().flatten();
        let in_force = raises.filter(|raise| {
            raise.withdrawn.is_none()
                && raise.ends_at.is_none_or(|end| now < end)
                && raise.account.as_ref().is_none_or(|own| own == each)
        });
        in_force.map(|raise| raise.limit.nanos()).fold(budget.spec.limit.nanos(), i128::max)
    }

    /// What an account comes to, of holds placed later than a moment where one is given.
    pub(super) fn sums(&self, name: &Name, since: Option<i128>) -> Sums {
        let Some(since) = since else { return self.sums.get(name).copied().unwrap_or_default() };
        let mut sums = Sums::default();
        for kept in self.holds.iter().rev().take_while(|kept| kept.placed.as_nanosecond() > since) {
            for line in kept.lines.iter().filter(|line| line.account == *name) {
                let more = kept.sums(line);
                sums.spent += more.spent;
                sums.held += more.held;
                sums.unsettled += more.unsettled;
            }
        }
        sums
    }

    /// The moments since which a rolling window counts: its exact length, and a sixtieth more.
    pub(super) fn since(now: Timestamp) -> [i128; 2] {
        let length = i128::from(ROLLING_S) * UNIT;
        let exact = now.as_nanosecond() - length;
        [exact, exact - length / 60 - 1]
    }

    /// Whether a hard budget must deny, and whether it may.
    pub(super) fn denies(&self, budget: &Budget, facts: &Facts, now: Timestamp) -> (bool, bool) {
        let asked = facts.asked(budget.spec.unit.as_str());
        let lacking = budget.spec.require_estimate && asked.is_none();
        let Some(name) = account(budget, facts, now) else { return (true, true) };
        let over = |since: Option<i128>| {
            let sums = self.sums(&name, since);
            let unsettled = if budget.spec.count_unsettled { sums.unsettled } else { 0 };
            let left = self.limit(budget, &name.2, now) - sums.spent - sums.held - unsettled;
            lacking || left <= 0 || asked.unwrap_or(0) > left
        };
        if !is_rolling(budget) {
            return (over(None), over(None));
        }
        let [exact, longest] = Self::since(now);
        (over(Some(exact)), over(Some(longest)))
    }

    /// A hold was placed, on the budgets that match, or on those that are named.
    pub(super) fn place(
        &mut self,
        id: HoldId,
        facts: &Facts,
        placed: Timestamp,
        expires: Timestamp,
        named: Option<&[String]>,
    ) {
        let line = |budget: Arc<Budget>| {
            let unit = budget.spec.unit.to_string();
            Some(Line { account: account(&budget, facts, placed)?, held: facts.asked(&unit).unwrap_or(0), unit })
        };
        let budgets = match named {
            None => self.matching(facts),
            Some(named) => named.iter().filter_map(|id| self.budgets.get(id).cloned()).collect(),
        };
        let lines: Vec<Line> = budgets.into_iter().filter_map(line).collect();
        let kept = Kept {
            id: id.clone(),
            run: facts.run.clone(),
            placed,
            expires,
            stage: Stage::Pending,
            lines,
            actual: BTreeMap::new(),
        };
        for line in &kept.lines {
            self.sums.entry(line.account.clone()).or_default().held += line.held;
        }
        self.due.insert((expires, self.holds.len()));
        self.places.insert(id, self.holds.len());
        self.holds.push(kept);
    }

    /// A hold came to another stage.
    pub(super) fn change(&mut self, place: usize, stage: Stage, actual: BTreeMap<&'static str, i128>) {
        let kept = &mut self.holds[place];
        let before: Vec<Sums> = kept.lines.iter().map(|line| kept.sums(line)).collect();
        (kept.stage, kept.actual) = (stage, actual);
        for (line, before) in kept.lines.iter().zip(before) {
            let after = kept.sums(line);
            let sums = self.sums.entry(line.account.clone()).or_default();
            sums.spent += after.spent - before.spent;
            sums.held += after.held - before.held;
            sums.unsettled += after.unsettled - before.unsettled;
        }
        self.due.remove(&(kept.expires, place));
    }

    pub(super) fn extend(&mut self, place: usize, expires: Timestamp) {
        let kept = &mut self.holds[place];
        self.due.remove(&(kept.expires, place));
        kept.expires = expires;
        self.due.insert((expires, place));
    }

    /// Time passes: what is due expires.
    pub(super) fn pass(&mut self, now: Timestamp) {
        while let Some((at, place)) = self.due.first().copied()
            && at <= now
        {
            self.change(place, Stage::Expired, BTreeMap::new());
        }
    }

    pub(super) fn pending(&self) -> usize {
        self.due.len()
    }

    /// Accounts in which something is set aside.
    pub(super) fn holding(&self) -> impl Iterator<Item = &Name> {
        self.sums.iter().filter(|(_, sums)| sums.held != 0).map(|(name, _)| name)
    }
}
