//! Makes a layer out of the facts of its modules.

use super::check::Modules;
use super::facts::{Facts, Shape};
use super::outline::{Plan, in_full};
use super::rvm;
use super::set::{ContractRule, Head, Layer};
use super::tree::{Tree, short};
use std::collections::{BTreeMap, BTreeSet};

/// The layer of a plan.
pub(super) fn layer(plan: Plan, tree: &Tree, modules: &Modules) -> Layer {
    let own = plan.files.iter().filter_map(|path| Some((path, modules.get(path)?)));
    let heads = own.flat_map(|(path, facts)| heads(path, facts)).collect();
    let files = || plan.files.iter().chain(&plan.libraries);
    let all: Vec<(&str, &Facts)> = files().filter_map(|path| Some((path.as_str(), modules.get(path)?))).collect();
    Layer {
        interpreted: interpreted(&all),
        reads: reads(&all),
        constants: constants(&all),
        source_bytes: files().filter_map(|path| tree.files.get(path)).map(|text| text.len()).sum(),
        digest: plan.address(),
        address: plan.digest,
        heads,
        id: plan.id,
        files: plan.files,
        libraries: plan.libraries,
        sees: plan.sees,
    }
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

/// The most paths that are read through variables; a layer has a handful.
const MOST_THROUGH_VARIABLES: usize = 512;

/// What of the input modules read. A variable may stand for any part of it that is named somewhere (`p := input.entity`,
/// `some c in input.connectors`): what is read of a variable counts below each of these.
fn reads(modules: &[(&str, &Facts)]) -> BTreeSet<Vec<String>> {
    let owned = |path: &[&str]| -> Vec<String> { path.iter().map(|part| (*part).to_owned()).collect() };
    let (mut reads, mut of_variables) = (BTreeSet::new(), BTreeSet::new());
    for (_, facts) in modules {
        for (rule, reference) in facts.rules.iter().flat_map(|rule| rule.references.iter().map(move |r| (rule, r))) {
            if rule.locals.contains_key(&reference.root) && reference.arguments.is_none() {
                of_variables.insert(owned(&reference.prefix()[1..]));
                continue;
            }
            let path = in_full(facts, reference);
            if let Some(("input", path)) = path.split_first().map(|(root, path)| (*root, path)) {
                reads.insert(owned(path));
            }
        }
    }
    of_variables.remove(&Vec::new());
    let through: Vec<Vec<String>> = reads
        .iter()
        .flat_map(|path| of_variables.iter().map(|below| [path.as_slice(), below].concat()))
        .take(MOST_THROUGH_VARIABLES)
        .collect();
    reads.extend(through);
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
