//! Makes a policy set out of a tree, or says everything that is wrong with it.

use super::compile;
use super::facts::{self, Facts, Shape};
use super::libraries;
use super::lint;
use super::problem::Problem;
use super::rvm;
use super::set::{ContractRule, Head, Layer, PolicySet};
use super::syntax;
use super::tree::{LayerId, Role, Tree, manifest_digest, role, short};
use super::{cases, data};
use std::collections::{BTreeMap, BTreeSet};

/// A tree's modules by path, with what was found in each.
pub(super) type Modules = BTreeMap<String, Facts>;

/// The stack that check walks syntax trees on: a module's nesting is bounded only once it has been read.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Checks a tree as the daemon does before it takes it.
///
/// Every problem at once, in order of file and place. A set comes out only if there is none.
pub fn check(tree: &Tree) -> Result<PolicySet, Vec<Problem>> {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || checked(tree));
        let answer = worker.map(std::thread::ScopedJoinHandle::join);
        answer.ok().and_then(Result::ok).unwrap_or_else(|| {
            Err(vec![Problem::of_file(
                "policies",
                "internal",
                "check could not finish: it ran out of memory or failed",
            )])
        })
    })
}

fn checked(tree: &Tree) -> Result<PolicySet, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let modules = parse_all(tree, &mut problems);
    if !tree.files.contains_key("policies/base.rego") {
        let message = "there must be a base.rego with package tollgate.base: it judges every admission";
        problems.push(Problem::of_file("policies/base.rego", "base_missing", message));
    }
    let data = data::read(tree, &mut problems);
    cases::check_syntax(tree, &mut problems);
    lint::modules(&modules, &data, &mut problems, &mut warnings);
    let mut set = assemble(tree, &modules, data);
    set.warnings = sorted(warnings);
    // what regorus finds while it prepares a layer, where nothing simpler is wrong already
    let broken: BTreeSet<String> = problems.iter().map(|problem| problem.file.clone()).collect();
    for layer in set.layers.values() {
        if !layer.files.iter().chain(&layer.libraries).any(|file| broken.contains(file)) {
            problems.extend(compile::problem_of(&set, layer));
        }
    }
    if problems.is_empty() { Ok(set) } else { Err(sorted(problems)) }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    problems
}

/// Parses modules and tests; only modules come back.
fn parse_all(tree: &Tree, problems: &mut Vec<Problem>) -> Modules {
    let mut modules = Modules::new();
    for (path, text) in &tree.files {
        let role = role(path);
        if !matches!(role, Role::Module | Role::RegoTest) {
            continue;
        }
        match syntax::parse(path, text) {
            Ok(module) if role == Role::Module => {
                modules.insert(path.clone(), facts::gather(&module));
            }
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    modules
}

fn assemble(tree: &Tree, modules: &Modules, data: serde_json::Value) -> PolicySet {
    let kept = |path: &str| matches!(role(path), Role::Module | Role::Data);
    let files = tree.files.iter().filter(|(path, _)| kept(path));
    let tree = Tree { files: files.map(|(path, text)| (path.clone(), text.clone())).collect() };
    let texts = || tree.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let digest = manifest_digest(texts());
    let is_library = |facts: &Facts| facts.package.get(1).is_some_and(|part| part == "lib");
    let libraries: Vec<String> =
        modules.iter().filter(|(_, facts)| is_library(facts)).map(|(path, _)| path.clone()).collect();

    let mut grouped: BTreeMap<LayerId, Vec<(&String, &Facts)>> = BTreeMap::new();
    for (path, facts) in modules {
        if let Some(id) = LayerId::of_package(&facts.package) {
            grouped.entry(id).or_default().push((path, facts));
        }
    }
    let layers = grouped.into_iter().map(|(id, members)| {
        let files: Vec<String> = members.iter().map(|(path, _)| (*path).clone()).collect();
        let own = libraries::needed(modules, &libraries, &files);
        let part = |path: &str| role(path) == Role::Data || own.iter().chain(&files).any(|file| file == path);
        let digest = manifest_digest(texts().filter(|(path, _)| part(path)));
        let source_bytes =
            texts().filter(|(path, _)| part(path) && role(path) == Role::Module).map(|(_, t)| t.len()).sum();
        let heads = members.iter().flat_map(|(path, facts)| heads(path, facts)).collect();
        let all: Vec<(&str, &Facts)> =
            files.iter().chain(&own).filter_map(|path| Some((path.as_str(), modules.get(path)?))).collect();
        let layer = Layer {
            interpreted: interpreted(&all),
            reads: reads(&all),
            constants: constants(&all),
            id: id.clone(),
            files,
            libraries: own,
            digest,
            heads,
            source_bytes,
        };
        (id, layer)
    });
    let layers = layers.collect();
    PolicySet { digest, data, libraries, layers, warnings: Vec::new(), tree }
}

/// Why modules can only run on the interpreter together, if so.
fn interpreted(modules: &[(&str, &Facts)]) -> Option<String> {
    for (path, facts) in modules {
        if let Some((line, what)) = &facts.subset.against {
            return Some(format!("{}:{line}: {what}", short(path)));
        }
    }
    // two definitions of one rule that may give different values are a run-time error
    let mut values: BTreeMap<(&[String], &str), &Option<regorus::Value>> = BTreeMap::new();
    for (path, facts) in modules {
        for (name, value) in &facts.subset.values {
            let before = values.insert((&facts.package, name), value);
            if before.is_some_and(|before| before != value || value.is_none()) {
                return Some(format!("{}: `{name}` may have two values", short(path)));
            }
        }
    }
    None
}

/// What of the input modules read.
fn reads(modules: &[(&str, &Facts)]) -> BTreeSet<Vec<String>> {
    let mut reads = BTreeSet::new();
    for (_, facts) in modules {
        for reference in facts.rules.iter().flat_map(|rule| &rule.references) {
            let path = libraries::in_full(facts, reference);
            if let Some(("input", path)) = path.split_first().map(|(root, path)| (*root, path)) {
                reads.insert(path.iter().map(|part| (*part).to_owned()).collect());
            }
        }
    }
    reads
}

fn constants(modules: &[(&str, &Facts)]) -> Vec<serde_json::Value> {
    let all: BTreeSet<&regorus::Value> = modules.iter().flat_map(|(_, facts)| &facts.subset.constants).collect();
    all.into_iter().filter_map(rvm::constant).collect()
}

/// The rules of the contract in a module.
fn heads<'a>(path: &'a str, facts: &'a Facts) -> impl Iterator<Item = Head> + 'a {
    let rules_begin = facts.rules.iter().map(|rule| rule.span.0).min().unwrap_or(0);
    facts.rules.iter().filter_map(move |rule| {
        let name = ContractRule::ALL.into_iter().find(|name| name.as_str() == rule.name)?;
        Some(Head {
            name,
            file: path.to_owned(),
            line: rule.place.0,
            code: rule.code.clone(),
            is_default: matches!(rule.shape, Shape::Default | Shape::DefaultFunction(_)),
            is_set: matches!(rule.shape, Shape::Set),
            rules_begin,
            span: rule.span,
            name_span: rule.name_span,
        })
    })
}
