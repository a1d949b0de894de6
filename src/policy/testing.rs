//! Tests in Rego: the `test_*` rules of `*_test.rego`, and which lines of the policies they reach.
//!
//! A test passes when it is `true`. It may name any rule of any layer or library through `data.tollgate`, and put
//! `with input as …` behind it. Each test file is compiled together with all modules of the tree.

use super::builtins::{self, Verdict};
use super::compile::{Compiled, Failure, data_of, sources};
use super::evaluate::nanoseconds;
use super::facts::{self, Facts};
use super::problem::Problem;
use super::set::PolicySet;
use super::syntax;
use super::tree::{Role, Tree, quoted, role};
use super::weight::weigh;
use jiff::Timestamp;
use regorus::Value;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One test rule, run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// The file that it is in.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// `test_…`
    pub name: String,
    /// Whether it was `true`.
    pub passed: bool,
    /// What it was instead, or how it failed.
    pub why: Option<String>,
    /// What it printed.
    pub prints: Vec<String>,
}

/// Which lines of a module the tests reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coverage {
    /// The module.
    pub file: String,
    /// Lines with an expression that were evaluated, in percent of all such lines.
    pub percent: f64,
    /// How many such lines there are.
    pub lines: u32,
    /// The others.
    pub uncovered: Vec<u32>,
}

/// All tests of a tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TestReport {
    /// In order of file and line.
    pub results: Vec<TestResult>,
    /// Of every module that is not a test.
    pub coverage: Vec<Coverage>,
}

impl TestReport {
    /// Lines that the tests in Rego reached, in percent of all lines with an expression of all modules; 100 where there is no
    /// module, and 0 where no test in Rego read them.
    pub fn percent(&self) -> f64 {
        let lines: u32 = self.coverage.iter().map(|file| file.lines).sum();
        if lines == 0 {
            let unread = self.coverage.iter().any(|file| file.percent < 100.0);
            return if unread { 0.0 } else { 100.0 };
        }
        let reached = self.coverage.iter().map(|file| file.percent * f64::from(file.lines));
        reached.sum::<f64>() / f64::from(lines)
    }
}

/// What a test may take: it is not on the way of any admission.
const TEST_LIMIT: Duration = Duration::from_secs(5);

/// Lines that were reached, and lines that could have been.
type Lines = BTreeMap<String, (BTreeSet<u32>, BTreeSet<u32>)>;

