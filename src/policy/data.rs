//! `data/**` as one document, the way OPA reads a bundle.
//!
//! A file's directory is the path of its keys. `data.json` and `data.yaml` merge into their directory; any other file
//! adds its own name, without the ending, as the last key: `data/airline/fees.yaml` is `data.airline.fees`.

use super::problem::Problem;
use super::tree::{Role, Tree, role};
use serde_json::{Map, Value};

/// Reads all data of a tree. Problems: `data_syntax`, `data_conflict`, `data_tollgate`.
pub(super) fn read(tree: &Tree, problems: &mut Vec<Problem>) -> Value {
    let mut all = Value::Object(Map::new());
    for (path, text) in tree.files.iter().filter(|(path, _)| role(path) == Role::Data) {
        match parse(path, text) {
            Ok(value) => {
                let value = nested(path, value);
                if value.get("tollgate").is_some() {
                    let message = "data may hold nothing under `tollgate`: that is where the policies are";
                    problems.push(Problem::of_file(path, "data_tollgate", message));
                } else if let Err(key) = merge(&mut all, value) {
                    let message = format!("`{key}` is defined by another file too");
                    problems.push(Problem::of_file(path, "data_conflict", message));
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    all
}

#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "a tree's paths are case-sensitive")]
fn parse(path: &str, text: &str) -> Result<Value, Problem> {
    let (place, message) = if path.ends_with(".json") {
        match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            Err(error) => ((error.line(), error.column()), error.to_string()),
        }
    } else {
        match yaml_serde::from_str(text) {
            Ok(value) => return Ok(value),
            Err(error) => (error.location().map_or((1, 1), |at| (at.line(), at.column())), error.to_string()),
        }
    };
    let place = (u32::try_from(place.0).unwrap_or(1), u32::try_from(place.1).unwrap_or(1));
    Err(Problem::at(path, place, "data_syntax", message))
}

/// Puts a file's value under the keys of its path.
fn nested(path: &str, value: Value) -> Value {
    let inner = path.strip_prefix("data/").unwrap_or(path);
    let (keys, stem) = match inner.rsplit_once('/') {
        Some((directory, name)) => (directory.split('/').collect(), stem(name)),
        None => (Vec::new(), stem(inner)),
    };
    let value = if stem == "data" { value } else { one(stem, value) };
    keys.into_iter().rev().fold(value, |value, key| one(key, value))
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn one(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

/// Merges objects; anything else that meets is a conflict, named by its path.
fn merge(into: &mut Value, from: Value) -> Result<(), String> {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return Err(String::new()) };
    for (key, value) in from {
        match into.get_mut(&key) {
            None => {
                into.insert(key, value);
            }
            Some(there) => {
                merge(there, value).map_err(|rest| if rest.is_empty() { key } else { format!("{key}.{rest}") })?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_keys() {
        let tree = Tree::of([
            ("data/data.json", r#"{"top": 1}"#),
            ("data/airline/data.yaml", "cabins: [economy]"),
            ("data/airline/fees.json", r#"{"bag": 50}"#),
            ("data/budgets.toml", "not read"),
        ]);
        let mut problems = Vec::new();
        let data = read(&tree, &mut problems);
        assert_eq!(problems, []);
        assert_eq!(data, json!({"top": 1, "airline": {"cabins": ["economy"], "fees": {"bag": 50}}}));
    }

    #[test]
    fn what_is_refused() {
        let tree = Tree::of([
            ("data/a.json", r#"{"x": 1}"#),
            ("data/a.yaml", "x: 2"),
            ("data/b.json", "{\n  nope"),
            ("data/c/data.yaml", "a: [1"),
            ("data/data.json", r#"{"tollgate": {}}"#),
            ("data/list/data.json", "[1]"),
            ("data/tollgate/base.json", "1"),
        ]);
        let mut problems = Vec::new();
        read(&tree, &mut problems);
        let seen: Vec<_> = problems.iter().map(|p| (p.file.as_str(), p.line, p.code.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("data/a.yaml", 0, "data_conflict"),
                ("data/b.json", 2, "data_syntax"),
                ("data/c/data.yaml", 2, "data_syntax"),
                ("data/data.json", 0, "data_tollgate"),
                ("data/tollgate/base.json", 0, "data_tollgate"),
            ]
        );
    }
}
