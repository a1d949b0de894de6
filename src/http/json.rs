//! Strict JSON: what a request body must be before anybody looks at its fields.
//!
//! Stricter than `serde_json::Value` by itself, which keeps the last of two equal keys: `{"amount": "1", "amount": "9"}`
//! would be judged as one thing and logged by a proxy as another, and rounds numbers that it cannot hold.

use super::numbers::first_rounded;
use super::problem::{Problem, ProblemCode};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// How many arrays and objects may lie inside one another.
pub const MAX_DEPTH: usize = 64;

/// One JSON value of UTF-8, without duplicate keys, nested at most [`MAX_DEPTH`] deep, and nothing behind it.
/// A fault inside is named by its pointer.
pub fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    if let Err(error) = std::str::from_utf8(bytes) {
        let detail = format!("the body is not UTF-8 at byte {}", error.valid_up_to());
        return Err(Problem::new(ProblemCode::MalformedJson, detail));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::new(ProblemCode::MalformedJson, "the body is empty"));
    }
    let mut place = Place { path: Vec::new(), fault: None, floats: false };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node { place: &mut place }.deserialize(&mut deserializer).map_err(|error| refusal(&place, &error))?;
    deserializer.end().map_err(|error| refusal(&place, &error))?;
    if place.floats
        && let Some(pointer) = first_rounded(bytes)
    {
        let message =
            "must fit 64 bits, or be a fraction of at most 17 digits that a 64-bit float keeps: send it as a text";
        return Err(Problem::at(ProblemCode::InvalidRequest, pointer, message));
    }
    Ok(value)
}

/// A JSON pointer's token: `~` and `/` escaped.
pub fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

enum Segment {
    Key(String),
    Index(usize),
}

enum Fault {
    Deep,
    Duplicate,
}

/// Where the parser is. What is left of it after an error is where the error is.
struct Place {
    path: Vec<Segment>,
    fault: Option<Fault>,
    /// Whether a number was read that is no integer of 64 bits.
    floats: bool,
}

impl Place {
    fn pointer(&self) -> String {
        self.path.iter().fold(String::new(), |at, segment| match segment {
            Segment::Key(key) => format!("{at}/{}", token(key)),
            Segment::Index(index) => format!("{at}/{index}"),
        })
    }
}

fn refusal(place: &Place, error: &serde_json::Error) -> Problem {
    let (code, message) = match place.fault {
        Some(Fault::Deep) => (ProblemCode::TooDeep, format!("is nested more than {MAX_DEPTH} deep")),
        Some(Fault::Duplicate) => (ProblemCode::MalformedJson, "is there twice".to_owned()),
        None => (ProblemCode::MalformedJson, error.to_string()),
    };
    let mut pointer = place.pointer();
    if matches!(place.fault, Some(Fault::Deep)) {
        // the head of the nest says where to look; sixty-four segments do not
        pointer = pointer.split('/').take(4).collect::<Vec<_>>().join("/");
    }
    Problem::at(code, pointer, message)
}

struct Node<'p> {
    place: &'p mut Place,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        self.place.floats = true;
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut list = Vec::new();
        loop {
            self.place.path.push(Segment::Index(list.len()));
            let item = items.next_element_seed(Node { place: &mut *self.place })?;
            self.place.path.pop();
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.place.path.push(Segment::Key(key.clone()));
            if map.contains_key(&key) {
                self.place.fault = Some(Fault::Duplicate);
                return Err(A::Error::custom("duplicate key"));
            }
            let value = entries.next_value_seed(Node { place: &mut *self.place })?;
            self.place.path.pop();
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

impl Node<'_> {
    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.place.path.len() < MAX_DEPTH {
            return Ok(());
        }
        self.place.fault = Some(Fault::Deep);
        Err(E::custom("too deep"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_json() {
        for (text, value) in [
            (" {\"a\": [1, -2, 1.5, true, null, \"x\"]} \n", json!({"a": [1, -2, 1.5, true, null, "x"]})),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("\"\\ud83d\\ude00\"", json!("😀")),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_and_where() {
        for (text, code, pointer) in [
            (&b""[..], "malformed_json", ""),
            (b"  \n", "malformed_json", ""),
            (b"{", "malformed_json", ""),
            (b"{} {}", "malformed_json", ""),
            (b"{\"a\": tru}", "malformed_json", "/a"),
            (b"{\"a\": [0, 1e400]}", "malformed_json", "/a/1"),
            (b"{\"a\": NaN}", "malformed_json", "/a"),
            (b"{\"a\": [1.5, {\"b\": 18446744073709551616}]}", "invalid_request", "/a/1/b"),
            (b"[-9223372036854775809]", "invalid_request", "/0"),
            (b"{\"a/b\": {\"x\": 1, \"x\": 2}}", "malformed_json", "/a~1b/x"),
            (b"{\"a\": \"\\ud800\"}", "malformed_json", "/a"),
            (b"{\"a\": \"\xff\"}", "malformed_json", ""),
            (b"\xef\xbb\xbf{}", "malformed_json", ""),
        ] {
            let problem = parse(text).expect_err(&String::from_utf8_lossy(text));
            let at = problem.errors.first().map_or("", |error| error.pointer.as_str());
            assert_eq!((problem.code.as_str(), at), (code, pointer), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn depth_has_a_limit_and_no_stack_is_harmed() {
        let nested = |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        for depth in [MAX_DEPTH, 127, 128, 500_000] {
            let problem = parse(nested(depth).as_bytes()).unwrap_err();
            assert_eq!((problem.code, problem.errors[0].pointer.as_str()), (ProblemCode::TooDeep, "/a/0/0"), "{depth}");
        }
    }
}
