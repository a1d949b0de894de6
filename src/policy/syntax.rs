//! Reads one Rego module: bounds on the text, then regorus' parser, with its errors as [`Problem`]s.

use super::problem::Problem;
use regorus::Engine;
use regorus::unstable::{Module, Ref};

/// The largest module. What is larger is not something that people read.
const MAX_MODULE_BYTES: usize = 256 * 1024;
/// The largest exponent of a number in a module: above it, a few letters become gigabytes of digits.
const MAX_EXPONENT: u32 = 400;
/// Operators in one run without a line that starts a rule; a longer chain would overflow the stack of what walks it.
const MAX_CHAIN: usize = 500;

/// Parses a module, or says why it cannot be one.
pub(super) fn parse(file: &str, text: &str) -> Result<Ref<Module>, Problem> {
    bounds(file, text)?;
    let mut engine = Engine::new();
    engine.add_policy(file.to_owned(), text.to_owned()).map_err(|error| of_error(file, "syntax", &error))?;
    let module = engine.get_modules().first().cloned();
    module.ok_or_else(|| Problem::of_file(file, "syntax", "holds no module"))
}

/// Refuses what could hurt the parser itself.
fn bounds(file: &str, text: &str) -> Result<(), Problem> {
    if text.len() > MAX_MODULE_BYTES {
        return Err(Problem::of_file(file, "too_large", format!("is larger than {MAX_MODULE_BYTES} bytes")));
    }
    let mut chain = 0;
    for (index, line) in text.lines().enumerate() {
        let place =
            |column: usize| (u32::try_from(index + 1).unwrap_or(u32::MAX), u32::try_from(column + 1).unwrap_or(1));
        if let Some(column) = huge_exponent(line) {
            let message = format!("a number may have an exponent of at most {MAX_EXPONENT}");
            return Err(Problem::at(file, place(column), "too_large", message));
        }
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            chain = 0;
        }
        chain += line.bytes().filter(|b| b"+-*/%&|.[({".contains(b)).count();
        if chain > MAX_CHAIN * 10 {
            return Err(Problem::at(file, place(0), "too_large", "this rule is too long; split it into several"));
        }
    }
    Ok(())
}

/// The column of the first `1e999999`-like number of a line.
fn huge_exponent(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    (1..bytes.len()).find(|&at| {
        let exponent = matches!(bytes.get(at), Some(b'e' | b'E'))
            && bytes.get(at - 1).is_some_and(|b| b.is_ascii_digit() || *b == b'.');
        let digits = bytes.get(at + 1..).unwrap_or_default();
        let digits = digits.strip_prefix(b"+").or_else(|| digits.strip_prefix(b"-")).unwrap_or(digits);
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        let value =
            digits.iter().take(count).fold(0_u32, |n, b| n.saturating_mul(10).saturating_add(u32::from(b - b'0')));
        exponent && value > MAX_EXPONENT
    })
}

/// A problem out of an error of regorus, which says its place in its text:
/// `\n--> file:line:column\n…\nerror: message`.
///
/// It counts a tab as four columns; the source line, which it quotes, tells the characters.
pub(super) fn of_error(fallback_file: &str, code: &str, error: &anyhow::Error) -> Problem {
    let text = error.to_string();
    let (file, (line, column)) = place(&text).unwrap_or((fallback_file, (1, 1)));
    let quoted = text.lines().find_map(|quoted| quoted.strip_prefix(&format!("{line} | ")));
    let column = quoted.map_or(column, |quoted| characters(quoted, column));
    Problem::at(file, (line, column), code, message(&text))
}

/// A column with tabs of four as a column in characters.
fn characters(line: &str, column: u32) -> u32 {
    let mut at = 1;
    let mut count = 1;
    for letter in line.chars() {
        if at >= column {
            break;
        }
        at += if letter == '\t' { 4 } else { 1 };
        count += 1;
    }
    count
}

/// The place that an error of regorus names first.
pub(super) fn place(text: &str) -> Option<(&str, (u32, u32))> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("--> "))?;
    let (rest, column) = line.rsplit_once(':')?;
    let (file, row) = rest.rsplit_once(':')?;
    Some((file, (row.parse().ok()?, column.parse().ok()?)))
}

/// The sentence of an error of regorus, without the picture of the source around it.
pub(super) fn message(text: &str) -> String {
    let last = text.rfind("error: ").map_or(text, |at| text.get(at + "error: ".len()..).unwrap_or(text));
    let line = last.trim().lines().next().unwrap_or_default();
    line.chars().take(400).collect()
}
