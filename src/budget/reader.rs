//! Reading what an admin wrote field by field, going on after a mistake, so that all of them are told at once.

use super::definition::FieldFault;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads an object field by field and goes on after a mistake, so that all of them are told at once.
pub(super) struct Reader<'a> {
    fields: Option<&'a Map<String, Value>>,
    pointer: String,
    known: Vec<&'static str>,
    /// What was wrong so far.
    pub(super) faults: Vec<FieldFault>,
}

impl<'a> Reader<'a> {
    /// Of a value that should be an object, at a pointer.
    pub(super) fn new(value: &'a Value, pointer: impl Into<String>) -> Self {
        let pointer = pointer.into();
        let fields = value.as_object();
        let faults =
            if fields.is_none() { vec![FieldFault::at(pointer.clone(), "must be an object")] } else { Vec::new() };
        Self { fields, pointer, known: Vec::new(), faults }
    }

    /// The value of a field, `None` where it is absent or null.
    pub(super) fn raw(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.fields?.get(name).filter(|value| !value.is_null())
    }

    /// A field that may be absent.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let value = self.raw(name)?;
        match serde_json::from_value(value.clone()) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.fault(name, error.to_string());
                None
            }
        }
    }

    /// A field that may not.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        if self.raw(name).is_none() {
            self.lacks(name, "is required");
            return None;
        }
        self.optional(name)
    }

    /// Notes what is wrong with a field.
    pub(super) fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(FieldFault::at(format!("{}/{name}", self.pointer), message));
    }

    /// Notes that a field is absent, unless there are no fields at all.
    pub(super) fn lacks(&mut self, name: &str, message: &str) {
        if self.fields.is_some() {
            self.fault(name, message);
        }
    }

    /// The pointer of a field.
    pub(super) fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }

    /// Everything that was wrong, fields that nobody asked for included.
    pub(super) fn finish(mut self) -> Vec<FieldFault> {
        for name in self.fields.into_iter().flat_map(Map::keys) {
            if !self.known.contains(&name.as_str()) {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                self.faults.push(FieldFault::at(format!("{}/{escaped}", self.pointer), "is not a known field"));
            }
        }
        self.faults
    }
}
