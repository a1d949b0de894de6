//! Makes a policy set out of a tree, or says everything that is wrong with it.
//!
//! Of the set before, what cannot have changed is taken over: see [`check_after`].

use super::assemble;
use super::cases;
use super::compile;
use super::data::Data;
use super::facts::{self, Facts};
use super::lint;
use super::outline::{self, Outline, Outlines, Plan};
use super::parallel::{each, on_a_deep_stack};
use super::problem::Problem;
use super::set::{Layer, PolicySet};
use super::syntax;
use super::text::{Digest, Text};
use super::tree::{LayerId, Role, Tree, manifest_digest, role};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A tree's modules by path, with what was found in each.
pub(super) type Modules = BTreeMap<String, Facts>;

/// Checks a tree as the daemon does before it takes it.
///
/// Every problem at once, in order of file and place. A set comes out only if there is none.
pub fn check(tree: &Tree) -> Result<PolicySet, Vec<Problem>> {
    on_a_deep_stack(|| checked(tree, None)).unwrap_or_else(|| Err(broken_off()))
}

/// The same, where `before` is a set that checks. A layer whose modules, libraries and data (as far as it can see them) are
/// those of `before` is taken over: it is neither parsed nor compiled again. If anything is wrong, everything is
/// checked, so that every problem is said.
pub fn check_after(tree: &Tree, before: &PolicySet) -> Result<PolicySet, Vec<Problem>> {
    let renewed = on_a_deep_stack(|| checked(tree, Some(before)).or_else(|_| checked(tree, None)));
    renewed.unwrap_or_else(|| Err(broken_off()))
}

fn broken_off() -> Vec<Problem> {
    vec![Problem::of_file("policies", "internal", "check could not finish: it ran out of memory or failed")]
}

fn checked(tree: &Tree, before: Option<&PolicySet>) -> Result<PolicySet, Vec<Problem>> {
    let mut problems = Vec::new();
    if !tree.files.contains_key("policies/base.rego") {
        let message = "there must be a base.rego with package tollgate.base: it judges every admission";
        problems.push(Problem::of_file("policies/base.rego", "base_missing", message));
    }
    let data = match before.filter(|before| before.data.is_of(tree)) {
        Some(before) => Arc::clone(&before.data),
        None => Arc::new(Data::read(tree, &mut problems)),
    };
    let passed = tests_and_cases(tree, before, &mut problems);
    let (outlines, mut modules) = read_modules(tree, before, &mut problems);
    let found = Found::of(tree, &outlines, &data, before);
    // what was taken over as it is has no facts yet, and its text has been parsed before
    let missing: Vec<(&String, &Text)> = found
        .to_read
        .iter()
        .filter(|path| !modules.contains_key(*path))
        .filter_map(|path| tree.files.get_key_value(path))
        .collect();
    for (path, parsed) in missing.iter().map(|(path, _)| *path).zip(each(&missing, |(path, text)| parse(path, text))) {
        modules.extend(parsed.ok().map(|facts| (path.clone(), facts)));
    }
    let mut warnings: Vec<Problem> = before
        .map(|before| before.warnings.iter())
        .into_iter()
        .flatten()
        .filter(|warning| tree.files.contains_key(&warning.file) && !found.to_lint.contains(&warning.file))
        .cloned()
        .collect();
    lint::modules(&modules, &found.to_lint, &data.all, &mut problems, &mut warnings);

    let compiled = found.dirty.iter().map(|plan| plan.id.clone()).collect();
    let mut layers = found.clean;
    layers
        .extend(found.dirty.into_iter().map(|plan| (plan.id.clone(), Arc::new(assemble::layer(plan, tree, &modules)))));
    drop(modules);
    let kept = |path: &str| matches!(role(path), Role::Module | Role::Data);
    let files = tree.files.iter().filter(|(path, _)| kept(path));
    let kept = Tree { files: files.map(|(path, text)| (path.clone(), text.clone())).collect() };
    let set = PolicySet {
        digest: manifest_digest(&kept.manifest()),
        tree: kept,
        data,
        libraries: found.libraries,
        library_digest: found.library_digest,
        layers,
        compiled,
        warnings: sorted(warnings),
        outlines,
        passed,
    };
    problems.extend(compile_all(&set, &problems));
    if problems.is_empty() { Ok(set) } else { Err(sorted(problems)) }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    problems
}

fn parse(path: &str, text: &Text) -> Result<Facts, Problem> {
    syntax::parse(path, text).map(|module| facts::gather(&module))
}

