//! What a layer answered, turned into reasons and warnings; or the finding that it has no allowed shape.

use super::weight::weigh;
use crate::vocabulary::{Reason, Remedy, RemedyKind, Source, Warning};
use regorus::Value;
use serde_json::{Map, Value as Json};

/// The most entries of one `deny` or `warn`.
const MAX_ENTRIES: usize = 100;
/// The most that one entry may weigh.
const MAX_ENTRY_BYTES: usize = 64 * 1024;
/// The longest code and the longest message.
const MAX_CODE: usize = 128;
const MAX_MESSAGE: usize = 4096;

/// A layer's answer has another shape than the contract's; the text says which.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid(pub(super) String);

/// One entry of `deny` or `warn`, checked.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) code: Option<String>,
    message: String,
    remedy: Option<(RemedyKind, Option<String>)>,
    field: Option<String>,
    details: Option<Json>,
}

/// `allow` as a boolean. Undefined is false.
pub(super) fn boolean(name: &str, value: &Value) -> Result<bool, Invalid> {
    match value {
        Value::Bool(answer) => Ok(*answer),
        Value::Undefined => Ok(false),
        other => Err(Invalid(format!("`{name}` must be true or false, and is {}", kind(other)))),
    }
}

/// `deny` or `warn` as a list of entries, in the order of the set.
pub(super) fn entries(name: &str, value: &Value) -> Result<Vec<Entry>, Invalid> {
    let set = match value {
        Value::Undefined => return Ok(Vec::new()),
        Value::Set(set) => set,
        other => return Err(Invalid(format!("`{name}` must be a set, and is {}", kind(other)))),
    };
    if set.len() > MAX_ENTRIES {
        return Err(Invalid(format!("`{name}` has more than {MAX_ENTRIES} entries")));
    }
    set.iter_sorted().map(|value| entry(value).map_err(|why| Invalid(format!("an entry of `{name}` {why}")))).collect()
}

fn entry(value: &Value) -> Result<Entry, String> {
    let mut left = MAX_ENTRY_BYTES;
    weigh(value, &mut left);
    if left == 0 {
        return Err(format!("is larger than {MAX_ENTRY_BYTES} bytes"));
    }
    match value {
        Value::String(text) => {
            let message = sentence(text)?;
            Ok(Entry { value: value.clone(), code: None, message, remedy: None, field: None, details: None })
        }
        Value::Object(_) => object(value),
        other => Err(format!("must be a string or an object, and is {}", kind(other))),
    }
}

fn object(value: &Value) -> Result<Entry, String> {
    let Some(Json::Object(mut fields)) = to_json(value) else {
        return Err("holds what JSON cannot".to_owned());
    };
    let mut text = |key: &str| match fields.remove(key) {
        Some(Json::String(text)) => Ok(Some(text)),
        None => Ok(None),
        Some(_) => Err(format!("has a `{key}` that is not a string")),
    };
    let code = text("code")?.ok_or("lacks `code`")?;
    let message = text("message")?.ok_or("lacks `message`")?;
    let field = text("field")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if code.is_empty() || code.len() > MAX_CODE || !code.chars().all(plain) {
        return Err("has a `code` that is not 1 to 128 letters, digits, `_`, `-`, `.`".to_owned());
    }
    if field.as_deref().is_some_and(|field| !field.starts_with('/')) {
        return Err("has a `field` that is not a JSON pointer such as \"/entity/properties/due_date\"".to_owned());
    }
    let remedy = fields.remove("remedy").map(remedy).transpose()?;
    let details = fields.remove("details");
    if let Some(key) = fields.keys().next() {
        return Err(format!("has an unknown key `{key}`"));
    }
    Ok(Entry { value: value.clone(), code: Some(code), message: sentence(&message)?, remedy, field, details })
}

fn sentence(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.len() > MAX_MESSAGE {
        return Err(format!("has a message that is not 1 to {MAX_MESSAGE} bytes long"));
    }
    Ok(text.to_owned())
}

fn remedy(value: Json) -> Result<(RemedyKind, Option<String>), String> {
    let (kind, target) = match value {
        Json::String(kind) => (kind, None),
        Json::Object(mut fields) => {
            let Some(Json::String(kind)) = fields.remove("kind") else {
                return Err("has a `remedy` without a `kind`".to_owned());
            };
            let target = match fields.remove("target") {
                None => None,
                Some(Json::String(target)) if target.contains(':') && target.len() <= 512 => Some(target),
                Some(_) => return Err("has a remedy whose `target` is not like \"connector:erp\"".to_owned()),
            };
            if let Some(key) = fields.keys().next() {
                return Err(format!("has an unknown key `{key}` in its remedy"));
            }
            (kind, target)
        }
        _ => return Err("has a `remedy` that is neither a string nor an object".to_owned()),
    };
    let known = RemedyKind::parse(&kind).ok_or_else(|| format!("names the unknown remedy `{kind}`"))?;
    Ok((known, target))
}

impl Entry {
    /// As a reason. `policy` is the target where nothing else is: `policy:entities/rfq.rego`.
    pub(super) fn into_reason(self, policy: &str, rule: Option<String>) -> Reason {
        let (kind, target) = self.remedy.unwrap_or((RemedyKind::ReviewPolicy, None));
        let takes_field = matches!(kind, RemedyKind::SupplyData | RemedyKind::CorrectInput);
        let of_field = self.field.as_ref().filter(|_| takes_field).map(|field| format!("field:{field}"));
        let details = if takes_field { self.details } else { with_field(self.details, self.field) };
        Reason {
            code: self.code.unwrap_or_else(|| "policy_denied".to_owned()),
            source: Source::Policy,
            message: self.message,
            rule,
            remedy: Remedy::on(kind, target.or(of_field).unwrap_or_else(|| policy.to_owned())),
            retry_at: None,
            details,
        }
    }

    /// As a warning.
    pub(super) fn into_warning(self, rule: Option<String>) -> Warning {
        Warning {
            code: self.code.unwrap_or_else(|| "policy_warning".to_owned()),
            source: Source::Policy,
            message: self.message,
            rule,
            details: with_field(self.details, self.field),
        }
    }
}

/// Details that name the field too, where there is one and room for it.
fn with_field(details: Option<Json>, field: Option<String>) -> Option<Json> {
    match (details, field) {
        (None, Some(field)) => Some(Json::Object(Map::from_iter([("field".to_owned(), Json::String(field))]))),
        (Some(Json::Object(mut fields)), Some(field)) => {
            fields.entry("field").or_insert(Json::String(field));
            Some(Json::Object(fields))
        }
        (details, _) => details,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "undefined",
    }
}

/// A Rego value as JSON; sets become arrays. `None` for keys that are no strings and numbers that JSON has not.
/// The caller has weighed the value.
pub(super) fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Number(_) => serde_json::from_str(&value.to_json_str().ok()?).ok()?,
        Value::String(text) => Json::String(text.to_string()),
        Value::Array(items) => Json::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        Value::Set(items) => Json::Array(items.iter_sorted().map(to_json).collect::<Option<_>>()?),
        Value::Object(fields) => {
            let field = |(key, value): (&Value, &Value)| Some((key.as_string().ok()?.to_string(), to_json(value)?));
            Json::Object(fields.iter_sorted().map(field).collect::<Option<_>>()?)
        }
        Value::Undefined => return None,
    })
}
