//! One spelling for equal JSON, after RFC 8785: keys sorted by UTF-16 code units, no white space, and a whole number
//! written without fraction or exponent however it came.
//!
//! One difference: integers beyond 2^53 keep all their digits, where RFC 8785 would round them to a double.

use serde_json::{Number, Value};
use std::fmt::Write;

/// The largest integer below which a double holds every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The canonical text of a value.
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            // sorted here, whatever map serde_json was built with
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (index, (key, item)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_value(item, out);
            }
            out.push('}');
        }
    }
}

fn write_number(number: &Number, out: &mut String) {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
            // `+ 0.0` turns minus zero into zero
            let _ = write!(out, "{:.0}", float + 0.0);
        }
        _ => out.push_str(&number.to_string()),
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        let table = [
            (r#"{"b": 1, "a": [true, null, "x"]}"#, r#"{"a":[true,null,"x"],"b":1}"#),
            (r#"{"n": 1.0, "m": -0.0, "e": 1e3, "f": 0.25}"#, r#"{"e":1000,"f":0.25,"m":0,"n":1}"#),
            (r#""\u0001\u00e9\u000a\"\\/""#, "\"\\u0001é\\n\\\"\\\\/\""),
            (r#"{"\ufb33":1,"\ud83d\ude02":2}"#, "{\"😂\":2,\"\u{fb33}\":1}"),
            ("9223372036854775807", "9223372036854775807"),
            ("18446744073709551615", "18446744073709551615"),
            ("1e300", "1e+300"),
        ];
        for (text, wanted) in table {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(canonical_json(&value), wanted, "{text}");
            let again: Value = serde_json::from_str(wanted).unwrap();
            assert_eq!(canonical_json(&again), wanted, "canonical text stays as it is");
        }
    }

    #[test]
    fn equal_bodies_have_one_text() {
        let spelt = |text: &str| canonical_json(&serde_json::from_str(text).unwrap());
        assert_eq!(spelt(r#"{"a":1,"b":{"c":2,"d":[]}}"#), spelt(r#"{ "b": {"d": [], "c": 2.0}, "a": 1 }"#));
        assert_ne!(spelt(r#"{"a":1}"#), spelt(r#"{"a":"1"}"#));
        assert_ne!(spelt("[1,2]"), spelt("[2,1]"));
    }
}
