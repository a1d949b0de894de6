//! Random lives of a few budgets against a reference that keeps every hold and adds them up anew each time.

use super::ledger_tests::{World, amounts, budget, key};
use super::*;
use crate::vocabulary::{Amount, Balance, RaiseId, Unit};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

#[derive(Clone, Debug)]
enum Step {
    Pass(i64),
    Place { usd: u32, ttl_s: u32 },
    Settle { hold: usize, usd: u32 },
    Release(usize),
    Extend(usize, u32),
    Raise { budget: usize, limit: u32 },
    Withdraw(usize),
    Limit { budget: usize, limit: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1_i64..40_000).prop_map(Step::Pass),
        6 => (0_u32..40, 1_u32..90_000).prop_map(|(usd, ttl_s)| Step::Place { usd, ttl_s: ttl_s.min(86_400) }),
        3 => (0_usize..40, 0_u32..60).prop_map(|(hold, usd)| Step::Settle { hold, usd }),
        1 => (0_usize..40).prop_map(Step::Release),
        1 => (0_usize..40, 1_u32..90_000).prop_map(|(hold, ttl)| Step::Extend(hold, ttl)),
        1 => (0_usize..4, 0_u32..300).prop_map(|(budget, limit)| Step::Raise { budget, limit }),
        1 => (0_usize..4).prop_map(Step::Withdraw),
        1 => (0_usize..4, 0_u32..200).prop_map(|(budget, limit)| Step::Limit { budget, limit }),
    ]
}

const IDS: [&str; 4] = ["counted", "day", "life", "soft"];

fn world() -> World {
    let mut world = World { now: "2026-10-31T12:00:00Z".parse().unwrap(), ..World::default() };
    for spec in [
        budget("counted", json!({"limit": "90", "count_unsettled": true, "window": {"kind": "hour"}})),
        budget("day", json!({"limit": "100", "alert_at_percent": [50]})),
        budget("life", json!({"limit": "900", "window": {"kind": "lifetime"}})),
        budget("soft", json!({"limit": "10", "enforcement": "soft", "window": {"kind": "rolling", "length_s": 3600}})),
    ] {
        world.put(create(spec, world.now).unwrap());
    }
    world
}

fn spend(hold: &Hold, line: &HoldLine) -> i128 {
    hold.settlement.as_ref().and_then(|s| s.actual.get(&line.unit)).map_or(0, |a| i128::from(a.nanos()))
}

/// Every account that does not roll is the sum of its holds, added up from nothing.
fn check_sums(world: &World) {
    let lasting = |account: &&Account| account.key.budget.as_str() != "soft";
    for account in world.accounts.values().filter(lasting) {
        let mut sum = (0_i128, 0_i128, 0_i128);
        for hold in world.holds.values() {
            for line in hold.lines.iter().filter(|line| line.account == account.key) {
                let held = i128::from(line.held.nanos());
                match hold.state {
                    HoldState::Pending => sum.1 += held,
                    HoldState::Expired => sum.2 += held,
                    HoldState::Settled => sum.0 += spend(hold, line),
                    HoldState::Released => {}
                }
            }
        }
        let figures = account.sums;
        assert_eq!((figures.spent.nanos(), figures.held.nanos(), figures.unsettled.nanos()), sum, "{}", account.key);
    }
}

fn used(world: &World, budget: &Budget, key: &AccountKey) -> Balance {
    let Some(account) = world.accounts.get(key) else { return Balance::ZERO };
    let Figures { spent, held, unsettled } = account.figures(&budget.spec.window, world.now);
    let used = spent.checked_add(held).unwrap();
    if budget.spec.count_unsettled { used.checked_add(unsettled).unwrap() } else { used }
}

fn place_checked(world: &mut World, number: usize, usd: u32, ttl_s: u32) {
    let before = world.accounts.clone();
    let estimate = amounts(&format!("usd {usd}"));
    let answer = world.place(&format!("h{number:03}"), None, &estimate, ttl_s);
    if answer != "allow" {
        assert_eq!(world.accounts, before, "all or nothing: {answer}");
        return;
    }
    let hold = &world.holds[&format!("h{number:03}")];
    assert_eq!(hold.lines.len(), IDS.len(), "on all of them");
    for id in &IDS[..3] {
        let budget = &world.budgets[*id];
        let key = key(budget, "", world.now);
        let limit = limit_in_force(budget, &key, world.now);
        assert!(used(world, budget, &key) <= limit, "{id} was placed beyond its limit");
    }
}

