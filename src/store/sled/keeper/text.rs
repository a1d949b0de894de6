//! A record's payload with the text of each of its operations: that is how the database behind keeps them.

use crate::budget::Account;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A payload.
#[derive(Debug)]
pub(super) struct Text<'a, T> {
    pub(super) time: Timestamp,
    /// The operations, and each as it is written.
    pub(super) entries: Vec<T>,
    pub(super) texts: Vec<&'a str>,
    pub(super) accounts: Vec<Account>,
}

/// The same without looking into the operations.
#[derive(Deserialize)]
struct Whole<'a> {
    time: Timestamp,
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
    accounts: Vec<Account>,
}

/// Reads a payload, of each operation what a `T` has of it.
pub(super) fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<Text<'a, T>, serde_json::Error> {
    if let Some(text) = as_written(payload) {
        return Ok(text);
    }
    let Whole { time, entries: texts, accounts } = serde_json::from_slice(payload)?;
    let texts: Vec<&str> = texts.into_iter().map(RawValue::get).collect();
    let entries: Result<Vec<T>, _> = texts.iter().map(|text| serde_json::from_str(text)).collect();
    Ok(Text { time, entries: entries?, texts, accounts })
}

/// Reads a payload as this Tollgate writes it, each operation once; `None` where it is otherwise, or wrong.
fn as_written<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<Text<'a, T>> {
    #[derive(Deserialize)]
    struct Head {
        time: Timestamp,
    }
    let (head, mut rest) = std::str::from_utf8(payload).ok()?.split_once(",\"entries\":[")?;
    let Head { time } = serde_json::from_str(&format!("{head}}}")).ok()?;
    let (mut entries, mut texts) = (Vec::new(), Vec::new());
    while rest.starts_with('{') {
        let mut reading = serde_json::Deserializer::from_str(rest).into_iter::<T>();
        entries.push(reading.next()?.ok()?);
        let end = reading.byte_offset();
        texts.push(&rest[..end]);
        rest = &rest[end..];
        match rest.strip_prefix(',') {
            Some(more) if more.starts_with('{') => rest = more,
            Some(_) => return None,
            None => break,
        }
    }
    let accounts = rest.strip_prefix("],\"accounts\":")?.strip_suffix('}')?;
    Some(Text { time, entries, texts, accounts: serde_json::from_str(accounts).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn same(payload: &str, at_once: bool) {
        let written = as_written::<Value>(payload.as_bytes());
        assert_eq!(written.is_some(), at_once, "{payload}");
        let Ok(whole) = serde_json::from_str::<Value>(payload) else {
            assert!(read::<Value>(payload.as_bytes()).is_err(), "{payload}");
            return;
        };
        let text = read::<Value>(payload.as_bytes()).unwrap();
        assert_eq!(json!(text.entries), whole["entries"], "{payload}");
        let texts: Vec<Value> = text.texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        assert_eq!(json!(texts), whole["entries"], "{payload}");
        assert_eq!((json!(text.time), json!(text.accounts)), (whole["time"].clone(), whole["accounts"].clone()));
    }

    #[test]
    fn a_payload_gives_its_operations_and_their_texts() {
        let head = r#"{"v":1,"writer":"07","time":"2026-11-23T12:00:00Z""#;
        let tricky = r#"{"op":"a","note":"],\"accounts\":[} ,\"entries\":["},{"op":"ü","deep":[{"x":[1,2,{}]}]}"#;
        same(&format!("{head},\"entries\":[{tricky}],\"accounts\":[]}}"), true);
        same(&format!("{head},\"entries\":[],\"accounts\":[]}}"), true);
        // otherwise than it is written, it is read all the same
        same(&format!("{head},\"entries\":[{tricky}],\"accounts\":[],\"more\":1}}"), false);
        same(&format!("{head}, \"entries\": [ {tricky} ], \"accounts\": []}}"), false);
        same(&format!("{head},\"accounts\":[],\"entries\":[{tricky}]}}"), false);
        for wrong in
            ["]", ",\"entries\":[{},],\"accounts\":[]}", ",\"entries\":[{}{}],\"accounts\":[]}", ",\"entries\":[{}"]
        {
            same(&format!("{head}{wrong}"), false);
        }
    }
}
