//! `budgets.toml`: the budgets of a first start, and of `budget apply`. The same fields as the API's JSON.

use super::definition::{BudgetSpec, Enforcement, FieldFault, SpecParts};
use super::reader::Reader;
use super::scope::{Dimension, Scope};
use super::window::{Window, ZoneName};
use crate::vocabulary::{Balance, BudgetId, Unit};
use serde_json::Value;
use std::collections::BTreeSet;

/// Reads `[[budget]]` tables, or tells every field at fault, as `/budget/0/limit`.
pub fn parse_seed(text: &str) -> Result<Vec<BudgetSpec>, Vec<FieldFault>> {
    // faults are told with their place in the whole
    one_by_one(text).map_or_else(|| parse(text), Ok)
}

/// The budgets of a sound file, table by table: a file of 100,000 takes some 500 MB more as one document, for a moment. `None` if
/// anything is not as it should be, or a text only looks like a table's beginning.
fn one_by_one(text: &str) -> Option<Vec<BudgetSpec>> {
    let mut specs: Vec<BudgetSpec> = Vec::new();
    let mut ids = BTreeSet::new();
    for (n, part) in tables(text).enumerate() {
        let found = parse(part).ok()?;
        let stray = n == 0 && !found.is_empty();
        if stray || !found.iter().all(|spec| ids.insert(spec.id.clone())) {
            return None;
        }
        specs.extend(found);
    }
    Some(specs)
}

/// What stands before the first line that begins a table, and each such line with what follows it.
fn tables(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split_inclusive('\n').scan(0, |at, line| {
        *at += line.len();
        Some((*at - line.len(), line))
    });
    let begins = lines.filter(|(_, line)| line.trim_start().starts_with("[[budget]]")).map(|(at, _)| at);
    let mut from = 0;
    begins.chain([text.len()]).map(move |to| &text[std::mem::replace(&mut from, to)..to])
}

fn parse(text: &str) -> Result<Vec<BudgetSpec>, Vec<FieldFault>> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        vec![FieldFault::at("", format!("is not TOML: {}", error.to_string().trim_end()))]
    })?;
    let document = serde_json::to_value(table).map_err(|error| vec![FieldFault::at("", error.to_string())])?;
    let mut reader = Reader::new(&document, "");
    let tables: &[Value] = match reader.raw("budget") {
        None => &[],
        Some(Value::Array(tables)) => tables,
        Some(_) => {
            reader.fault("budget", "must be tables: [[budget]]");
            &[]
        }
    };
    let mut faults = reader.finish();
    let mut specs = Vec::with_capacity(tables.len());
    let mut ids = BTreeSet::new();
    for (n, table) in tables.iter().enumerate() {
        let pointer = format!("/budget/{n}");
        match from_json(table, &pointer) {
            Ok(spec) if !ids.insert(spec.id.clone()) => {
                faults.push(FieldFault::at(format!("{pointer}/id"), "stands twice in the file"));
            }
            Ok(spec) => specs.push(spec),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(specs) } else { Err(faults) }
}

/// One budget from JSON, or every field at fault, with pointers that begin at the value's place in a larger document.
fn from_json(value: &Value, pointer: &str) -> Result<BudgetSpec, Vec<FieldFault>> {
    let mut reader = Reader::new(value, pointer);
    let id: Option<BudgetId> = reader.required("id");
    let description: Option<String> = reader.optional("description");
    let scope = scope(&mut reader);
    let unit: Option<Unit> = reader.required("unit");
    let limit: Option<Balance> = reader.required("limit");
    let window = window(&mut reader);
    let each: Vec<Dimension> = reader.optional("each").unwrap_or_default();
    let enforcement: Enforcement = reader.optional("enforcement").unwrap_or_default();
    let alert_at_percent: Vec<u32> = reader.optional("alert_at_percent").unwrap_or_default();
    let require_estimate = reader.optional("require_estimate").unwrap_or(false);
    let count_unsettled = reader.optional("count_unsettled").unwrap_or(false);
    let parts = SpecParts {
        description: description.as_deref(),
        scope: &scope,
        unit: unit.as_ref(),
        limit,
        window: window.as_ref(),
        each: &each,
        alert_at_percent: &alert_at_percent,
        require_estimate,
    };
    let own =
        parts.faults().into_iter().map(|fault| FieldFault::at(format!("{pointer}{}", fault.pointer), fault.message));
    reader.faults.extend(own.collect::<Vec<_>>());
    let faults = reader.finish();
    match (id, unit, limit, window) {
        (Some(id), Some(unit), Some(limit), Some(window)) if faults.is_empty() => Ok(BudgetSpec {
            id,
            description,
            scope,
            unit,
            limit,
            window,
            each,
            enforcement,
            alert_at_percent,
            require_estimate,
            count_unsettled,
        }),
        _ => Err(faults),
    }
}

