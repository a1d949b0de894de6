//! A tool call of a run as the body of `POST /api/v1/admissions`.

use super::estimate;
use super::source::{Data, Event, Run};
use super::world::World;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::Path;

/// The requests of all runs, in the order of the file.
pub(crate) fn requests(data: &Data) -> Result<Vec<Value>> {
    let mut requests = Vec::new();
    for (index, run) in data.runs.iter().enumerate() {
        requests.extend(of_run(data, index + 1, run).with_context(|| format!("run {}", index + 1))?);
    }
    Ok(requests)
}

/// Writes the requests as `tollgate simulate FILE.jsonl` reads them, one a line.
pub(crate) fn write_jsonl(requests: &[Value], path: &Path) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for request in requests {
        writeln!(file, "{request}")?;
    }
    file.flush().context("writing the requests")
}

fn of_run(data: &Data, line: usize, run: &Run) -> Result<Vec<Value>> {
    let mut world = World::at_start_of_run(&data.snapshot);
    let mut chars_before = 0;
    let mut requests = Vec::new();
    for (index, event) in run.events.iter().enumerate() {
        if let Event::ToolCall { name, arguments } = event {
            let call = requests.len() + 1;
            let mut request = json!({
                "idempotency_key": format!("tau/{line}/{call}"),
                "kind": "action",
                "agent": {"id": "airline"},
                "action": {"name": name, "properties": arguments},
                "run": {"id": format!("tau-{line}"), "attempt": 1, "step": format!("call-{call}")},
                "estimate": estimate::of_call(chars_before, name, arguments)?,
                "context": {"present": data.snapshot.now, "task": run.task_id, "trial": run.trial},
            });
            if let Some(entity) = entity(&world, name, arguments) {
                request["entity"] = entity;
            }
            requests.push(request);
            if matches!(run.events.get(index + 1), Some(Event::ToolResult { error: None, .. })) {
                world.apply(name, arguments).with_context(|| format!("call {call}, {name}"))?;
            }
        }
        chars_before += estimate::length(event);
    }
    Ok(requests)
}

/// What a tool acts on, with the properties that a system of record would send along. Searches, sums, thoughts and the
/// hand-over to a person act on no record.
fn entity(world: &World<'_>, name: &str, arguments: &Value) -> Option<Value> {
    let id_of = |argument: &str| arguments.get(argument)?.as_str();
    let (kind, id, properties) = match name {
        "get_user_details" => {
            let id = id_of("user_id")?;
            ("user", id, world.user(id))
        }
        "book_reservation" => {
            let id = id_of("user_id")?;
            let mut properties = world.user(id);
            properties.insert("timetable".to_owned(), timetable(world, [arguments]));
            ("user", id, properties)
        }
        "send_certificate" => {
            let id = id_of("user_id")?;
            let mut properties = world.user(id);
            let records = world.reservations_then_and_now(id);
            properties.insert("timetable".to_owned(), timetable(world, &records));
            properties.insert("reservation_records".to_owned(), json!(records));
            ("user", id, properties)
        }
        "get_reservation_details" => {
            let id = id_of("reservation_id")?;
            ("reservation", id, world.reservation(id))
        }
        "cancel_reservation"
        | "update_reservation_flights"
        | "update_reservation_baggages"
        | "update_reservation_passengers" => {
            let id = id_of("reservation_id")?;
            let mut properties = world.reservation(id);
            if let Some(owner) = properties.get("user_id").and_then(Value::as_str) {
                let mut owner = world.user(owner);
                owner.remove("reservations");
                properties.insert("user".to_owned(), owner.into());
            }
            let record = Value::Object(properties.clone());
            properties.insert("timetable".to_owned(), timetable(world, [&record, arguments]));
            ("reservation", id, properties)
        }
        _ => return None,
    };
    Some(json!({"type": kind, "id": id, "properties": properties}))
}

/// The flights that these records list, each on its date.
fn timetable<'v>(world: &World<'_>, records: impl IntoIterator<Item = &'v Value>) -> Value {
    let listed = records.into_iter().filter_map(|record| record.get("flights")?.as_array()).flatten();
    let keys = listed.filter_map(|flight| {
        Some(format!("{} {}", flight.get("flight_number")?.as_str()?, flight.get("date")?.as_str()?))
    });
    let flights: Map<String, Value> = keys.filter_map(|key| Some((key.clone(), world.flight(&key)?.clone()))).collect();
    flights.into()
}
