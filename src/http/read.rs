//! From a JSON value to a wire type: a serde deserializer over `Value` that names every unknown field, and the first
//! field of a wrong type, by JSON pointer.
//!
//! Unlike `serde_json`'s own, it takes no array for a struct (`"agent": ["x"]` would be a lucky guess) and no number for a
//! text. Wire types do not say `deny_unknown_fields`: what serde would ignore is what is reported here.

use super::json::token;
use super::problem::{FieldError, Problem, ProblemCode};
use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use std::cell::RefCell;
use std::fmt;

/// Reads a wire type. `at` is the pointer of `value` in the body, empty for the whole.
pub fn read<T: DeserializeOwned>(value: &Value, at: &str) -> Result<T, Problem> {
    let unknown = RefCell::new(Vec::new());
    let result = T::deserialize(Node { value, at: At::Root(at), unknown: &unknown });
    let mut errors = unknown.into_inner();
    let code = if errors.is_empty() { ProblemCode::InvalidRequest } else { ProblemCode::UnknownField };
    match result {
        Ok(read) if errors.is_empty() => Ok(read),
        Ok(_) => Err(Problem::fields(code, errors)),
        Err(ReadError { pointer, message, .. }) => {
            errors.push(FieldError { pointer: pointer.unwrap_or_else(|| at.to_owned()), message });
            Err(Problem::fields(code, errors))
        }
    }
}

/// A place in the body, linked to the place that it is in.
#[derive(Clone, Copy)]
enum At<'p> {
    Root(&'p str),
    Key(&'p At<'p>, &'p str),
    Index(&'p At<'p>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(at) => f.write_str(at),
            Self::Key(parent, key) => write!(f, "{parent}/{}", token(key)),
            Self::Index(parent, index) => write!(f, "{parent}/{index}"),
        }
    }
}

#[derive(Debug)]
struct ReadError {
    pointer: Option<String>,
    missing: Option<&'static str>,
    message: String,
}

impl ReadError {
    fn at(mut self, at: &At<'_>) -> Self {
        if self.pointer.is_none() {
            self.pointer = Some(match self.missing {
                Some(field) => At::Key(at, field).to_string(),
                None => at.to_string(),
            });
        }
        self
    }
}

impl std::error::Error for ReadError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl de::Error for ReadError {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self { pointer: None, missing: None, message: message.to_string() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::custom("is required") }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        // only the kind of what was found: a value may be a secret, and may be long
        let found = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
            Unexpected::Float(_) => "a number with a fraction",
            Unexpected::Str(_) => "a text",
            Unexpected::Unit | Unexpected::Option => "null",
            Unexpected::Seq => "a list",
            Unexpected::Map => "an object",
            _ => "something else",
        };
        let expected = match expected.to_string().as_str() {
            "u8" | "u16" | "u32" | "u64" => "a whole number, zero or above".to_owned(),
            "a string" => "a text".to_owned(),
            "a sequence" => "a list".to_owned(),
            "a map" => "an object".to_owned(),
            "a boolean" => "true or false".to_owned(),
            other => other.to_owned(),
        };
        Self::custom(format_args!("must be {expected}, not {found}"))
    }
}

#[derive(Clone, Copy)]
struct Node<'a> {
    value: &'a Value,
    at: At<'a>,
    unknown: &'a RefCell<Vec<FieldError>>,
}

impl Node<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(value) if value.is_f64() => Unexpected::Float(0.0),
            Value::Number(_) => Unexpected::Unsigned(0),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

struct AnObject;

