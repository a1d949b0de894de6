//! Which rule a reference means, across the modules of a tree; and whether rules run in circles.

use super::check::Modules;
use super::facts::{Facts, Reference, RuleFacts};
use super::problem::Problem;
use std::collections::{BTreeMap, BTreeSet};

/// All packages of a tree with their modules.
pub(super) struct Packages<'a> {
    packages: BTreeMap<Vec<String>, Vec<(&'a str, &'a Facts)>>,
}

/// What a path under `data` leads to.
pub(super) enum Target<'p> {
    /// A rule of a package.
    Rule(Vec<String>, &'p str),
    /// A package, or what lies above one.
    Package,
    /// Nothing.
    Nothing,
}

/// The most that nesting may add up to along a chain of rules that call each other. Each level is stack of a worker.
const MAX_CHAIN: usize = 250;

type Node = (Vec<String>, String);

impl<'a> Packages<'a> {
    pub(super) fn of(modules: &'a Modules) -> Self {
        let mut packages: BTreeMap<Vec<String>, Vec<(&str, &Facts)>> = BTreeMap::new();
        for (file, facts) in modules {
            packages.entry(facts.package.clone()).or_default().push((file, facts));
        }
        Self { packages }
    }

    /// The rules of a package, in all of its modules.
    pub(super) fn rules_of(&self, package: &[String]) -> impl Iterator<Item = &'a RuleFacts> {
        self.packages.get(package).into_iter().flatten().flat_map(|(_, facts)| facts.rules.iter())
    }

    pub(super) fn has_rule(&self, package: &[String], name: &str) -> bool {
        self.rules_of(package).any(|rule| rule.name == name)
    }

    /// What `["tollgate", "lib", "dates", "parse"]` leads to.
    pub(super) fn target<'p>(&self, path: &[&'p str]) -> Target<'p> {
        for length in (1..path.len()).rev() {
            let package: Vec<String> = path[..length].iter().map(|part| (*part).to_owned()).collect();
            if let Some(name) = path.get(length)
                && self.has_rule(&package, name)
            {
                return Target::Rule(package, name);
            }
        }
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let next = self.packages.range(path.clone()..).next();
        if next.is_some_and(|(package, _)| package.starts_with(&path)) { Target::Package } else { Target::Nothing }
    }

    /// Whether an import of that path is of any use.
    pub(super) fn leads_somewhere(&self, path: &[&str]) -> bool {
        !matches!(self.target(path), Target::Nothing)
    }

    /// Two defaults of one rule, and rules that stand where a package does.
    pub(super) fn conflicts(&self, of: &BTreeSet<String>, problems: &mut Vec<Problem>) {
        use super::facts::Shape::{Default, DefaultFunction};
        for (package, modules) in &self.packages {
            let mut defaults: BTreeMap<&str, (&str, u32)> = BTreeMap::new();
            for (file, facts) in modules.iter().filter(|(file, _)| of.contains(*file)) {
                for rule in &facts.rules {
                    let mut path = package.clone();
                    path.push(rule.name.clone());
                    if self.packages.range(path.clone()..).next().is_some_and(|(other, _)| other.starts_with(&path)) {
                        let message = format!("a package is called {} too", path.join("."));
                        problems.push(Problem::at(file, rule.place, "package_conflict", message));
                    }
                    if !matches!(rule.shape, Default | DefaultFunction(_)) || rule.dotted {
                        continue;
                    }
                    if let Some((other, line)) = defaults.insert(&rule.name, (file, rule.place.0)) {
                        let message = format!("`{}` has a default at {other}:{line} already", rule.name);
                        problems.push(Problem::at(file, rule.place, "duplicate_default", message));
                    }
                }
            }
        }
    }

    /// Rules that depend on themselves, and chains of rules so long that they could overflow a worker's stack.
    pub(super) fn recursion(&self, of: &BTreeSet<String>, problems: &mut Vec<Problem>) {
        let mut seen: BTreeMap<Node, Option<usize>> = BTreeMap::new();
        for (package, modules) in &self.packages {
            for (file, facts) in modules {
                for rule in facts.rules.iter().filter(|_| of.contains(*file)) {
                    let node = (package.clone(), rule.name.clone());
                    match self.depth(&node, &mut seen) {
                        Ok(depth) if depth > MAX_CHAIN => {
                            let message =
                                format!("`{}` and what it calls are nested deeper than {MAX_CHAIN} levels", rule.name);
                            problems.push(Problem::at(file, rule.place, "too_large", message));
                        }
                        Err(through) if through == node => {
                            let message = format!("`{}` depends on itself", rule.name);
                            problems.push(Problem::at(file, rule.place, "recursion", message));
                        }
                        Ok(_) | Err(_) => {}
                    }
                }
            }
        }
    }

    /// The depth of a rule with all that it calls, or a rule that is reached from itself.
    fn depth(&self, node: &Node, seen: &mut BTreeMap<Node, Option<usize>>) -> Result<usize, Node> {
        match seen.get(node) {
            Some(Some(depth)) => return Ok(*depth),
            Some(None) => return Err(node.clone()),
            None => {}
        }
        seen.insert(node.clone(), None);
        let result = self.deepest(node, seen);
        match &result {
            Ok(depth) => seen.insert(node.clone(), Some(*depth)),
            // not known to be in the circle: to be asked again
            Err(_) => seen.remove(node),
        };
        result
    }

    fn deepest(&self, node: &Node, seen: &mut BTreeMap<Node, Option<usize>>) -> Result<usize, Node> {
        let mut deepest = 0;
        for (_, facts) in self.packages.get(&node.0).into_iter().flatten() {
            for rule in facts.rules.iter().filter(|rule| rule.name == node.1) {
                let mut below = 0;
                for reference in &rule.references {
                    for next in self.callees(facts, rule, reference) {
                        below = below.max(self.depth(&next, seen)?);
                    }
                }
                deepest = deepest.max(below + rule.depth + 1);
            }
        }
        Ok(deepest)
    }

    fn callees(&self, facts: &Facts, rule: &RuleFacts, reference: &Reference) -> Vec<Node> {
        if reference.arguments.is_none() && rule.locals.contains_key(&reference.root) {
            return Vec::new();
        }
        if self.has_rule(&facts.package, &reference.root) {
            return vec![(facts.package.clone(), reference.root.clone())];
        }
        let imported = facts.imports.get(&reference.root).map(|(path, _)| path.iter().map(String::as_str).collect());
        let mut path: Vec<&str> = imported.unwrap_or_else(|| vec![reference.root.as_str()]);
        path.extend(&reference.prefix()[1..]);
        if path.first() != Some(&"data") {
            return Vec::new();
        }
        match self.target(&path[1..]) {
            Target::Rule(package, name) => vec![(package, name.to_owned())],
            Target::Package | Target::Nothing => Vec::new(),
        }
    }
}
