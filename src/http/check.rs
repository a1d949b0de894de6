//! From wire fields to values of the vocabulary, with every fault of a body at once.

use super::problem::{FieldError, Problem, ProblemCode};
use crate::runs::HIGHEST_ATTEMPT;
use std::fmt::Display;
use std::str::FromStr;

/// Collects what is wrong with the fields of one body.
#[derive(Debug)]
pub struct Check {
    at: String,
    errors: Vec<FieldError>,
}

impl Check {
    /// For the body at that pointer.
    pub fn new(at: &str) -> Self {
        Self { at: at.to_owned(), errors: Vec::new() }
    }

    /// A fault.
    pub fn fault(&mut self, pointer: impl Display, message: impl Display) {
        self.errors.push(FieldError { pointer: format!("{}{pointer}", self.at), message: message.to_string() });
    }

    /// The value, or a fault and `None`.
    pub fn value<T, E: Display>(&mut self, pointer: impl Display, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.fault(pointer, error)).ok()
    }

    /// The value of a text, or a fault and `None`.
    pub fn parse<T: FromStr<Err: Display>>(&mut self, pointer: impl Display, text: &str) -> Option<T> {
        self.value(pointer, text.parse())
    }

    /// The value of a text that may be absent: `None` where it is, or where a fault was noted.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, pointer: impl Display, text: Option<&str>) -> Option<T> {
        text.and_then(|text| self.parse(pointer, text))
    }

    /// The number of an attempt, where one is named.
    pub fn attempt(&mut self, pointer: impl Display, number: Option<u32>) {
        if number.is_some_and(|number| !(1..=HIGHEST_ATTEMPT).contains(&number)) {
            self.fault(pointer, format_args!("must be from 1 to {HIGHEST_ATTEMPT}"));
        }
    }

    /// A text for people: not empty, at most `longest` bytes, no control characters but line ends and tabs.
    pub fn text(&mut self, pointer: impl Display, text: &str, longest: usize) {
        if text.trim().is_empty() {
            self.fault(pointer, "must not be empty");
        } else if text.len() > longest {
            self.fault(pointer, format_args!("must be at most {longest} bytes long"));
        } else if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            self.fault(pointer, "must not hold control characters");
        }
    }

    /// The problem of all faults, or what `build` makes; `build` answers `None` only where a fault was noted.
    pub fn finish<T>(self, built: Option<T>) -> Result<T, Problem> {
        match built {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::fields(ProblemCode::InvalidRequest, self.errors)),
        }
    }
}
