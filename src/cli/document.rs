//! An answer of the API for people: its fields one a line, its lists as tables. With `--json` it stays as it came.

use super::client::{field, table};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Writes an answer; `json` as the API gave it.
pub(super) fn show(out: &mut dyn Write, answer: &Value, json: bool) -> io::Result<()> {
    if json {
        return writeln!(out, "{answer}");
    }
    let Some(fields) = answer.as_object() else { return writeln!(out, "done") };
    let mut written = Written::default();
    written.take("", fields);
    if !written.rows.is_empty() {
        table(out, &["field", ""], &written.rows)?;
    }
    for (n, (name, items)) in written.lists.iter().enumerate() {
        if n > 0 || !written.rows.is_empty() {
            writeln!(out)?;
        }
        list(out, name, items)?;
    }
    Ok(())
}

/// What an answer holds: single values, and lists of objects.
#[derive(Default)]
struct Written<'a> {
    rows: Vec<Vec<String>>,
    lists: Vec<(String, &'a [Value])>,
}

impl<'a> Written<'a> {
    fn take(&mut self, before: &str, fields: &'a Map<String, Value>) {
        for (name, value) in id_first(fields) {
            let name = format!("{before}{name}");
            match value {
                Value::Object(inner) => self.take(&format!("{name}."), inner),
                Value::Array(items) if items.iter().any(Value::is_object) || (items.is_empty() && name == "items") => {
                    self.lists.push((name, items));
                }
                Value::Null => {}
                value => self.rows.push(vec![name, field(value, "")]),
            }
        }
    }
}

fn id_first(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let is_id = |(name, _): &(&String, &Value)| *name == "id";
    fields.iter().filter(is_id).chain(fields.iter().filter(move |field| !is_id(field)))
}

fn list(out: &mut dyn Write, name: &str, items: &[Value]) -> io::Result<()> {
    if name != "items" {
        writeln!(out, "{name}")?;
    }
    if items.is_empty() {
        return writeln!(out, "none");
    }
    let objects = || items.iter().filter_map(Value::as_object);
    let mut seen = BTreeSet::new();
    let named = objects().flat_map(id_first).filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str());
    let columns: Vec<&str> = named.filter(|name| seen.insert(*name)).collect();
    let cell = |item: &Map<String, Value>, column: &&str| item.get(*column).map(one_line).unwrap_or_default();
    let rows: Vec<Vec<String>> =
        objects().map(|item| columns.iter().map(|column| cell(item, column)).collect()).collect();
    table(out, &columns, &rows)
}

/// A value in a cell: an object as its fields, behind each other.
fn one_line(value: &Value) -> String {
    match value.as_object() {
        Some(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null());
            said.map(|(name, value)| format!("{name}={}", field(value, ""))).collect::<Vec<_>>().join(" ")
        }
        None => field(value, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(answer: &Value) -> String {
        let mut out = Vec::new();
        show(&mut out, answer, false).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_one_a_line_and_lists_as_tables() {
        let budget = json!({
            "enforcement": "hard", "id": "daily", "description": null, "scope": {"agent": "a"}, "each": [],
            "alert_at_percent": [50, 80], "raises": [{"limit": "8.00", "id": "raise_1", "target": {"all": true}}],
        });
        insta::assert_snapshot!(shown(&budget), @r"
        field
        id                daily
        alert_at_percent  50, 80
        each
        enforcement       hard
        scope.agent       a

        raises
        id       limit  target
        raise_1  8.00   all=true
        ");
        insta::assert_snapshot!(shown(&json!({"items": [{"id": "p", "reason": "x\u{1b}[2Jy"}]})), @r"
        id  reason
        p   x[2Jy
        ");
        assert_eq!((shown(&json!({"items": []})), shown(&Value::Null)), ("none\n".to_owned(), "done\n".to_owned()));
    }

    #[test]
    fn json_stays_as_it_came() {
        let mut out = Vec::new();
        show(&mut out, &json!({"id": "k", "secret": "tg_x"}), true).unwrap();
        assert_eq!(out, b"{\"id\":\"k\",\"secret\":\"tg_x\"}\n");
    }
}
