//! The airline's 1,164 calls through the real daemon and through `simulate`: the same answers, and the table of
//! `docs/airline.md`.

use crate::airline::{budgets, convert, source};
use crate::support::{Caller, Daemon};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use tollgate::vocabulary::Amount;

/// More than any machine needs for a layer: how long one takes decides no test.
const TIME_LIMIT_MS: u64 = 60_000;

/// What two ways of judging a call must agree on. Ids and times differ.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    allowed: bool,
    /// The codes of all reasons, each as often as it was given.
    codes: Vec<String>,
    /// The codes of all warnings, likewise.
    warnings: Vec<String>,
    /// Budget and amount of each part of the hold.
    held: Vec<(String, String)>,
}

impl Outcome {
    fn of(answer: &Value) -> Result<Self> {
        let codes = |list: &str| -> Result<Vec<String>> {
            let list = answer[list].as_array().with_context(|| format!("no {list} in {answer}"))?;
            let mut codes: Vec<String> = list.iter().map(|item| text(&item["code"])).collect::<Result<_>>()?;
            codes.sort();
            Ok(codes)
        };
        let held = answer["hold"]["budgets"].as_array().into_iter().flatten();
        Ok(Self {
            allowed: answer["decision"] == "allow",
            codes: codes("reasons")?,
            warnings: codes("warnings")?,
            held: held.map(|part| Ok((text(&part["id"])?, text(&part["held"])?))).collect::<Result<_>>()?,
        })
    }
}

#[test]
fn the_daemon_and_simulate_give_the_table_of_the_page() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let requests = convert::requests(&data)?;
    let daemon = start()?;
    let answered = ask_all(&daemon.admin(), &requests)?;
    let simulated = simulate(daemon.dir(), &requests, &budgets::all())?;
    for ((request, over_http), in_simulation) in requests.iter().zip(&answered).zip(&simulated) {
        assert_eq!(over_http, in_simulation, "{}", request["idempotency_key"]);
    }
    assert_eq!((answered.len(), simulated.len()), (1_164, 1_164));

    // What was settled is what the day's budget says was spent, and nothing is held any more.
    let usage = daemon.admin().get("/api/v1/budgets/airline-day").expect(200);
    let spent = total(&requests, &answered, 0)?;
    assert_eq!((usage["spent"].as_str(), usage["held"].as_str()), (Some(spent.to_string().as_str()), Some("0")));

    on_the_page(&table(&requests, &answered)?)
}

#[test]
fn without_budgets_the_rules_alone_decide() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let requests = convert::requests(&data)?;
    let daemon = start()?;
    let outcomes = simulate(daemon.dir(), &requests, &[])?;
    assert!(outcomes.iter().all(|outcome| outcome.held.is_empty()));
    let mut warnings = BTreeMap::<&str, usize>::new();
    for code in outcomes.iter().flat_map(|outcome| &outcome.warnings) {
        *warnings.entry(code).or_default() += 1;
    }
    on_the_page(&format!(
        "Without budgets {} calls are allowed and {} denied, for {} USD and {} tokens. Warnings: {}.",
        grouped(outcomes.iter().filter(|outcome| outcome.allowed).count()),
        outcomes.iter().filter(|outcome| !outcome.allowed).count(),
        total(&requests, &outcomes, 0)?,
        total(&requests, &outcomes, 1)?,
        counts(&warnings),
    ))
}

/// A daemon with the project's own policies and the two budgets.
fn start() -> Result<Daemon> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = tollgate::policy_dir::read_tree(&root.join("policies"), &root.join("data"))?;
    let mut setup = Daemon::with().config(|config| config.policy.time_limit_ms = TIME_LIMIT_MS);
    for (path, text) in &tree.files {
        setup = setup.file(path, text);
    }
    Ok(setup.file("data/budgets.toml", &budgets_toml(&budgets::all())?).start())
}

fn budgets_toml(budgets: &[Value]) -> Result<String> {
    Ok(toml::to_string(&json!({"budget": budgets}))?)
}

/// One after another, each allowed one settled at its estimate before the next.
fn ask_all(caller: &Caller, requests: &[Value]) -> Result<Vec<Outcome>> {
    let one = |request: &Value| {
        let answer = caller.admit(request).expect(200);
        if answer["decision"] == "allow" {
            let actual = json!({"actual": request["estimate"]});
            caller.post(&format!("/api/v1/holds/{}/settle", answer.hold()), &actual).expect(200);
        }
        Outcome::of(answer.json())
    };
    requests.iter().map(one).collect()
}

