//! Data that a person supplies for the next attempt.

use super::event::{EventType, RunEvent};
use super::parts::Supplied;
use super::run::Run;
use super::take::own_event;
use crate::registry::Actor;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Keeps the values at the run, by the field that they are for, beside what its runtime reported. The event names the
/// fields alone.
pub fn supply(run: &Run, fields: &BTreeMap<String, Value>, by: &Actor, now: Timestamp) -> (Run, RunEvent) {
    let mut run = run.clone();
    let mut data = run.supplied.take().map_or_else(Map::new, |supplied| supplied.data);
    data.extend(fields.iter().map(|(field, value)| (field.clone(), value.clone())));
    run.supplied = Some(Supplied { data, at: now, by: by.clone() });
    let names: Vec<&String> = fields.keys().collect();
    let event = own_event(&mut run, EventType::DataSupplied, json!({"fields": names, "by": by.name}), now);
    (run, event)
}
