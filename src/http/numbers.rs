//! Numbers of a request that a 64-bit float does not keep as they were written: beyond 64 bits, or with more digits than
//! one holds. They are refused, for policy would judge another number than was sent, and two questions that differ in their
//! last digits would be one under the same idempotency key.

use super::json::token;

/// The most digits that a float gives back as they were written, if it holds the number.
const MOST_DIGITS: usize = 17;

/// The pointer of the first number that would not be kept. `bytes` are JSON.
pub(super) fn first_rounded(bytes: &[u8]) -> Option<String> {
    let mut open: Vec<Inside<'_>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let mut next = at + 1;
        match byte {
            b'{' => open.push(Inside::Object { key: &[], named: false }),
            b'[' => open.push(Inside::List { index: 0 }),
            b'}' | b']' => {
                open.pop();
            }
            b',' => match open.last_mut() {
                Some(Inside::List { index }) => *index += 1,
                Some(Inside::Object { named, .. }) => *named = false,
                None => {}
            },
            b'"' => {
                next = text_end(bytes, at);
                if let Some(Inside::Object { key, named }) = open.last_mut()
                    && !*named
                {
                    (*key, *named) = (bytes.get(at..next).unwrap_or_default(), true);
                }
            }
            b'-' | b'0'..=b'9' => {
                next = bytes.iter().skip(at).position(|b| !is_of_number(*b)).map_or(bytes.len(), |length| at + length);
                let number = bytes.get(at..next).and_then(|number| std::str::from_utf8(number).ok());
                if !number.is_some_and(is_kept) {
                    return Some(open.iter().map(Inside::segment).collect());
                }
            }
            _ => {}
        }
        at = next;
    }
    None
}

/// What the scanner is in, and where in it.
enum Inside<'a> {
    /// The key of the value that comes next or is being read, with its quotation marks.
    Object {
        key: &'a [u8],
        named: bool,
    },
    List {
        index: usize,
    },
}

impl Inside<'_> {
    fn segment(&self) -> String {
        match self {
            Self::Object { key, .. } => {
                let key: String = serde_json::from_slice(key).unwrap_or_default();
                format!("/{}", token(&key))
            }
            Self::List { index } => format!("/{index}"),
        }
    }
}

/// Behind the closing quotation mark of the text that begins at `start`.
fn text_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Whether it is an integer of 64 bits, or a float that shows the same digits again when as many are asked for.
fn is_kept(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    let (mantissa, _) = number.split_once(['e', 'E']).unwrap_or((number, ""));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0').trim_end_matches('0');
    if digits.is_empty() {
        return true;
    }
    let Some(behind) = digits.len().checked_sub(1).filter(|_| digits.len() <= MOST_DIGITS) else { return false };
    let Ok(float) = number.parse::<f64>() else { return false };
    let shown = format!("{:.*e}", behind, float.abs());
    let shown = shown.split('e').next().unwrap_or_default();
    shown.chars().filter(char::is_ascii_digit).eq(digits.chars())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_kept_and_what_is_not() {
        for (number, kept) in [
            ("0", true),
            ("-0", true),
            ("0.0e9", true),
            ("18446744073709551615", true),
            ("-9223372036854775808", true),
            ("18446744073709551616", false),
            ("-9223372036854775809", false),
            ("9007199254740993", true),
            ("9007199254740993.0", false),
            ("9007199254740992.0", true),
            ("100000000000000000000", true),
            ("1e300", true),
            ("1.50", true),
            ("0.1", true),
            // as shortest and as `%.17g` writes it
            ("0.30000000000000004", true),
            ("0.10000000000000001", true),
            ("0.10000000000000000000001", false),
            ("0.12345678901234567", false),
            ("0.12345678901234568", true),
            ("0.123456789012345678", false),
            ("1e-400", false),
            ("1.23456789e-320", false),
            ("5e-324", true),
        ] {
            assert_eq!(is_kept(number), kept, "{number}");
        }
    }

    #[test]
    fn where_it_is() {
        for (text, at) in [
            (
                r#"{"a": [1, {"b\n": "18446744073709551616", "c/d~": [[], 18446744073709551616]}]}"#,
                Some("/a/1/c~1d~0/1"),
            ),
            (r#"{"a\"]": {"x": 1}, "b": 1e-400}"#, Some("/b")),
            (r#"{"1e-400": "1e-400", "\\": "\\\"1e-400"}"#, None),
            ("18446744073709551616", Some("")),
            ("[[1, 2], [3.5, 4], [{}, {\"\": 0.10000000000000000001}]]", Some("/2/1/")),
            (r#"{"a": -5, "b": 2.5e3}"#, None),
        ] {
            assert_eq!(first_rounded(text.as_bytes()).as_deref(), at, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_programs_write_is_kept(float in any::<f64>().prop_filter("finite", |f| f.is_finite()), int in any::<i64>()) {
            prop_assert!(is_kept(&float.to_string()) || float.to_string().len() > 17, "{float}");
            prop_assert!(is_kept(&format!("{float:e}")), "{float:e}");
            prop_assert!(is_kept(&serde_json::to_string(&float).unwrap()));
            if float.is_normal() {
                prop_assert!(is_kept(&format!("{float:.16e}")), "{float:.16e}");
            }
            prop_assert!(is_kept(&int.to_string()));
        }

        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = first_rounded(&bytes);
        }
    }
}
