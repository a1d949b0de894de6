//! What is wrong with a policy tree, said the way a compiler says it: file, line, column, code, message.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that check refuses or warns about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The file, as it stands in the tree: `policies/base.rego`.
    pub file: String,
    /// The line, from 1; 0 when the whole file, or its absence, is meant.
    pub line: u32,
    /// The column in characters, from 1; 0 with line 0.
    pub column: u32,
    /// What kind of problem: `syntax`, `tollgate_reference`, …; the list is in `docs/policy-guide.md`.
    pub code: String,
    /// A sentence that says what to do.
    pub message: String,
}

impl Problem {
    /// A problem at a place.
    pub(super) fn at(file: &str, place: (u32, u32), code: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: place.0, column: place.1, code: code.to_owned(), message: message.into() }
    }

    /// A problem of a whole file.
    pub(super) fn of_file(file: &str, code: &str, message: impl Into<String>) -> Self {
        Self::at(file, (0, 0), code, message)
    }
}

impl fmt::Display for Problem {
    /// `policies/base.rego:3:7: syntax: expected …`, without the place where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}: {}", self.file, self.code, self.message)
        } else {
            write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.code, self.message)
        }
    }
}
