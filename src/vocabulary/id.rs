//! Names and ids as types of their own, each with one fallible constructor.
//!
//! Two kinds: *names* come from outside and are texts of 1 to 256 bytes without control characters; *slugs* are ids
//! that people type into addresses and files: lower-case letters, digits, `-`, `_`, `.`, 1 to 128 bytes.

use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing in it.
    #[error("must not be empty")]
    Empty,
    /// Longer than the kind allows.
    #[error("must be at most {0} bytes long")]
    TooLong(usize),
    /// A control character, or white space at an end.
    #[error("must not hold control characters, nor white space at its ends")]
    Character,
    /// Outside the slug's letters.
    #[error("must start with a letter or digit and hold only lower-case letters, digits, '-', '_' and '.'")]
    Slug,
}

fn name(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > 256 {
        return Err(IdError::TooLong(256));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(IdError::Character);
    }
    Ok(())
}

fn slug(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > 128 {
        return Err(IdError::TooLong(128));
    }
    let body = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    let first = text.as_bytes().first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if first && text.bytes().all(body) { Ok(()) } else { Err(IdError::Slug) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident: $rule:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id, if the text is one.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                $rule(text.as_ref())?;
                Ok(Self(text.as_ref().into()))
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&*text).map_err(de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// Who acts.
    AgentId: name;
    /// The team an agent belongs to, by the registry.
    TeamId: name;
    /// What an agent wants to do.
    ActionName: name;
    /// The kind of record acted on.
    EntityType: name;
    /// The record acted on.
    EntityId: name;
    /// One piece of an agent's work.
    RunId: name;
    /// A step of a run.
    StepName: name;
    /// A place in a run from which its work can go on.
    CheckpointId: name;
    /// Something that runs need and Tollgate does not provide: an ERP, a mailbox.
    ConnectorId: name;
    /// When somebody outside starts runs.
    ScheduleId: name;
    /// Who claims attempts.
    WorkerId: name;
    /// What a caller names a request, so that asking twice answers once.
    IdempotencyKey: name;
    /// A budget.
    BudgetId: slug;
    /// What a budget counts: `usd`, `tokens`, `calls`, or one of the admin's own.
    Unit: slug;
    /// An API key (its name, never its secret).
    ApiKeyId: slug;
    /// A recorded decision: `adm_` and 26 letters that sort by time.
    AdmissionId: slug;
    /// Money set aside: `hold_` and 26 letters.
    HoldId: slug;
    /// A raise of a budget's limit.
    RaiseId: slug;
    /// A pause.
    PauseId: slug;
    /// A line of Command Center: `item_` and 26 letters that its subject gives.
    ItemId: slug;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_slugs() {
        assert!(AgentId::new("RFQ draft / Ünit 7").is_ok());
        assert_eq!(AgentId::new(""), Err(IdError::Empty));
        assert_eq!(AgentId::new("a\u{0}b"), Err(IdError::Character));
        assert_eq!(AgentId::new(" a"), Err(IdError::Character));
        assert_eq!(AgentId::new("x".repeat(257)), Err(IdError::TooLong(256)));
        assert!(BudgetId::new("rfq-draft-daily").is_ok());
        assert_eq!(BudgetId::new("RFQ"), Err(IdError::Slug));
        assert_eq!(BudgetId::new("../etc"), Err(IdError::Slug));
    }
}
