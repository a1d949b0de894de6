//! The airline's 200 runs as their runtime reports them, through the real daemon: every run ends in a state, every one that
//! does not complete has one item with a class, and the tables are those of `docs/airline.md`.

use crate::airline::report::{Reporter, Told};
use crate::airline::{budgets, convert, source};
use crate::support::{Caller, Daemon};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use tollgate::attention::{Class, Classifier, Fingerprint};
use tollgate::clock::Clock as _;

/// More than any machine needs for a layer: how long one takes decides no test.
const TIME_LIMIT_MS: u64 = 60_000;

/// A run as Command Center has it.
struct Seen {
    status: String,
    /// Its item, where one is not resolved: class and the codes that stand in the way.
    item: Option<(String, BTreeSet<String>)>,
    /// It had an item, and that has resolved by itself.
    resolved: bool,
}

#[test]
fn with_rules_and_budgets_every_run_ends_and_what_did_not_complete_has_one_item() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let daemon = start(&budgets::all())?;
    let told = tell_all(&daemon, &data)?;
    let seen = see_all(&daemon.admin(), &told)?;
    let waiting = seen.iter().filter(|run| run.item.is_some()).count();
    let headline = daemon.admin().get("/api/v1/attention/headline").expect(200);
    assert_eq!(headline["without_decision"], waiting, "{}", headline.text());
    let groups = daemon.admin().get("/api/v1/attention/groups?by=fix").expect(200);
    let fixes = groups["items"].as_array().context("groups")?.len();
    let resolved = seen.iter().filter(|run| run.resolved).count();
    on_the_page(&table(&seen)?)?;
    on_the_page(&format!(
        "{} events; {waiting} items in {fixes} groups by fix; {resolved} runs had an item that was resolved when they went on.",
        told.iter().map(|told| told.events).sum::<usize>()
    ))
}

#[test]
fn as_they_were_without_a_gate_the_tools_errors_alone_decide() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let daemon = start(&[])?;
    daemon.admin().put("/api/v1/agents/airline", &json!({"team": "service"})).expect(200);
    let mode = json!({"mode": "observe", "reason": "the runs were without a gate", "ends_at": "2026-12-01T00:00:00Z"});
    daemon.admin().put("/api/v1/agents/airline/mode", &mode).expect(200);
    let told = tell_all(&daemon, &data)?;
    let seen = see_all(&daemon.admin(), &told)?;
    assert!(seen.iter().all(|run| run.status != "blocked" && !run.resolved), "nothing was refused");
    on_the_page(&table(&seen)?)
}

#[test]
fn every_one_of_the_73_errors_is_of_a_class() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let results = data.runs.iter().flat_map(|run| &run.events);
    let errors: Vec<&String> = results
        .filter_map(|event| match event {
            source::Event::ToolResult { error, .. } => error.as_ref(),
            _ => None,
        })
        .collect();
    let classifier = Classifier::shared();
    let mut rows = BTreeMap::<(Class, String, String), (usize, BTreeSet<&str>, BTreeSet<Fingerprint>)>::new();
    for message in &errors {
        let said = classifier.classify("tool_error", message);
        let row = rows.entry((said.class, said.code.clone(), said.title)).or_default();
        row.0 += 1;
        row.1.insert(message);
        row.2.insert(Fingerprint::of(&said.code, None, message));
    }
    assert_eq!(errors.len(), 73);
    assert!(rows.keys().all(|(class, ..)| *class != Class::Unknown), "{rows:?}");
    let mut page = "| class | code | title | errors | texts | kinds |\n|---|---|---|---:|---:|---:|\n".to_owned();
    for ((class, code, title), (count, texts, kinds)) in rows {
        writeln!(page, "| {} | `{code}` | {title} | {count} | {} | {} |", class.as_str(), texts.len(), kinds.len())?;
    }
    on_the_page(&page)
}

/// A daemon with the project's own policies, and these budgets.
fn start(budgets: &[Value]) -> Result<Daemon> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = tollgate::policy_dir::read_tree(&root.join("policies"), &root.join("data"))?;
    let mut setup = Daemon::with().config(|config| config.policy.time_limit_ms = TIME_LIMIT_MS);
    for (path, text) in &tree.files {
        setup = setup.file(path, text);
    }
    if budgets.is_empty() {
        return Ok(setup.file("data/budgets.toml", "").start());
    }
    Ok(setup.file("data/budgets.toml", &toml::to_string(&json!({"budget": budgets}))?).start())
}

