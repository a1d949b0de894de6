//! The ledger's specification, as a table of stories that a person can read: each line is an act and what it answers,
//! or what the account shows.

use super::*;
use crate::vocabulary::{ActionName, AdmissionId, AgentId, Amount, Balance, BudgetId, HoldId, RaiseId, RunId, Unit};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Everything a story needs: budgets, accounts, holds and a clock.
#[derive(Default)]
pub(super) struct World {
    pub(super) budgets: HashMap<BudgetId, Arc<Budget>>,
    pub(super) index: BudgetIndex,
    pub(super) accounts: HashMap<AccountKey, Account>,
    pub(super) holds: BTreeMap<String, Hold>,
    pub(super) told: Vec<String>,
    pub(super) now: Timestamp,
}

impl Accounts for World {
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

/// `usd 0.42, tokens 100`.
pub(super) fn amounts(text: &str) -> BTreeMap<Unit, Amount> {
    let parts = text.split(", ").filter(|part| !part.is_empty());
    parts.map(|part| part.split_once(' ').unwrap()).map(|(u, a)| (u.parse().unwrap(), a.parse().unwrap())).collect()
}

/// The key of a budget's account at a time.
pub(super) fn key(budget: &Budget, each: &str, now: Timestamp) -> AccountKey {
    let window = budget.spec.window.span(now).label.as_str().into();
    AccountKey { budget: budget.id().clone(), window, each: each.into() }
}

fn told(alert: &Alert) -> String {
    match (alert.kind, alert.percent) {
        (AlertKind::Threshold, percent) => format!("{}%", percent.unwrap()),
        (AlertKind::LimitPassed, _) => format!("{} passed {}", alert.amount, alert.limit),
        (AlertKind::Unsettled, _) => format!("{} unsettled", alert.amount),
    }
}

impl World {
    pub(super) fn put(&mut self, budget: Budget) {
        let budget = Arc::new(budget);
        if let Some(old) = self.budgets.insert(budget.id().clone(), Arc::clone(&budget)) {
            self.index.remove(&old);
        }
        if budget.deleted_at.is_none() {
            self.index.insert(budget);
        }
    }

    /// Expires what is due, as every batch does first.
    pub(super) fn at(&mut self, now: Timestamp) {
        self.now = now;
        let due: Vec<Hold> = self.holds.values().filter(|hold| hold.is_due(now)).cloned().collect();
        for hold in due {
            let outcome = expire(&hold, now, self).map(Some);
            self.take(outcome);
        }
    }

    pub(super) fn assess(&self, run: Option<&str>, estimate: &BTreeMap<Unit, Amount>) -> Assessment {
        let (agent, action) = (AgentId::new("rfq-draft").unwrap(), ActionName::new("draft_quote").unwrap());
        let run = run.map(|run| RunId::new(run).unwrap());
        let facts = Facts { agent: &agent, team: None, entity_type: None, action: &action, run: run.as_ref() };
        assess(self.now, &facts, estimate, &self.index.matching(&facts), self)
    }

    pub(super) fn place(
        &mut self,
        name: &str,
        run: Option<&str>,
        estimate: &BTreeMap<Unit, Amount>,
        ttl_s: u32,
    ) -> String {
        let assessment = self.assess(run, estimate);
        self.told.extend(assessment.warnings.iter().map(|warning| warning.message.clone()));
        if !assessment.reasons.is_empty() {
            let told = |reason: &crate::vocabulary::Reason| format!("{}: {}", reason.code, reason.message);
            return assessment.reasons.iter().map(told).collect::<Vec<_>>().join(" ");
        }
        let (id, admission) = (HoldId::new(name).unwrap(), AdmissionId::new("adm").unwrap());
        let expires_at = self.now.checked_add(SignedDuration::from_secs(i64::from(ttl_s))).unwrap();
        let agent = AgentId::new("rfq-draft").unwrap();
        let placed = place(assessment, id, admission, agent, self.now, expires_at, self).unwrap();
        self.told.extend(placed.alerts.iter().map(told));
        self.holds.insert(name.to_owned(), placed.hold);
        "allow".to_owned()
    }

