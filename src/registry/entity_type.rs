//! Entity types: an optional JSON Schema of the properties, and where the record can be opened.
//!
//! A schema never reaches out (`$ref` stays inside the document) and its patterns run in linear time. It may also name
//! values to be masked in the journal: a property with `"x-tollgate-mask": true`; a mask that cannot be kept is refused.

use super::masks;
use crate::vocabulary::EntityType;
use jiff::Timestamp;
use jsonschema::{PatternOptions, Validator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an admin writes of an entity type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityTypeSpec {
    /// In a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Where the record can be opened: an http(s) address or a path of our own, with `{id}` in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_template: Option<String>,
}

/// A registered entity type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityTypeRecord {
    /// Its name.
    #[serde(rename = "type")]
    pub name: EntityType,
    /// What the admin wrote.
    #[serde(flatten)]
    pub spec: EntityTypeSpec,
    /// Counts its changes, from 1.
    pub revision: u64,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// It was removed; kept so that its revisions go on counting.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

/// Why a specification is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A `$ref` that leaves the document.
    #[error("a $ref must stay inside the schema (start with '#'), not {0:?}")]
    RemoteRef(String),
    /// Not a JSON Schema.
    #[error("not a usable JSON Schema: {0}")]
    Invalid(String),
    /// Not a link that Tollgate shows.
    #[error("link_template must start with https://, http:// or / and hold {{id}}")]
    Link,
    /// Larger than is sensible.
    #[error("the schema is larger than 64 KiB")]
    TooLarge,
    /// A mask that would mask nothing.
    #[error("{why}")]
    Mask {
        /// Where it stands, as a JSON pointer inside the schema.
        pointer: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl SchemaError {
    /// Where the fault lies, as a JSON pointer inside the specification.
    pub fn pointer(&self) -> String {
        match self {
            Self::Link => "/link_template".to_owned(),
            Self::Mask { pointer, .. } => format!("/schema{pointer}"),
            Self::RemoteRef(_) | Self::Invalid(_) | Self::TooLarge => "/schema".to_owned(),
        }
    }
}

/// One place where the properties do not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// JSON pointer inside the properties.
    pub pointer: String,
    /// In words.
    pub message: String,
    /// The field is not there at all.
    pub missing: bool,
}

impl EntityTypeSpec {
    /// Refuses what cannot be used.
    pub fn validate(&self) -> Result<(), SchemaError> {
        if let Some(link) = &self.link_template {
            let known = ["https://", "http://"].iter().any(|s| link.starts_with(s))
                || (link.starts_with('/') && !link.starts_with("//"));
            if !known || !link.contains("{id}") || link.chars().any(char::is_control) {
                return Err(SchemaError::Link);
            }
        }
        match &self.schema {
            Some(schema) => compile_schema(schema).and_then(|_| masks::check_masks(schema)),
            None => Ok(()),
        }
    }

    /// Pointers inside the properties whose values the journal must not hold in clear.
    pub fn masked_pointers(&self) -> Vec<String> {
        self.schema.as_ref().map(masks::masked_pointers).unwrap_or_default()
    }
}

/// A validator for the schema. Patterns use an engine without backtracking; formats are not asserted.
pub fn compile_schema(schema: &Value) -> Result<Validator, SchemaError> {
    if serde_json::to_string(schema).map_or(usize::MAX, |text| text.len()) > 64 * 1024 {
        return Err(SchemaError::TooLarge);
    }
    refuse_remote(schema)?;
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| SchemaError::Invalid(error.to_string()))
}

fn refuse_remote(schema: &Value) -> Result<(), SchemaError> {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                if let ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) = (key.as_str(), value)
                    && !target.starts_with('#')
                {
                    return Err(SchemaError::RemoteRef(target.clone()));
                }
                refuse_remote(value)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(refuse_remote),
        _ => Ok(()),
    }
}

impl SchemaFault {
    /// Every place where `properties` does not fit, at most 20.
    pub fn all(validator: &Validator, properties: &Value) -> Vec<Self> {
        use jsonschema::error::ValidationErrorKind;
        validator
            .iter_errors(properties)
            .take(20)
            .map(|error| {
                let at = error.instance_path().to_string();
                match error.kind() {
                    ValidationErrorKind::Required { property } => {
                        let name = property.as_str().unwrap_or_default().replace('~', "~0").replace('/', "~1");
                        Self { pointer: format!("{at}/{name}"), message: "is missing".to_owned(), missing: true }
                    }
                    _ => Self { pointer: at, message: error.masked().to_string(), missing: false },
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(schema: Value) -> EntityTypeSpec {
        EntityTypeSpec { schema: Some(schema), ..EntityTypeSpec::default() }
    }

    #[test]
    fn remote_references_and_backtracking_patterns_are_refused() {
        assert!(matches!(
            spec(json!({"$ref": "https://example.com/x.json"})).validate(),
            Err(SchemaError::RemoteRef(_))
        ));
        assert!(matches!(
            spec(json!({"properties": {"a": {"pattern": "(a)\\1"}}})).validate(),
            Err(SchemaError::Invalid(_))
        ));
        assert!(
            spec(json!({"$defs": {"d": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/d"}}}))
                .validate()
                .is_ok()
        );
    }

    #[test]
    fn a_mask_that_is_not_kept_is_refused_with_its_place() {
        let refused = spec(json!({"properties": {"a": {"items": {"x-tollgate-mask": true}}}})).validate().unwrap_err();
        assert_eq!(refused.pointer(), "/schema/properties/a/items/x-tollgate-mask");
        assert_eq!(spec(json!({"properties": {"a": {"x-tollgate-mask": true}}})).validate(), Ok(()));
    }

    #[test]
    fn faults_name_the_missing_field() {
        let validator =
            compile_schema(&json!({"required": ["due_date"], "properties": {"n": {"type": "integer"}}})).unwrap();
        let mut faults = SchemaFault::all(&validator, &json!({"n": "secret"}));
        faults.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        assert_eq!(faults[0].pointer, "/due_date");
        assert!(faults[0].missing);
        assert_eq!(faults[1].pointer, "/n");
        assert!(!faults[1].message.contains("secret"), "{}", faults[1].message);
    }

    #[test]
    fn links_are_http_or_our_own() {
        for (link, good) in [
            ("https://erp.example/rfq/{id}", true),
            ("/records/{id}", true),
            ("//evil.example/{id}", false),
            ("javascript:alert('{id}')", false),
            ("https://erp.example/", false),
        ] {
            let spec = EntityTypeSpec { link_template: Some(link.to_owned()), ..EntityTypeSpec::default() };
            assert_eq!(spec.validate().is_ok(), good, "{link}");
        }
    }
}
