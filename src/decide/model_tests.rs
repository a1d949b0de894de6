//! Random lives of a gate against a reference that keeps every hold and adds them up anew each time, with windows of its
//! own reckoning. The gate's batches go through JSON and are applied twice (see [`super::gate_tests`]).

use super::gate_tests::{Gate, amounts, ask, codes, in_run, read};
use super::{Answer, BudgetEdit, Command, HoldCommand, RaiseCommand};
use crate::admission::Decision;
use crate::budget::{Bucket, BudgetSpec};
use crate::vocabulary::{Balance, HoldId, RaiseId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const UNIT: i128 = 1_000_000_000;
const ROLLING_S: i64 = 3_600;

/// A budget as the reference knows it: id, unit, window, each, agent, hard, whether unsettled counts, limit.
struct Row(&'static str, &'static str, &'static str, &'static str, Option<&'static str>, bool, bool, i128);

const ROWS: [Row; 7] = [
    Row("agents", "usd", "lifetime", "agent", None, true, false, 300),
    Row("calls", "calls", "hour", "", Some("b"), true, false, 6),
    Row("counted", "usd", "hour", "", Some("a"), true, true, 60),
    Row("day", "usd", "day", "", None, true, false, 100),
    Row("roll", "usd", "rolling", "", None, true, false, 80),
    Row("run", "tokens", "lifetime", "run", None, true, false, 50),
    Row("soft", "calls", "day", "", None, false, false, 3),
];

fn fields(row: &Row, limit: i128) -> Value {
    let mut fields = json!({"id": row.0, "unit": row.1, "limit": limit.to_string(), "window": {"kind": row.2},
        "alert_at_percent": [50, 100]});
    if row.2 == "rolling" {
        fields["window"]["length_s"] = json!(ROLLING_S);
    }
    if !row.3.is_empty() {
        fields["each"] = json!([row.3]);
    }
    if let Some(agent) = row.4 {
        fields["scope"] = json!({"agent": agent});
    }
    fields["enforcement"] = json!(if row.5 { "hard" } else { "soft" });
    fields["count_unsettled"] = json!(row.6);
    fields
}

#[derive(Clone, Debug)]
enum Step {
    Admit { agent: bool, run: Option<u8>, usd: Option<u32>, tokens: Option<u32>, ttl_s: u32, again: bool },
    Settle { hold: usize, usd: u32, tokens: u32 },
    Release(usize),
    Extend(usize, u32),
    Raise { budget: usize, more: i128, all: bool },
    Withdraw(usize),
    Limit { budget: usize, limit: i128 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<bool>(), prop::option::of(0_u8..3), prop::option::of(0_u32..40), prop::option::of(0_u32..30), 1_u32..=86_400, prop::bool::weighted(0.1))
            .prop_map(|(agent, run, usd, tokens, ttl_s, again)| Step::Admit { agent, run, usd, tokens, ttl_s, again }),
        4 => (0_usize..60, 0_u32..60, 0_u32..40).prop_map(|(hold, usd, tokens)| Step::Settle { hold, usd, tokens }),
        1 => (0_usize..60).prop_map(Step::Release),
        1 => (0_usize..60, 1_u32..=86_400).prop_map(|(hold, ttl_s)| Step::Extend(hold, ttl_s)),
        1 => (0_usize..7, 0_i128..200, any::<bool>()).prop_map(|(budget, more, all)| Step::Raise { budget, more, all }),
        1 => (0_usize..7).prop_map(Step::Withdraw),
        1 => (0_usize..7, 0_i128..200).prop_map(|(budget, limit)| Step::Limit { budget, limit }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Pending,
    Settled,
    Released,
    Expired,
}

#[derive(Clone, Debug)]
struct Kept {
    id: HoldId,
    agent: &'static str,
    run: Option<u8>,
    placed: Timestamp,
    expires: Timestamp,
    stage: Stage,
    /// By unit, as it was asked; `calls` at least one.
    asked: BTreeMap<&'static str, i128>,
    actual: BTreeMap<&'static str, i128>,
    /// Which budgets matched.
    rows: Vec<usize>,
}

struct Raised {
    row: usize,
    id: RaiseId,
    limit: i128,
    each: Option<&'static str>,
    ends: Option<Timestamp>,
}

/// The reference.
struct Model {
    holds: Vec<Kept>,
    limits: Vec<i128>,
    raises: Vec<Raised>,
}

/// The window's name and the account's part of it; `None` where the request lacks the dimension.
fn key(row: &Row, agent: &str, run: Option<u8>, at: Timestamp) -> Option<(String, String)> {
    let text = at.to_string();
    let window = match row.2 {
        "hour" => format!("{}+00:00@UTC", &text[..13]),
        "day" => format!("{}@UTC", &text[..10]),
        other => other.to_owned(),
    };
    let each = match row.3 {
        "agent" => format!("agent={agent}"),
        "run" => format!("run={agent}{}", run?),
        _ => String::new(),
    };
    Some((window, each))
}

impl Kept {
    /// Spent, held, unsettled in one row's account.
    fn sums(&self, row: &Row) -> (i128, i128, i128) {
        let asked = self.asked.get(row.1).copied().unwrap_or(0);
        match self.stage {
            Stage::Pending => (0, asked, 0),
            Stage::Expired => (0, 0, asked),
            Stage::Released => (0, 0, 0),
            Stage::Settled => (self.actual.get(row.1).copied().unwrap_or(0), 0, 0),
        }
    }
}

impl Model {
    fn sums(&self, row: usize, account: &(String, String), since: Option<i128>) -> (i128, i128, i128) {
        let counts = |kept: &&Kept| {
            kept.rows.contains(&row)
                && key(&ROWS[row], kept.agent, kept.run, kept.placed).as_ref() == Some(account)
                && since.is_none_or(|since| kept.placed.as_nanosecond() > since)
        };
        self.holds
            .iter()
            .filter(counts)
            .map(|kept| kept.sums(&ROWS[row]))
            .fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2))
    }

    fn limit(&self, row: usize, each: &str, now: Timestamp) -> i128 {
        let counts = |raise: &&Raised| {
            raise.row == row && raise.ends.is_none_or(|end| now < end) && raise.each.is_none_or(|own| own == each)
        };
        self.raises.iter().filter(counts).map(|raise| raise.limit).fold(self.limits[row], i128::max)
    }

    /// Whether a row denies; of a rolling one both readings, of the exact length and of a sixtieth more.
    fn denies(&self, row: usize, account: &(String, String), asked: i128, now: Timestamp) -> (bool, bool) {
        let spec = &ROWS[row];
        let over = |since: Option<i128>| {
            let (spent, held, unsettled) = self.sums(row, account, since);
            let used = spent + held + if spec.6 { unsettled } else { 0 };
            let left = self.limit(row, &account.1, now) * UNIT - used;
            left <= 0 || asked > left
        };
        if spec.2 != "rolling" {
            return (over(None), over(None));
        }
        let length = i128::from(ROLLING_S) * UNIT;
        let since = now.as_nanosecond() - length;
        (over(Some(since)), over(Some(since - length / 60 - 1)))
    }

    fn pass(&mut self, now: Timestamp) {
        for kept in self.holds.iter_mut().filter(|kept| kept.stage == Stage::Pending && kept.expires <= now) {
            kept.stage = Stage::Expired;
        }
    }
}

struct Life {
    gate: Gate,
    model: Model,
    asked: usize,
}

impl Life {
    fn new() -> Self {
        let mut gate = Gate::new("2026-10-31T12:00:00Z");
        for row in &ROWS {
            gate.budget(&fields(row, row.7));
        }
        let model = Model { holds: Vec::new(), limits: ROWS.iter().map(|row| row.7).collect(), raises: Vec::new() };
        Self { gate, model, asked: 0 }
    }

    fn command(&mut self, step: &Step) -> Option<Command> {
        let hold =
            |index: usize| self.model.holds.get(index % self.model.holds.len().max(1)).map(|kept| kept.id.clone());
        let key = format!("k{}", self.asked);
        Some(match step {
            Step::Admit { agent, run, usd, tokens, ttl_s, again } => {
                if !again {
                    self.asked += 1;
                }
                let (usd, tokens) = (usd.map(|n| n.to_string()), tokens.map(|n| n.to_string()));
                let estimate: Vec<_> = usd.iter().map(|n| ("usd", n.as_str())).collect();
                let estimate = [estimate, tokens.iter().map(|n| ("tokens", n.as_str())).collect()].concat();
                let mut ask = ask(if *agent { "a" } else { "b" }, &format!("k{}", self.asked), &estimate);
                ask.request.hold_ttl_s = *ttl_s;
                if let Some(run) = run {
                    // a run is of one agent
                    ask = in_run(ask, &format!("{}{run}", if *agent { "a" } else { "b" }));
                }
                ask.body = format!("{step:?}");
                Command::Admit(Box::new(ask))
            }
            Step::Settle { hold: index, usd, tokens } => {
                let (usd, tokens) = (usd.to_string(), tokens.to_string());
                Command::Hold(hold(*index)?, HoldCommand::Settle(amounts(&[("usd", &usd), ("tokens", &tokens)])))
            }
            Step::Release(index) => Command::Hold(hold(*index)?, HoldCommand::Release("x".to_owned())),
            Step::Extend(index, ttl_s) => Command::Hold(hold(*index)?, HoldCommand::Extend(*ttl_s)),
            Step::Raise { budget, more, all } => {
                self.asked += 1;
                let row = &ROWS[*budget];
                let one = if row.3 == "agent" { "agent=a" } else { "run=a1" };
                Command::Budget(BudgetEdit::Raise(RaiseCommand {
                    budget: row.0.parse().unwrap(),
                    limit: Balance::from_nanos((self.model.limits[*budget] + more) * UNIT),
                    account: (!row.3.is_empty() && !all).then(|| one.to_owned()),
                    all: !row.3.is_empty() && *all,
                    reason: "x".to_owned(),
                    evidence: None,
                    ends_at: None,
                    permanent: row.2 == "lifetime",
                    key: key.parse().unwrap(),
                    body: key,
                }))
            }
            Step::Withdraw(budget) => {
                let raise = self.model.raises.iter().rev().find(|raise| raise.row == *budget)?;
                let id = ROWS[*budget].0.parse().unwrap();
                Command::Budget(BudgetEdit::Withdraw(id, raise.id.clone(), "x".to_owned()))
            }
            Step::Limit { budget, limit } => {
                let spec: BudgetSpec = serde_json::from_value(fields(&ROWS[*budget], *limit)).unwrap();
                let revision = self.gate.state.budget(&spec.id).unwrap().revision;
                Command::Budget(BudgetEdit::Replace(spec, Some(revision)))
            }
        })
    }

    /// What the reference makes of a step, and whether the gate's answer is that.
    fn judge(&mut self, step: &Step, answer: &Result<Answer, super::Refusal>) {
        let now = self.gate.now;
        match step {
            Step::Admit { .. } => self.judge_admission(step, answer),
            Step::Settle { hold, usd, tokens } => {
                let kept = self.kept(*hold);
                let mut actual =
                    BTreeMap::from([("usd", i128::from(*usd) * UNIT), ("tokens", i128::from(*tokens) * UNIT)]);
                actual.insert("calls", UNIT);
                let fits = kept.stage != Stage::Settled || kept.actual == actual;
                assert_eq!(answer.is_ok(), fits, "{kept:?} {answer:?}");
                if fits {
                    (kept.stage, kept.actual) = (Stage::Settled, actual);
                }
            }
            Step::Release(hold) => {
                let kept = self.kept(*hold);
                assert_eq!(answer.is_ok(), matches!(kept.stage, Stage::Pending | Stage::Released), "{kept:?}");
                if answer.is_ok() {
                    kept.stage = Stage::Released;
                }
            }
            Step::Extend(hold, ttl_s) => {
                let wanted = now + SignedDuration::from_secs(i64::from(*ttl_s));
                let kept = self.kept(*hold);
                let fits = kept.stage == Stage::Pending && wanted <= kept.placed + SignedDuration::from_hours(24);
                assert_eq!(answer.is_ok(), fits, "{kept:?} {answer:?}");
                if fits {
                    kept.expires = kept.expires.max(wanted);
                }
            }
            Step::Raise { budget, more, all } => {
                assert_eq!(answer.is_ok(), *more > 0, "{answer:?}");
                let Ok(Answer::Raise(_, raise)) = answer else { return };
                let one = if ROWS[*budget].3 == "agent" { "agent=a" } else { "run=a1" };
                self.model.raises.push(Raised {
                    row: *budget,
                    id: raise.id.clone(),
                    limit: self.model.limits[*budget] + more,
                    each: (!ROWS[*budget].3.is_empty() && !all).then_some(one),
                    ends: end_of_window(ROWS[*budget].2, now),
                });
            }
            Step::Withdraw(budget) => {
                let place = self.model.raises.iter().rposition(|raise| raise.row == *budget).unwrap();
                let over = self.model.raises[place].ends.is_some_and(|end| end <= now);
                assert_eq!(answer.is_ok(), !over, "{answer:?}");
                if !over {
                    self.model.raises.remove(place);
                }
            }
            Step::Limit { budget, limit } => {
                assert!(answer.is_ok(), "{answer:?}");
                self.model.limits[*budget] = *limit;
            }
        }
    }

    fn kept(&mut self, index: usize) -> &mut Kept {
        let count = self.model.holds.len();
        &mut self.model.holds[index % count]
    }

    fn judge_admission(&mut self, step: &Step, answer: &Result<Answer, super::Refusal>) {
        let Step::Admit { agent, run, usd, tokens, ttl_s, again } = step else { return };
        if *again && !matches!(answer, Ok(Answer::Decided(_))) {
            // the key was used, for this body or another: nothing was placed
            return;
        }
        let (now, agent) = (self.gate.now, if *agent { "a" } else { "b" });
        let answer = read(answer.clone().unwrap());
        let mut asked = BTreeMap::from([("calls", UNIT)]);
        asked.extend(usd.map(|n| ("usd", i128::from(n) * UNIT)));
        asked.extend(tokens.map(|n| ("tokens", i128::from(n) * UNIT)));
        let rows: Vec<usize> =
            (0..ROWS.len()).filter(|row| ROWS[*row].4.is_none_or(|wanted| wanted == agent)).collect();
        let (mut must, mut may) = (BTreeSet::new(), BTreeSet::new());
        for row in rows.iter().copied().filter(|row| ROWS[*row].5) {
            let (exact, longest) = match key(&ROWS[row], agent, *run, now) {
                None => (true, true),
                Some(account) => self.model.denies(row, &account, asked.get(ROWS[row].1).copied().unwrap_or(0), now),
            };
            must.extend(exact.then_some(ROWS[row].0.to_owned()));
            may.extend(longest.then_some(ROWS[row].0.to_owned()));
        }
        let denying: BTreeSet<String> = answer
            .reasons
            .iter()
            .map(|reason| reason.details.as_ref().unwrap()["budget"].as_str().unwrap().to_owned())
            .collect();
        assert!(must.is_subset(&denying) && denying.is_subset(&may), "{must:?} <= {denying:?} <= {may:?}");
        assert_eq!(answer.decision == Decision::Allow, denying.is_empty(), "{:?}", codes(&answer));
        let Some(hold) = answer.hold else { return };
        assert_eq!(hold.budgets.len(), rows.len(), "on all of them");
        let expires = now + SignedDuration::from_secs(i64::from(*ttl_s));
        let (actual, stage, id) = (BTreeMap::new(), Stage::Pending, hold.id);
        self.model.holds.push(Kept { id, agent, run: *run, placed: now, expires, stage, asked, actual, rows });
    }

    /// One batch: as many steps as stand before the first edit, and that.
    fn batch(&mut self, seconds: i64, steps: &[Step]) {
        self.gate.now += SignedDuration::from_millis(seconds * 1000 + 7);
        self.model.pass(self.gate.now);
        let mut steps: Vec<&Step> = steps.iter().collect();
        while !steps.is_empty() {
            let (mut taken, mut commands) = (Vec::new(), Vec::new());
            while !steps.is_empty() && commands.last().is_none_or(|command: &Command| !command.ends_batch()) {
                let step = steps.remove(0);
                if let Some(command) = self.command(step) {
                    taken.push(step);
                    commands.push(command);
                }
            }
            // which hold a step names is a matter of how many there were when the batch was made
            let count = self.model.holds.len();
            let answers = self.gate.batch(commands);
            for (step, answer) in taken.into_iter().zip(&answers) {
                let pinned = match step.clone() {
                    Step::Settle { hold, usd, tokens } => Step::Settle { hold: hold % count, usd, tokens },
                    Step::Release(hold) => Step::Release(hold % count),
                    Step::Extend(hold, ttl_s) => Step::Extend(hold % count, ttl_s),
                    other => other,
                };
                self.judge(&pinned, answer);
            }
            self.check();
        }
    }

    /// Every account is the sum of its holds, and every hold stands where the reference has it.
    fn check(&self) {
        for (n, row) in ROWS.iter().enumerate() {
            for account in self.gate.state.accounts_of(&row.0.parse().unwrap()) {
                let name = (account.key.window.to_string(), account.key.each.to_string());
                let nanos = |sums: Bucket| (sums.spent.nanos(), sums.held.nanos(), sums.unsettled.nanos());
                if row.2 == "rolling" {
                    let length = i128::from(ROLLING_S) * UNIT;
                    let budget = self.gate.state.budget(&row.0.parse().unwrap()).unwrap();
                    let counted = nanos(account.figures(&budget.spec.window, self.gate.now));
                    let since = self.gate.now.as_nanosecond() - length;
                    let exact = self.model.sums(n, &name, Some(since));
                    let longest = self.model.sums(n, &name, Some(since - length / 60 - 1));
                    let within = |a: i128, b: i128, c: i128| a <= b && b <= c;
                    assert!(within(exact.0, counted.0, longest.0), "{exact:?} {counted:?} {longest:?}");
                    assert!(within(exact.1, counted.1, longest.1), "{exact:?} {counted:?} {longest:?}");
                    assert!(within(exact.2, counted.2, longest.2), "{exact:?} {counted:?} {longest:?}");
                } else {
                    assert_eq!(nanos(account.sums), self.model.sums(n, &name, None), "{} {}", row.0, account.key);
                }
                let mut told: Vec<u32> = account.alerts.iter().map(|fired| fired.percent).collect();
                told.dedup();
                assert_eq!(told.len(), account.alerts.len(), "told once");
            }
        }
        let pending = self.model.holds.iter().filter(|kept| kept.stage == Stage::Pending);
        assert_eq!(self.gate.state.open_holds(), pending.clone().count());
        assert_eq!(self.gate.state.next_hold_due(), pending.map(|kept| kept.expires).min());
        for kept in &self.model.holds {
            assert_eq!(format!("{:?}", self.gate.state.hold(&kept.id).unwrap().state), format!("{:?}", kept.stage));
        }
    }
}

fn end_of_window(kind: &str, now: Timestamp) -> Option<Timestamp> {
    let length = match kind {
        "hour" => 3_600,
        "day" => 86_400,
        "rolling" => return Some(now + SignedDuration::from_secs(ROLLING_S)),
        _ => return None,
    };
    Some(Timestamp::from_second((now.as_second().div_euclid(length) + 1) * length).unwrap())
}

proptest! {
    #[test]
    fn the_gate_keeps_its_word(
        batches in prop::collection::vec((0_i64..20_000, prop::collection::vec(step(), 1..8)), 1..25),
    ) {
        let mut life = Life::new();
        for (seconds, steps) in &batches {
            life.batch(*seconds, steps);
        }
    }
}