/// Runs the tests in Rego of a tree against the set that it makes, as of `now`.
pub fn run_tests(tree: &Tree, set: &PolicySet, now: Timestamp) -> Result<TestReport, Vec<Problem>> {
    let mut report = TestReport::default();
    let mut problems = Vec::new();
    let mut lines = Lines::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| role(path) == Role::RegoTest) {
        match run_file(path, text, set, now, &mut lines) {
            Ok(results) => report.results.extend(results),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let modules = set.tree.files.keys().filter(|path| role(path) == Role::Module);
    report.coverage = modules.map(|file| coverage(file, lines.get(file))).collect();
    Ok(report)
}

fn run_file(
    path: &str,
    text: &str,
    set: &PolicySet,
    now: Timestamp,
    lines: &mut Lines,
) -> Result<Vec<TestResult>, Vec<Problem>> {
    let module = syntax::parse(path, text).map_err(|problem| vec![problem])?;
    let facts = facts::gather(&module);
    let problems = unknown_calls(path, &facts);
    if !problems.is_empty() {
        return Err(problems);
    }
    let modules: Vec<&String> = set.tree.files.keys().filter(|path| role(path) == Role::Module).collect();
    let all = sources(set, modules.into_iter()).chain([(path, text.to_owned())]);
    let compiled = Compiled::new(all, data_of(set)).and_then(|mut compiled| compiled.prepare().map(|()| compiled));
    let mut compiled = compiled.map_err(|error| vec![syntax::of_error(path, "compile", &error)])?;
    compiled.engine().set_enable_coverage(true);
    let package: String =
        facts.package.iter().fold("data".to_owned(), |path, part| format!("{path}[{}]", quoted(part)));
    let mut results = Vec::new();
    let mut seen = BTreeSet::new();
    for rule in facts.rules.iter().filter(|rule| rule.name.starts_with("test_")) {
        if seen.insert(&rule.name) {
            compiled.about(&Value::new_object(), nanoseconds(now));
            let answer = compiled.ask(&format!("{package}.{}", rule.name), TEST_LIMIT);
            let why = match answer {
                Ok(Value::Bool(true)) => None,
                Ok(Value::Undefined) => Some("a condition in it did not hold".to_owned()),
                Ok(other) => Some(format!("it is {}", brief(&other))),
                Err(Failure::Time) => Some(format!("it took longer than {} s", TEST_LIMIT.as_secs())),
                Err(Failure::Cap(why) | Failure::Error(why, None)) => Some(why),
                Err(Failure::Error(why, Some((file, line)))) => Some(format!("{file}:{line}: {why}")),
            };
            let prints = compiled.engine().take_prints().unwrap_or_default();
            let (file, line) = (path.to_owned(), rule.place.0);
            results.push(TestResult { file, line, name: rule.name.clone(), passed: why.is_none(), why, prints });
        }
    }
    gather_lines(&mut compiled, lines);
    Ok(results)
}

fn brief(value: &Value) -> String {
    let mut left = 4096;
    weigh(value, &mut left);
    if left == 0 { "a large value".to_owned() } else { value.to_string() }
}

/// Calls of built-ins that no policy may use; tests may print.
fn unknown_calls(path: &str, facts: &Facts) -> Vec<Problem> {
    let names = facts.names();
    let calls = facts.rules.iter().flat_map(|rule| &rule.references).filter(|call| call.arguments.is_some());
    calls
        .filter(|call| {
            call.root != "data" && !names.contains(call.root.as_str()) && !facts.imports.contains_key(&call.root)
        })
        .filter_map(|call| match builtins::verdict(&call.dotted(), true) {
            Verdict::Refused(why) => {
                let message = format!("{} may not be used: {why}", call.dotted());
                Some(Problem::at(path, call.place, "forbidden_builtin", message))
            }
            // another module of the same package may define what is unknown here; regorus says so if none does
            Verdict::Allowed(_) | Verdict::Unknown => None,
        })
        .collect()
}

fn gather_lines(compiled: &mut Compiled, lines: &mut Lines) {
    let Ok(report) = compiled.engine().get_coverage_report() else { return };
    for file in report.files.into_iter().filter(|file| role(&file.path) == Role::Module) {
        let (covered, all) = lines.entry(file.path).or_default();
        all.extend(file.covered.iter().chain(&file.not_covered));
        covered.extend(file.covered);
    }
}

fn coverage(file: &str, lines: Option<&(BTreeSet<u32>, BTreeSet<u32>)>) -> Coverage {
    let file = file.to_owned();
    let Some((covered, all)) = lines else { return Coverage { file, percent: 0.0, lines: 0, uncovered: Vec::new() } };
    let count = |lines: &BTreeSet<u32>| u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let (reached, lines) = (count(covered), count(all));
    let percent = if lines == 0 { 100.0 } else { 100.0 * f64::from(reached) / f64::from(lines) };
    Coverage { file, percent, lines, uncovered: all.difference(covered).copied().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_module_weighs_more_than_a_short_one() {
        let file = |percent, lines| Coverage { file: "x".to_owned(), percent, lines, uncovered: Vec::new() };
        let percent = |coverage| TestReport { results: Vec::new(), coverage }.percent();
        for (coverage, wanted) in [
            (vec![file(100.0, 1), file(0.0, 99)], 1.0),
            (vec![file(50.0, 10), file(100.0, 0)], 50.0),
            (vec![file(0.0, 0)], 0.0),
            (vec![], 100.0),
        ] {
            assert!((percent(coverage.clone()) - wanted).abs() < 1e-9, "{coverage:?}");
        }
    }
}
