//! `data/**` as one document, the way OPA reads a bundle.
//!
//! A file's directory is the path of its keys. `data.json` and `data.yaml` merge into their directory; any other file
//! adds its own name, without the ending, as the last key: `data/airline/fees.yaml` is `data.airline.fees`.

use super::problem::Problem;
use super::text::{Digest, Text};
use super::tree::{Role, Tree, role};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The data of a tree, with what it takes to tell which part of it has changed.
#[derive(Debug)]
pub(super) struct Data {
    /// The document.
    pub(super) all: Value,
    /// The files that it was read from.
    files: BTreeMap<String, Digest>,
    /// The digest of what stands under each first key.
    keys: BTreeMap<String, Digest>,
}

impl Data {
    /// Reads the data of a tree. Problems: `data_syntax`, `data_conflict`, `data_tollgate`.
    pub(super) fn read(tree: &Tree, problems: &mut Vec<Problem>) -> Self {
        let all = read(tree, problems);
        // the keys of a map are in order, so equal values are equal text
        let digest = |value: &Value| Sha256::digest(value.to_string().as_bytes()).into();
        let keys = all.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), digest(value))).collect();
        Self { all, keys, files: files(tree).map(|(path, text)| (path.clone(), *text.digest())).collect() }
    }

    /// Whether the data of this tree is what it was read from.
    pub(super) fn is_of(&self, tree: &Tree) -> bool {
        let mut own = self.files.iter();
        files(tree).all(|(path, text)| own.next() == Some((path, text.digest()))) && own.next().is_none()
    }

    /// The digest of what stands under a first key.
    pub(super) fn digest(&self, key: &str) -> Option<&Digest> {
        self.keys.get(key)
    }

    /// Only what stands under these first keys.
    pub(super) fn part(&self, keys: &BTreeSet<String>) -> Value {
        let value = |key: &String| Some((key.clone(), self.all.get(key)?.clone()));
        Value::Object(keys.iter().filter_map(value).collect())
    }
}

fn files(tree: &Tree) -> impl Iterator<Item = (&String, &Text)> {
    tree.files.iter().filter(|(path, _)| role(path) == Role::Data)
}

fn read(tree: &Tree, problems: &mut Vec<Problem>) -> Value {
    let mut all = Value::Object(Map::new());
    for (path, text) in files(tree) {
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
    fn what_changed_is_told_by_key() {
        let read = |fees: &str| {
            let tree = Tree::of([("data/airline/fees.json", fees), ("data/other.json", "{\"b\": 1, \"a\": 2}")]);
            Data::read(&tree, &mut Vec::new())
        };
        let (before, after) = (read("{\"bag\": 50}"), read("{\"bag\": 60}"));
        assert_eq!(before.digest("other"), after.digest("other"));
        assert_ne!(before.digest("airline"), after.digest("airline"));
        assert_eq!(before.digest("nothing"), None);
        assert_eq!(
            after.part(&BTreeSet::from(["airline".to_owned(), "nothing".to_owned()])),
            json!({"airline": {"fees": {"bag": 60}}})
        );
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
