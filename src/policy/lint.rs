//! What check refuses although it is Rego: whatever would quietly change what a policy means, or could not be
//! replayed, or could bring the process down.

use super::builtins::{self, Verdict};
use super::check::Modules;
use super::facts::{Facts, Part, Reference, RuleFacts, Shape};
use super::problem::Problem;
use super::resolve::{Packages, Target};
use super::set::ContractRule;
use super::tree::{LayerId, file_stem};
use super::walk::MAX_DEPTH;
use serde_json::Value;
use std::collections::BTreeSet;

/// Lints some modules, each by itself and together. `modules` has them, and all that they may refer to.
pub(super) fn modules(
    modules: &Modules,
    to_lint: &BTreeSet<String>,
    data: &Value,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    let packages = Packages::of(modules);
    for (file, facts) in modules.iter().filter(|(file, _)| to_lint.contains(*file)) {
        let mut lint = Lint { file, facts, packages: &packages, data, problems, warnings };
        lint.package();
        lint.imports();
        for rule in &facts.rules {
            lint.rule(rule);
        }
        lint.nothing_to_say();
    }
    packages.conflicts(to_lint, problems);
    packages.recursion(to_lint, problems);
}

struct Lint<'a> {
    file: &'a str,
    facts: &'a Facts,
    packages: &'a Packages<'a>,
    data: &'a Value,
    problems: &'a mut Vec<Problem>,
    warnings: &'a mut Vec<Problem>,
}

