//! `tollgate agent`: the registry and the stop button, from the shell.

use super::client::{Client, ClientArgs, field, items, segment, table};
use super::document::show;
use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::io::Write;

/// Agents and entity types: list, register, remove; enforce, observe, pause and resume
#[derive(Clone, Debug, clap::Args)]
pub struct AgentArgs {
    #[command(subcommand)]
    command: AgentCommand,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum AgentCommand {
    /// Every registered agent
    List,
    /// One agent
    Show {
        /// Its id
        id: String,
    },
    /// Register an agent, or write its record anew
    Put {
        /// Its id
        id: String,
        /// The team whose budgets it spends from
        #[arg(long)]
        team: Option<String>,
        /// The person who answers for it
        #[arg(long)]
        owner: Option<String>,
        /// Whom an escalation goes to
        #[arg(long)]
        escalation_contact: Option<String>,
        /// The layer that judges it, instead of its own
        #[arg(long)]
        policy_profile: Option<String>,
        /// A label, as name=value; may be repeated
        #[arg(long = "label", value_name = "NAME=VALUE")]
        labels: Vec<String>,
    },
    /// Remove an agent from the registry
    Remove {
        /// Its id
        id: String,
    },
    /// Enforce, observe or pause an agent
    Mode {
        /// Its id
        id: String,
        /// enforce, observe or paused
        mode: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// When observe ends (RFC 3339)
        #[arg(long)]
        ends_at: Option<String>,
    },
    #[command(about = "Press the stop button: agent:ID, team:ID, action:NAME, entity_type:TYPE or everything")]
    Pause {
        /// What to stop
        target: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// When it ends by itself (RFC 3339)
        #[arg(long)]
        ends_at: Option<String>,
    },
    /// The pauses in force
    Pauses,
    /// Every registered entity type
    Types,
    /// Register an entity type, or write it anew
    PutType {
        /// Its name
        name: String,
        /// In a sentence
        #[arg(long)]
        description: Option<String>,
        /// A file with the JSON Schema of its properties
        #[arg(long, value_name = "FILE")]
        schema: Option<std::path::PathBuf>,
        /// Where a record can be opened, with {id} in it
        #[arg(long, value_name = "URL")]
        link_template: Option<String>,
    },
    /// Remove an entity type from the registry
    RemoveType {
        /// Its name
        name: String,
    },
    /// End a pause
    Resume {
        /// The pause's id
        pause: String,
    },
}

/// Runs it.
pub fn run(args: &AgentArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let client = Client::of(&args.client)?;
    let path = |id: &str| format!("/api/v1/agents/{}", segment(id));
    let answer = match &args.command {
        AgentCommand::List => return list(&client, args.client.json, out),
        AgentCommand::Show { id } => client.get(&path(id))?.ok()?,
        AgentCommand::Put { id, team, owner, escalation_contact, policy_profile, labels } => {
            let mut body = json!({});
            let fields = [
                ("team", team),
                ("owner", owner),
                ("escalation_contact", escalation_contact),
                ("policy_profile", policy_profile),
            ];
            for (name, value) in fields {
                if let Some(value) = value {
                    body[name] = json!(value);
                }
            }
            for label in labels {
                let (name, value) = label.split_once('=').context("--label takes NAME=VALUE")?;
                body["labels"][name] = json!(value);
            }
            client.send("PUT", &path(id), Some(&body), None)?.ok()?
        }
        AgentCommand::Remove { id } => client.send("DELETE", &path(id), None, None)?.ok()?,
        AgentCommand::Mode { id, mode, reason, ends_at } => {
            let mut body = json!({"mode": mode, "reason": reason});
            if let Some(ends_at) = ends_at {
                body["ends_at"] = json!(ends_at);
            }
            client.send("PUT", &format!("{}/mode", path(id)), Some(&body), None)?.ok()?
        }
        AgentCommand::Pause { target, reason, ends_at } => {
            let mut body = json!({"target": pause_target(target)?, "reason": reason});
            if let Some(ends_at) = ends_at {
                body["ends_at"] = json!(ends_at);
            }
            client.send("POST", "/api/v1/pauses", Some(&body), None)?.ok()?
        }
        AgentCommand::Pauses => json!({"items": items(&client, "/api/v1/pauses")?}),
        AgentCommand::Types => json!({"items": items(&client, "/api/v1/entity-types")?}),
        AgentCommand::PutType { name, description, schema, link_template } => {
            let mut body = json!({});
            for (field, value) in [("description", description), ("link_template", link_template)] {
                if let Some(value) = value {
                    body[field] = json!(value);
                }
            }
            if let Some(path) = schema {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                body["schema"] = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
            }
            client.send("PUT", &format!("/api/v1/entity-types/{}", segment(name)), Some(&body), None)?.ok()?
        }
        AgentCommand::RemoveType { name } => {
            client.send("DELETE", &format!("/api/v1/entity-types/{}", segment(name)), None, None)?.ok()?
        }
        AgentCommand::Resume { pause } => {
            client.send("DELETE", &format!("/api/v1/pauses/{}", segment(pause)), None, None)?.ok()?
        }
    };
    show(out, &answer, args.client.json)?;
    Ok(0)
}

fn pause_target(text: &str) -> anyhow::Result<Value> {
    match text.split_once(':') {
        None if text == "everything" => Ok(json!({"kind": "everything"})),
        Some((kind @ ("agent" | "team" | "action" | "entity_type"), id)) => Ok(json!({"kind": kind, "id": id})),
        _ => bail!("a pause stops agent:ID, team:ID, action:NAME, entity_type:TYPE or everything"),
    }
}

fn list(client: &Client, as_json: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let agents = items(client, "/api/v1/agents")?;
    if as_json {
        writeln!(out, "{}", json!({"items": agents}))?;
        return Ok(0);
    }
    let columns = ["/id", "/team", "/owner", "/mode", "/mode_ends_at", "/policy_profile"];
    let rows: Vec<Vec<String>> =
        agents.iter().map(|agent| columns.iter().map(|at| field(agent, at)).collect()).collect();
    table(out, &["agent", "team", "owner", "mode", "until", "profile"], &rows)?;
    Ok(0)
}
