//! The fingerprint of a failure: code, step and normalised message. Failures of one fingerprint are one trouble, seen in
//! many runs.

use super::normalise::normalise;
use crate::vocabulary::StepName;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// `fp_` and 24 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of a failure.
    pub fn of(code: &str, step: Option<&StepName>, message: &str) -> Self {
        let mut hash = Sha256::new();
        // a zero ends each part: none of them holds one
        for part in [code, step.map_or("", StepName::as_str), &normalise(message)] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let hex: String = hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        Self(format!("fp_{hex}"))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("fp_").filter(|digits| digits.len() == 24);
        match digits {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(Self(text.to_owned())),
            _ => Err("must be fp_ and 24 hexadecimal digits"),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_step_and_message_each_tell() {
        let step = StepName::new("price-lookup").unwrap();
        let one = Fingerprint::of("timeout", Some(&step), "no answer from 10.0.0.1 after 30 s");
        assert_eq!(one, Fingerprint::of("timeout", Some(&step), "no answer from 10.9.8.7 after 5 s"));
        assert_ne!(one, Fingerprint::of("rate_limited", Some(&step), "no answer from 10.0.0.1 after 30 s"));
        assert_ne!(one, Fingerprint::of("timeout", None, "no answer from 10.0.0.1 after 30 s"));
        assert_ne!(one, Fingerprint::of("timeout", Some(&step), "an answer from 10.0.0.1 after 30 s"));
        assert!(one.as_str().starts_with("fp_") && one.as_str().len() == 27);
    }
}
