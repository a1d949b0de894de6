//! `tollgate simulate`: recorded admission requests through policies and budgets, on a state of its own that is thrown
//! away. The same operations as over HTTP, so the same outcome.

use super::check::TreeArgs;
use super::client::table;
use crate::admission::{AdmissionAnswer, Decision};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::http::json::parse;
use crate::http::read::read;
use crate::http::wire::admission::AdmissionBody;
use crate::operations::{App, Principal, admit, settle_hold};
use crate::server::{Options, assemble};
use crate::vocabulary::{Amount, Balance, Unit};
use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Run recorded admission requests through policies and budgets
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// Admission requests, one JSON document a line, as they would be posted to /api/v1/admissions
    pub file: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help of the command")]
    pub tree: TreeArgs,
    /// Budgets to begin with, instead of the data directory's budgets.toml
    #[arg(long, value_name = "FILE")]
    pub budgets: Option<PathBuf>,
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write every answer, one a line, to this file
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Print every denial with its reasons
    #[arg(long)]
    pub denials: bool,
    /// Write one JSON document
    #[arg(long)]
    pub json: bool,
}

/// What came of all requests.
#[derive(Debug, Default)]
struct Tally {
    calls: usize,
    allowed: usize,
    denied: usize,
    /// Denials by code; a denial with two codes counts under both.
    by_code: BTreeMap<String, usize>,
    /// What allowed admissions were settled at: their estimate.
    spent: BTreeMap<Unit, Balance>,
    denials: Vec<(usize, AdmissionAnswer)>,
}

/// Runs it: 0 when everything was allowed, 1 when something was denied.
pub fn run(args: &SimulateArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let state = Throwaway::new()?;
    let config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let options = Options {
        listen: String::new(),
        state: state.0.join("state"),
        policies: args.tree.policies.clone(),
        data: args.tree.data.clone(),
        config,
        admin_key: None,
        show_key: true,
        clock: Arc::new(SystemClock::new()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tally = runtime.block_on(async {
        let assembled = assemble(&options).await?;
        if let Some(file) = &args.budgets {
            let budgets = crate::server::read_budgets(file)?;
            crate::operations::apply_budgets(&assembled.app, &Principal::tollgate(), budgets).await?;
        }
        let tally = replay(&assembled.app, &args.file, args.answers.as_deref()).await;
        assembled.app.store.shut_down();
        tally
    })?;
    report(args, &tally, out)?;
    Ok(u8::from(tally.denied > 0))
}

async fn replay(app: &App, file: &Path, answers: Option<&Path>) -> anyhow::Result<Tally> {
    let lines = BufReader::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?).lines();
    let mut answers = match answers {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let mut tally = Tally::default();
    for (n, line) in lines.enumerate() {
        let line = line.with_context(|| format!("cannot read {}", file.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let at = format!("{}:{}", file.display(), n + 1);
        let (answer, settled) = one(app, &line).await.with_context(|| at)?;
        if let Some(answers) = &mut answers {
            writeln!(answers, "{}", serde_json::to_string(&answer)?)?;
        }
        tally.count(n + 1, answer, settled);
    }
    if let Some(mut answers) = answers {
        answers.flush()?;
    }
    Ok(tally)
}

/// Asks, and settles what was allowed at its estimate.
async fn one(app: &App, line: &str) -> anyhow::Result<(AdmissionAnswer, BTreeMap<Unit, Amount>)> {
    let problem = |problem: crate::http::problem::Problem| {
        let fields: Vec<String> = problem.errors.iter().map(|e| format!("{} {}", e.pointer, e.message)).collect();
        anyhow!("{}: {} {}", problem.code.as_str(), problem.detail, fields.join("; "))
    };
    let body = parse(line.as_bytes()).map_err(problem)?;
    let wire: AdmissionBody = read(&body, "").map_err(problem)?;
    let request = wire.request("").map_err(problem)?;
    let me = Principal::tollgate();
    let estimate = request.estimate.clone();
    let admitted = admit(app, &me, request, &body).await?;
    if admitted.repeated {
        bail!("its idempotency key was used on an earlier line");
    }
    let answer: AdmissionAnswer = serde_json::from_str(admitted.answer.get())?;
    let mut settled = BTreeMap::new();
    if let Some(hold) = &answer.hold {
        settle_hold(app, &me, hold.id.clone(), estimate.clone()).await?;
        settled = estimate;
    }
    Ok((answer, settled))
}

impl Tally {
    fn count(&mut self, line: usize, answer: AdmissionAnswer, settled: BTreeMap<Unit, Amount>) {
        self.calls += 1;
        for (unit, amount) in settled {
            let sum = self.spent.entry(unit).or_default();
            *sum = sum.checked_add(amount.balance()).unwrap_or(*sum);
        }
        match answer.decision {
            Decision::Allow => self.allowed += 1,
            Decision::Deny => {
                self.denied += 1;
                let codes: std::collections::BTreeSet<&str> =
                    answer.reasons.iter().map(|reason| reason.code.as_str()).collect();
                for code in codes {
                    *self.by_code.entry(code.to_owned()).or_default() += 1;
                }
            }
        }
        if answer.decision == Decision::Deny {
            self.denials.push((line, answer));
        }
    }
}

fn report(args: &SimulateArgs, tally: &Tally, out: &mut dyn Write) -> anyhow::Result<()> {
    if args.json {
        let denials: Vec<Value> =
            tally.denials.iter().map(|(line, answer)| json!({"line": line, "reasons": answer.reasons})).collect();
        let document = json!({
            "calls": tally.calls, "allowed": tally.allowed, "denied": tally.denied,
            "denied_by_code": tally.by_code, "spent": tally.spent, "denials": denials,
        });
        writeln!(out, "{document}")?;
        return Ok(());
    }
    if args.denials {
        for (line, answer) in &tally.denials {
            for reason in &answer.reasons {
                let rule = reason.rule.as_deref().unwrap_or("-");
                writeln!(out, "line {line}: {} ({rule}): {}", reason.code, reason.message)?;
            }
        }
        writeln!(out)?;
    }
    let mut rows = vec![
        vec!["calls".to_owned(), tally.calls.to_string()],
        vec!["allowed".to_owned(), tally.allowed.to_string()],
        vec!["denied".to_owned(), tally.denied.to_string()],
    ];
    rows.extend(tally.by_code.iter().map(|(code, count)| vec![format!("  by {code}"), count.to_string()]));
    rows.extend(tally.spent.iter().map(|(unit, spent)| vec![format!("spent, {unit}"), spent.to_string()]));
    table(out, &["what", "how many"], &rows)?;
    Ok(())
}

/// A directory that goes when this does.
struct Throwaway(PathBuf);

impl Throwaway {
    fn new() -> anyhow::Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
        let path = std::env::temp_dir().join(format!("tollgate-{:016x}", u64::from_le_bytes(bytes)));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