/// All modules in brief, with the facts of those that are not as they were.
fn read_modules(tree: &Tree, before: Option<&PolicySet>, problems: &mut Vec<Problem>) -> (Outlines, Modules) {
    let mut outlines = Outlines::new();
    let mut changed = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| role(path) == Role::Module) {
        let known = before.and_then(|before| before.outlines.get(path));
        match known.filter(|known| known.text == *text.digest()) {
            Some(known) => drop(outlines.insert(path.clone(), Arc::clone(known))),
            None => changed.push((path, text)),
        }
    }
    let mut modules = Modules::new();
    for ((path, text), parsed) in changed.iter().zip(each(&changed, |(path, text)| parse(path, text))) {
        match parsed {
            Ok(facts) => {
                outlines.insert((*path).clone(), Arc::new(Outline::of(text, &facts)));
                modules.insert((*path).clone(), facts);
            }
            Err(problem) => problems.push(problem),
        }
    }
    (outlines, modules)
}

/// Reads what is no part of a set for its form, and gives what passed.
fn tests_and_cases(tree: &Tree, before: Option<&PolicySet>, problems: &mut Vec<Problem>) -> BTreeMap<String, Digest> {
    let mut passed = BTreeMap::new();
    let mut changed = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| matches!(role(path), Role::RegoTest | Role::Case)) {
        if before.is_some_and(|before| before.passed.get(path) == Some(text.digest())) {
            passed.insert(path.clone(), *text.digest());
        } else {
            changed.push((path, text));
        }
    }
    let read = |(path, text): &(&String, &Text)| match role(path) {
        Role::Case => cases::check_syntax(path, text),
        _ => syntax::parse(path, text).map(drop),
    };
    for ((path, text), read) in changed.iter().zip(each(&changed, read)) {
        match read {
            Ok(()) => drop(passed.insert((*path).clone(), *text.digest())),
            Err(problem) => problems.push(problem),
        }
    }
    passed
}

/// What of a tree is as it was, and what must be looked at.
struct Found {
    /// Layers of the set before that hold as they are.
    clean: BTreeMap<LayerId, Arc<Layer>>,
    /// The others.
    dirty: Vec<Plan>,
    /// The library modules.
    libraries: Vec<String>,
    /// Content address of them, with the data that they see.
    library_digest: Digest,
    /// Modules to be linted: those of dirty layers, the libraries if one has changed, and what belongs nowhere.
    to_lint: BTreeSet<String>,
    /// Modules whose facts that takes.
    to_read: BTreeSet<String>,
}

impl Found {
    fn of(tree: &Tree, outlines: &Outlines, data: &Arc<Data>, before: Option<&PolicySet>) -> Self {
        let mut grouped: BTreeMap<LayerId, Vec<String>> = BTreeMap::new();
        let mut libraries = Vec::new();
        let mut to_lint = BTreeSet::new();
        for (path, outline) in outlines {
            if outline.is_library() {
                libraries.push(path.clone());
            } else if let Some(id) = LayerId::of_package(&outline.package) {
                grouped.entry(id).or_default().push(path.clone());
            } else {
                to_lint.insert(path.clone());
            }
        }
        let (_, library_digest) = outline::digest(libraries.iter(), tree, outlines, data);
        let same_libraries = before.filter(|before| before.library_digest == library_digest);
        if same_libraries.is_none() {
            to_lint.extend(libraries.iter().cloned());
        }
        // where neither data nor libraries have changed, a layer has if its modules have
        let same_around = same_libraries.filter(|before| Arc::ptr_eq(&before.data, data));
        let mut clean = BTreeMap::new();
        let mut dirty = Vec::new();
        let mut to_read = BTreeSet::new();
        for (id, files) in grouped {
            let known = before.and_then(|before| before.layers.get(&id));
            if let (Some(before), Some(known)) = (same_around, known)
                && known.files == files
                && files.iter().all(|file| same(before.outlines.get(file), outlines.get(file)))
            {
                clean.insert(id, Arc::clone(known));
                continue;
            }
            let plan = Plan::of(id, files, tree, outlines, data);
            if let Some(known) = known.filter(|known| known.address == plan.digest) {
                clean.insert(plan.id, Arc::clone(known));
            } else {
                to_lint.extend(plan.files.iter().cloned());
                to_read.extend(plan.libraries.iter().cloned());
                dirty.push(plan);
            }
        }
        to_read.extend(to_lint.iter().cloned());
        Self { clean, dirty, libraries, library_digest, to_lint, to_read }
    }
}

fn same(one: Option<&Arc<Outline>>, other: Option<&Arc<Outline>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if Arc::ptr_eq(one, other))
}

/// What regorus finds while it prepares a new layer, where nothing simpler is wrong already.
fn compile_all(set: &PolicySet, problems: &[Problem]) -> Vec<Problem> {
    let broken: BTreeSet<&String> = problems.iter().map(|problem| &problem.file).collect();
    let layers = set.compiled.iter().filter_map(|id| set.layers.get(id));
    let whole = |layer: &&Arc<Layer>| !layer.files.iter().chain(&layer.libraries).any(|file| broken.contains(file));
    let layers: Vec<&Arc<Layer>> = layers.filter(whole).collect();
    let data = compile::data_of(set);
    each(&layers, |layer| compile::problems_of(set, layer, data.clone())).into_iter().flatten().collect()
}
