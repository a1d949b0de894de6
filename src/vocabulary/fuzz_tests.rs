//! Any text as an amount, a balance or an id: read and written again without loss, or refused.

use super::*;
use proptest::prelude::*;

/// Texts near what is allowed, and any others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{0,20}(\\.[0-9]{0,12})?",
        "[0-9.eE+_ -]{0,12}",
        "[a-z0-9._-]{0,140}",
        "\\PC{0,20}",
        any::<String>(),
        // controls are not among the letters of `any::<String>()`
        "[a-z\\x00-\\x20\\x7f-\\u{a0}\\u{2028}]{0,6}",
        proptest::collection::vec(any::<char>(), 250..260).prop_map(|letters| letters.into_iter().collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_text_is_an_amount_and_reads_back_or_is_none(text in text()) {
        if let Ok(amount) = text.parse::<Amount>() {
            prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
            prop_assert_eq!(amount.balance().nanos(), i128::from(amount.nanos()));
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'), "{:?}", text);
        }
        if let Ok(balance) = text.parse::<Balance>() {
            prop_assert_eq!(balance.to_string().parse::<Balance>().map(Balance::nanos), Ok(balance.nanos()));
        }
    }

    #[test]
    fn a_text_is_an_id_as_it_stands_or_is_none(text in text()) {
        if let Ok(id) = text.parse::<RunId>() {
            prop_assert_eq!(id.as_str(), &text);
            prop_assert!((1..=256).contains(&text.len()) && !text.chars().any(char::is_control));
        }
        if let Ok(id) = text.parse::<BudgetId>() {
            prop_assert_eq!(id.as_str(), &text);
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
            prop_assert!((1..=128).contains(&text.len()) && text.bytes().all(plain), "{:?}", text);
        }
        let json = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(serde_json::from_str::<RunId>(&json).is_ok(), text.parse::<RunId>().is_ok());
    }
}