impl Lint<'_> {
    fn refuse(&mut self, place: (u32, u32), code: &str, message: impl Into<String>) {
        self.problems.push(Problem::at(self.file, place, code, message));
    }

    fn warn(&mut self, place: (u32, u32), code: &str, message: impl Into<String>) {
        self.warnings.push(Problem::at(self.file, place, code, message));
    }

    /// The package must be the one that the path says.
    fn package(&mut self) {
        let package: Vec<&str> = self.facts.package.iter().map(String::as_str).collect();
        let path = self.file.strip_prefix("policies/").unwrap_or(self.file);
        let (wanted, fits) = match path.split_once('/') {
            None if path == "base.rego" => ("tollgate.base".to_owned(), package == ["tollgate", "base"]),
            Some(("base", _)) => ("tollgate.base".to_owned(), package == ["tollgate", "base"]),
            Some((kind @ ("agents" | "entities"), rest)) => {
                let first = rest.split(['/', '.']).next().unwrap_or_default();
                let fits = matches!(package.as_slice(), ["tollgate", k, name] if *k == kind && named_by(first, name));
                (format!("tollgate.{kind}[\"…\"], with a name that gives {first}.rego"), fits)
            }
            Some(("lib", _)) => {
                ("tollgate.lib.…".to_owned(), package.starts_with(&["tollgate", "lib"]) && package.len() > 2)
            }
            _ => {
                let message = "a module belongs into base.rego, agents/, entities/ or lib/";
                return self.refuse(self.facts.package_place, "misplaced", message);
            }
        };
        if !fits {
            let message = format!("the package of this file must be {wanted}, not {}", package.join("."));
            self.refuse(self.facts.package_place, "package_path", message);
        }
    }

    fn imports(&mut self) {
        for (alias, (path, place)) in &self.facts.imports {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            match parts.as_slice() {
                ["data"] => {
                    self.refuse(*place, "data_whole", "import a part of data, not the whole: it holds every policy");
                }
                ["data", "tollgate", "lib", _, ..] if self.packages.leads_somewhere(&parts[1..]) => {}
                ["data", "tollgate", "lib", _, ..] => {
                    self.refuse(*place, "unknown_reference", format!("there is no {}", parts.join(".")));
                }
                ["data", "tollgate", ..] => self.refuse(*place, "tollgate_reference", OUTSIDE_LIB),
                _ => {}
            }
            if self.facts.names().contains(alias.as_str()) {
                self.refuse(
                    *place,
                    "shadowed_name",
                    format!("a rule of this file is called `{alias}` too; import it `as` something else"),
                );
            }
        }
    }

    fn rule(&mut self, rule: &RuleFacts) {
        if rule.depth > MAX_DEPTH {
            self.refuse(
                rule.place,
                "too_large",
                format!("expressions are nested deeper than {MAX_DEPTH}; split this rule"),
            );
        }
        if matches!(rule.name.as_str(), "input" | "data") {
            self.refuse(rule.place, "reserved_name", format!("`{}` cannot be the name of a rule", rule.name));
        }
        self.contract(rule);
        for (local, place) in &rule.locals {
            if matches!(local.as_str(), "input" | "data") {
                self.refuse(*place, "reserved_name", format!("`{local}` cannot be the name of a variable"));
            } else if self.packages.has_rule(&self.facts.package, local) || self.facts.imports.contains_key(local) {
                self.refuse(
                    *place,
                    "shadowed_name",
                    format!("this hides the rule or import `{local}`; give it another name"),
                );
            }
        }
        for reference in &rule.references {
            // calls go by name alone: a variable of the same name is not in their way
            if reference.arguments.is_some() || !rule.locals.contains_key(&reference.root) {
                self.reference(reference);
            }
        }
        for replaced in &rule.replaced {
            let prefix = replaced.prefix();
            let is_value = match prefix.as_slice() {
                ["input", ..] => true,
                ["data", second, ..] => *second != "tollgate",
                _ => false,
            };
            if !is_value {
                let message =
                    "outside of tests, `with` may replace parts of input and of data, not functions or policies";
                self.refuse(replaced.place, "with_function", message);
            }
        }
    }

    /// Names of the contract, and names that are nearly one.
    fn contract(&mut self, rule: &RuleFacts) {
        let Some(layer) = LayerId::of_package(&self.facts.package) else { return };
        let Some(name) = ContractRule::ALL.into_iter().find(|name| name.as_str() == rule.name) else {
            let near = ContractRule::ALL.into_iter().find(|name| one_edit_apart(name.as_str(), &rule.name));
            if let Some(near) = near {
                let message = format!(
                    "`{}` is one letter away from `{}`; rename it if it is meant to be another rule",
                    rule.name,
                    near.as_str()
                );
                self.refuse(rule.place, "near_miss", message);
            }
            return;
        };
        match (name, rule.shape) {
            (_, Shape::Function(_) | Shape::DefaultFunction(_)) => {
                let message = format!("`{}` must be a rule, not a function: nobody would call it", rule.name);
                self.refuse(rule.place, "contract_function", message);
            }
            (ContractRule::Deny | ContractRule::Warn, shape) if rule.dotted || shape != Shape::Set => {
                let message = format!(
                    "`{0}` must be a set (`{0} contains … if …`); any other value denies with policy_output_invalid",
                    rule.name
                );
                self.warn(rule.place, "contract_shape", message);
            }
            (ContractRule::Allow | ContractRule::AllowWithoutEntity, shape) => {
                let boolean = matches!(rule.constant, None | Some(regorus::Value::Bool(_)));
                if rule.dotted || shape == Shape::Set || !boolean {
                    let message = format!(
                        "`{}` must be true or false; any other value denies with policy_output_invalid",
                        rule.name
                    );
                    self.warn(rule.place, "contract_shape", message);
                }
                let heard = match layer {
                    LayerId::Base => false,
                    LayerId::Agent(_) => true,
                    LayerId::Entity(_) => name == ContractRule::Allow,
                };
                if !heard {
                    self.warn(rule.place, "no_effect", format!("nobody asks this layer for `{}`", rule.name));
                }
            }
            _ => {}
        }
    }

    fn nothing_to_say(&mut self) {
        let Some(layer) = LayerId::of_package(&self.facts.package) else { return };
        let says = self
            .packages
            .rules_of(&self.facts.package)
            .any(|rule| ContractRule::ALL.iter().any(|name| name.as_str() == rule.name));
        if !says && layer != LayerId::Base {
            self.warn(
                self.facts.package_place,
                "says_nothing",
                "this layer defines none of allow, deny, warn: it permits nothing",
            );
        }
    }

    fn reference(&mut self, reference: &Reference) {
        let expanded = self.expanded(reference);
        let prefix = expanded.prefix();
        let is_value = expanded.arguments.is_none();
        match prefix.as_slice() {
            ["data", "tollgate", rest @ ..] => self.below_tollgate(&expanded, rest),
            ["data"] if expanded.parts.is_empty() => {
                self.refuse(reference.place, "data_whole", "name a part of data, not the whole: it holds every policy");
            }
            ["data"] => {
                self.refuse(
                    reference.place,
                    "data_variable",
                    "the first key of data must be a constant: a variable could reach the policies",
                );
            }
            ["data", keys @ ..] if is_value && self.data_lacks(keys) => {
                self.warn(
                    reference.place,
                    "unknown_data",
                    format!("no file defines {}: it is undefined", prefix.join(".")),
                );
            }
            ["input", keys @ ..] if is_value => self.input(reference, keys),
            _ if is_value => {}
            _ => self.call(&expanded),
        }
    }

    /// With an import's alias replaced by what it stands for.
    fn expanded(&self, reference: &Reference) -> Reference {
        let mut expanded = reference.clone();
        if let Some((path, _)) = self.facts.imports.get(&reference.root)
            && let Some((root, rest)) = path.split_first()
        {
            expanded.root.clone_from(root);
            let rest = rest.iter().map(|part| Part::Constant(part.clone()));
            expanded.parts = rest.chain(reference.parts.iter().cloned()).collect();
        }
        expanded
    }

    fn below_tollgate(&mut self, reference: &Reference, rest: &[&str]) {
        if rest.first() != Some(&"lib") {
            return self.refuse(reference.place, "tollgate_reference", OUTSIDE_LIB);
        }
        let path: Vec<&str> = std::iter::once("tollgate").chain(rest.iter().copied()).collect();
        match (self.packages.target(&path), reference.arguments) {
            (Target::Rule(_, _), None) => {}
            (Target::Rule(package, name), Some(arguments)) => self.arity(reference, &package, name, arguments),
            (Target::Package, None) => {
                let message = "name a constant rule of the library: a variable or a whole package hides what is meant";
                self.refuse(reference.place, "tollgate_reference", message);
            }
            (_, arguments) => {
                let code = if arguments.is_some() { "unknown_function" } else { "unknown_reference" };
                self.refuse(reference.place, code, format!("there is no data.{}", path.join(".")));
            }
        }
    }

    fn call(&mut self, reference: &Reference) {
        let Some(arguments) = reference.arguments else { return };
        if self.packages.has_rule(&self.facts.package, &reference.root) {
            return self.arity(reference, &self.facts.package, &reference.root, arguments);
        }
        let name = reference.dotted();
        match builtins::verdict(&name, false) {
            Verdict::Allowed(wanted) if fits(arguments, usize::from(wanted)) => {}
            Verdict::Allowed(wanted) => {
                self.refuse(reference.place, "arguments", format!("{name} takes {wanted} arguments, not {arguments}"));
            }
            Verdict::Refused(why) => {
                self.refuse(reference.place, "forbidden_builtin", format!("{name} may not be used: {why}"));
            }
            Verdict::Unknown => {
                self.refuse(reference.place, "unknown_function", format!("there is no function or built-in `{name}`"));
            }
        }
    }

    fn arity(&mut self, reference: &Reference, package: &[String], name: &str, arguments: usize) {
        let rules = self.packages.rules_of(package).filter(|rule| rule.name == name && !rule.dotted);
        let wanted: Vec<usize> = rules
            .filter_map(|rule| match rule.shape {
                Shape::Function(count) | Shape::DefaultFunction(count) => Some(count),
                _ => None,
            })
            .collect();
        let dotted = self.packages.rules_of(package).any(|rule| rule.name == name && rule.dotted);
        match wanted.first() {
            Some(_) if wanted.iter().any(|wanted| fits(arguments, *wanted)) => {}
            Some(wanted) => {
                self.refuse(reference.place, "arguments", format!("{name} takes {wanted} arguments, not {arguments}"));
            }
            None if dotted => {}
            None => self.refuse(reference.place, "unknown_function", format!("`{name}` is not a function")),
        }
    }

    fn data_lacks(&self, keys: &[&str]) -> bool {
        let mut at = self.data;
        for key in keys {
            match at {
                Value::Object(fields) => match fields.get(*key) {
                    Some(value) => at = value,
                    None => return true,
                },
                _ => return false,
            }
        }
        false
    }

    fn input(&mut self, reference: &Reference, keys: &[&str]) {
        let (key, known): (&str, &[&str]) = match keys {
            [] => return,
            ["entity", key, ..] => (key, &["type", "id", "properties"]),
            ["action", key, ..] => (key, &["name", "properties"]),
            ["run", key, ..] => (key, &["id", "attempt", "step", "same_step_failures"]),
            ["now", key, ..] => (key, &["rfc3339", "ns"]),
            [key, ..] => (key, INPUT),
        };
        if !known.contains(&key) {
            let message = format!("input.{} is not part of the input document: it is always undefined", keys.join("."));
            self.warn(reference.place, "unknown_input", message);
        }
    }
}

