//! `tollgate setup`: what runs hang on, from the shell: connectors, schedules, workers.

use super::client::{Client, ClientArgs, field, items, segment, table};
use serde_json::{Value, json};
use std::io::Write;

/// What runs hang on: connectors, schedules, workers
#[derive(Clone, Debug, clap::Args)]
pub struct SetupArgs {
    #[command(subcommand)]
    command: SetupCommand,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum SetupCommand {
    /// Everything there is; exit code 1 where a connector is down, a start was missed, or a worker is gone
    List,
    /// Say how a connector is
    Connector {
        /// Its id
        id: String,
        /// up, degraded or down
        #[arg(long)]
        status: String,
        /// In words
        #[arg(long)]
        detail: Option<String>,
    },
    /// Pause a schedule, or let it go on
    Schedule {
        /// Its id
        id: String,
        /// true or false
        #[arg(long, action = clap::ArgAction::Set)]
        paused: bool,
    },
}

/// Runs it.
pub fn run(args: &SetupArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let client = Client::of(&args.client)?;
    let written = match &args.command {
        SetupCommand::List => return list(&client, args.client.json, out),
        SetupCommand::Connector { id, status, detail } => {
            let body = json!({"status": status, "detail": detail});
            client.send("PUT", &format!("/api/v1/connectors/{}", segment(id)), Some(&body), None)?.ok()?
        }
        SetupCommand::Schedule { id, paused } => {
            let path = format!("/api/v1/schedules/{}", segment(id));
            let known = client.get(&path)?.ok()?;
            let mut body = json!({"paused": paused});
            for name in ["agent", "title", "cron", "time_zone", "grace_s"] {
                body[name] = known[name].clone();
            }
            client.send("PUT", &path, Some(&body), None)?.ok()?
        }
    };
    if args.client.json {
        writeln!(out, "{written}")?;
        return Ok(0);
    }
    match &args.command {
        SetupCommand::Schedule { .. } => schedules(out, &[written])?,
        _ => connectors(out, &[written])?,
    }
    Ok(0)
}

fn list(client: &Client, as_json: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let all = |path: &str| items(client, &format!("/api/v1/{path}"));
    let (known_connectors, known_schedules, known_workers) = (all("connectors")?, all("schedules")?, all("workers")?);
    if as_json {
        let whole = json!({"connectors": known_connectors, "schedules": known_schedules, "workers": known_workers});
        writeln!(out, "{whole}")?;
    } else {
        connectors(out, &known_connectors)?;
        writeln!(out)?;
        schedules(out, &known_schedules)?;
        writeln!(out)?;
        let head = ["WORKER", "AGENTS", "CAPACITY", "HELD", "VERSION", "LAST SEEN", "GONE"];
        let cells = ["/id", "/agents", "/capacity", "/held", "/version", "/last_seen", "/gone"];
        rows(out, &head, &known_workers, &cells)?;
    }
    let wrong = known_connectors.iter().any(|connector| connector["status"] == "down")
        || known_schedules.iter().any(|schedule| !schedule["missed"].is_null())
        || known_workers.iter().any(|worker| worker["gone"] == true);
    Ok(u8::from(wrong))
}

fn connectors(out: &mut dyn Write, known: &[Value]) -> std::io::Result<()> {
    let cells = ["/id", "/status", "/since", "/by/name", "/detail"];
    rows(out, &["CONNECTOR", "STATUS", "SINCE", "BY", "DETAIL"], known, &cells)
}

fn schedules(out: &mut dyn Write, known: &[Value]) -> std::io::Result<()> {
    let head = ["SCHEDULE", "AGENT", "CRON", "ZONE", "PAUSED", "NEXT DUE", "LAST FIRED", "MISSED"];
    let cells = ["/id", "/agent", "/cron", "/time_zone", "/paused", "/next_due", "/last_fired", "/missed/count"];
    rows(out, &head, known, &cells)
}

fn rows(out: &mut dyn Write, head: &[&str], known: &[Value], cells: &[&str]) -> std::io::Result<()> {
    let rows: Vec<Vec<String>> = known.iter().map(|one| cells.iter().map(|cell| field(one, cell)).collect()).collect();
    table(out, head, &rows)
}
