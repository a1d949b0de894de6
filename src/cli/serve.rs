//! `tollgate serve`: the daemon.

use super::check::TreeArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::server::{FirstKey, Options, Stop, block_on, build, spawn};
use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// What the environment says, behind the options.
const ENVIRONMENT: &str = "\
Environment:
  TOLLGATE_ADMIN_KEY   the first admin key, 32 characters or more, for a start that finds no key; without it one is made,
                       and written to admin.key in the state directory
  TOLLGATE_LOG         what is logged, such as debug or tollgate::store=debug,warn [default: info]
  TOLLGATE_LOG_FORMAT  json: one JSON document a line

Every setting of the configuration file, with its default: docs/operating.md";

/// Run the daemon until SIGTERM or SIGINT
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    pub listen: String,
    /// The state directory; made where it does not exist
    #[arg(long, value_name = "DIR", default_value = "state")]
    pub state: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the help of the command")]
    pub tree: TreeArgs,
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write one line of JSON when it listens
    #[arg(long, help = "Write one line of JSON when it listens: {\"listening\", \"admin_key\"}")]
    pub json: bool,
}

/// Serves until it is told to stop.
pub fn run(args: &ServeArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    take_all_files();
    let config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let options = Options {
        listen: args.listen.clone(),
        state: args.state.clone(),
        policies: args.tree.policies.clone(),
        data: args.tree.data.clone(),
        config,
        admin_key: std::env::var("TOLLGATE_ADMIN_KEY").ok().filter(|key| !key.is_empty()),
        show_key: args.json,
        clock: Arc::new(SystemClock::new()),
    };
    block_on(async {
        let server = build(options).await?;
        say(args, &server, out)?;
        stop_on_signals(server.stop_handle())?;
        server.run().await?;
        tracing::info!("stopped");
        Ok(0)
    })
}

/// Every connection is an open file, and most systems let a process have a thousand until it asks for those that it may have.
fn take_all_files() {
    let files = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }) {
        tracing::warn!(%error, "no more files than before may be open at once");
    }
}

fn say(args: &ServeArgs, server: &crate::server::Server, out: &mut dyn Write) -> anyhow::Result<()> {
    let listening = format!("http://{}", server.address());
    if args.json {
        let admin_key = match server.first_key() {
            FirstKey::Shown(secret) => Some(secret.reveal().to_owned()),
            _ => None,
        };
        writeln!(out, "{}", json!({"listening": listening, "admin_key": admin_key}))?;
        out.flush()?;
    } else if let FirstKey::Written(path) = server.first_key() {
        tracing::info!(path = %path.display(), "the first admin key is in this file");
    }
    tracing::info!(%listening, "Tollgate listens");
    Ok(())
}

/// SIGTERM and SIGINT drain: what was begun is answered, what was acknowledged is durable.
pub(super) fn stop_on_signals(stop: Stop) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("SIGINT")?;
    spawn(async move {
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM: draining"),
            _ = int.recv() => tracing::info!("SIGINT: draining"),
        }
        stop.stop().await;
    });
    Ok(())
}