const OUTSIDE_LIB: &str =
    "a policy may refer to libraries (data.tollgate.lib) and to its own rules by name, not to another layer";

/// The keys of the input document.
const INPUT: &[&str] =
    &["kind", "agent", "action", "entity", "run", "estimate", "budgets", "connectors", "now", "context"];

/// Rego allows one more argument than a function takes: it is compared with the answer.
fn fits(given: usize, wanted: usize) -> bool {
    wanted == usize::from(u8::MAX) || given == wanted || given == wanted + 1
}

/// Whether a file `rfq_draft…` may hold the package of `name`.
fn named_by(first: &str, name: &str) -> bool {
    let stem = file_stem(name);
    let first = file_stem(first);
    !name.is_empty() && (first == stem || first.strip_prefix(&stem).is_some_and(|rest| rest.starts_with('_')))
}

/// Whether one letter added, dropped, changed, or two neighbours swapped make `b` out of `a`.
fn one_edit_apart(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.to_lowercase().chars().collect());
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[same..], &b[same..]);
    match (rest_a, rest_b) {
        ([], []) => true, // only capitals differ
        ([_, dropped @ ..], whole) | (whole, [_, dropped @ ..]) if dropped == whole => true,
        ([_, changed @ ..], [_, other @ ..]) if changed == other => true,
        ([first, second, rest @ ..], [swapped, with, other @ ..]) => {
            first == with && second == swapped && rest == other
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_edit() {
        for near in ["alow", "allows", "aloow", "lalow", "Allow", "allop"] {
            assert!(one_edit_apart("allow", near), "{near}");
        }
        for far in ["allowed", "denied", "allwoo", "permit", "al", ""] {
            assert!(!one_edit_apart("allow", far), "{far}");
        }
        assert!(one_edit_apart("deny", "dney"));
    }

    #[test]
    fn file_names() {
        for (file, name, fits) in [
            ("rfq_draft", "rfq-draft", true),
            ("rfq-draft", "rfq-draft", true),
            ("rfq_draft_limits", "rfq-draft", true),
            ("rfq_drafts", "rfq-draft", false),
            ("other", "rfq-draft", false),
            ("x", "", false),
        ] {
            assert_eq!(named_by(file, name), fits, "{file} {name}");
        }
    }
}
