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
    replaced: Vec<Replaced>,
}

/// A clear text and what stands for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Replaced {
    clear: String,
    digest: String,
    /// It is a key below a masked value.
    key: bool,
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
        replaced.sort_unstable();
        replaced.dedup();
        Masked { replaced }
    }
}

/// Texts, keys and numbers below a masked value: any of them may turn up in a rule's message.
fn collect_leaves(value: &Value, key: &MaskKey, found: &mut Vec<Replaced>) {
    match value {
        Value::String(text) => collect_text(text, false, key, found),
        Value::Number(number) => collect(number.to_string(), value, false, key, found),
        Value::Array(items) => items.iter().for_each(|item| collect_leaves(item, key, found)),
        Value::Object(map) => {
            for (name, inner) in map {
                collect_text(name, true, key, found);
                collect_leaves(inner, key, found);
            }
        }
        _ => {}
    }
}

/// A text as it is, and as it is spelt inside a JSON document.
fn collect_text(text: &str, is_key: bool, key: &MaskKey, found: &mut Vec<Replaced>) {
    if text.is_empty() {
        return;
    }
    let value = Value::String(text.to_owned());
    let quoted = value.to_string();
    let escaped = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if escaped != text {
        collect(escaped.to_owned(), &value, is_key, key, found);
    }
    collect(text.to_owned(), &value, is_key, key, found);
}

fn collect(clear: String, value: &Value, is_key: bool, key: &MaskKey, found: &mut Vec<Replaced>) {
    let digest = format!("masked:{}", &key.digest(value.to_string().as_bytes())[..32]);
    found.push(Replaced { clear, digest, key: is_key });
}

/// Where in a text something masked lies.
struct Place<'m> {
    start: usize,
    end: usize,
    /// How long the longest masked text in it is, and what stands for that.
    longest: usize,
    digest: &'m str,
}

impl Masked {
    /// Whether anything was replaced: such a decision is not exactly replayable.
    pub fn any(&self) -> bool {
        !self.replaced.is_empty()
    }

    /// The text with every masked value, and every key below one, replaced.
    pub fn text(&self, text: &mut String) {
        self.replace(text, true);
    }

    /// The same for a code, which programs go by: keys, which are mostly names of fields, stay.
    pub fn code(&self, code: &mut String) {
        self.replace(code, false);
    }

    /// Every text inside a JSON value.
    pub fn value(&self, value: &mut Value) {
        self.walk(value, true);
    }

    /// The same for a document whose own fields may be called as those below a masked value: keys stay.
    pub fn document(&self, document: &mut Value) {
        self.walk(document, false);
    }

    fn walk(&self, value: &mut Value, keys: bool) {
        match value {
            Value::String(text) => self.replace(text, keys),
            Value::Number(number) => {
                let shown = number.to_string();
                if let Some(found) = self.replaced.iter().find(|one| one.clear == shown && (keys || !one.key)) {
                    *value = Value::String(found.digest.clone());
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item, keys)),
            Value::Object(map) => {
                let entries = std::mem::take(map);
                for (mut key, mut inner) in entries {
                    self.replace(&mut key, keys);
                    self.walk(&mut inner, keys);
                    map.insert(key, inner);
                }
            }
            _ => {}
        }
    }

    fn replace(&self, text: &mut String, keys: bool) {
        replace(text, self.replaced.iter().filter(|one| keys || !one.key));
    }

    /// A policy's reasons and warnings.
    pub fn outcome(&self, reasons: &mut [Reason], warnings: &mut [Warning]) {
        if !self.any() {
            return;
        }
        for reason in reasons {
            self.code(&mut reason.code);
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
            self.code(&mut warning.code);
            self.text(&mut warning.message);
            if let Some(details) = &mut warning.details {
                self.value(details);
            }
        }
    }
}

/// Replaces each of them. Where they overlap, what they cover together is replaced as one.
fn replace<'m>(text: &mut String, replaced: impl Iterator<Item = &'m Replaced>) {
    let mut found: Vec<Place<'m>> = replaced
        .flat_map(|one| {
            let (longest, digest) = (one.clear.len(), one.digest.as_str());
            let starts = text.match_indices(one.clear.as_str()).map(|(start, _)| start);
            starts.map(move |start| Place { start, end: start + longest, longest, digest }).collect::<Vec<_>>()
        })
        .collect();
    found.sort_by_key(|place| (place.start, std::cmp::Reverse(place.end)));
    let mut places: Vec<Place<'m>> = Vec::with_capacity(found.len());
    for place in found {
        match places.last_mut() {
            Some(last) if place.start < last.end => {
                last.end = last.end.max(place.end);
                if place.longest > last.longest {
                    (last.longest, last.digest) = (place.longest, place.digest);
                }
            }
            _ => places.push(place),
        }
    }
    for place in places.iter().rev() {
        text.replace_range(place.start..place.end, place.digest);
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
    fn a_value_goes_in_its_json_spelling_too() {
        let mask = Mask { pointers: vec!["/context/token".into()] };
        let mut document = json!({"context": {"token": "SEC\"RET\\tok\n1"}});
        let masked = mask.apply(&mut document, &key());
        let mut message = format!("{} and {}", json!({"token": "SEC\"RET\\tok\n1"}), "SEC\"RET\\tok\n1");
        masked.text(&mut message);
        let digest = document["context"]["token"].as_str().unwrap();
        assert_eq!(message, format!("{{\"token\":\"{digest}\"}} and {digest}"), "both under the value's own digest");
    }

    #[test]
    fn keys_below_a_masked_value_go_from_messages_and_stay_in_codes() {
        let mask = Mask { pointers: vec!["/entity/properties/cards".into()] };
        let mut document = json!({"entity": {"properties": {"cards": {"DE02 \"1203": {"holder": true}}}}});
        let masked = mask.apply(&mut document, &key());
        let mut details = json!({"DE02 \"1203": "holder of DE02 \\\"1203"});
        masked.value(&mut details);
        assert!(!details.to_string().contains("1203"), "{details}");
        let mut code = "no_holder".to_owned();
        masked.code(&mut code);
        assert_eq!(code, "no_holder");
    }

    #[test]
    fn what_overlaps_is_replaced_as_one_and_digests_are_left_alone() {
        let mask = Mask { pointers: vec!["/context/all".into()] };
        let mut document = json!({"context": {"all": ["abcd", "cdefgh", "a", "e"]}});
        let masked = mask.apply(&mut document, &key());
        let mut message = "xabcdefghx a".to_owned();
        masked.text(&mut message);
        let digest = |text: &str| format!("masked:{}", &key().digest(json!(text).to_string().as_bytes())[..32]);
        assert_eq!(message, format!("x{}x {}", digest("cdefgh"), digest("a")));
    }

    #[test]
    fn another_key_gives_another_digest() {
        assert_ne!(key().digest(b"x"), MaskKey::new([8; 32]).digest(b"x"));
    }
}
