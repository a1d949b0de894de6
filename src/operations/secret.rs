//! The secrets of API keys: made, recognised by their hash, never stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;

/// The shortest secret that an admin may choose by hand (`TOLLGATE_ADMIN_KEY`), in characters.
pub const SHORTEST_SECRET: usize = 32;

/// The longest secret that a request may send, in characters.
pub const LONGEST_SECRET: usize = 1_024;

/// A key's secret. It does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a text cannot be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too short.
    #[error("must be {SHORTEST_SECRET} characters or more")]
    TooShort,
    /// No request with it would be heard.
    #[error("must be at most {LONGEST_SECRET} characters long: requests with a longer one are refused")]
    TooLong,
    /// It could not be sent in a header.
    #[error("must hold only letters, digits and signs of ASCII, without spaces")]
    Character,
    /// The machine has no randomness to give.
    #[error("no randomness: {0}")]
    Random(String),
}

impl Secret {
    /// A new one: `tg_` and 256 random bits in base64url.
    pub fn random() -> Result<Self, SecretError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| SecretError::Random(error.to_string()))?;
        Ok(Self(format!("tg_{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// One that an admin chose.
    pub fn chosen(text: &str) -> Result<Self, SecretError> {
        if text.chars().count() < SHORTEST_SECRET {
            return Err(SecretError::TooShort);
        }
        if text.len() > LONGEST_SECRET {
            return Err(SecretError::TooLong);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SecretError::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text, for the one time that it is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn sha256(&self) -> String {
        sha256(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a sent secret is looked up by: its SHA-256 in hex. Looking up by a hash leaks nothing by its timing, for nobody
/// can choose a secret by the first bytes of its hash.
pub fn sha256(secret: &str) -> String {
    use fmt::Write as _;
    Sha256::digest(secret).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_secret_has_256_bits_and_does_not_print_itself() {
        let (one, two) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_ne!(one, two);
        let text = one.reveal().strip_prefix("tg_").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(text).unwrap().len(), 32);
        assert!(Secret::chosen(one.reveal()).is_ok());
        assert!(!format!("{one:?}").contains(text));
        assert_eq!(one.sha256(), sha256(one.reveal()));
    }

    #[test]
    fn chosen_secrets() {
        for (text, outcome) in [
            ("0123456789abcdef0123456789abcdef", Ok(())),
            ("0123456789abcdef0123456789abcde", Err(SecretError::TooShort)),
            (&"x".repeat(LONGEST_SECRET), Ok(())),
            (&"x".repeat(LONGEST_SECRET + 1), Err(SecretError::TooLong)),
            ("0123456789abcdef 0123456789abcdef", Err(SecretError::Character)),
            ("ööööööööööööööööööööööööööööööööö", Err(SecretError::Character)),
        ] {
            assert_eq!(Secret::chosen(text).map(|_| ()), outcome, "{text}");
        }
        assert_eq!(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
