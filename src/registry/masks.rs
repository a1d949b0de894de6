//! Masks in a schema: `"x-tollgate-mask": true` on a property, or on a property of a property. What is written anywhere
//! else, or otherwise, would mask nothing and is refused.

use super::entity_type::SchemaError;
use serde_json::{Map, Value};

/// The keyword.
const MASK: &str = "x-tollgate-mask";
/// Properties may lie so deep inside one another.
const DEEPEST: usize = 32;
/// Keywords whose keys are names, and no keywords.
const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// Keywords that hold values, and no schemas.
const VALUES: [&str; 4] = ["const", "enum", "default", "examples"];

/// Pointers inside the properties whose values are masked.
pub(super) fn masked_pointers(schema: &Value) -> Vec<String> {
    fn walk(schema: &Value, at: &str, depth: usize, found: &mut Vec<String>) {
        if depth > DEEPEST {
            return;
        }
        if is_masked(schema) {
            found.push(at.to_owned());
            return;
        }
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        for (name, inner) in properties {
            walk(inner, &inside(at, name), depth + 1, found);
        }
    }
    let mut found = Vec::new();
    walk(schema, "", 0, &mut found);
    found
}

/// Refuses every mask that could not be kept, by the place where it stands.
pub(super) fn check_masks(schema: &Value) -> Result<(), SchemaError> {
    let search = Search { root: schema, masks: holds_mask(schema), rebased: is_rebased(schema, true) };
    search.schema(schema, "", Place::Kept(0))
}

/// Whether a mask that stands here is kept.
#[derive(Clone, Copy)]
enum Place {
    /// It is: the root, or a property so deep.
    Kept(usize),
    /// Something around it is masked, and it with it.
    Covered,
    /// It is not.
    Lost,
}

struct Search<'s> {
    root: &'s Value,
    /// There is a mask somewhere.
    masks: bool,
    /// A part has a `$id` of its own, so that a `$ref` may mean another place than it says.
    rebased: bool,
}

impl Search<'_> {
    fn schema(&self, node: &Value, at: &str, place: Place) -> Result<(), SchemaError> {
        let map = match node {
            Value::Object(map) => map,
            Value::Array(items) => {
                let mut each = items.iter().enumerate();
                let place = if matches!(place, Place::Covered) { place } else { Place::Lost };
                return each.try_for_each(|(n, item)| self.schema(item, &format!("{at}/{n}"), place));
            }
            _ => return Ok(()),
        };
        if let Some((key, value)) = map.iter().find(|(key, _)| is_ours(key)) {
            keyword(key, value, place).map_err(|why| refused(&inside(at, key), why))?;
        }
        self.references(map, at)?;
        let place = if is_masked(node) { Place::Covered } else { place };
        for (key, value) in map.iter().filter(|(key, _)| !is_ours(key) && !VALUES.contains(&key.as_str())) {
            let at = inside(at, key);
            let below = match place {
                Place::Kept(depth) if key == "properties" => Place::Kept(depth + 1),
                // what is defined here is used elsewhere
                Place::Covered if !matches!(key.as_str(), "$defs" | "definitions") => Place::Covered,
                _ => Place::Lost,
            };
            match value {
                Value::Object(names) if NAMED.contains(&key.as_str()) => self.names(names, &at, below)?,
                _ => self.schema(value, &at, below)?,
            }
        }
        Ok(())
    }

    fn names(&self, names: &Map<String, Value>, at: &str, place: Place) -> Result<(), SchemaError> {
        for (name, inner) in names {
            let at = inside(at, name);
            if is_ours(name) && !inner.is_object() {
                return Err(refused(&at, "stands among the names: put it into the schema of the property"));
            }
            self.schema(inner, &at, place)?;
        }
        Ok(())
    }

    /// A mask is of the place where it is written, not of the places that refer to it.
    fn references(&self, map: &Map<String, Value>, at: &str) -> Result<(), SchemaError> {
        for key in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let Some(target) = map.get(key).and_then(Value::as_str) else { continue };
            let plain = target.strip_prefix('#').filter(|_| key == "$ref" && !self.rebased);
            let meant = plain.and_then(|pointer| self.root.pointer(pointer));
            if meant.map_or(self.masks, holds_mask) {
                return Err(refused(&inside(at, key), "refers to a schema with a mask, which would mask nothing here"));
            }
        }
        Ok(())
    }
}

fn keyword(key: &str, value: &Value, place: Place) -> Result<(), &'static str> {
    if key != MASK {
        return Err("is no keyword of Tollgate: it has x-tollgate-mask alone");
    }
    if *value != Value::Bool(true) {
        return Err("must be true, or not be there");
    }
    match place {
        Place::Kept(depth) if depth > DEEPEST => Err("lies too deep to be kept"),
        Place::Kept(_) | Place::Covered => Ok(()),
        Place::Lost => Err("would mask nothing: a mask is kept on a property, inside plain properties alone; \
                            mask the property around it"),
    }
}

fn refused(pointer: &str, why: &'static str) -> SchemaError {
    SchemaError::Mask { pointer: pointer.to_owned(), why }
}