    pub(super) fn take(&mut self, outcome: Result<Option<Changed>, HoldRefusal>) -> String {
        match outcome {
            Ok(None) => "repeated".to_owned(),
            Err(refusal) => refusal.to_string(),
            Ok(Some(Changed { hold, alerts })) => {
                self.told.extend(alerts.iter().map(told));
                self.holds.insert(hold.id.to_string(), hold);
                "done".to_owned()
            }
        }
    }

    fn edit(&mut self, id: &str, edited: Result<Budget, BudgetError>) -> String {
        match edited {
            Ok(budget) if budget == *self.budgets[id] => "same".to_owned(),
            Ok(budget) => {
                self.put(budget);
                "done".to_owned()
            }
            Err(error) => error.to_string(),
        }
    }

    /// A raise as an admin writes it.
    fn raise(&mut self, id: &str, body: &Value) -> String {
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
        let request = RaiseRequest {
            id: RaiseId::new(text("id").unwrap_or("r1")).unwrap(),
            limit: text("limit").unwrap().parse().unwrap(),
            account: text("account"),
            all: flag("all"),
            reason: text("reason").unwrap_or_default(),
            evidence: None,
            by: "ada",
            ends_at: text("ends_at").map(|at| at.parse().unwrap()),
            permanent: flag("permanent"),
        };
        let edited = raise(&self.budgets[id].clone(), &request, self.now).map(|(budget, _)| budget);
        self.edit(id, edited)
    }

