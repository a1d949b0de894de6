//! Any value as what a layer answered: entries that have all they need, or a finding; never a panic.

use super::output::{boolean, entries};
use proptest::prelude::*;
use regorus::Value;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

fn leaf() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "\\PC{0,8}".prop_map(Json::from),
        Just(json!("x".repeat(5_000))),
        Just(json!("x".repeat(70_000))),
        prop::sample::select(vec!["review_policy", "review_budget", "wait", "/entity/properties/a", "code-1"])
            .prop_map(Json::from),
    ]
}

/// Objects mostly of the keys that entries have.
fn anything() -> impl Strategy<Value = Json> {
    let key = prop_oneof![
        6 => prop::sample::select(vec!["code", "message", "remedy", "field", "details", "kind", "target"])
            .prop_map(str::to_owned),
        1 => "[a-z]{0,5}",
    ];
    leaf().prop_recursive(3, 16, 5, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            3 => prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn any_answer_of_a_layer_is_taken_or_found_invalid(list in prop::collection::vec(anything(), 0..5), one in anything()) {
        let set: BTreeSet<Value> = list.iter().cloned().map(Value::from).collect();
        let count = set.len();
        if let Ok(taken) = entries("deny", &Value::from(set)) {
            prop_assert_eq!(taken.len(), count);
            for (entry, said) in taken.iter().zip(1..) {
                let code = entry.code.as_deref().is_none_or(|code| !code.is_empty() && code.len() <= 128);
                prop_assert!(code, "entry {}: {:?}", said, entry);
            }
        }
        let value = Value::from(one.clone());
        // an array is no set, and nothing but a boolean allows
        prop_assert!(entries("deny", &value).is_err());
        prop_assert_eq!(boolean("allow", &value).ok(), one.as_bool());
    }
}
