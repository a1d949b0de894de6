//! The payload of a record as anybody can read it: JSON that names its own version, writer and time.

use super::WriterId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The version of the payload. A reader refuses a higher one.
pub const PAYLOAD_VERSION: u32 = 1;

/// A record's payload, one batch. The types of the effects are the store's; here they stay text.
#[derive(Debug, Deserialize)]
pub struct Body<'a> {
    /// Version of the payload.
    pub v: u32,
    /// Who wrote it.
    pub writer: WriterId,
    /// The batch's time.
    pub time: Timestamp,
    /// What happened, in order.
    #[serde(borrow)]
    pub entries: Vec<EntryView<'a>>,
}

/// One operation of a batch.
#[derive(Debug, Deserialize)]
pub struct EntryView<'a> {
    /// What was done, e.g. `admit`.
    #[serde(borrow)]
    pub op: Cow<'a, str>,
    /// Who did it.
    #[serde(borrow)]
    pub actor: &'a RawValue,
    /// What it acted on, where that has a name.
    #[serde(borrow, default)]
    pub subject: Option<Cow<'a, str>>,
    /// Why, where somebody said so.
    #[serde(borrow, default)]
    pub reason: Option<Cow<'a, str>>,
    /// What stood before, for edits.
    #[serde(borrow, default)]
    pub before: Option<&'a RawValue>,
    /// What it changed, as values after the change.
    #[serde(borrow)]
    pub effects: &'a RawValue,
}

/// Why a payload cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Not the JSON that is expected.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Written by a later Tollgate.
    #[error("it has version {0}, and this Tollgate reads up to {PAYLOAD_VERSION}")]
    Version(u32),
}

/// Reads a payload.
pub fn parse_body(payload: &[u8]) -> Result<Body<'_>, PayloadError> {
    check_version(payload)?;
    Ok(serde_json::from_slice(payload)?)
}

/// Refuses a payload of a version that this Tollgate does not know, before its fields are looked at: so that the error
/// says what is the matter.
pub fn check_version(payload: &[u8]) -> Result<(), PayloadError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    // as this Tollgate writes it: no need to read all of it twice
    if payload.starts_with(br#"{"v":1,"#) {
        return Ok(());
    }
    match serde_json::from_slice::<Version>(payload)?.v {
        1..=PAYLOAD_VERSION => Ok(()),
        other => Err(PayloadError::Version(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_knows_and_refuses_what_is_newer() {
        let text = r#"{"v":1,"writer":"07070707070707070707070707070707","time":"2026-11-23T10:00:00Z",
            "entries":[{"op":"admit","actor":{"key":"k"},"effects":[{"a":1}]}],"accounts":[]}"#;
        let body = parse_body(text.as_bytes()).unwrap();
        assert_eq!(body.writer, WriterId::from_bytes([7; 16]));
        assert_eq!((body.entries[0].op.as_ref(), body.entries[0].effects.get()), ("admit", r#"[{"a":1}]"#));
        let newer = text.replace("\"v\":1", "\"v\":2");
        assert!(matches!(parse_body(newer.as_bytes()), Err(PayloadError::Version(2))));
        assert!(matches!(parse_body(b"{}"), Err(PayloadError::Json(_))));
    }
}