    /// One line of a story.
    fn act(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        let rest = |from: usize| words.get(from..).unwrap_or_default().join(" ");
        let hold = || self.holds.get(word(1)).cloned().unwrap_or_else(|| panic!("no hold {}", word(1)));
        match word(0) {
            "at" => {
                self.at(word(1).parse().unwrap());
                "done".to_owned()
            }
            "place" => self.place(word(1), None, &amounts(&rest(2)), 600),
            "settle" => {
                let outcome = settle(&hold(), &amounts(&rest(2)), "agent", self.now, self);
                self.take(outcome)
            }
            "release" => {
                let outcome = release(&hold(), "not done", "agent", self.now, self);
                self.take(outcome)
            }
            "extend" => {
                let outcome = extend(&hold(), word(2).parse().unwrap(), self.now);
                self.take(outcome)
            }
            "run" => self.place(word(2), Some(word(1)), &amounts(word(3)), 600),
            "raise" => self.raise(word(1), &serde_json::from_str(&rest(2)).unwrap()),
            "withdraw" => {
                let id = RaiseId::new("r1").unwrap();
                self.edit(word(1), withdraw(&self.budgets[word(1)].clone(), &id, "ada", "done", self.now))
            }
            "delete" => self.edit(word(1), delete(&self.budgets[word(1)].clone(), self.now)),
            "put" => {
                let mut fields = serde_json::to_value(&self.budgets[word(1)].spec).unwrap();
                let change: Value = serde_json::from_str(&rest(2)).unwrap();
                for (name, value) in change.as_object().unwrap() {
                    fields[name] = value.clone();
                }
                let spec = serde_json::from_value(fields).unwrap();
                self.edit(word(1), replace(&self.budgets[word(1)].clone(), spec, self.now))
            }
            "show" => {
                let budget = Arc::clone(&self.budgets[word(1)]);
                let account = self.accounts.get(&key(&budget, word(2), self.now));
                let seen = view(&budget, account.into_iter(), self.now);
                let usage = seen.usage.or_else(|| seen.accounts.unwrap().pop()).unwrap();
                let AccountUsage { spent, held, unsettled, remaining, limit_in_force, .. } = usage;
                format!("spent {spent} held {held} unsettled {unsettled} left {remaining} of {limit_in_force}")
            }
            "old" => {
                let (budget, window) = (&self.budgets[word(1)], word(2).into());
                let key = AccountKey { budget: budget.id().clone(), window, each: "".into() };
                let figures = self.accounts[&key].figures(&budget.spec.window, self.now);
                format!("spent {} held {} unsettled {}", figures.spent, figures.held, figures.unsettled)
            }
            "told" => std::mem::take(&mut self.told).join(", "),
            other => panic!("{other}"),
        }
    }
}

pub(super) fn budget(id: &str, change: Value) -> BudgetSpec {
    let mut fields = json!({"id": id, "scope": {"agent": "rfq-draft"}, "unit": "usd", "limit": "5.00",
        "window": {"kind": "day", "time_zone": "America/New_York"}, "enforcement": "hard"});
    for (name, value) in change.as_object().unwrap() {
        fields[name] = value.clone();
    }
    serde_json::from_value(fields).unwrap()
}

/// Noon in New York, and a story.
fn story(budgets: &[BudgetSpec], lines: &[(&str, &str)]) {
    let mut world = World { now: "2026-11-23T17:00:00Z".parse().unwrap(), ..World::default() };
    for spec in budgets {
        world.put(create(spec.clone(), world.now).unwrap());
    }
    for (number, (line, wanted)) in lines.iter().enumerate() {
        assert_eq!(world.act(line), *wanted, "line {number}: {line}");
    }
}

#[test]
fn a_hard_budget_denies_what_does_not_fit_in_words() {
    story(
        &[budget("d", json!({}))],
        &[
            ("place a usd 4.90", "allow"),
            ("show d", "spent 0 held 4.90 unsettled 0 left 0.10 of 5"),
            (
                "place b usd 0.42",
                "budget_exceeded: Daily budget of rfq-draft: 0.42 USD asked, 0.10 USD left; it resets at 2026-11-24T00:00:00-05:00.",
            ),
            (
                "place b usd 9",
                "budget_exceeded: Daily budget of rfq-draft: 9 USD asked, 0.10 USD left; the limit is 5 USD, so this never fits.",
            ),
            ("place b usd 0.10", "allow"),
            // nothing left: denied whatever the unit
            (
                "place c tokens 7",
                "budget_exceeded: Daily budget of rfq-draft: nothing left; it resets at 2026-11-24T00:00:00-05:00.",
            ),
            (
                "place c ",
                "budget_exceeded: Daily budget of rfq-draft: nothing left; it resets at 2026-11-24T00:00:00-05:00.",
            ),
            // the next day is another account: nothing was reset
            ("at 2026-11-24T05:00:00Z", "done"),
            ("place c usd 5", "allow"),
        ],
    );
}

#[test]
fn every_failing_budget_answers_and_none_is_charged() {
    story(
        &[budget("a", json!({"limit": "1"})), budget("b", json!({"limit": "2"})), budget("c", json!({}))],
        &[
            (
                "place x usd 3",
                "budget_exceeded: Daily budget of rfq-draft: 3 USD asked, 1 USD left; the limit is 1 USD, so this never fits. budget_exceeded: Daily budget of rfq-draft: 3 USD asked, 2 USD left; the limit is 2 USD, so this never fits.",
            ),
            ("show a", "spent 0 held 0 unsettled 0 left 1 of 1"),
            ("show c", "spent 0 held 0 unsettled 0 left 5 of 5"),
        ],
    );
}

#[test]
fn settling_books_all_of_it_in_the_window_of_placing() {
    story(
        &[budget("d", json!({}))],
        &[
            ("at 2026-11-24T04:59:59.9Z", "done"),
            ("place a usd 1", "allow"),
            ("at 2026-11-24T05:00:01Z", "done"),
            ("settle a tokens 5", "every held unit must be named, and usd is not"),
            ("settle a usd 7", "done"),
            ("told", "7 passed 5"),
            ("show d", "spent 0 held 0 unsettled 0 left 5 of 5"),
            ("old d 2026-11-23@America/New_York", "spent 7 held 0 unsettled 0"),
            ("settle a usd 7", "repeated"),
            ("settle a usd 7.00", "repeated"),
            ("settle a usd 6", "this hold was settled already, with other amounts"),
            ("release a", "this hold was settled already"),
            ("extend a 60", "this hold was settled already"),
        ],
    );
}

#[test]
fn a_unit_that_was_not_held_books_where_it_matched() {
    story(
        &[budget("d", json!({})), budget("t", json!({"unit": "tokens", "limit": "100"}))],
        &[
            ("place a usd 1", "allow"),
            ("settle a usd 1, tokens 120", "done"),
            ("told", "120 passed 100"),
            ("show t", "spent 120 held 0 unsettled 0 left -20 of 100"),
            (
                "place b usd 1",
                "budget_exceeded: Daily budget of rfq-draft: nothing left (20 tokens over the limit); it resets at 2026-11-24T00:00:00-05:00.",
            ),
        ],
    );
}

#[test]
fn released_extended_expired() {
    story(
        &[budget("d", json!({}))],
        &[
            ("place a usd 1", "allow"),
            ("release a", "done"),
            ("release a", "repeated"),
            ("extend a 60", "this hold was released already"),
            ("show d", "spent 0 held 0 unsettled 0 left 5 of 5"),
            ("settle a usd 2", "done"),
            ("show d", "spent 2 held 0 unsettled 0 left 3 of 5"),
            ("place b usd 3", "allow"),
            ("extend b 300", "repeated"),
            ("extend b 86400", "done"),
            ("extend b 86401", "a hold lives 24 hours in all at most: this one until 2026-11-24T17:00:00Z"),
            ("at 2026-11-23T18:00:00Z", "done"),
            ("extend b 86400", "a hold lives 24 hours in all at most: this one until 2026-11-24T17:00:00Z"),
            (
                "place c ",
                "budget_exceeded: Daily budget of rfq-draft: nothing left; it resets at 2026-11-24T00:00:00-05:00.",
            ),
            ("at 2026-11-24T16:59:59.999999999Z", "done"),
            ("old d 2026-11-23@America/New_York", "spent 2 held 3 unsettled 0"),
            ("at 2026-11-24T17:00:00Z", "done"),
            ("old d 2026-11-23@America/New_York", "spent 2 held 0 unsettled 3"),
            ("extend b 60", "this hold expired at 2026-11-24T17:00:00Z; it can still be settled, never revived"),
            ("release b", "this hold expired at 2026-11-24T17:00:00Z; it can still be settled, never revived"),
            ("settle b usd 1", "done"),
            ("old d 2026-11-23@America/New_York", "spent 3 held 0 unsettled 0"),
        ],
    );
}

#[test]
fn unsettled_lowers_what_remains_only_where_the_budget_says_so() {
    let counted = budget("c", json!({"count_unsettled": true}));
    story(
        &[budget("a", json!({})), counted],
        &[
            ("place x usd 4", "allow"),
            ("at 2026-11-23T17:10:00Z", "done"),
            ("show a", "spent 0 held 0 unsettled 4 left 5 of 5"),
            ("show c", "spent 0 held 0 unsettled 4 left 1 of 5"),
            (
                "place y usd 2",
                "budget_exceeded: Daily budget of rfq-draft: 2 USD asked, 1 USD left; it resets at 2026-11-24T00:00:00-05:00.",
            ),
        ],
    );
}

#[test]
fn calls_count_by_themselves() {
    story(
        &[budget("n", json!({"unit": "calls", "limit": "4"}))],
        &[
            ("place a ", "allow"),
            ("settle a ", "done"),
            ("place b calls 0", "allow"),
            ("settle b calls 0", "done"),
            ("place c ", "allow"),
            ("release c", "done"),
            ("show n", "spent 2 held 0 unsettled 0 left 2 of 4"),
            (
                "place d calls 3",
                "budget_exceeded: Daily budget of rfq-draft: 3 calls asked, 2 calls left; it resets at 2026-11-24T00:00:00-05:00.",
            ),
        ],
    );
}

#[test]
fn each_splits_and_needs_its_dimension() {
    let cap = budget("cap", json!({"each": ["run"], "window": {"kind": "lifetime"}, "limit": "2"}));
    story(
        &[cap],
        &[
            ("place a usd 1", "missing_data: Budget cap counts by run, and the request names no run."),
            ("run r1 b usd 2", "allow"),
            ("run r1 c usd 1", "budget_exceeded: Lifetime budget of rfq-draft, run r1: 1 USD asked, nothing left."),
            ("run r2 c usd 1", "allow"),
            (
                r#"raise cap {"limit":"3","reason":"worth it","permanent":true}"#,
                "/account: is required: the budget has many accounts; or set all to true",
            ),
            (
                r#"raise cap {"limit":"3","reason":"worth it","account":"run=r1"}"#,
                "/ends_at: is required: the window never ends; or set permanent to true",
            ),
            (r#"raise cap {"limit":"3","reason":"worth it","account":"run=r1","permanent":true}"#, "done"),
            ("run r1 d usd 1", "allow"),
            ("show cap run=r2", "spent 0 held 1 unsettled 0 left 1 of 2"),
        ],
    );
}

#[test]
fn an_estimate_can_be_required() {
    story(
        &[budget("d", json!({"require_estimate": true}))],
        &[
            ("place a tokens 1", "missing_data: Budget d requires an estimate in usd, and the request has none."),
            ("place a usd 0", "allow"),
        ],
    );
}

#[test]
fn a_soft_budget_warns_holds_and_counts_and_alerts_fire_once() {
    story(
        &[budget("s", json!({"enforcement": "soft", "alert_at_percent": [50, 100]}))],
        &[
            ("place a usd 2.49", "allow"),
            ("told", ""),
            ("place b usd 0.01", "allow"),
            ("told", "50%"),
            ("place c usd 4", "allow"),
            (
                "told",
                "Daily budget of rfq-draft: 4 USD asked, 2.50 USD left; it resets at 2026-11-24T00:00:00-05:00., 100%",
            ),
            ("settle c usd 6", "done"),
            ("told", ""),
            ("show s", "spent 6 held 2.50 unsettled 0 left -3.50 of 5"),
            ("at 2026-11-24T05:00:00Z", "done"),
            ("place d usd 5", "allow"),
            ("told", "2.49 unsettled, 0.01 unsettled, 50%, 100%"),
        ],
    );
}

#[test]
fn raises_end_with_the_window_and_are_withdrawn() {
    story(
        &[budget("d", json!({}))],
        &[
            (
                r#"raise d {"limit":"5","reason":"x"}"#,
                "/limit: must be above the budget's own limit, 5: it is the new limit",
            ),
            (
                r#"raise d {"limit":"8","reason":"x","ends_at":"2026-11-23T17:00:00Z"}"#,
                "/ends_at: must be in the future",
            ),
            (
                r#"raise d {"limit":"8","reason":"x","account":"run=r"}"#,
                "/account: must be absent: the budget has one account",
            ),
            (r#"raise d {"limit":"8","reason":"x"}"#, "done"),
            ("place a usd 8", "allow"),
            ("withdraw d", "done"),
            ("withdraw d", "same"),
            ("show d", "spent 0 held 8 unsettled 0 left -3 of 5"),
            (r#"raise d {"limit":"9","reason":"x"}"#, "done"),
            ("at 2026-11-24T05:00:00Z", "done"),
            ("show d", "spent 0 held 0 unsettled 0 left 5 of 5"),
        ],
    );
}

#[test]
fn alerts_wherever_the_figures_change() {
    story(
        &[budget("d", json!({"alert_at_percent": [80]}))],
        &[
            ("place a usd 1", "allow"),
            ("place b usd 2", "allow"),
            // nobody has told of the threshold yet that this edit brings near
            (r#"put d {"limit":"2"}"#, "done"),
            ("release a", "done"),
            ("told", "80%"),
            ("settle b usd 3", "done"),
            ("told", "3 passed 2"),
            (r#"put d {"limit":"9"}"#, "done"),
            ("place c usd 5", "allow"),
            ("told", ""),
            ("at 2026-11-23T17:10:00Z", "done"),
            ("told", "5 unsettled"),
            ("settle c usd 5", "done"),
            ("told", ""),
        ],
    );
}

#[test]
fn a_rolling_threshold_is_told_once_a_length() {
    story(
        &[budget("r", json!({"window": {"kind": "rolling", "length_s": 3600}, "alert_at_percent": [80]}))],
        &[
            ("place a usd 4", "allow"),
            ("told", "80%"),
            ("release a", "done"),
            ("place b usd 4", "allow"),
            ("told", ""),
            ("settle b usd 4", "done"),
            ("at 2026-11-23T17:59:59Z", "done"),
            ("place c usd 0.01", "allow"),
            ("told", ""),
            ("at 2026-11-23T18:00:00Z", "done"),
            ("place d usd 0.01", "allow"),
            ("told", "80%"),
        ],
    );
}

#[test]
fn the_order_of_each_means_nothing() {
    let cap = budget("cap", json!({"scope": {}, "each": ["run", "agent"], "window": {"kind": "lifetime"}}));
    story(
        &[cap],
        &[
            ("run r1 a usd 2", "allow"),
            (r#"put cap {"each":["agent","run"]}"#, "done"),
            ("run r1 b usd 4", "budget_exceeded: Lifetime budget of rfq-draft, run r1: 4 USD asked, 3 USD left."),
            (
                r#"raise cap {"limit":"4","reason":" ","account":"run=r1"}"#,
                "/limit: must be above the budget's own limit, 5: it is the new limit; /reason: must say why; /account: must be \"agent=…,run=…\"; /ends_at: is required: the window never ends; or set permanent to true",
            ),
            (r#"raise cap {"limit":"6","reason":"x","account":"run=r1,agent=rfq-draft","permanent":true}"#, "done"),
            ("run r1 b usd 4", "allow"),
            (
                "run r2 c usd 6",
                "budget_exceeded: Lifetime budget of rfq-draft, run r2: 6 USD asked, 5 USD left; the limit is 5 USD, so this never fits.",
            ),
        ],
    );
}

#[test]
fn every_reason_of_one_budget() {
    story(
        &[budget("cap", json!({"scope": {}, "each": ["team", "run"], "require_estimate": true}))],
        &[(
            "place a ",
            "missing_data: Budget cap requires an estimate in usd, and the request has none. missing_data: Budget cap counts by team and run, and the agent has no team in the registry, and the request names no run.",
        )],
    );
}

#[test]
fn edits() {
    story(
        &[budget("d", json!({}))],
        &[
            ("place a usd 2", "allow"),
            (
                r#"put d {"unit":"tokens","scope":{},"each":["run"],"window":{"kind":"hour"}}"#,
                "the scope, unit, window, each of a budget never changes: make a new one",
            ),
            (r#"put d {"limit":"1"}"#, "done"),
            ("show d", "spent 0 held 2 unsettled 0 left -1 of 1"),
            ("delete d", "done"),
            ("place b usd 9", "allow"),
            ("settle a usd 3", "done"),
            ("old d 2026-11-23@America/New_York", "spent 3 held 0 unsettled 0"),
            ("delete d", "this budget was deleted; its id is not used again"),
            (r#"put d {"limit":"2"}"#, "this budget was deleted; its id is not used again"),
        ],
    );
}

#[test]
fn rolling_says_when_it_would_fit() {
    let rolling = budget("r", json!({"window": {"kind": "rolling", "length_s": 3600}}));
    story(
        &[rolling],
        &[
            ("place a usd 2", "allow"),
            ("settle a usd 2", "done"),
            ("at 2026-11-23T17:30:00Z", "done"),
            ("place b usd 3", "allow"),
            ("settle b usd 3", "done"),
            (
                "place c usd 2",
                "budget_exceeded: Rolling 1-hour budget of rfq-draft: 2 USD asked, nothing left; it would fit at 2026-11-23T18:01:00Z.",
            ),
            (
                "place c usd 3",
                "budget_exceeded: Rolling 1-hour budget of rfq-draft: 3 USD asked, nothing left; it would fit at 2026-11-23T18:31:00Z.",
            ),
            (
                "place c usd 6",
                "budget_exceeded: Rolling 1-hour budget of rfq-draft: 6 USD asked, nothing left; the limit is 5 USD, so this never fits.",
            ),
            ("at 2026-11-23T18:00:59.999999999Z", "done"),
            ("show r", "spent 5 held 0 unsettled 0 left 0 of 5"),
            ("at 2026-11-23T18:01:00Z", "done"),
            ("place c usd 2", "allow"),
            ("show r", "spent 3 held 2 unsettled 0 left 0 of 5"),
        ],
    );
}

#[test]
fn figures_and_retry_at_of_a_denial() {
    let mut world = World { now: "2026-11-23T17:00:00Z".parse().unwrap(), ..World::default() };
    world.put(create(budget("d", json!({})), world.now).unwrap());
    world.place("a", None, &amounts("usd 4.90"), 600);
    let reason = world.assess(None, &amounts("usd 0.42")).reasons.remove(0);
    assert_eq!(reason.retry_at.as_deref(), Some("2026-11-24T00:00:00-05:00"));
    assert_eq!(reason.remedy.target.as_deref(), Some("budget:d"));
    assert_eq!(
        reason.details.unwrap(),
        json!({"budget": "d", "account": "2026-11-23@America/New_York", "unit": "usd", "asked": "0.42",
            "remaining": "0.10", "short_by": "0.32", "limit": "5", "resets_at": "2026-11-24T00:00:00-05:00"})
    );
    assert_eq!(world.assess(None, &amounts("usd 6")).reasons.remove(0).retry_at, None);
    // a raise that goes on is counted on, one that ends with the window is not
    world.raise("d", &json!({"limit": "9", "reason": "x"}));
    assert_eq!(world.assess(None, &amounts("usd 6")).reasons.remove(0).retry_at, None);
    world.raise("d", &json!({"id": "r2", "limit": "8", "reason": "x", "permanent": true}));
    let reason = world.assess(None, &amounts("usd 6")).reasons.remove(0);
    assert_eq!(reason.retry_at.as_deref(), Some("2026-11-24T00:00:00-05:00"));
}

#[test]
fn an_admission_that_no_budget_covers_has_a_hold_without_lines() {
    let mut world = World::default();
    assert_eq!(world.place("a", None, &amounts("usd 1"), 60), "allow");
    assert!(world.holds["a"].lines.is_empty());
    let outcome = settle(&world.holds["a"].clone(), &amounts("usd 1"), "x", world.now, &mut world);
    assert_eq!(world.take(outcome), "done");
}

#[test]
fn balances_that_do_not_fit_and_accounts_that_are_gone_are_typed_errors() {
    let mut world = World::default();
    world.put(create(budget("d", json!({})), world.now).unwrap());
    world.place("a", None, &amounts("usd 1"), 60);
    let hold = world.holds["a"].clone();
    for account in world.accounts.values_mut() {
        account.sums.spent = Balance::from_nanos(i128::MAX);
    }
    let before = world.accounts.clone();
    let refusal = settle(&hold, &amounts("usd 1"), "x", world.now, &mut world);
    assert_eq!(refusal.unwrap_err(), HoldRefusal::Overflow);
    assert_eq!(world.accounts, before);
    // what does not fit 128 bits leaves nothing
    assert_eq!(world.assess(None, &amounts("usd 0.000000001")).reasons.len(), 1);
    world.accounts.clear();
    let refusal = settle(&hold, &amounts("usd 1"), "x", world.now, &mut world);
    assert_eq!(refusal.unwrap_err(), HoldRefusal::AccountMissing("d 1969-12-31@America/New_York".to_owned()));
}

#[test]
fn a_hold_outlives_the_account_of_a_rolling_window_that_has_left_it_behind() {
    let mut world = World::default();
    let rolling =
        |count: bool| budget("r", json!({"window": {"kind": "rolling", "length_s": 3600}, "count_unsettled": count}));
    world.put(create(rolling(true), world.now).unwrap());
    world.place("a", None, &amounts("usd 1"), 7_200);
    let (hold, account) = (world.holds["a"].clone(), world.accounts.values().next().unwrap().clone());
    let window = world.budgets.values().next().unwrap().spec.window.clone();
    let over_at = account.over_at(&window, world.now).unwrap();
    assert_eq!(account.figures(&window, over_at), Figures::default(), "nothing of it counts from then on");
    let before = over_at.checked_sub(SignedDuration::from_secs(61)).unwrap();
    assert_ne!(account.figures(&window, before), Figures::default());
    world.accounts.clear();
    let late = settle(&hold, &amounts("usd 1"), "x", before, &mut world);
    assert!(matches!(late, Err(HoldRefusal::AccountMissing(_))), "it would count");
    let ends = hold.expires_at;
    assert!(expire(&hold, ends, &mut world).is_ok() && release(&hold, "", "x", over_at, &mut world).is_ok());
    assert!(settle(&hold, &amounts("usd 1"), "x", over_at, &mut world).is_ok());
    assert!(world.accounts.is_empty(), "it books nothing on it");
}

#[test]
fn a_limit_is_not_bound_to_what_a_request_can_name() {
    let mut world = World::default();
    let tokens = budget("t", json!({"unit": "tokens", "limit": "400000000000"}));
    world.put(create(tokens, world.now).unwrap());
    assert_eq!(world.place("a", None, &amounts("tokens 9223372036.854775807"), 60), "allow");
    assert_eq!(
        world.act("show t"),
        "spent 0 held 9223372036.854775807 unsettled 0 left 390776627963.145224193 of 400000000000"
    );
    for limit in ["-1", "1000000000000000000.000000001"] {
        let error = create(budget("t", json!({"limit": limit})), world.now).unwrap_err();
        assert_eq!(error.to_string(), "/limit: must be from 0 to 1000000000000000000");
    }
}

#[test]
fn only_covering_budgets_are_found_among_many() {
    let mut index = BudgetIndex::default();
    let insert = |index: &mut BudgetIndex, id: &str, scope: Value| {
        let budget = Arc::new(create(budget(id, json!({"scope": scope})), Timestamp::UNIX_EPOCH).unwrap());
        index.insert(Arc::clone(&budget));
        budget
    };
    for number in 0..2_000 {
        insert(&mut index, &format!("b{number}"), json!({"agent": format!("agent-{number}")}));
    }
    for (id, scope) in [("z-org", json!({})), ("a-run", json!({"run": "r"})), ("team", json!({"team": "t"}))] {
        insert(&mut index, id, scope);
    }
    let (agent, action, run) =
        (AgentId::new("agent-7").unwrap(), ActionName::new("x").unwrap(), RunId::new("r").unwrap());
    let facts = Facts { agent: &agent, team: None, entity_type: None, action: &action, run: Some(&run) };
    let ids = |index: &BudgetIndex| index.matching(&facts).iter().map(|b| b.id().to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&index), ["a-run", "b7", "z-org"]);
    let org = index.matching(&facts)[2].clone();
    index.remove(&org);
    index.remove(&org);
    assert_eq!(ids(&index), ["a-run", "b7"]);
    index.insert(org);
    insert(&mut index, "b7-too", json!({"agent": "agent-7"}));
    assert_eq!(ids(&index), ["a-run", "b7", "b7-too", "z-org"]);
    let newer = Budget { revision: 9, ..(*index.matching(&facts)[1]).clone() };
    index.insert(Arc::new(newer));
    assert_eq!(index.matching(&facts).iter().map(|budget| budget.revision).collect::<Vec<_>>(), [1, 9, 1, 1]);
}