/// What it covers; everything where it is not said.
fn scope(reader: &mut Reader<'_>) -> Scope {
    let Some(value) = reader.raw("scope") else { return Scope::default() };
    let mut inner = Reader::new(value, reader.pointer("scope"));
    let scope = Scope {
        team: inner.optional("team"),
        agent: inner.optional("agent"),
        entity_type: inner.optional("entity_type"),
        action: inner.optional("action"),
        run: inner.optional("run"),
    };
    reader.faults.extend(inner.finish());
    scope
}

/// Read by hand, for serde tells one fault only, and none of fields that a kind does not have.
fn window(reader: &mut Reader<'_>) -> Option<Window> {
    let Some(value) = reader.raw("window") else {
        reader.lacks("window", "is required");
        return None;
    };
    let mut inner = Reader::new(value, reader.pointer("window"));
    let kind: Option<String> = inner.required("kind");
    let window = match kind.as_deref() {
        Some("hour") => zone(&mut inner).map(|time_zone| Window::Hour { time_zone }),
        Some("day") => zone(&mut inner).map(|time_zone| Window::Day { time_zone }),
        Some("week") => zone(&mut inner).map(|time_zone| Window::Week { time_zone }),
        Some("month") => zone(&mut inner).map(|time_zone| Window::Month { time_zone }),
        Some("year") => zone(&mut inner).map(|time_zone| Window::Year { time_zone }),
        Some("rolling") => inner.required("length_s").map(|length_s| Window::Rolling { length_s }),
        Some("lifetime") => Some(Window::Lifetime),
        other => {
            if other.is_some() {
                inner.fault("kind", "must be hour, day, week, month, year, rolling or lifetime");
            }
            inner.raw("time_zone");
            inner.raw("length_s");
            None
        }
    };
    let faults = inner.finish();
    let sound = faults.is_empty();
    reader.faults.extend(faults);
    window.filter(|_| sound)
}

