//! What values weigh, and what the answer of a built-in would, as far as that can be told before it is called.

use regorus::Value;

/// The most that the arguments or the answer of one call may weigh, in bytes: text by its length, all else 16 a value.
pub(super) const CAP: usize = 2 * 1024 * 1024;
/// The most elements of `numbers.range`.
pub(super) const RANGE_CAP: f64 = 10_000.0;
/// The longest pattern of a regular expression or a glob.
pub(super) const PATTERN_CAP: usize = 1024;

/// Takes a value's weight off `left`, and stops when nothing is left: a value that refers many times to its own
/// parts may be far larger than the memory it takes.
pub(super) fn weigh(value: &Value, left: &mut usize) {
    let own = match value {
        Value::String(text) => text.len() + 16,
        _ => 16,
    };
    *left = left.saturating_sub(own);
    if *left == 0 {
        return;
    }
    match value {
        Value::Array(items) => items.iter().take_while(|item| spend(item, left)).for_each(drop),
        Value::Set(items) => items.iter().take_while(|item| spend(item, left)).for_each(drop),
        Value::Object(fields) => {
            fields.iter().take_while(|(key, item)| spend(key, left) && spend(item, left)).for_each(drop);
        }
        _ => {}
    }
}

fn spend(value: &Value, left: &mut usize) -> bool {
    weigh(value, left);
    *left > 0
}

fn text(values: &[Value], at: usize) -> &str {
    match values.get(at) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

fn integer(values: &[Value], at: usize) -> f64 {
    values.get(at).and_then(|value| value.as_f64().ok()).unwrap_or(0.0)
}

pub(super) fn range(values: &[Value]) -> usize {
    let step = if values.len() > 2 { integer(values, 2).abs().max(1.0) } else { 1.0 };
    let elements = (integer(values, 1) - integer(values, 0)).abs() / step;
    // a bound that is no f64 is not a bound
    let finite = values.iter().all(|value| !matches!(value, Value::Number(_)) || value.as_f64().is_ok());
    if finite && elements < RANGE_CAP { 0 } else { usize::MAX }
}

pub(super) fn shift(values: &[Value]) -> usize {
    if integer(values, 1) <= 1024.0 { 0 } else { usize::MAX }
}

/// `1e1000000000` is eleven letters and 400 MB of digits.
pub(super) fn number(values: &[Value]) -> usize {
    let text = text(values, 0);
    let Some((_, exponent)) = text.split_once(['e', 'E']) else { return 0 };
    let digits = exponent.trim_start_matches(['+', '-', '0']);
    if digits.bytes().take_while(u8::is_ascii_digit).count() > 3 { usize::MAX } else { 0 }
}

pub(super) fn concat(values: &[Value]) -> usize {
    let count = match values.get(1) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Set(items)) => items.len(),
        _ => 0,
    };
    text(values, 0).len().saturating_mul(count)
}

fn replaced(length: usize, occurrences: usize, new: &str) -> usize {
    length.saturating_add(occurrences.saturating_mul(new.len()))
}

pub(super) fn replace(values: &[Value]) -> usize {
    let (whole, old, new) = (text(values, 0), text(values, 1), text(values, 2));
    let occurrences = if old.is_empty() { whole.len() + 1 } else { whole.matches(old).count() };
    replaced(whole.len(), occurrences, new)
}

pub(super) fn replace_n(values: &[Value]) -> usize {
    let Some(Value::Object(patterns)) = values.first() else { return 0 };
    let mut whole = text(values, 1).to_owned();
    for (old, new) in patterns.iter_sorted() {
        let (Value::String(old), Value::String(new)) = (old, new) else { return 0 };
        let occurrences = if old.is_empty() { whole.len() + 1 } else { whole.matches(&**old).count() };
        if replaced(whole.len(), occurrences, new) > CAP {
            return usize::MAX;
        }
        whole = whole.replace(&**old, new);
    }
    whole.len()
}

/// Matches do not overlap, so what a `$1` copies adds up to at most the whole text.
pub(super) fn regex_replace(values: &[Value]) -> usize {
    let (whole, pattern, new) = (text(values, 0), text(values, 1), text(values, 2));
    if pattern.len() > PATTERN_CAP {
        return usize::MAX;
    }
    let copies = new.matches('$').count();
    replaced(whole.len(), whole.len() + 1, new).saturating_add(copies.saturating_mul(whole.len()))
}

/// The widths in a format: `%1000000000d` is a gigabyte of blanks. Digits that are not ASCII make regorus panic.
pub(super) fn sprintf(values: &[Value]) -> usize {
    let mut total: usize = 0;
    for verb in text(values, 0).split('%').skip(1) {
        let width: String = verb.chars().take_while(|c| c.is_numeric() || *c == '.').collect();
        if !width.is_ascii() || width.len() > 4 {
            return usize::MAX;
        }
        total = total.saturating_add(width.trim_matches('.').parse().unwrap_or(0));
    }
    total
}
