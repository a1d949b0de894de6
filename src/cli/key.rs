//! `tollgate key`: who may come in.

use super::client::{Client, ClientArgs, field, items, segment, table};
use super::document::show;
use serde_json::json;
use std::io::Write;

/// List, make and revoke API keys
#[derive(Clone, Debug, clap::Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum KeyCommand {
    /// Every key, by name; never a secret
    List,
    /// Make a key; its secret is shown this once
    Create {
        /// Its name
        id: String,
        /// The person or service that holds it
        #[arg(long)]
        holder: String,
        #[arg(
            long = "role",
            required = true,
            help = "runtime, operator, policy_admin, budget_admin, auditor or admin; may be repeated"
        )]
        roles: Vec<String>,
        /// A runtime's agent; may be repeated. Without it, all
        #[arg(long = "agent")]
        agents: Vec<String>,
    },
    /// Revoke a key, from the next request on
    Revoke {
        /// Its name
        id: String,
    },
}

/// Runs it.
pub fn run(args: &KeyArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let client = Client::of(&args.client)?;
    let answer = match &args.command {
        KeyCommand::List => {
            let keys = items(&client, "/api/v1/keys")?;
            if !args.client.json {
                let columns = ["/id", "/holder", "/roles", "/agents", "/created_at", "/revoked_at"];
                let rows: Vec<Vec<String>> =
                    keys.iter().map(|key| columns.iter().map(|at| field(key, at)).collect()).collect();
                table(out, &["key", "holder", "roles", "agents", "created", "revoked"], &rows)?;
                return Ok(0);
            }
            json!({"items": keys})
        }
        KeyCommand::Create { id, holder, roles, agents } => {
            let mut body = json!({"id": id, "holder": holder, "roles": roles});
            if !agents.is_empty() {
                body["agents"] = json!(agents);
            }
            client.send("POST", "/api/v1/keys", Some(&body), None)?.ok()?
        }
        KeyCommand::Revoke { id } => {
            let path = format!("/api/v1/keys/{}", segment(id));
            client.send("DELETE", &path, None, None)?.ok()?
        }
    };
    show(out, &answer, args.client.json)?;
    if !args.client.json && answer.get("secret").is_some() {
        writeln!(out, "\nThe secret is shown this once: only its SHA-256 is kept.")?;
    }
    Ok(0)
}
