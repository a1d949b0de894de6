//! `tollgate attention`: Command Center, from the shell.

use super::attention_bulk::{BulkArgs, bulk};
use super::client::{Client, ClientArgs, field, items, segment, table};
use anyhow::bail;
use serde_json::{Map, Value, json};
use std::io::Write;

/// Command Center: what needs an owner's decision; assign, supply, snooze, escalate, resolve
#[derive(Clone, Debug, clap::Args)]
pub struct AttentionArgs {
    #[command(subcommand)]
    command: AttentionCommand,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum AttentionCommand {
    /// The items that are not resolved, newest first, or those that are asked for
    List {
        /// In this state
        #[arg(long)]
        state: Option<String>,
        /// Of this kind
        #[arg(long)]
        kind: Option<String>,
        /// Of this person
        #[arg(long)]
        owner: Option<String>,
        /// Of this agent
        #[arg(long)]
        agent: Option<String>,
        /// About this run
        #[arg(long)]
        run: Option<String>,
        /// Those without a decision alone
        #[arg(long)]
        without_decision: bool,
    },
    /// One item: why, what stands in the way, what is suggested, what changed
    Show {
        /// Its id
        id: String,
    },
    /// What items have in common: the same trouble, or the same fix
    Groups {
        /// fingerprint or fix
        #[arg(long, default_value = "fix")]
        by: String,
    },
    /// How many items lack a decision; exit code 1 unless it is none
    Headline,
    /// Give an item to a person; with a due time and a fix that is a decision
    Assign {
        /// Its id
        id: String,
        /// The person
        #[arg(long)]
        owner: String,
        /// By when (RFC 3339)
        #[arg(long)]
        due_at: Option<String>,
        /// The fix that it waits for: a target or a code of its checklist
        #[arg(long)]
        fix: Option<String>,
    },
    /// Supply data that an item waits for
    Supply {
        /// Its id
        id: String,
        /// A value, as /pointer=JSON (or text); may be repeated
        #[arg(long = "field", value_name = "POINTER=VALUE", required = true)]
        fields: Vec<String>,
    },
    /// Put an item off
    Snooze {
        /// Its id
        id: String,
        /// Until when (RFC 3339)
        #[arg(long)]
        until: String,
    },
    /// Hand an item to the agent's escalation contact, or to whom is named
    Escalate {
        /// Its id
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// To whom
        #[arg(long)]
        to: Option<String>,
    },
    /// Do the same to many items: a preview, and with --yes the act itself
    Bulk(Box<BulkArgs>),
    /// End an item by hand
    Resolve {
        /// Its id
        id: String,
        #[arg(long, help = "fixed, no_longer_needed, wrong_record, noise or denial_was_right")]
        category: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// Runs it.
pub fn run(args: &AttentionArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let client = Client::of(&args.client)?;
    let json = args.client.json;
    let act = |id: &str, act: &str, body: &Value| {
        client.send("POST", &format!("/api/v1/attention/{}/{act}", segment(id)), Some(body), None)?.ok()
    };
    let item = match &args.command {
        AttentionCommand::List { state, kind, owner, agent, run, without_decision } => {
            let without = without_decision.then(|| "true".to_owned());
            let asked = [
                ("state", state),
                ("kind", kind),
                ("owner", owner),
                ("agent", agent),
                ("run", run),
                ("without_decision", &without),
            ];
            return list(&items(&client, &path(&asked))?, json, out);
        }
        AttentionCommand::Groups { by } => {
            return groups(&items(&client, &format!("/api/v1/attention/groups?by={}", segment(by)))?, json, out);
        }
        AttentionCommand::Headline => return headline(&client.get("/api/v1/attention/headline")?.ok()?, json, out),
        AttentionCommand::Bulk(args) => return bulk(args, &client, json, out),
        AttentionCommand::Show { id } => client.get(&format!("/api/v1/attention/{}", segment(id)))?.ok()?,
        AttentionCommand::Assign { id, owner, due_at, fix } => {
            let mut body = json!({"owner": owner});
            for (name, value) in [("due_at", due_at), ("fix", fix)] {
                if let Some(value) = value {
                    body[name] = json!(value);
                }
            }
            act(id, "assign", &body)?
        }
        AttentionCommand::Supply { id, fields } => act(id, "supply", &json!({"fields": supplied(fields)?}))?,
        AttentionCommand::Snooze { id, until } => act(id, "snooze", &json!({"until": until}))?,
        AttentionCommand::Escalate { id, reason, to } => {
            let mut body = json!({"reason": reason});
            if let Some(to) = to {
                body["to"] = json!(to);
            }
            act(id, "escalate", &body)?
        }
        AttentionCommand::Resolve { id, category, reason } => {
            act(id, "resolve", &json!({"category": category, "reason": reason}))?
        }
    };
    if json {
        writeln!(out, "{item}")?;
    } else {
        show(&item, out)?;
    }
    Ok(0)
}

fn path(asked: &[(&str, &Option<String>)]) -> String {
    let named = asked.iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_deref()?))));
    let query: Vec<String> = named.collect();
    if query.is_empty() { "/api/v1/attention".to_owned() } else { format!("/api/v1/attention?{}", query.join("&")) }
}

/// Values are JSON where they can be read as JSON, else texts.
fn supplied(fields: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut map = Map::new();
    for text in fields {
        let Some((pointer, value)) = text.split_once('=').filter(|(pointer, _)| pointer.starts_with('/')) else {
            bail!("{text:?} is not POINTER=VALUE, such as /entity/properties/due_date=2099-12-01");
        };
        map.insert(pointer.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value)));
    }
    Ok(map)
}

