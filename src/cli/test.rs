//! `tollgate test`: the tests in Rego and the decision cases of a policy tree, and what they cover.

use super::check::TreeArgs;
use crate::policy::{self, CaseResult, Conditions, Engines, Limits, Problem, Quarantine, TestReport};
use crate::policy_dir::read_tree;
use crate::thread_time::ThreadTime;
use jiff::Timestamp;
use serde_json::json;
use std::io::Write;
use std::time::Duration;

/// Run the tests of the policies.
#[derive(Clone, Debug, clap::Args)]
#[command(about = "Run the tests of the policies: test_* rules of *_test.rego, and decision cases *.case.yaml")]
pub struct TestArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help of the command")]
    pub tree: TreeArgs,
    /// Write one JSON document
    #[arg(long)]
    pub json: bool,
    /// Fail when the tests in Rego reach less than this many percent of all lines with an expression
    #[arg(long, value_name = "PERCENT")]
    pub coverage_min: Option<f64>,
}

/// What a case's layer may take: a case is about the decision; how fast a machine is, is not its subject.
const CASE_LIMIT: Duration = Duration::from_secs(5);

/// When `time.now_ns()` is for tests in Rego that do not say: fixed, so that a test does not rot.
const TEST_NOW: Timestamp = Timestamp::constant(1_795_521_600, 0);

/// Runs the tests, writes to `out`, and answers the exit code: 0 all passed, 1 not, 2 the tree does not check, so
/// nothing could be told.
pub fn run(args: &TestArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let tree = read_tree(&args.tree.policies, &args.tree.data)?;
    let set = match policy::check(&tree) {
        Ok(set) => set,
        Err(problems) => return could_not(args, &problems, out),
    };
    let limits = Limits { time: CASE_LIMIT, ..Limits::default() };
    let quarantine = Quarantine::default();
    let conditions =
        Conditions { now: TEST_NOW, limits: &limits, quarantine: &quarantine, clock: &ThreadTime, in_use: None };
    let tests = policy::run_tests(&tree, &set, TEST_NOW);
    let cases = policy::run_cases(&tree, &set, &mut Engines::default(), &conditions);
    let (tests, cases) = match (tests, cases) {
        (Ok(tests), Ok(cases)) => (tests, cases),
        (tests, cases) => {
            let problems = [tests.err(), cases.err()].into_iter().flatten().flatten();
            return could_not(args, &problems.collect::<Vec<_>>(), out);
        }
    };
    let failed = tests.results.iter().filter(|test| !test.passed).count()
        + cases.iter().filter(|case| !case.differences.is_empty()).count();
    let too_little = args.coverage_min.is_some_and(|least| tests.percent() < least);
    if args.json {
        let document = json!({
            "ok": failed == 0 && !too_little, "tests": tests.results, "cases": cases,
            "coverage": {"percent": tests.percent(), "files": tests.coverage},
        });
        writeln!(out, "{document}")?;
    } else {
        write_tests(&tests, out)?;
        write_cases(&cases, out)?;
        write_coverage(&tests, args.coverage_min, out)?;
        writeln!(out, "{} tests, {} cases, {failed} failed", tests.results.len(), cases.len())?;
    }
    Ok(u8::from(failed > 0 || too_little))
}

fn could_not(args: &TestArgs, problems: &[Problem], out: &mut dyn Write) -> anyhow::Result<u8> {
    if args.json {
        writeln!(out, "{}", json!({"ok": false, "problems": problems}))?;
    } else {
        for problem in problems {
            writeln!(out, "{}", args.tree.localised(problem))?;
        }
    }
    Ok(2)
}

fn write_tests(tests: &TestReport, out: &mut dyn Write) -> std::io::Result<()> {
    for test in &tests.results {
        if let Some(why) = &test.why {
            writeln!(out, "FAIL {}:{} {}: {why}", test.file, test.line, test.name)?;
        }
        for line in &test.prints {
            writeln!(out, "     print {line}")?;
        }
    }
    Ok(())
}

fn write_cases(cases: &[CaseResult], out: &mut dyn Write) -> std::io::Result<()> {
    for case in cases.iter().filter(|case| !case.differences.is_empty()) {
        writeln!(out, "FAIL {}: {}", case.file, case.description)?;
        for difference in &case.differences {
            writeln!(out, "     {}", difference.what)?;
            if let Some(wanted) = &difference.wanted {
                writeln!(out, "       - {wanted}")?;
            }
            if let Some(got) = &difference.got {
                writeln!(out, "       + {got}")?;
            }
        }
    }
    Ok(())
}

fn write_coverage(tests: &TestReport, least: Option<f64>, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "coverage {:.1} %", tests.percent())?;
    for file in &tests.coverage {
        let lines: Vec<String> = file.uncovered.iter().map(u32::to_string).collect();
        let behind = if lines.is_empty() { String::new() } else { format!("  not reached: {}", lines.join(", ")) };
        writeln!(out, "  {:5.1} %  {}{behind}", file.percent, file.file)?;
    }
    if let Some(least) = least.filter(|least| tests.percent() < *least) {
        writeln!(out, "FAIL coverage is below {least} %")?;
    }
    Ok(())
}