fn zone(inner: &mut Reader<'_>) -> Option<ZoneName> {
    if inner.raw("time_zone").is_some() { inner.optional("time_zone") } else { Some(ZoneName::utc()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointers(value: &Value) -> Vec<String> {
        let mut found: Vec<_> = from_json(value, "").unwrap_err().into_iter().map(|fault| fault.pointer).collect();
        found.sort();
        found
    }

    #[test]
    fn the_seed_file_is_sound_and_a_bad_one_tells_everything() {
        let seed = parse_seed(include_str!("../../data/budgets.toml")).unwrap();
        let ids: Vec<_> = seed.iter().map(|spec| spec.id.as_str()).collect();
        assert_eq!(ids, ["rfq-draft-daily", "rfq-draft-run-tokens", "org-monthly", "org-hourly-calls"]);
        for spec in &seed {
            let stored = serde_json::to_string(spec).unwrap();
            assert_eq!(&serde_json::from_str::<BudgetSpec>(&stored).unwrap(), spec);
        }
        let bad = parse_seed("colour = 1\n[[budget]]\nid = \"a\"\nlimit = 5.0\n").unwrap_err();
        let pointers: Vec<_> = bad.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/colour", "/budget/0/unit", "/budget/0/limit", "/budget/0/window"]);
        assert_eq!(parse_seed("[[budget").unwrap_err()[0].pointer, "");
        let budget = "[[budget]]\nid = \"a\"\nunit = \"usd\"\nlimit = \"5\"\nwindow = { kind = \"lifetime\" }\n";
        assert_eq!(parse_seed(budget).unwrap()[0].enforcement, Enforcement::Hard);
        assert_eq!(parse_seed(&budget.repeat(2)).unwrap_err()[0].to_string(), "/budget/1/id: stands twice in the file");
    }

    #[test]
    fn a_file_read_table_by_table_is_read_as_it_stands() {
        let one = "[[budget]]\nid = \"a\"\nunit = \"usd\"\nlimit = \"5\"\nwindow = { kind = \"lifetime\" }\n";
        let other =
            "  [[ budget ]]\n  id = \"b\"\n  unit = \"usd\"\n  limit = \"5\"\n[budget.window]\nkind = \"day\"\n";
        let third = one.replace("\"a\"", "\"c\"");
        for (text, ids, by_table) in [
            (String::new(), Some(""), true),
            ("# [[budget]]\n".to_owned(), Some(""), true),
            (format!("# first\n{one}{other}{third}"), Some("a b c"), true),
            (one.replace('\n', "\r\n"), Some("a"), true),
            // texts that look like a table's beginning
            (format!("{third}description = \"\"\"\\\n[[budget]]\"\"\"\n{one}"), Some("c a"), false),
            (format!("{third}description = '''\n[[budget]]\n'''\n"), None, false),
            // an array that is extended is no TOML, though each part is
            (
                format!(
                    "budget = [{{ id = \"d\", unit = \"usd\", limit = \"5\", window = {{ kind = \"day\" }} }}]\n{one}"
                ),
                None,
                false,
            ),
            (format!("{one}{one}"), None, false),
            (format!("{one}[[budget]]\n"), None, false),
            (format!("x = 1\n{one}"), None, false),
        ] {
            let found = parse_seed(&text);
            assert_eq!(found, parse(&text), "{text}");
            let found =
                found.ok().map(|specs| specs.iter().map(|spec| spec.id.to_string()).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), ids, "{text}");
            assert_eq!(one_by_one(&text).is_some(), by_table, "{text}");
        }
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let found = pointers(&json!({
            "id": "Bad Id", "scope": {"agent": "", "planet": "mars", "run": "r"}, "limit": 5.0,
            "window": {"kind": "day", "time_zone": "Mars/Olympus", "length_s": 5}, "each": ["run", "run"],
            "enforcement": "firm", "alert_at_percent": [0, 50, 50, 1001], "limmit": "5",
        }));
        assert_eq!(
            found,
            [
                "/alert_at_percent/0",
                "/alert_at_percent/2",
                "/alert_at_percent/3",
                "/each/0",
                "/each/1",
                "/each/1",
                "/enforcement",
                "/id",
                "/limit",
                "/limmit",
                "/scope/agent",
                "/scope/planet",
                "/unit",
                "/window/length_s",
                "/window/time_zone",
            ]
        );
    }

    #[test]
    fn one_fault_at_a_time() {
        let good = json!({"id": "b", "unit": "usd", "limit": "5", "window": {"kind": "day"}});
        assert!(from_json(&good, "").is_ok(), "everything else has a default");
        for (field, value, pointer) in [
            ("limit", json!("-1"), "/limit"),
            ("limit", json!("1e400"), "/limit"),
            ("limit", json!("0.0000000001"), "/limit"),
            ("limit", json!("1000000000000000000.1"), "/limit"),
            ("limit", json!("9".repeat(60)), "/limit"),
            ("limit", json!(5), "/limit"),
            ("window", json!({"kind": "rolling", "length_s": 59}), "/window/length_s"),
            ("window", json!({"kind": "rolling", "length_s": 31_622_401}), "/window/length_s"),
            ("window", json!({"kind": "rolling", "length_s": 60.5}), "/window/length_s"),
            ("window", json!({"kind": "rolling"}), "/window/length_s"),
            ("window", json!({"kind": "rolling", "length_s": 60, "time_zone": "UTC"}), "/window/time_zone"),
            ("window", json!({"kind": "lifetime", "length_s": 60}), "/window/length_s"),
            ("window", json!({"kind": "fortnight"}), "/window/kind"),
            ("window", json!({}), "/window/kind"),
            ("window", json!("day"), "/window"),
            ("scope", json!([]), "/scope"),
            ("each", json!(["planet"]), "/each"),
            ("alert_at_percent", json!((1..=21).collect::<Vec<_>>()), "/alert_at_percent"),
            ("require_estimate", json!("yes"), "/require_estimate"),
            ("description", json!("x".repeat(1_001)), "/description"),
        ] {
            let mut bad = good.clone();
            bad[field] = value.clone();
            assert_eq!(pointers(&bad), [pointer], "{field} = {value}");
        }
        assert_eq!(pointers(&json!(7)), [""]);
        let scoped = json!({"id": "b", "scope": {"run": "r"}, "unit": "calls", "limit": "5", "each": ["run"],
            "window": {"kind": "lifetime"}, "require_estimate": true});
        assert_eq!(pointers(&scoped), ["/each/0", "/require_estimate"]);
        let large = json!({"id": "b", "unit": "tokens", "limit": "400000000000", "window": {"kind": "lifetime"}});
        assert!(from_json(&large, "").is_ok(), "a limit is not bound to an i64");
    }
}
