//! Masking: the journal is never rewritten, so what must not be read there is replaced before it gets there.
//!
//! A masked value becomes a keyed digest (HMAC-SHA-256 under a key of this daemon's own), so that equal values stay
//! equal and nobody without the key can guess them. It happens after policy has seen the value, in the recorded input and
//! in every message that repeats it.

use crate::vocabulary::{Reason, Warning};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::fmt::{self, Write};

/// The secret that digests are made with.
#[derive(Clone)]
pub struct MaskKey([u8; 32]);

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(…)")
    }
}

impl MaskKey {
    /// From 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The keyed digest of a text, in hex.
    pub fn digest(&self, text: &[u8]) -> String {
        let bytes = match Hmac::<Sha256>::new_from_slice(&self.0) {
            Ok(mut mac) => {
                mac.update(text);
                mac.finalize().into_bytes()
            }
            Err(never) => unreachable!("HMAC takes a key of any length: {never}"),
        };
        bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// Which values are masked: JSON pointers into the admission request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// Pointers such as `/entity/properties/iban` or `/context/token`.
    pub pointers: Vec<String>,
}

/// What was masked in one request.
#[derive(Clone, Debug, Default)]
pub struct Masked {
    /// Clear text and what stands for it, longest first.
    replaced: Vec<(String, String)>,
}

impl Mask {
    /// Replaces the named values in `document`; what was replaced comes back, so that messages can follow.
    pub fn apply(&self, document: &mut Value, key: &MaskKey) -> Masked {
        let mut replaced = Vec::new();
        for pointer in &self.pointers {
            if let Some(value) = document.pointer_mut(pointer) {
                if value.is_null() {
                    continue;
                }
                let digest = format!("masked:{}", &key.digest(value.to_string().as_bytes())[..32]);
                collect_leaves(value, key, &mut replaced);
                *value = Value::String(digest);
            }
        }
        replaced.sort_by(|a: &(String, String), b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        replaced.dedup();
        Masked { replaced }
    }
}

/// Texts and numbers below a masked value: any of them may turn up in a rule's message.
fn collect_leaves(value: &Value, key: &MaskKey, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) if !text.is_empty() => {
            found.push((text.clone(), format!("masked:{}", &key.digest(value.to_string().as_bytes())[..32])));
        }
        Value::Number(number) => {
            found.push((number.to_string(), format!("masked:{}", &key.digest(value.to_string().as_bytes())[..32])));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_leaves(item, key, found)),
        Value::Object(map) => map.values().for_each(|item| collect_leaves(item, key, found)),
        _ => {}
    }
}

impl Masked {
    /// Whether anything was replaced: such a decision is not exactly replayable.
    pub fn any(&self) -> bool {
        !self.replaced.is_empty()
    }

    /// The text with every masked value replaced.
    pub fn text(&self, text: &mut String) {
        for (clear, digest) in &self.replaced {
            if text.contains(clear.as_str()) {
                *text = text.replace(clear.as_str(), digest);
            }
        }
    }

    /// Every text inside a JSON value.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Number(number) => {
                let shown = number.to_string();
                if let Some((_, digest)) = self.replaced.iter().find(|(clear, _)| *clear == shown) {
                    *value = Value::String(digest.clone());
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => {
                let entries = std::mem::take(map);
                for (mut key, mut inner) in entries {
                    self.text(&mut key);
                    self.value(&mut inner);
                    map.insert(key, inner);
                }
            }
            _ => {}
        }
    }

    /// A policy's reasons and warnings.
    pub fn outcome(&self, reasons: &mut [Reason], warnings: &mut [Warning]) {
        if !self.any() {
            return;
        }
        for reason in reasons {
            self.text(&mut reason.code);
            self.text(&mut reason.message);
            if let Some(target) = &mut reason.remedy.target {
                self.text(target);
            }
            if let Some(href) = &mut reason.remedy.href {
                self.text(href);
            }
            if let Some(details) = &mut reason.details {
                self.value(details);
            }
        }
        for warning in warnings {
            self.text(&mut warning.code);
            self.text(&mut warning.message);
            if let Some(details) = &mut warning.details {
                self.value(details);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key() -> MaskKey {
        MaskKey::new([7; 32])
    }

    #[test]
    fn equal_values_stay_equal_and_clear_text_goes() {
        let mask = Mask { pointers: vec!["/entity/properties/iban".into(), "/context/token".into()] };
        let mut one = json!({"entity": {"properties": {"iban": "DE02 1203", "n": 1}}, "context": {"token": "s3cr3t"}});
        let mut two = json!({"entity": {"properties": {"iban": "DE02 1203"}}, "context": {}});
        let masked = mask.apply(&mut one, &key());
        mask.apply(&mut two, &key());
        assert_eq!(one["entity"]["properties"]["iban"], two["entity"]["properties"]["iban"]);
        assert!(!one.to_string().contains("DE02") && !one.to_string().contains("s3cr3t"));
        assert_eq!(one["entity"]["properties"]["n"], 1);
        let mut message = "The IBAN DE02 1203 is blocked.".to_owned();
        masked.text(&mut message);
        assert!(!message.contains("DE02"), "{message}");
    }

    #[test]
    fn a_masked_object_hides_all_of_its_leaves_in_details() {
        let mask = Mask { pointers: vec!["/entity/properties/card".into()] };
        let mut document = json!({"entity": {"properties": {"card": {"number": 4111, "name": "Mia"}}}});
        let masked = mask.apply(&mut document, &key());
        let mut details = json!({"Mia": [4111, "Mia paid"]});
        masked.value(&mut details);
        assert!(!details.to_string().contains("Mia") && !details.to_string().contains("4111"), "{details}");
    }

    #[test]
    fn another_key_gives_another_digest() {
        assert_ne!(key().digest(b"x"), MaskKey::new([8; 32]).digest(b"x"));
    }
}
