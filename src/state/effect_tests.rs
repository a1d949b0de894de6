//! The stored form of every effect: a golden file has each kind as this version writes it, and later ones must read it,
//! and write it again without losing any of it.

use super::{Changes, Effect, JournalNote, State};
use crate::budget::Account;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

const GOLDEN: &str = include_str!("../../tests/golden/effects-v1.json");

/// How many kinds there are. A new one gets a number below, and an effect in the golden file.
const KINDS: usize = 24;

fn kind(effect: &Effect) -> usize {
    match effect {
        Effect::Decision(_) => 0,
        Effect::Hold(_) => 1,
        Effect::Key(_) => 2,
        Effect::Budget(_) => 3,
        Effect::Alert(_) => 4,
        Effect::Agent(_) => 5,
        Effect::EntityType(_) => 6,
        Effect::Pause(_) => 7,
        Effect::ApiKey(_) => 8,
        Effect::Item(_) => 9,
        Effect::Denied(_) => 10,
        Effect::Delivery(_) => 11,
        Effect::ItemTold { .. } => 12,
        Effect::PolicySet(_) => 13,
        Effect::Seed { .. } => 14,
        Effect::Run(_) => 15,
        Effect::RunEvent(_) => 16,
        Effect::RunMemory(_) => 17,
        Effect::Connector(_) => 18,
        Effect::Schedule(_) => 19,
        Effect::Worker(_) => 20,
        Effect::ClockConfirmed { .. } => 21,
        Effect::Journal(JournalNote::Checkpoint(_)) => 22,
        Effect::Journal(JournalNote::Dropped(_)) => 23,
    }
}

#[derive(Deserialize)]
struct Golden {
    effects: Vec<Value>,
    accounts: Vec<Value>,
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).unwrap()
}

/// Every field of the first stands in the second, with the same value.
fn is_in(golden: &Value, written: &Value) -> bool {
    match (golden, written) {
        (Value::Object(golden), Value::Object(written)) => {
            golden.iter().all(|(key, value)| written.get(key).is_some_and(|found| is_in(value, found)))
        }
        (Value::Array(golden), Value::Array(written)) => {
            golden.len() == written.len() && golden.iter().zip(written).all(|(golden, written)| is_in(golden, written))
        }
        (golden, written) => golden == written,
    }
}

#[test]
fn every_kind_of_effect_is_in_the_golden_file_and_is_read() {
    let golden = golden();
    let mut kinds = BTreeSet::new();
    let mut effects = Vec::new();
    for text in &golden.effects {
        let effect: Effect = serde_json::from_value(text.clone()).unwrap_or_else(|error| panic!("{error}: {text}"));
        let written = serde_json::to_value(&effect).unwrap();
        assert!(is_in(text, &written), "{text}\nis written again as\n{written}");
        kinds.insert(kind(&effect));
        effects.push(effect);
    }
    assert_eq!(kinds, (0..KINDS).collect(), "the kinds in the golden file");
    let mut state = State::default();
    state.restore(&effects, 1);
    for text in &golden.accounts {
        let account: Account = serde_json::from_value(text.clone()).unwrap();
        assert!(is_in(text, &serde_json::to_value(&account).unwrap()), "{text}");
        let accounts = [(account.key.clone(), account)].into();
        state.apply(&Changes { entries: Vec::new(), accounts }, "2026-11-23T12:00:00Z".parse().unwrap());
    }
    assert!(golden.accounts.iter().any(|account| account.get("buckets").is_some()), "a rolling one is there");
    // whatever is to outlive old segments goes into a checkpoint
    let kept: BTreeSet<usize> = state.as_effects().map(|effect| kind(&effect)).collect();
    let over = [0, 2, 4, 16, 23];
    let lost: Vec<usize> = (0..KINDS).filter(|kind| !kept.contains(kind) && !over.contains(kind)).collect();
    assert_eq!(lost, Vec::<usize>::new(), "kinds that a checkpoint forgets");
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9:.-]{0,12}".prop_map(Value::from),
        Just(Value::from("9999-12-31T23:59:59.999999999Z")),
        Just(Value::from("-170141183460469231731")),
        Just(Value::Array(Vec::new())),
        Just(Value::Object(serde_json::Map::new())),
    ]
}

fn pointers(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    found.insert(at.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| {
            pointers(inner, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, inner)| pointers(inner, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A record that is whole and holds what nobody would write: refused, or taken in without a panic, and once more.
    #[test]
    fn a_changed_effect_is_refused_or_applied(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), leaf()), 1..4),
    ) {
        let mut effects = golden().effects;
        let which = which.index(effects.len());
        for (place, value) in changes {
            let mut all = BTreeSet::new();
            pointers(&effects[which], "", &mut all);
            let pointer = all.iter().nth(place.index(all.len())).unwrap().clone();
            *effects[which].pointer_mut(&pointer).unwrap() = value;
        }
        if let Ok(effect) = serde_json::from_value::<Effect>(effects.swap_remove(which)) {
            let mut state = State::default();
            state.restore(std::slice::from_ref(&effect), 1);
            state.restore(&[effect], 2);
            state.apply(&Changes::default(), "2026-11-23T12:00:00Z".parse().unwrap());
            prop_assert!(state.as_effects().count() < 10);
        }
    }
}