fn list(items: &[Value], json: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    if json {
        writeln!(out, "{}", json!({"items": items}))?;
        return Ok(0);
    }
    let head = ["ID", "KIND", "STATE", "CLASS", "SUGGESTED", "RUN", "OWNER", "DUE", "SEEN", "WHY"];
    let cells =
        ["/id", "/kind", "/state", "/class", "/suggested_action", "/run_id", "/owner", "/due_at", "/count", "/why"];
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| cells.iter().map(|cell| field(item, cell)).collect()).collect();
    table(out, &head, &rows)?;
    Ok(0)
}

fn groups(groups: &[Value], json: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    if json {
        writeln!(out, "{}", json!({"items": groups}))?;
        return Ok(0);
    }
    let cells = ["/items", "/runs", "/without_decision", "/storm/failures", "/key", "/title"];
    let rows: Vec<Vec<String>> =
        groups.iter().map(|group| cells.iter().map(|cell| field(group, cell)).collect()).collect();
    table(out, &["ITEMS", "RUNS", "UNDECIDED", "STORM", "KEY", "WHAT"], &rows)?;
    Ok(0)
}

fn headline(line: &Value, json: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    if json {
        writeln!(out, "{line}")?;
    } else {
        let of = |pointer: &str| field(line, pointer);
        writeln!(
            out,
            "{} without a decision, {} open, {} overdue, {} ready to retry",
            of("/without_decision"),
            of("/open"),
            of("/overdue"),
            of("/ready_to_retry")
        )?;
        for storm in line["storms"].as_array().into_iter().flatten() {
            let [failures, runs, title, key] =
                ["/failures", "/runs", "/title", "/fingerprint"].map(|at| field(storm, at));
            let title: String = title.chars().filter(|c| !c.is_control()).collect();
            writeln!(out, "storm: {title}: {failures} failures in {runs} runs lately (group {key})")?;
        }
    }
    Ok(u8::from(line["without_decision"] != json!(0)))
}

fn show(item: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let rows = [
        ("id", "/id"),
        ("why", "/why"),
        ("state", "/state"),
        ("class", "/class"),
        ("suggested", "/suggested_action"),
        ("because", "/why_suggested"),
        ("run", "/run_id"),
        ("attempt", "/attempt"),
        ("step", "/step"),
        ("agent", "/agent"),
        ("owner", "/owner"),
        ("due", "/due_at"),
        ("snoozed until", "/snoozed_until"),
        ("escalated to", "/escalated_to"),
        ("not picked up", "/not_picked_up/message"),
        ("others moved", "/others_moved"),
        ("waits for", "/decision/fix"),
        ("may be supplied", "/supply"),
        ("seen", "/count"),
        ("first", "/first_seen"),
        ("last", "/last_seen"),
        ("resolution", "/resolution/category"),
    ];
    let told = rows.iter().map(|(name, pointer)| (name, field(item, pointer))).filter(|(_, text)| !text.is_empty());
    let told: Vec<Vec<String>> = told.map(|(name, text)| vec![(*name).to_owned(), text]).collect();
    table(out, &["FIELD", "VALUE"], &told)?;
    let lines = item["checklist"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !lines.is_empty() {
        writeln!(out)?;
        let rows = lines.iter().map(|line| {
            let done = if line["lifted_at"].is_null() { "open" } else { "lifted" };
            let part = |pointer: &str| field(line, pointer);
            vec![done.to_owned(), part("/reason/code"), part("/reason/remedy/target"), part("/reason/message")]
        });
        table(out, &["CHECK", "CODE", "FIX", "WHAT"], &rows.collect::<Vec<_>>())?;
    }
    let changed = item["changed"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !changed.is_empty() {
        writeln!(out)?;
        let cells = ["/at", "/op", "/subject", "/by", "/reason"];
        let rows = changed.iter().map(|change| cells.iter().map(|cell| field(change, cell)).collect());
        table(out, &["CHANGED", "WHAT", "ON", "BY", "WHY"], &rows.collect::<Vec<_>>())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_json_or_text() {
        let fields = ["/a=3", "/b=2026-12-01", "/c={\"x\": [1]}", "/d=a=b"].map(str::to_owned);
        let read = supplied(&fields).unwrap();
        assert_eq!(json!(read), json!({"/a": 3, "/b": "2026-12-01", "/c": {"x": [1]}, "/d": "a=b"}));
        assert!(supplied(&["a=3".to_owned()]).is_err());
        assert!(supplied(&["/a".to_owned()]).is_err());
    }

    #[test]
    fn queries_are_escaped() {
        let (run, none) = (Some("run 1/2".to_owned()), None);
        assert_eq!(path(&[("state", &none), ("run", &run)]), "/api/v1/attention?run=run%201%2F2");
        assert_eq!(path(&[("state", &none)]), "/api/v1/attention");
    }

    #[test]
    fn an_item_is_shown_with_its_checklist() {
        let item = json!({"id": "item_1", "why": "Run r is blocked: \u{1b}[2J no.", "owner": null,
            "checklist": [{"lifted_at": null, "reason": {"code": "budget_exceeded", "message": "0.10 USD left",
                "remedy": {"target": "budget:daily"}}}]});
        let mut out = Vec::new();
        show(&item, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("open   budget_exceeded  budget:daily  0.10 USD left"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("owner"), "{text}");
    }
}
