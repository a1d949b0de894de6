//! `tollgate runs`: what an operator does about runs, from the shell.

use super::client::{Client, ClientArgs, field, segment, table};
use anyhow::bail;
use serde_json::{Value, json};
use std::io::Write;

/// List, show, retry and cancel runs
#[derive(Clone, Debug, clap::Args)]
pub struct RunsArgs {
    #[command(subcommand)]
    command: RunsCommand,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum RunsCommand {
    /// Runs, newest first
    List {
        /// Of this agent
        #[arg(long)]
        agent: Option<String>,
        /// With this status: queued, dispatched, running, stalled, cancelling, completed, failed, blocked, cancelled
        #[arg(long)]
        status: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One run: status, events, error, checkpoints, decisions, budget usage, artifacts
    Show {
        /// Its id
        id: String,
        /// How many of its last events
        #[arg(long, default_value_t = 20)]
        events: u64,
    },
    /// What a retry would do, and with --reason the retry itself
    Retry {
        /// Its id
        id: String,
        /// Why; without it the plan is shown, and nothing is done
        #[arg(long)]
        reason: Option<String>,
        /// The plan that was seen; without it, the plan as it is now
        #[arg(long, requires = "reason")]
        plan: Option<String>,
        /// Acknowledge every side effect of the plan
        #[arg(long, requires = "reason")]
        acknowledge_all: bool,
        #[arg(
            long,
            requires = "reason",
            help = "Acknowledge a side effect, or setup:missing_data, setup:malformed_input; may be given several times"
        )]
        acknowledge: Vec<String>,
        /// Although the same step failed again (admin)
        #[arg(long = "override", requires = "reason")]
        overridden: bool,
        /// The idempotency key; without it, the plan's version
        #[arg(long, requires = "reason")]
        idempotency_key: Option<String>,
    },
    /// What two attempts have in common, and what not
    Diff {
        /// Its id
        id: String,
        /// The one
        #[arg(long, default_value_t = 1)]
        from: u32,
        /// The other
        #[arg(long)]
        to: u32,
    },
    /// End an attempt without its runtime's proof
    ForceStop {
        /// Its id
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Ask for a run's end
    Cancel {
        /// Its id
        id: String,
        #[arg(long, help = "no_longer_needed, wrong_record, noise or denial_was_right")]
        category: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// Runs it.
pub fn run(args: &RunsArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let client = Client::of(&args.client)?;
    match &args.command {
        RunsCommand::List { agent, status, limit } => {
            let runs = listed(&client, agent.as_deref(), status.as_deref(), *limit)?;
            if args.client.json {
                writeln!(out, "{}", json!({"items": runs}))?;
            } else {
                list(out, &runs)?;
            }
            Ok(0)
        }
        RunsCommand::Show { id, events } => show(&client, id, *events, args.client.json, out),
        RunsCommand::Retry { id, reason: None, .. } => {
            let plan = client.get(&format!("{}/retry-plan", path(id)))?.ok()?;
            if args.client.json {
                writeln!(out, "{plan}")?;
            } else {
                show_plan(out, &plan)?;
            }
            Ok(u8::from(!plan["refusal"].is_null()))
        }
        RunsCommand::Retry {
            id,
            reason: Some(reason),
            plan,
            acknowledge_all,
            acknowledge,
            overridden,
            idempotency_key,
        } => {
            let seen = client.get(&format!("{}/retry-plan", path(id)))?.ok()?;
            let version = plan.clone().unwrap_or_else(|| field(&seen, "/plan_version"));
            let mut acknowledged = acknowledge.clone();
            if *acknowledge_all {
                let effects = seen["side_effects"].as_array().into_iter().flatten();
                acknowledged.extend(effects.map(|effect| field(effect, "/id")));
            }
            let body = json!({
                "plan_version": version, "reason": reason, "acknowledge": acknowledged, "override": overridden,
                "idempotency_key": idempotency_key.as_ref().unwrap_or(&version),
            });
            act(&client, &format!("{}/retry", path(id)), &body, args.client.json, out)
        }
        RunsCommand::Diff { id, from, to } => {
            let diff = client.get(&format!("{}/diff?from={from}&to={to}", path(id)))?.ok()?;
            if args.client.json {
                writeln!(out, "{diff}")?;
            } else {
                show_diff(out, &diff)?;
            }
            Ok(0)
        }
        RunsCommand::ForceStop { id, reason } => {
            act(&client, &format!("{}/force-stop", path(id)), &json!({"reason": reason}), args.client.json, out)
        }
        RunsCommand::Cancel { id, category, reason } => {
            let body = json!({"category": category, "reason": reason});
            act(&client, &format!("{}/cancel", path(id)), &body, args.client.json, out)
        }
    }
}

fn path(id: &str) -> String {
    format!("/api/v1/runs/{}", segment(id))
}

/// A refusal of the state is a no; anything else could not be told.
fn act(client: &Client, path: &str, body: &Value, as_json: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let response = client.send("POST", path, Some(body), None)?;
    if response.status == 409 {
        if as_json {
            writeln!(out, "{}", response.body)?;
        } else {
            writeln!(out, "refused: {}: {}", field(&response.body, "/code"), clean(&field(&response.body, "/detail")))?;
        }
        return Ok(1);
    }
    let run = response.ok()?;
    if as_json {
        writeln!(out, "{run}")?;
    } else {
        writeln!(out, "{} is {}, attempt {}", field(&run, "/id"), field(&run, "/status"), field(&run, "/attempt"))?;
    }
    Ok(0)
}

fn listed(client: &Client, agent: Option<&str>, status: Option<&str>, limit: usize) -> anyhow::Result<Vec<Value>> {
    if limit == 0 {
        bail!("--limit must be 1 or more");
    }
    let mut query = format!("?limit={}", limit.min(500));
    for (name, value) in [("agent", agent), ("status", status)] {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", segment(value)));
        }
    }
    let (mut runs, mut cursor) = (Vec::new(), String::new());
    while runs.len() < limit {
        let mut page = client.get(&format!("/api/v1/runs{query}{cursor}"))?.ok()?;
        if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
            runs.extend(more);
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={}", segment(next)),
            None => break,
        }
    }
    runs.truncate(limit);
    Ok(runs)
}

fn list(out: &mut dyn Write, runs: &[Value]) -> std::io::Result<()> {
    let row = |run: &Value| {
        ["/id", "/status", "/agent", "/attempt", "/last_good_step", "/failed_step", "/error/code", "/updated_at"]
            .map(|at| field(run, at))
            .to_vec()
    };
    let head = ["run", "status", "agent", "attempt", "last good step", "failed step", "error", "updated at"];
    table(out, &head, &runs.iter().map(row).collect::<Vec<_>>())
}

fn show(client: &Client, id: &str, last: u64, as_json: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let run = client.get(&path(id))?.ok()?;
    let count = run["events"].as_u64().unwrap_or(0);
    let after = count.saturating_sub(last);
    let events = client.get(&format!("{}/events?limit={}&cursor={after}", path(id), last.clamp(1, 500)))?.ok()?;
    let decisions = client.get(&format!("/api/v1/admissions?run={}&limit=20", segment(id)))?.ok()?;
    if as_json {
        writeln!(out, "{}", json!({"run": run, "events": events["items"], "decisions": decisions["items"]}))?;
        return Ok(0);
    }
    writeln!(
        out,
        "{}  {}  agent {}  {}",
        field(&run, "/id"),
        field(&run, "/status"),
        field(&run, "/agent"),
        clean(&field(&run, "/title"))
    )?;
    if !run["attention"].is_null() {
        let [item, state, suggested, because] =
            ["/attention/id", "/attention/state", "/attention/suggested_action", "/attention/why_suggested"]
                .map(|at| clean(&field(&run, at)));
        writeln!(out, "{item} is {state}: {suggested}. {because}")?;
    }
    if let Some(why) = run.pointer("/not_picked_up/message").and_then(Value::as_str) {
        writeln!(out, "{} {} other runs moved in the last five minutes.", clean(why), field(&run, "/others_moved"))?;
    }
    if !run["cancel"].is_null() {
        let [category, reason, by] =
            ["/cancel/category", "/cancel/reason", "/cancel/by/name"].map(|at| field(&run, at));
        writeln!(out, "cancelled by {}: {category}: {}", clean(&by), clean(&reason))?;
    }
    let attempts = [
        "/number",
        "/state",
        "/cause",
        "/worker",
        "/last_good_step",
        "/failed_step",
        "/error/code",
        "/queued_at",
        "/ended_at",
    ];
    let head =
        ["attempt", "state", "cause", "worker", "last good step", "failed step", "error", "queued at", "ended at"];
    part(out, "", &head, &run["attempts"], &attempts)?;
    let events_at = ["/number", "/type", "/attempt", "/step", "/taken_at", "/standing", "/data/error/message"];
    part(
        out,
        "events",
        &["no", "type", "attempt", "step", "taken at", "standing", "error"],
        &events["items"],
        &events_at,
    )?;
    part(
        out,
        "checkpoints",
        &["checkpoint", "step", "attempt", "saved at", "note"],
        &run["checkpoints"],
        &["/id", "/step", "/attempt", "/saved_at", "/note"],
    )?;
    part(
        out,
        "decisions",
        &["decision", "kind", "action", "step", "codes", "decided at"],
        &decisions["items"],
        &["/decision", "/kind", "/action", "/step", "/codes", "/decided_at"],
    )?;
    let usage = ["/budget", "/unit", "/attempt", "/step", "/held", "/settled", "/unsettled"];
    part(
        out,
        "budget usage",
        &["budget", "unit", "attempt", "step", "held", "settled", "unsettled"],
        &run["budget_usage"]["lines"],
        &usage,
    )?;
    part(
        out,
        "budgets",
        &["budget", "unit", "limit", "remaining", "resets at"],
        &run["budget_usage"]["budgets"],
        &["/id", "/unit", "/limit", "/remaining", "/resets_at"],
    )?;
    part(
        out,
        "artifacts",
        &["artifact", "media type", "size", "step", "attempt", "href"],
        &run["artifacts"],
        &["/name", "/media_type", "/size", "/step", "/attempt", "/href"],
    )?;
    Ok(0)
}

/// One panel, unless there is nothing in it.
fn part(out: &mut dyn Write, title: &str, head: &[&str], items: &Value, at: &[&str]) -> std::io::Result<()> {
    let rows: Vec<Vec<String>> = items
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| at.iter().map(|pointer| field(item, pointer)).collect())
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    if !title.is_empty() {
        writeln!(out, "{title}")?;
    }
    table(out, head, &rows)
}

