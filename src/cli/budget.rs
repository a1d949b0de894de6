//! `tollgate budget`: what a budget admin does, from the shell.

use super::client::{Client, ClientArgs, field, items, segment, table};
use super::document::show;
use crate::server::read_budgets;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// List, show, change and raise budgets
#[derive(Clone, Debug, clap::Args)]
pub struct BudgetArgs {
    #[command(subcommand)]
    command: BudgetCommand,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum BudgetCommand {
    /// All budgets, with what is spent, held and left
    List,
    /// One budget, with its raises
    Show {
        /// Its id
        id: String,
    },
    /// Make the budgets of a TOML file the truth: create, change and delete as needed, all or nothing
    Apply {
        /// The file, as data/budgets.toml
        file: PathBuf,
    },
    /// Raise a budget's limit for a while
    Raise {
        /// Its id
        id: String,
        /// The new limit
        #[arg(long)]
        limit: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Of a budget with an account each: which one, such as agent=rfq-draft
        #[arg(long)]
        account: Option<String>,
        /// Of a budget with an account each: all of them
        #[arg(long, conflicts_with = "account")]
        all: bool,
        /// What shows that it is worth it
        #[arg(long)]
        evidence: Option<String>,
        /// When it ends (RFC 3339); without it, with the current window
        #[arg(long)]
        ends_at: Option<String>,
        /// It does not end
        #[arg(long, conflicts_with = "ends_at")]
        permanent: bool,
        /// The idempotency key, so that asking twice raises once
        #[arg(long)]
        idempotency_key: Option<String>,
    },
    /// Withdraw a raise
    Withdraw {
        /// The budget's id
        id: String,
        /// The raise's id
        raise: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Delete a budget; its id is not used again
    Delete {
        /// Its id
        id: String,
    },
}

/// Runs it.
pub fn run(args: &BudgetArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let client = Client::of(&args.client)?;
    let path = |id: &str| format!("/api/v1/budgets/{}", segment(id));
    let answer = match &args.command {
        BudgetCommand::List => {
            let budgets = items(&client, "/api/v1/budgets")?;
            if !args.client.json {
                list(out, &budgets)?;
                return Ok(0);
            }
            json!({"items": budgets})
        }
        BudgetCommand::Show { id } => client.get(&path(id))?.ok()?,
        BudgetCommand::Apply { file } => {
            let budgets = read_budgets(file)?;
            client.send("PUT", "/api/v1/budgets", Some(&json!({"budgets": budgets})), None)?.ok()?
        }
        BudgetCommand::Raise { id, limit, reason, account, all, evidence, ends_at, permanent, idempotency_key } => {
            let mut body = json!({"limit": limit, "reason": reason});
            let optional = [
                ("account", account),
                ("evidence", evidence),
                ("ends_at", ends_at),
                ("idempotency_key", idempotency_key),
            ];
            for (name, value) in optional {
                if let Some(value) = value {
                    body[name] = json!(value);
                }
            }
            for (name, said) in [("all", *all), ("permanent", *permanent)] {
                if said {
                    body[name] = json!(true);
                }
            }
            client.send("POST", &format!("{}/raises", path(id)), Some(&body), None)?.ok()?
        }
        BudgetCommand::Withdraw { id, raise, reason } => {
            let body = json!({"reason": reason});
            client.send("DELETE", &format!("{}/raises/{}", path(id), segment(raise)), Some(&body), None)?.ok()?
        }
        BudgetCommand::Delete { id } => {
            let read = client.get(&path(id))?;
            let etag = read.etag.clone();
            read.ok()?;
            client.send("DELETE", &path(id), None, etag.as_deref())?.ok()?
        }
    };
    show(out, &answer, args.client.json)?;
    Ok(0)
}

fn list(out: &mut dyn Write, budgets: &[Value]) -> std::io::Result<()> {
    let mut rows = Vec::new();
    for budget in budgets {
        let figures = |usage: &Value| {
            ["/spent", "/held", "/unsettled", "/remaining", "/limit_in_force", "/window/end"].map(|at| field(usage, at))
        };
        let start = |account: String| {
            vec![account, field(budget, "/unit"), field(budget, "/window/kind"), field(budget, "/enforcement")]
        };
        match budget.get("accounts").and_then(Value::as_array) {
            Some(accounts) if !accounts.is_empty() => {
                for account in accounts {
                    let mut row = start(format!("{} {}", field(budget, "/id"), field(account, "/each")));
                    row.extend(figures(account));
                    rows.push(row);
                }
            }
            _ => {
                let mut row = start(field(budget, "/id"));
                row.extend(figures(budget));
                rows.push(row);
            }
        }
    }
    let head =
        ["budget", "unit", "window", "enforcement", "spent", "held", "unsettled", "remaining", "limit", "resets at"];
    table(out, &head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, Command, FromArgMatches as _};

    #[test]
    fn a_raise_needs_no_idempotency_key() {
        let words = ["budget", "raise", "daily", "--limit", "9", "--reason", "worth it"];
        let matches = BudgetArgs::augment_args(Command::new("budget")).try_get_matches_from(words).unwrap();
        let args = BudgetArgs::from_arg_matches(&matches).unwrap();
        assert!(matches!(args.command, BudgetCommand::Raise { idempotency_key: None, .. }));
    }

    #[test]
    fn which_daemon_is_said_before_the_verb_or_behind_it() {
        let said = ["--json", "--url", "http://gate:1", "--key-file", "k"];
        for words in [
            ["budget"].iter().chain(&said).chain(&["show", "daily"]).collect::<Vec<_>>(),
            ["budget", "show", "daily"].iter().chain(&said).collect(),
        ] {
            let matches = BudgetArgs::augment_args(Command::new("budget")).try_get_matches_from(words).unwrap();
            let client = BudgetArgs::from_arg_matches(&matches).unwrap().client;
            assert!(client.json);
            assert_eq!((client.url.as_str(), client.key_file), ("http://gate:1", Some("k".into())));
        }
    }
}