fn inside(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn is_ours(key: &str) -> bool {
    key.to_ascii_lowercase().replace('_', "-").starts_with("x-tollgate")
}

fn is_masked(schema: &Value) -> bool {
    schema.get(MASK).and_then(Value::as_bool) == Some(true)
}

fn holds_mask(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key(MASK) || map.values().any(holds_mask),
        Value::Array(items) => items.iter().any(holds_mask),
        _ => false,
    }
}

fn is_rebased(value: &Value, root: bool) -> bool {
    match value {
        Value::Object(map) => {
            let own = ["$id", "id"].iter().any(|key| map.get(*key).is_some_and(Value::is_string));
            (own && !root) || map.values().any(|inner| is_rebased(inner, false))
        }
        Value::Array(items) => items.iter().any(|inner| is_rebased(inner, false)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn masked_properties_are_found_at_any_depth() {
        let schema = json!({"properties": {"a/b": {"x-tollgate-mask": true}, "c": {"properties": {"d": {"x-tollgate-mask": true}}}}});
        assert_eq!(masked_pointers(&schema), ["/a~1b", "/c/d"]);
        assert_eq!(check_masks(&schema), Ok(()));
    }

    #[test]
    fn masks_that_are_kept_are_taken() {
        let mask = || json!({"x-tollgate-mask": true});
        for schema in [
            json!({"properties": {"card": {"x-tollgate-mask": true, "items": mask(), "allOf": [mask()], "properties": {"n": mask()}}}}),
            json!({"properties": {"a": mask(), "b": {"$ref": "#/$defs/plain"}}, "$defs": {"plain": {"type": "string"}}}),
            json!({"properties": {"x-tollgate-id": {"type": "string"}, "id": {"type": "string"}, "a": mask()}}),
            json!({"properties": {"a": {"const": mask(), "default": {"x-tollgate": 1}}}}),
            json!({"properties": {"a": {"properties": {"b": {"$ref": "#"}}}}}),
            json!(true),
        ] {
            assert_eq!(check_masks(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn masks_that_would_mask_nothing_are_refused_by_their_place() {
        let mask = || json!({"x-tollgate-mask": true});
        let iban = || json!({"iban": {"x-tollgate-mask": true}});
        for (schema, at) in [
            (json!({"properties": {"a": {"items": mask()}}}), "/properties/a/items/x-tollgate-mask"),
            (json!({"properties": {"a": {"prefixItems": [mask()]}}}), "/properties/a/prefixItems/0/x-tollgate-mask"),
            (json!({"allOf": [{"properties": iban()}]}), "/allOf/0/properties/iban/x-tollgate-mask"),
            (json!({"if": {"properties": iban()}}), "/if/properties/iban/x-tollgate-mask"),
            (json!({"additionalProperties": mask()}), "/additionalProperties/x-tollgate-mask"),
            (json!({"patternProperties": iban()}), "/patternProperties/iban/x-tollgate-mask"),
            (
                json!({"dependentSchemas": {"a": {"properties": iban()}}}),
                "/dependentSchemas/a/properties/iban/x-tollgate-mask",
            ),
            (json!({"$defs": iban()}), "/$defs/iban/x-tollgate-mask"),
            (
                json!({"properties": {"a": {"x-tollgate-mask": true, "$defs": iban()}}}),
                "/properties/a/$defs/iban/x-tollgate-mask",
            ),
            (
                json!({"properties": {"iban": {"x-tollgate-mask": true}, "b": {"$ref": "#/properties/iban"}}}),
                "/properties/b/$ref",
            ),
            (json!({"properties": {"iban": {"x-tollgate-mask": true}, "b": {"$ref": "#"}}}), "/properties/b/$ref"),
            (
                json!({"properties": {"iban": {"x-tollgate-mask": true, "$anchor": "i"}, "b": {"$ref": "#i"}}}),
                "/properties/b/$ref",
            ),
            (json!({"properties": {"a": {"x-tollgate-mask": "true"}}}), "/properties/a/x-tollgate-mask"),
            (json!({"properties": {"a": {"x-tollgate-mask": 1}}}), "/properties/a/x-tollgate-mask"),
            (json!({"properties": {"a": {"x-tollgate-masked": true}}}), "/properties/a/x-tollgate-masked"),
            (json!({"properties": {"a": {"X-Tollgate-Mask": true}}}), "/properties/a/X-Tollgate-Mask"),
            (json!({"properties": {"a/b": {"x_tollgate_mask": true}}}), "/properties/a~1b/x_tollgate_mask"),
            (json!({"properties": {"x-tollgate-mask": true}}), "/properties/x-tollgate-mask"),
            (json!({"unknown": {"deep": [mask()]}}), "/unknown/deep/0/x-tollgate-mask"),
        ] {
            let refused = check_masks(&schema);
            assert!(
                matches!(&refused, Err(SchemaError::Mask { pointer, .. }) if pointer == at),
                "{schema}: {refused:?}"
            );
        }
    }
}