impl de::Expected for AnObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., Some(value)) => visitor.visit_f64(value),
                _ => Err(ReadError::custom("is not a number that fits")),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => visitor.visit_seq(Items { node: self, items: items.iter(), index: 0 }),
            Value::Object(map) => visitor.visit_map(Entries { node: self, entries: map.iter(), value: None }),
        }
        .map_err(|error| error.at(&self.at))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if self.value.is_object() {
            self.deserialize_any(visitor)
        } else {
            Err(ReadError::invalid_type(self.unexpected(), &AnObject).at(&self.at))
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.value {
            Value::String(text) => {
                let variant: StringDeserializer<ReadError> = text.clone().into_deserializer();
                visitor.visit_enum(variant).map_err(|error| error.at(&self.at))
            }
            _ => Err(ReadError::invalid_type(self.unexpected(), &"a text").at(&self.at)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let message = "there is no such field".to_owned();
        self.unknown.borrow_mut().push(FieldError { pointer: self.at.to_string(), message });
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

struct Items<'a> {
    node: Node<'a>,
    items: std::slice::Iter<'a, Value>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some(value) = self.items.next() else { return Ok(None) };
        let at = At::Index(&self.node.at, self.index);
        self.index += 1;
        seed.deserialize(Node { value, at, unknown: self.node.unknown }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a> {
    node: Node<'a>,
    entries: serde_json::map::Iter<'a>,
    value: Option<(&'a str, &'a Value)>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some((key, value));
        let name: StrDeserializer<'_, ReadError> = key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.at(&At::Key(&self.node.at, key)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let Some((key, value)) = self.value.take() else { return Err(ReadError::custom("a value without a key")) };
        seed.deserialize(Node { value, at: At::Key(&self.node.at, key), unknown: self.node.unknown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::{Map, json};

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read for its errors")]
    struct Outer {
        list: Vec<Inner>,
        maybe: Option<Inner>,
        #[serde(default)]
        free: Map<String, Value>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read for its errors")]
    struct Inner {
        #[serde(rename = "a/b")]
        number: u32,
        word: Option<Word>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Yes,
        No,
    }

    #[test]
    fn what_fits_is_read() {
        let body =
            json!({"list": [{"a/b": 1, "word": "yes"}, {"a/b": 4, "word": null}], "free": {"x": [1, {"y": -2.5}]}});
        let outer: Outer = read(&body, "").unwrap();
        assert_eq!(Value::Object(outer.free), body["free"]);
        assert_eq!(outer.list[1].number, 4);
    }

    #[test]
    fn faults_are_named_by_pointer() {
        for (body, code, errors) in [
            (
                json!({"list": [{"a/b": 1}, {"a/b": "x"}]}),
                "invalid_request",
                vec![("/list/1/a~1b", "must be a whole number, zero or above, not a text")],
            ),
            (json!({"list": [{"a/b": 1}, {}]}), "invalid_request", vec![("/list/1/a~1b", "is required")]),
            (json!({}), "invalid_request", vec![("/list", "is required")]),
            (json!({"list": {}}), "invalid_request", vec![("/list", "must be a list, not an object")]),
            (json!({"list": [{"a/b": -1}]}), "invalid_request", vec![("/list/0/a~1b", "expected u32")]),
            (
                json!({"list": [{"a/b": 1.5}]}),
                "invalid_request",
                vec![("/list/0/a~1b", "not a number with a fraction")],
            ),
            (
                json!({"list": [{"a/b": 1, "word": "maybe"}]}),
                "invalid_request",
                vec![("/list/0/word", "expected `yes` or `no`")],
            ),
            (
                json!({"list": [{"a/b": 1, "word": {"yes": 1}}]}),
                "invalid_request",
                vec![("/list/0/word", "not an object")],
            ),
            (json!({"list": [[1]]}), "invalid_request", vec![("/list/0", "must be an object, not a list")]),
            (json!([]), "invalid_request", vec![("", "must be an object, not a list")]),
            (json!("secret"), "invalid_request", vec![("", "must be an object, not a text")]),
            (
                json!({"lits": 1, "list": [{"a/b": 1, "c~": {"d": {}}}], "maybe": {"d": 1}}),
                "unknown_field",
                vec![
                    ("/list/0/c~0", "no such"),
                    ("/lits", "no such"),
                    ("/maybe/a~1b", "is required"),
                    ("/maybe/d", "no such"),
                ],
            ),
        ] {
            let problem = read::<Outer>(&body, "/items/3").unwrap_err();
            let mut found = problem.errors.clone();
            found.sort_by(|a, b| a.pointer.cmp(&b.pointer));
            let wanted: Vec<_> = errors.iter().map(|(pointer, _)| format!("/items/3{pointer}")).collect();
            let pointers: Vec<_> = found.iter().map(|error| error.pointer.clone()).collect();
            assert_eq!((problem.code.as_str(), pointers), (code, wanted), "{body}");
            for (error, (_, message)) in found.iter().zip(errors) {
                assert!(error.message.contains(message), "{error:?}: {message}");
            }
        }
    }
}
