//! A policy set: one immutable, content-addressed version of all modules and data.

use super::data::Data;
use super::outline::Outlines;
use super::text::{Digest, Text};
use super::tree::{LayerId, Tree};
use super::{check, problem::Problem};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that decides, and nothing that does not: layers, libraries and data, without tests and cases, so
/// that a changed test is no new policy. Made by [`check()`](super::check()) alone.
#[derive(Clone, Debug)]
pub struct PolicySet {
    pub(super) tree: Tree,
    pub(super) digest: String,
    pub(super) data: Arc<Data>,
    pub(super) libraries: Vec<String>,
    pub(super) library_digest: Digest,
    pub(super) layers: BTreeMap<LayerId, Arc<Layer>>,
    /// The layers that check looked at; the others are those of the set before.
    pub(super) compiled: Vec<LayerId>,
    pub(super) warnings: Vec<Problem>,
    /// The modules in brief, for the check of the next set.
    pub(super) outlines: Outlines,
    /// Tests and cases that are of the right form, which is all that check asks of them.
    pub(super) passed: BTreeMap<String, Digest>,
}

/// All modules of one package, to be compiled with the libraries that they need.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Which one.
    pub id: LayerId,
    /// Its modules: `policies/entities/rfq.rego`.
    pub files: Vec<String>,
    /// The libraries that it needs, and no others.
    pub libraries: Vec<String>,
    /// Content address of its modules, these libraries and the data that it can see.
    pub digest: String,
    /// The same as bytes.
    pub(super) address: Digest,
    /// The first keys of the data that it can see.
    pub(super) sees: BTreeSet<String>,
    /// The rules of the contract that it defines.
    pub(super) heads: Vec<Head>,
    /// Bytes of its modules and libraries.
    pub(super) source_bytes: usize,
    /// Why it can only run on the interpreter; `None` if the RVM may run it as well.
    pub(super) interpreted: Option<String>,
    /// What of the input it reads, as paths: `["action", "name"]`.
    pub(super) reads: BTreeSet<Vec<String>>,
    /// The strings and numbers that stand in it.
    pub(super) constants: Vec<serde_json::Value>,
}

/// One rule of the contract, as written.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) name: ContractRule,
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) code: Option<String>,
    pub(super) is_default: bool,
    pub(super) is_set: bool,
    /// Where the first rule of its module begins, behind package and imports.
    pub(super) rules_begin: usize,
    pub(super) span: (usize, usize),
    pub(super) name_span: (usize, usize),
}

/// The names that a layer answers by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContractRule {
    /// `allow`, a boolean.
    Allow,
    /// `allow_without_entity`, a boolean; of an agent's layer.
    AllowWithoutEntity,
    /// `deny contains R`.
    Deny,
    /// `warn contains R`.
    Warn,
}

impl ContractRule {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Allow, Self::AllowWithoutEntity, Self::Deny, Self::Warn];

    /// As it stands in a policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AllowWithoutEntity => "allow_without_entity",
            Self::Deny => "deny",
            Self::Warn => "warn",
        }
    }
}

/// A manifest as it is kept.
#[derive(Deserialize)]
struct Manifest {
    files: BTreeMap<String, String>,
}

/// Why a stored set is not one.
#[derive(Debug, thiserror::Error)]
pub enum StoredSetError {
    /// It does not check (any more).
    #[error("the stored policy set {digest} does not check: {}", problems.first().map_or_else(String::new, ToString::to_string))]
    Refused {
        /// Its digest.
        digest: String,
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
    /// A part of it is gone.
    #[error("the stored policy set {wanted} lacks {what}")]
    Missing {
        /// The set's digest.
        wanted: String,
        /// What is not there.
        what: String,
    },
    /// Its content has another digest.
    #[error("the stored policy set {wanted} holds the content of {found}")]
    OtherContent {
        /// What it says it is.
        wanted: String,
        /// What it is.
        found: String,
    },
}

impl PolicySet {
    /// The content address: `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The layers, base first.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.values().map(AsRef::as_ref)
    }