/// All runs, one after another; every one of the tools' errors is among what is told.
fn tell_all(daemon: &Daemon, data: &source::Data) -> Result<Vec<Told>> {
    let requests = convert::requests(data)?;
    let admin = daemon.admin();
    let reporter = Reporter { caller: &admin, clock: daemon.clock() };
    let begin = daemon.clock().wall();
    let mut told = Vec::new();
    for (index, run) in data.runs.iter().enumerate() {
        let id = format!("tau-{}", index + 1);
        let own: Vec<Value> = requests.iter().filter(|request| request["run"]["id"] == id.as_str()).cloned().collect();
        told.push(reporter.tell(run, &id, &own).with_context(|| id)?);
    }
    assert_eq!((told.len(), told.iter().map(|told| told.tool_errors.len()).sum::<usize>()), (200, 73));
    let took = daemon.clock().wall().duration_since(begin);
    assert!(took.as_hours() < 6, "the day's budget is one day's: {took}");
    Ok(told)
}

/// Each run, found as it was told: in the state that its runtime reported, all its events there, and with exactly one item
/// that is not resolved if that state is a bad one, and none otherwise.
fn see_all(caller: &Caller, told: &[Told]) -> Result<Vec<Seen>> {
    let see = |(index, told): (usize, &Told)| -> Result<Seen> {
        let id = format!("tau-{}", index + 1);
        let run = caller.get(&format!("/api/v1/runs/{id}")).expect(200);
        assert_eq!((&run["status"], &run["events"]), (&json!(told.end), &json!(told.events)), "{id}");
        let items = caller.get(&format!("/api/v1/attention?run={id}")).expect(200);
        let items = items["items"].as_array().context("items")?.clone();
        assert!(items.len() <= 1, "one item a run: {items:?}");
        let (resolved, open): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item["state"] == "resolved");
        assert_eq!(open.len(), usize::from(told.end != "completed"), "{id} is {}: {open:?}", told.end);
        let item = open.first().map(|item| classed(item, told)).transpose()?;
        Ok(Seen { status: told.end.to_owned(), item, resolved: !resolved.is_empty() })
    };
    told.iter().enumerate().map(see).collect()
}

/// An item's class and codes. It is about what the runtime said.
fn classed(item: &Value, told: &Told) -> Result<(String, BTreeSet<String>)> {
    let kind = if told.end == "blocked" { "blocked_action" } else { "failed_run" };
    let state = if item["class"] == "unknown" { "open" } else { "waiting_on_setup" };
    assert_eq!((&item["kind"], &item["state"]), (&json!(kind), &json!(state)), "{item}");
    let error = told.error.as_ref().context("an error")?;
    let (why, message) = (text(&item["why"])?, text(&error["message"])?);
    assert!(why.contains(&message), "{why}, and its runtime said {message}");
    let class = item["class"].as_str().context("a class")?;
    let reasons = item["reasons"].as_array().context("reasons")?.iter();
    let codes: BTreeSet<String> = reasons.map(|reason| text(&reason["code"])).collect::<Result<_>>()?;
    if class == "unknown" {
        // the denial that stopped it is not the last one, and the runtime's word for it is a rule's own
        assert_eq!((told.end, &codes), ("blocked", &BTreeSet::from(["unknown".to_owned()])), "{item}");
    } else if told.end == "blocked" {
        assert_ne!(item["title"], "Unknown failure", "{item}");
        assert!(codes.contains(&text(&error["code"])?), "{error} is what stands in the way: {item}");
    }
    assert!(!codes.is_empty(), "{item}");
    Ok((class.to_owned(), codes))
}

/// Runs by state and class, and by code, as they stand on the page.
fn table(seen: &[Seen]) -> Result<String> {
    let mut rows = BTreeMap::<(&str, &str), (usize, BTreeMap<&str, usize>)>::new();
    for run in seen {
        let class = run.item.as_ref().map_or("", |(class, _)| class);
        let row = rows.entry((&run.status, class)).or_default();
        row.0 += 1;
        for code in run.item.iter().flat_map(|(_, codes)| codes) {
            *row.1.entry(code).or_default() += 1;
        }
    }
    let mut page =
        "| state | class of its item | runs | by code (an item can have several) |\n|---|---|---:|---|\n".to_owned();
    for ((state, class), (runs, codes)) in rows {
        let mut codes: Vec<_> = codes.into_iter().collect();
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let codes: Vec<String> = codes.iter().map(|(code, count)| format!("`{code}` {count}")).collect();
        writeln!(page, "| {state} | {class} | {runs} | {} |", codes.join(", "))?;
    }
    Ok(page)
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
