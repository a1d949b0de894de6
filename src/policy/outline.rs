//! A module in brief: its package, and what it refers to outside of it. That is enough to tell which libraries and which
//! data a layer sees, and so whether anything that matters to it has changed.

use super::data::Data;
use super::facts::{Facts, Reference};
use super::text::{Digest, Text, hex};
use super::tree::{LayerId, Tree};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The modules of a tree in brief, by path.
pub(super) type Outlines = BTreeMap<String, Arc<Outline>>;

/// One module in brief.
#[derive(Debug)]
pub(super) struct Outline {
    /// Of the text that it was made of.
    pub(super) text: Digest,
    /// `["tollgate", "entities", "rfq"]`.
    pub(super) package: Vec<String>,
    /// What it names below `data` that may be a library: `["tollgate", "lib", "dates", "is_date"]`.
    libraries: Vec<Vec<String>>,
    /// The first keys of all else that it names below `data`.
    data: BTreeSet<String>,
}

impl Outline {
    /// Of a module's text and facts.
    pub(super) fn of(text: &Text, facts: &Facts) -> Self {
        let mut libraries = BTreeSet::new();
        let mut data = BTreeSet::new();
        for path in paths(facts) {
            match path.first() {
                // all of data; check refuses it
                None | Some(&"tollgate") => {
                    libraries.insert(path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
                }
                Some(key) => {
                    data.insert((*key).to_owned());
                }
            }
        }
        let libraries = libraries.into_iter().collect();
        Self { text: *text.digest(), package: facts.package.clone(), libraries, data }
    }

    /// Whether it is a library.
    pub(super) fn is_library(&self) -> bool {
        self.package.get(1).is_some_and(|part| part == "lib")
    }
}

/// Every path under `data` that a module names: by an import, in full, or in a `with`.
fn paths(facts: &Facts) -> impl Iterator<Item = Vec<&str>> {
    let imported = facts.imports.values().map(|(path, _)| path.iter().map(String::as_str).collect::<Vec<_>>());
    let references = facts.rules.iter().flat_map(|rule| rule.references.iter().chain(&rule.replaced));
    let named = references.map(|reference| in_full(facts, reference));
    imported.chain(named).filter(|path| path.first() == Some(&"data")).map(|mut path| path.split_off(1))
}

/// A reference with its import put in place of the alias. A local variable of that name makes the path longer than it is,
/// which compiles at most too much.
pub(super) fn in_full<'f>(facts: &'f Facts, reference: &'f Reference) -> Vec<&'f str> {
    let prefix = reference.prefix();
    match facts.imports.get(prefix[0]) {
        Some((path, _)) => path.iter().map(String::as_str).chain(prefix[1..].iter().copied()).collect(),
        None => prefix,
    }
}

/// All that a layer depends on, before it is known whether it must be checked.
#[derive(Debug)]
pub(super) struct Plan {
    /// Which one.
    pub(super) id: LayerId,
    /// Its modules.
    pub(super) files: Vec<String>,
    /// The libraries that it needs, and that these need.
    pub(super) libraries: Vec<String>,
    /// The first keys of the data that it may see.
    pub(super) sees: BTreeSet<String>,
    /// Content address of all of that.
    pub(super) digest: Digest,
}

impl Plan {
    /// Of the layer that these modules make.
    pub(super) fn of(id: LayerId, files: Vec<String>, tree: &Tree, outlines: &Outlines, data: &Data) -> Self {
        let libraries = needed(outlines, &files);
        let (sees, digest) = digest(files.iter().chain(&libraries), tree, outlines, data);
        Self { id, files, libraries, sees, digest }
    }

    /// The digest as it is shown.
    pub(super) fn address(&self) -> String {
        hex(&self.digest)
    }
}

/// What modules see of the data, and the digest of their texts with it.
pub(super) fn digest<'p>(
    files: impl Iterator<Item = &'p String> + Clone,
    tree: &Tree,
    outlines: &Outlines,
    data: &Data,
) -> (BTreeSet<String>, Digest) {
    let seen = files.clone().filter_map(|file| outlines.get(file)).flat_map(|outline| &outline.data);
    let sees: BTreeSet<String> = seen.cloned().collect();
    let mut hash = Sha256::new();
    for file in files {
        let text = tree.files.get(file).map_or(&[0; 32], Text::digest);
        entry(&mut hash, 1, file, text);
    }
    for key in &sees {
        match data.digest(key) {
            Some(digest) => entry(&mut hash, 2, key, digest),
            None => entry(&mut hash, 3, key, &[0; 32]),
        }
    }
    (sees, hash.finalize().into())
}

/// A name and what stands under it, so that no two rows of them are the same bytes.
fn entry(hash: &mut Sha256, kind: u8, name: &str, digest: &Digest) {
    hash.update([kind]);
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name);
    hash.update(digest);
}

/// The library modules that these modules need, by path: those that they refer to, and those that these refer to. A
/// library that changes is a new engine for the layers behind it alone, and the interpreter looks through no module in vain.
fn needed(outlines: &Outlines, files: &[String]) -> Vec<String> {
    let mut needed: BTreeSet<&String> = BTreeSet::new();
    let mut to_read: Vec<&String> = files.iter().collect();
    while let Some(file) = to_read.pop() {
        let Some(outline) = outlines.get(file).filter(|outline| !outline.libraries.is_empty()) else { continue };
        for (path, library) in outlines.range(LIBRARIES.to_owned()..) {
            if !path.starts_with(LIBRARIES) {
                break;
            }
            let meets = |named: &Vec<String>| meet(named, &library.package);
            if library.is_library() && outline.libraries.iter().any(meets) && needed.insert(path) {
                to_read.push(path);
            }
        }
    }
    needed.into_iter().cloned().collect()
}

/// Where the libraries are; a module of such a package anywhere else is refused.
const LIBRARIES: &str = "policies/lib/";

/// Whether one leads to the other: `data.tollgate.lib` to all libraries, `data.tollgate.lib.dates.is_date` to one.
fn meet(path: &[String], package: &[String]) -> bool {
    path.iter().zip(package).all(|(path, package)| path == package)
}