fn run(world: &mut World, number: usize, step: &Step) {
    let names: Vec<String> = world.holds.keys().cloned().collect();
    let pick = |index: usize| names.get(index % names.len().max(1)).and_then(|name| world.holds.get(name)).cloned();
    let budget = |index: usize| world.budgets[IDS[index]].as_ref().clone();
    match *step {
        Step::Pass(seconds) => {
            let now = world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
            world.at(now);
        }
        Step::Place { usd, ttl_s } => place_checked(world, number, usd, ttl_s),
        Step::Settle { hold, usd } => {
            let Some(hold) = pick(hold) else { return };
            let actual = amounts(&format!("usd {usd}"));
            let outcome = settle(&hold, &actual, "x", world.now, world);
            assert_eq!(outcome.is_ok(), hold.settlement.as_ref().is_none_or(|first| first.actual == actual));
            world.take(outcome);
            let hold = world.holds[hold.id.as_str()].clone();
            let again = settle(&hold, &actual, "x", world.now, world);
            assert!(!matches!(again, Ok(Some(_))), "booked twice");
        }
        Step::Release(hold) => {
            let Some(hold) = pick(hold) else { return };
            let outcome = release(&hold, "x", "x", world.now, world);
            assert_eq!(outcome.is_ok(), matches!(hold.state, HoldState::Pending | HoldState::Released));
            world.take(outcome);
        }
        Step::Extend(hold, ttl_s) => {
            let Some(hold) = pick(hold) else { return };
            let outcome = extend(&hold, ttl_s, world.now);
            world.take(outcome);
            let hold = &world.holds[hold.id.as_str()];
            assert!(hold.expires_at.duration_since(hold.placed_at) <= SignedDuration::from_hours(24));
        }
        Step::Raise { budget: index, limit } => {
            let request = RaiseRequest {
                id: RaiseId::new(format!("r{number}")).unwrap(),
                limit: Balance::from_nanos(i128::from(limit) * 1_000_000_000),
                account: None,
                all: false,
                reason: "x",
                evidence: None,
                by: "x",
                ends_at: None,
                permanent: index == 2,
            };
            if let Ok((next, _)) = raise(&budget(index), &request, world.now) {
                world.put(next);
            }
        }
        Step::Withdraw(index) => {
            let budget = budget(index);
            let Some(last) = budget.raises.last() else { return };
            if let Ok(next) = withdraw(&budget, &last.id, "x", "x", world.now) {
                world.put(next);
            }
        }
        Step::Limit { budget: index, limit } => {
            let mut spec = budget(index).spec;
            spec.limit = Amount::from_nanos(i64::from(limit) * 1_000_000_000).unwrap().balance();
            let next = replace(&budget(index), spec, world.now).unwrap();
            world.put(next);
        }
    }
}

proptest! {
    #[test]
    fn the_ledger_keeps_its_word(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = world();
        for (number, step) in steps.iter().enumerate() {
            run(&mut world, number, step);
            check_sums(&world);
            prop_assert!(world.holds.values().all(|hold| !hold.is_due(world.now)));
        }
        // Settled amounts are conserved in the account that never ends.
        let usd: Unit = "usd".parse().unwrap();
        let booked: i128 = world.holds.values().filter_map(|h| h.settlement.as_ref()).map(|s| i128::from(s.actual[&usd].nanos())).sum();
        if let Some(life) = world.accounts.values().find(|account| account.key.budget.as_str() == "life") {
            prop_assert_eq!(life.sums.spent.nanos(), booked);
        }
        // After-values survive the journal, so applying one again changes nothing.
        for account in world.accounts.values() {
            let text = serde_json::to_string(account).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Account>(&text).unwrap(), account);
        }
        for hold in world.holds.values() {
            let text = serde_json::to_string(hold).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Hold>(&text).unwrap(), hold);
        }
        for budget in world.budgets.values() {
            let text = serde_json::to_string(budget).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Budget>(&text).unwrap(), budget.as_ref());
        }
    }
}
