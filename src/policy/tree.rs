//! A policy tree as plain text, and what each file of it is for.

use super::text::{Text, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

/// Everything that was read from `policies/` and `data/`: relative path → content.
///
/// Paths use `/` and start with `policies/` or `data/`. Reading directories is done elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree {
    /// Path → text.
    pub files: BTreeMap<String, Text>,
}

impl Tree {
    /// A tree of these files.
    pub fn of<P: Into<String>, T: Into<Text>>(files: impl IntoIterator<Item = (P, T)>) -> Self {
        Self { files: files.into_iter().map(|(path, text)| (path.into(), text.into())).collect() }
    }

    /// Hash of every file, tests too: equal when nothing at all has changed.
    pub fn hash(&self) -> String {
        manifest_digest(&self.manifest())
    }
}

impl Tree {
    /// The canonical manifest: version, and the SHA-256 of each file by its path, in order of the paths.
    pub(super) fn manifest(&self) -> String {
        let mut manifest = String::with_capacity(self.files.len() * 128);
        manifest.push_str("{\"files\":{");
        for (number, (path, text)) in self.files.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let _ = write!(manifest, "{comma}{}:\"{}\"", quoted(path), text.address());
        }
        manifest.push_str("},\"v\":1}");
        manifest
    }
}

/// What a file of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A module of a layer or of the library.
    Module,
    /// Tests in Rego, `*_test.rego`.
    RegoTest,
    /// Decision cases, `*.case.yaml`.
    Case,
    /// A document under `data`.
    Data,
    /// Nothing that policy reads: `data/budgets.toml`, a README.
    Other,
}

/// What the file at `path` is for.
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "a tree's paths are case-sensitive")]
pub(super) fn role(path: &str) -> Role {
    if path.starts_with("policies/") {
        if path.ends_with("_test.rego") {
            Role::RegoTest
        } else if path.ends_with(".rego") {
            Role::Module
        } else if path.ends_with(".case.yaml") || path.ends_with(".case.yml") {
            Role::Case
        } else {
            Role::Other
        }
    } else if path.starts_with("data/") && [".json", ".yaml", ".yml"].iter().any(|end| path.ends_with(end)) {
        Role::Data
    } else {
        Role::Other
    }
}

/// A path as operators know it: `entities/rfq.rego` for `policies/entities/rfq.rego`.
pub(super) fn short(path: &str) -> &str {
    path.strip_prefix("policies/").unwrap_or(path)
}

/// The three kinds of layer, with the name of the agent (or profile) or entity type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerId {
    /// `package tollgate.base`, always.
    Base,
    /// `package tollgate.agents["name"]`.
    Agent(String),
    /// `package tollgate.entities.name`.
    Entity(String),
}

impl LayerId {
    /// The layer of a package, if it is one: `["tollgate", "agents", "rfq-draft"]`.
    pub(super) fn of_package(package: &[String]) -> Option<Self> {
        let parts: Vec<&str> = package.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["tollgate", "base"] => Some(Self::Base),
            ["tollgate", "agents", name] => Some(Self::Agent((*name).to_owned())),
            ["tollgate", "entities", name] => Some(Self::Entity((*name).to_owned())),
            _ => None,
        }
    }

    /// The reference to a rule of it: `data.tollgate.agents["rfq-draft"].deny`.
    pub(super) fn rule(&self, name: &str) -> String {
        match self {
            Self::Base => format!("data.tollgate.base.{name}"),
            Self::Agent(agent) => format!("data.tollgate.agents[{}].{name}", quoted(agent)),
            Self::Entity(entity) => format!("data.tollgate.entities[{}].{name}", quoted(entity)),
        }
    }

    /// Where its module lives, or would: `agents/rfq_draft.rego`.
    pub fn usual_file(&self) -> String {
        match self {
            Self::Base => "base.rego".to_owned(),
            Self::Agent(name) => format!("agents/{}.rego", file_stem(name)),
            Self::Entity(name) => format!("entities/{}.rego", file_stem(name)),
        }
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Agent(name) => write!(f, "agent {name}"),
            Self::Entity(name) => write!(f, "entity type {name}"),
        }
    }
}

/// A text as a Rego string literal.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The file name that belongs to a package's name: letters and digits in lower case, all else `_`.
pub(super) fn file_stem(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// The content address of a manifest: `sha256:` and the SHA-256 of its text.
pub(super) fn manifest_digest(manifest: &str) -> String {
    hex(&Sha256::digest(manifest.as_bytes()).into())
}
