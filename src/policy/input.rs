//! The input document as the engines take it, made of its parts without being written and read as text in between. It is
//! the value that its JSON gives: what is recorded is that JSON, and a decision is explained from it.

use regorus::Value;
use serde::Serialize;
use serde::ser::{self, Impossible, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// What layers judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input(pub(super) Value);

/// A document that JSON cannot hold either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(String);

impl Input {
    /// A document, as its JSON would be read.
    pub fn of<T: Serialize>(document: &T) -> Result<Self, Unfit> {
        document.serialize(ToRego).map(Self)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the input cannot be judged: {}", self.0)
    }
}

impl std::error::Error for Unfit {}

impl ser::Error for Unfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

fn no_key() -> Unfit {
    Unfit("a key that is no text".to_owned())
}

struct ToRego;

impl Serializer for ToRego {
    type Ok = Value;
    type Error = Unfit;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = Under<List>;
    type SerializeMap = Object;
    type SerializeStruct = Object;
    type SerializeStructVariant = Under<Object>;

    fn serialize_bool(self, value: bool) -> Result<Value, Unfit> {
        Ok(Value::from(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Value, Unfit> {
        Ok(Value::from(i64::from(value)))
    }

    fn serialize_i16(self, value: i16) -> Result<Value, Unfit> {
        Ok(Value::from(i64::from(value)))
    }

    fn serialize_i32(self, value: i32) -> Result<Value, Unfit> {
        Ok(Value::from(i64::from(value)))
    }

    fn serialize_i64(self, value: i64) -> Result<Value, Unfit> {
        // JSON does not tell a positive number from one without a sign
        Ok(u64::try_from(value).map_or_else(|_| Value::from(value), Value::from))
    }

    fn serialize_u8(self, value: u8) -> Result<Value, Unfit> {
        Ok(Value::from(u64::from(value)))
    }

    fn serialize_u16(self, value: u16) -> Result<Value, Unfit> {
        Ok(Value::from(u64::from(value)))
    }

    fn serialize_u32(self, value: u32) -> Result<Value, Unfit> {
        Ok(Value::from(u64::from(value)))
    }

    fn serialize_u64(self, value: u64) -> Result<Value, Unfit> {
        Ok(Value::from(value))
    }

    fn serialize_f32(self, value: f32) -> Result<Value, Unfit> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<Value, Unfit> {
        Ok(if value.is_finite() { Value::from(value) } else { Value::Null })
    }

    fn serialize_char(self, value: char) -> Result<Value, Unfit> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Value, Unfit> {
        Ok(Value::from(value))
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Value, Unfit> {
        Err(Unfit("bytes that are no text".to_owned()))
    }

    fn serialize_none(self) -> Result<Value, Unfit> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Unfit> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Unfit> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Unfit> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Unfit> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Value, Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Unfit> {
        Ok(under(variant, value.serialize(self)?))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<List, Unfit> {
        Ok(List(Vec::with_capacity(length.unwrap_or(0).min(1_024))))
    }

    fn serialize_tuple(self, length: usize) -> Result<List, Unfit> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<List, Unfit> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Under<List>, Unfit> {
        Ok(Under(variant, self.serialize_seq(Some(length))?))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object, Unfit> {
        Ok(Object::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object, Unfit> {
        Ok(Object::default())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Under<Object>, Unfit> {
        Ok(Under(variant, Object::default()))
    }
}

fn under(variant: &'static str, value: Value) -> Value {
    Value::from(BTreeMap::from([(Value::from(variant), value)]))
}

struct List(Vec<Value>);

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.0.push(value.serialize(ToRego)?);
        Ok(())
    }
}

impl ser::SerializeSeq for List {
    type Ok = Value;
    type Error = Unfit;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Unfit> {
        Ok(Value::from(self.0))
    }
}

impl ser::SerializeTuple for List {
    type Ok = Value;
    type Error = Unfit;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Unfit> {
        Ok(Value::from(self.0))
    }
}

impl ser::SerializeTupleStruct for List {
    type Ok = Value;
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.push(value)
    }

    fn end(self) -> Result<Value, Unfit> {
        Ok(Value::from(self.0))
    }
}

#[derive(Default)]
struct Object {
    fields: Vec<(Value, Value)>,
    key: Option<Value>,
}

impl Object {
    fn finish(self) -> Value {
        // of two equal keys the last one counts, as it does where JSON is read
        Value::from(self.fields.into_iter().collect::<BTreeMap<_, _>>())
    }
}

impl ser::SerializeMap for Object {
    type Ok = Value;
    type Error = Unfit;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unfit> {
        self.key = Some(key.serialize(ToKey)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        let key = self.key.take().ok_or_else(no_key)?;
        self.fields.push((key, value.serialize(ToRego)?));
        Ok(())
    }

    fn end(self) -> Result<Value, Unfit> {
        Ok(self.finish())
    }
}

impl ser::SerializeStruct for Object {
    type Ok = Value;
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Unfit> {
        self.fields.push((Value::from(key), value.serialize(ToRego)?));
        Ok(())
    }

    fn end(self) -> Result<Value, Unfit> {
        Ok(self.finish())
    }
}

/// A variant of an enum: an object with its name as the one key.
struct Under<T>(&'static str, T);

impl ser::SerializeTupleVariant for Under<List> {
    type Ok = Value;
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.1.push(value)
    }

    fn end(self) -> Result<Value, Unfit> {
        Ok(under(self.0, Value::from(self.1.0)))
    }
}

impl ser::SerializeStructVariant for Under<Object> {
    type Ok = Value;
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Unfit> {
        ser::SerializeStruct::serialize_field(&mut self.1, key, value)
    }

    fn end(self) -> Result<Value, Unfit> {
        Ok(under(self.0, self.1.finish()))
    }
}

/// A key: a text, or a number as a text.
struct ToKey;

macro_rules! no_keys {
    ($($name:ident($type:ty)),* $(,)?) => {
        $(fn $name(self, _: $type) -> Result<Value, Unfit> {
            Err(no_key())
        })*
    };
}

macro_rules! numbers_as_keys {
    ($($name:ident($type:ty)),* $(,)?) => {
        $(fn $name(self, value: $type) -> Result<Value, Unfit> {
            Ok(Value::from(value.to_string()))
        })*
    };
}

impl Serializer for ToKey {
    type Ok = Value;
    type Error = Unfit;
    type SerializeSeq = Impossible<Value, Unfit>;
    type SerializeTuple = Impossible<Value, Unfit>;
    type SerializeTupleStruct = Impossible<Value, Unfit>;
    type SerializeTupleVariant = Impossible<Value, Unfit>;
    type SerializeMap = Impossible<Value, Unfit>;
    type SerializeStruct = Impossible<Value, Unfit>;
    type SerializeStructVariant = Impossible<Value, Unfit>;

    numbers_as_keys! {
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_char(char),
    }

    no_keys! { serialize_bool(bool), serialize_f32(f32), serialize_f64(f64), serialize_bytes(&[u8]) }

    fn serialize_str(self, value: &str) -> Result<Value, Unfit> {
        Ok(Value::from(value))
    }

    fn serialize_none(self) -> Result<Value, Unfit> {
        Err(no_key())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Unfit> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Unfit> {
        Err(no_key())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Unfit> {
        Err(no_key())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Unfit> {
        Ok(Value::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Value, Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Value, Unfit> {
        Err(no_key())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Unfit> {
        Err(no_key())
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unfit> {
        Err(no_key())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Unfit> {
        Err(no_key())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unfit> {
        Err(no_key())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unfit> {
        Err(no_key())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Unfit> {
        Err(no_key())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unfit> {
        Err(no_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Number, json};

    #[derive(Serialize)]
    enum Kind {
        Unit,
        One(u8),
        Two(i16, char),
        #[serde(rename = "named")]
        Named {
            x: Option<u32>,
        },
    }

    #[derive(Serialize)]
    struct All {
        kinds: Vec<Kind>,
        pair: (i64, f32),
        by_number: BTreeMap<u64, bool>,
        by_kind: BTreeMap<char, &'static str>,
        none: Option<bool>,
        not_finite: f64,
        unit: (),
    }

    fn agrees<T: Serialize>(document: &T) {
        let text = serde_json::to_string(document).unwrap();
        assert_eq!(Input::of(document).unwrap().0, Value::from_json_str(&text).unwrap(), "{text}");
    }

    #[test]
    fn every_shape_is_what_its_json_gives() {
        agrees(&All {
            kinds: vec![
                Kind::Unit,
                Kind::One(7),
                Kind::Two(-3, 'é'),
                Kind::Named { x: Some(1) },
                Kind::Named { x: None },
            ],
            pair: (i64::MIN, 1.5),
            by_number: BTreeMap::from([(10, true), (9, false)]),
            by_kind: BTreeMap::from([('b', "x"), ('a', "")]),
            none: None,
            not_finite: f64::NAN,
            unit: (),
        });
        assert!(Input::of(&BTreeMap::from([(vec![1], 2)])).is_err(), "a list as a key");
        assert!(Input::of(&BTreeMap::from([(true, 2)])).is_err());
    }

    #[test]
    fn the_edges_of_numbers() {
        for number in [json!(0), json!(-0.0), json!(1.0), json!(u64::MAX), json!(i64::MIN), json!(1e308), json!(0.1)] {
            agrees(&number);
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_filter_map("finite", Number::from_f64).prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::btree_map("\\PC{0,5}", inner, 0..6)
                    .prop_map(|map| serde_json::Value::from(map.into_iter().collect::<serde_json::Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_is_what_its_json_gives(document in json()) {
            agrees(&document);
        }
    }
}