/// The same through the command line, with the daemon's policies.
fn simulate(dir: &Path, requests: &[Value], budgets: &[Value]) -> Result<Vec<Outcome>> {
    let own = tempfile::tempdir()?;
    let path = |name: &str| own.path().join(name);
    convert::write_jsonl(requests, &path("requests.jsonl"))?;
    std::fs::write(path("budgets.toml"), if budgets.is_empty() { String::new() } else { budgets_toml(budgets)? })?;
    std::fs::write(path("config.toml"), format!("[policy]\ntime_limit_ms = {TIME_LIMIT_MS}\n"))?;
    let ran = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .arg("simulate")
        .arg(path("requests.jsonl"))
        .arg("--policies")
        .arg(dir.join("policies"))
        .arg("--data")
        .arg(dir.join("data"))
        .arg("--budgets")
        .arg(path("budgets.toml"))
        .arg("--config")
        .arg(path("config.toml"))
        .arg("--answers")
        .arg(path("answers.jsonl"))
        .arg("--json")
        .output()?;
    // 1: something was denied.
    assert_eq!(ran.status.code(), Some(1), "{}", String::from_utf8_lossy(&ran.stderr));
    let answers = std::fs::read_to_string(path("answers.jsonl"))?;
    let outcomes: Vec<Outcome> =
        answers.lines().map(|line| Outcome::of(&serde_json::from_str(line)?)).collect::<Result<_>>()?;
    let summary: Value = serde_json::from_slice(&ran.stdout)?;
    let allowed = outcomes.iter().filter(|outcome| outcome.allowed).count();
    assert_eq!((&summary["calls"], &summary["allowed"]), (&json!(requests.len()), &json!(allowed)));
    Ok(outcomes)
}

/// Calls, answers and money by action, as it stands on the page.
fn table(requests: &[Value], outcomes: &[Outcome]) -> Result<String> {
    let mut actions = BTreeMap::<String, Vec<usize>>::new();
    for (n, request) in requests.iter().enumerate() {
        actions.entry(text(&request["action"]["name"])?).or_default().push(n);
    }
    let mut rows: Vec<(String, Vec<usize>)> =
        actions.into_iter().map(|(action, calls)| (format!("`{action}`"), calls)).collect();
    rows.sort_by_key(|(_, calls)| std::cmp::Reverse(calls.len()));
    rows.push(("**all**".to_owned(), (0..requests.len()).collect()));

    let mut page = "| action | calls | allowed | denied | by rule (a call can break several) | spend, USD |\n\
                    |---|---:|---:|---:|---|---:|\n"
        .to_owned();
    for (name, calls) in rows {
        let denied: Vec<&Outcome> =
            calls.iter().filter_map(|n| outcomes.get(*n)).filter(|outcome| !outcome.allowed).collect();
        let mut by_code = BTreeMap::<&str, usize>::new();
        for outcome in &denied {
            for code in outcome.codes.iter().collect::<BTreeSet<_>>() {
                *by_code.entry(code).or_default() += 1;
            }
        }
        let spent: i64 = calls.iter().map(|n| spend(requests, outcomes, *n, 0)).sum::<Result<_>>()?;
        writeln!(
            page,
            "| {name} | {} | {} | {} | {} | {} |",
            grouped(calls.len()),
            grouped(calls.len() - denied.len()),
            denied.len(),
            counts(&by_code),
            Amount::from_nanos(spent).context("a sum")?
        )?;
    }
    Ok(page)
}

/// `code` 3, the most frequent first.
fn counts(by_code: &BTreeMap<&str, usize>) -> String {
    let mut codes: Vec<_> = by_code.iter().collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    codes.iter().map(|(code, count)| format!("`{code}` {count}")).collect::<Vec<_>>().join(", ")
}

fn grouped(count: usize) -> String {
    if count < 1_000 { count.to_string() } else { format!("{},{:03}", count / 1_000, count % 1_000) }
}

/// What all allowed calls were estimated at, in the unit that stands there in their estimate.
fn total(requests: &[Value], outcomes: &[Outcome], unit: usize) -> Result<Amount> {
    let sum: i64 = (0..requests.len()).map(|n| spend(requests, outcomes, n, unit)).sum::<Result<_>>()?;
    Amount::from_nanos(sum).context("a sum")
}

fn spend(requests: &[Value], outcomes: &[Outcome], n: usize, unit: usize) -> Result<i64> {
    match (requests.get(n), outcomes.get(n)) {
        (Some(request), Some(outcome)) if outcome.allowed => {
            Ok(text(&request["estimate"][unit]["amount"])?.parse::<Amount>()?.nanos())
        }
        _ => Ok(0),
    }
}

/// Fails unless the page says so, word for word.
fn on_the_page(text: &str) -> Result<()> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/airline.md"))?;
    assert!(page.contains(text), "docs/airline.md should say:\n\n{text}");
    Ok(())
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no text"))?.to_owned())
}