fn show_plan(out: &mut dyn Write, plan: &Value) -> std::io::Result<()> {
    writeln!(out, "plan {}: attempt {}", field(plan, "/plan_version"), field(plan, "/attempt"))?;
    for (what, at) in [
        ("error", "/error/message"),
        ("last good step", "/last_good_step"),
        ("goes on from", "/from_checkpoint/id"),
        ("repeats step", "/step"),
        ("failed there", "/same_step_failures"),
        ("changed since", "/changed"),
        ("the gate says", "/verdict/decision"),
    ] {
        writeln!(out, "{what:>15}  {}", clean(&field(plan, at)))?;
    }
    part(
        out,
        "side effects to acknowledge",
        &["id", "what", "step", "attempt", "hold"],
        &plan["side_effects"],
        &["/id", "/what", "/step", "/attempt", "/hold"],
    )?;
    if let Some(code) = plan.pointer("/refusal/code").and_then(Value::as_str) {
        writeln!(out, "\nrefused: {code}: {}", clean(&field(plan, "/refusal/message")))?;
    }
    Ok(())
}

/// The two side by side, where they are not the same; then what was changed between them.
fn show_diff(out: &mut dyn Write, diff: &Value) -> std::io::Result<()> {
    let rows: Vec<Vec<String>> = [
        "state",
        "last_good_step",
        "failed_step",
        "error_code",
        "error_message",
        "class",
        "fingerprint",
        "agent_version",
        "worker",
        "from_checkpoint",
        "policy_set",
        "input",
        "supplied",
        "queued_at",
        "ended_at",
    ]
    .into_iter()
    .filter(|name| diff["from"][name] != diff["to"][name])
    .map(|name| {
        let of = |side: &str| field(diff, &format!("/{side}/{name}"));
        vec![name.to_owned(), of("from"), of("to")]
    })
    .collect();
    let of = |side: &str| format!("attempt {}", field(diff, &format!("/{side}/attempt")));
    table(out, &["", &of("from"), &of("to")], &rows)?;
    part(
        out,
        "changed between them",
        &["changed", "what", "on", "by", "why"],
        &diff["changed"],
        &["/at", "/op", "/subject", "/by", "/reason"],
    )
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
