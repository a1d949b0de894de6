//! `tollgate check`: what the daemon would say of a policy tree, without a daemon.

use crate::policy::{self, Problem};
use crate::policy_dir::read_tree;
use crate::server::read_classifier;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Where the tree is.
#[derive(Clone, Debug, clap::Args)]
pub struct TreeArgs {
    /// The directory of the Rego modules, tests and cases
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub policies: PathBuf,
    /// The directory of the data documents
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub data: PathBuf,
}

/// Check the policies as the daemon does: every problem, with file, line and column
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help of the command")]
    pub tree: TreeArgs,
    /// Write one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Checks, writes to `out`, and answers the exit code: 0 it checks, 1 it does not. An error means that the tree
/// could not be read (2).
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let tree = read_tree(&args.tree.policies, &args.tree.data)?;
    let checked = policy::check(&tree);
    let classifier = read_classifier(&args.tree.data).err().map(|error| format!("{error:#}"));
    if args.json {
        let document = match &checked {
            Ok(set) => json!({"ok": classifier.is_none(), "problems": [], "classifier": classifier,
                "warnings": set.warnings(), "report": policy::report(set, None)}),
            Err(problems) => json!({"ok": false, "problems": problems, "classifier": classifier}),
        };
        writeln!(out, "{document}")?;
        return Ok(u8::from(checked.is_err() || classifier.is_some()));
    }
    if let Some(faults) = &classifier {
        writeln!(out, "{faults}")?;
    }
    match checked {
        Ok(set) => {
            for warning in set.warnings() {
                writeln!(out, "{} (warning)", shown(args, warning))?;
            }
            let report = policy::report(&set, None);
            writeln!(
                out,
                "ok: {} layers, {} libraries, {}",
                report.layers.len(),
                report.libraries.len(),
                report.digest
            )?;
            Ok(u8::from(classifier.is_some()))
        }
        Err(problems) => {
            for problem in &problems {
                writeln!(out, "{}", shown(args, problem))?;
            }
            let count = problems.len();
            writeln!(out, "{count} {}", if count == 1 { "problem" } else { "problems" })?;
            Ok(1)
        }
    }
}

/// A problem with its file as it was given on the command line, so that an editor can open it.
fn shown(args: &CheckArgs, problem: &Problem) -> Problem {
    args.tree.localised(problem)
}

impl TreeArgs {
    /// The problem with `policies/…` and `data/…` replaced by the directories that were named.
    pub(super) fn localised(&self, problem: &Problem) -> Problem {
        let file = match problem.file.split_once('/') {
            Some(("policies", rest)) => self.policies.join(rest).display().to_string(),
            Some(("data", rest)) => self.data.join(rest).display().to_string(),
            _ => problem.file.clone(),
        };
        Problem { file, ..problem.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(files: &[(&str, &str)], json: bool) -> (u8, String) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tree = TreeArgs { policies: root.path().join("policies"), data: root.path().join("data") };
        let mut out = Vec::new();
        let code = run(&CheckArgs { tree, json }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        (code, text.replace(&format!("{}/", root.path().display()), ""))
    }

    #[test]
    fn says_every_problem_with_its_place() {
        let base = "package tollgate.base\n\ndeny contains \"x\" if {\n\thttp.send({})\n}\n\nalow := true\n";
        let entity = "package tollgate.entities.other\n\nallow if data.tollgate.base.deny\n";
        let (code, text) = checked(&[("policies/base.rego", base), ("policies/entities/rfq.rego", entity)], false);
        assert_eq!(code, 1);
        let places: Vec<_> =
            text.lines().map(|line| line.splitn(5, ':').take(4).collect::<Vec<_>>().join(":")).collect();
        assert_eq!(
            places,
            [
                "policies/base.rego:4:2: forbidden_builtin",
                "policies/base.rego:7:1: near_miss",
                "policies/entities/rfq.rego:1:1: package_path",
                "policies/entities/rfq.rego:3:10: tollgate_reference",
                "4 problems",
            ]
        );
    }

    #[test]
    fn says_yes() {
        let base = [("policies/base.rego", "package tollgate.base\n")];
        let (code, text) = checked(&base, false);
        assert_eq!((code, text.starts_with("ok: 1 layers, 0 libraries, sha256:")), (0, true), "{text}");
        let (code, text) = checked(&base, true);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (code, &document["ok"], &document["report"]["layers"][0]["layer"]),
            (0, &json!(true), &json!("base"))
        );
    }
}
