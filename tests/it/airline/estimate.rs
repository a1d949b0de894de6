//! What a call is estimated to cost. The source has no token counts, so they are made from the lengths it has.
//!
//! A model reads everything said before a call and writes the call. Four characters count as one token, rounded up; the
//! prices are those of GPT-4o when the runs were made (5 USD a million tokens read, 15 USD a million written).

use super::source::Event;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tollgate::vocabulary::Amount;

/// Characters in a token.
const CHARS_PER_TOKEN: u64 = 4;
/// Billionths of a dollar for a token that is read.
const READ_NANO_USD: u64 = 5_000;
/// Billionths of a dollar for a token that is written.
const WRITTEN_NANO_USD: u64 = 15_000;

/// The characters that an event adds to what the model reads from then on. A call counts its name and its arguments as
/// compact JSON.
pub(crate) fn length(event: &Event) -> u64 {
    match event {
        Event::System { chars }
        | Event::User { chars }
        | Event::Message { chars }
        | Event::ToolResult { chars, .. } => *chars,
        Event::ToolCall { name, arguments } => call_length(name, arguments),
    }
}

/// The `estimate` of a request: dollars and tokens of the turn that wrote the call.
pub(crate) fn of_call(chars_before: u64, name: &str, arguments: &Value) -> Result<Value> {
    let read = chars_before.div_ceil(CHARS_PER_TOKEN);
    let written = call_length(name, arguments).div_ceil(CHARS_PER_TOKEN);
    let usd = i64::try_from(read * READ_NANO_USD + written * WRITTEN_NANO_USD)
        .ok()
        .and_then(Amount::from_nanos)
        .context("a call's cost fits an amount")?;
    Ok(json!([
        {"unit": "usd", "amount": usd},
        {"unit": "tokens", "amount": (read + written).to_string()},
    ]))
}

fn call_length(name: &str, arguments: &Value) -> u64 {
    (name.chars().count() + arguments.to_string().chars().count()) as u64
}