    /// The layers that were compiled when it was checked; all others were taken over from the set before.
    pub fn compiled(&self) -> &[LayerId] {
        &self.compiled
    }

    /// The layer of that id.
    pub fn layer(&self, id: &LayerId) -> Option<&Layer> {
        self.layers.get(id).map(AsRef::as_ref)
    }

    /// What check has to say about it without refusing it.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Modules and data as text.
    pub fn files(&self) -> &BTreeMap<String, Text> {
        &self.tree.files
    }

    /// The library modules.
    pub fn libraries(&self) -> &[String] {
        &self.libraries
    }

    /// The `data` document.
    pub fn data(&self) -> &serde_json::Value {
        &self.data.all
    }

    /// What is kept of it: the manifest under the set's own digest, and each file under the digest that the manifest
    /// names. Every key is the SHA-256 of its value, so that nothing kept can be exchanged unseen.
    pub fn to_stored(&self) -> Vec<(String, Text)> {
        self.to_stored_after(None)
    }

    /// The same without what is kept already, for it is of `before` too.
    pub fn to_stored_after(&self, before: Option<&Self>) -> Vec<(String, Text)> {
        let kept = |path: &str| before.and_then(|before| before.tree.files.get(path));
        let fresh = self.tree.files.iter().filter(|(path, text)| kept(path) != Some(*text));
        let mut stored: Vec<(String, Text)> = fresh.map(|(_, text)| (text.address(), text.clone())).collect();
        stored.push((self.digest.clone(), self.tree.manifest().into()));
        stored
    }

    /// From what was kept; checks it again, so that a set made elsewhere cannot come in this way.
    pub fn from_stored<E>(
        digest: &str,
        mut fetch: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Result<Self, StoredSetError>, E> {
        let missing = |what: &str| StoredSetError::Missing { wanted: digest.to_owned(), what: what.to_owned() };
        let Some(manifest) = fetch(digest)? else { return Ok(Err(missing(digest))) };
        let Ok(Manifest { files }) = serde_json::from_slice(&manifest) else { return Ok(Err(missing("manifest"))) };
        let mut tree = Tree::default();
        for (path, address) in files {
            match fetch(&address)?.map(String::from_utf8) {
                Some(Ok(text)) => drop(tree.files.insert(path, text.into())),
                _ => return Ok(Err(missing(&path))),
            }
        }
        Ok(match check(&tree) {
            Err(problems) => Err(StoredSetError::Refused { digest: digest.to_owned(), problems }),
            Ok(set) if set.digest == digest => Ok(set),
            Ok(set) => Err(StoredSetError::OtherContent { wanted: digest.to_owned(), found: set.digest }),
        })
    }

    #[expect(clippy::case_sensitive_file_extension_comparisons, reason = "a tree's paths are case-sensitive")]
    fn modules(&self) -> BTreeSet<&str> {
        self.tree.files.keys().map(String::as_str).filter(|path| path.ends_with(".rego")).collect()
    }
}

/// The modules of `old` that `new` does not have: a set that loses one is refused until it is confirmed, for a
/// checkout in progress looks just like that.
pub fn lost_modules(old: &PolicySet, new: &PolicySet) -> Vec<String> {
    old.modules().difference(&new.modules()).map(|path| (*path).to_owned()).collect()
}

impl Layer {
    /// Whether it has a rule of that name.
    pub fn defines(&self, name: ContractRule) -> bool {
        self.heads.iter().any(|head| head.name == name)
    }

    /// Whether reading it speaks against the second engine.
    pub fn may_run_on_rvm(&self) -> bool {
        self.interpreted.is_none()
    }

    /// Whether the rule of that name has a value whatever the input is: a set may be empty, a default is there.
    pub(super) fn always_defines(&self, name: ContractRule) -> bool {
        self.heads.iter().any(|head| head.name == name && (head.is_set || head.is_default))
    }
}
