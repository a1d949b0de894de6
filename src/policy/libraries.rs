//! Which libraries a layer is compiled with: those that it refers to, and those that these refer to. A library that
//! changes is a new engine for the layers behind it alone, and the interpreter looks through no module in vain.

use super::check::Modules;
use super::facts::{Facts, Reference};
use std::collections::BTreeSet;

/// The library modules that these modules need, by path.
pub(super) fn needed<'m>(modules: &'m Modules, libraries: &'m [String], files: &[String]) -> Vec<String> {
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    let mut to_read: Vec<&str> = files.iter().map(String::as_str).collect();
    while let Some(file) = to_read.pop() {
        let Some(facts) = modules.get(file) else { continue };
        let paths: Vec<Vec<&str>> = paths(facts).collect();
        for library in libraries {
            let Some(package) = modules.get(library).map(|facts| &facts.package) else { continue };
            if paths.iter().any(|path| meet(path, package)) && needed.insert(library) {
                to_read.push(library);
            }
        }
    }
    needed.into_iter().map(str::to_owned).collect()
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

/// Whether one leads to the other: `data.tollgate.lib` to all libraries, `data.tollgate.lib.dates.is_date` to one.
fn meet(path: &[&str], package: &[String]) -> bool {
    path.iter().zip(package).all(|(path, package)| path == package)
}
