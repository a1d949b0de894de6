//! `tollgate bench`: load on a running daemon, and in the same run the floors that its figures are read against: the bare
//! append + `fdatasync` of a directory, and the daemon's own `/healthz`.

mod connection;
mod events;
mod floors;
mod load;
mod requests;

use super::client::table;
use anyhow::{Context as _, bail, ensure};
use load::{Figures, Plan};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Put load on a running daemon and measure it, with the floors of this machine in the same run
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// The daemon; a loopback address
    #[arg(long, value_name = "URL", env = "TOLLGATE_URL", default_value = "http://127.0.0.1:8181")]
    pub url: String,
    /// The API key
    #[arg(long, value_name = "KEY", env = "TOLLGATE_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// A file that holds it
    #[arg(long, value_name = "FILE", env = "TOLLGATE_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// For how long
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Requests a second in all, sent whether the answers come or not as long as a connection is free (open loop);
    /// latency counts from when each was due
    #[arg(long)]
    pub rate: Option<f64>,
    /// Admission requests, one JSON document a line, asked in turn under keys of their own
    #[arg(long, value_name = "FILE")]
    pub requests: Option<PathBuf>,
    /// Settle every hold at its estimate: a second request behind each allowed one
    #[arg(long)]
    pub settle: bool,
    /// How long holds stay open, in seconds
    #[arg(long, default_value_t = 2)]
    pub hold_ttl_s: u32,
    /// Report events of runs instead: batches of 100, ten runs each, from start to end; what is counted as allowed are events
    #[arg(long, conflicts_with_all = ["requests", "settle", "rate", "get"])]
    pub events: bool,
    /// Of a hundred such runs, so many fail
    #[arg(long, value_name = "PERCENT", default_value_t = 0, requires = "events")]
    pub failing: u32,
    /// Read this path instead; several are read in turn
    #[arg(long, value_name = "PATH", conflicts_with_all = ["requests", "settle", "rate"])]
    pub get: Vec<String>,
    /// A directory for the floor of append + fdatasync; none, no such floor
    #[arg(long, value_name = "DIR")]
    pub floor_dir: Option<PathBuf>,
    /// Write one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Runs it: 0 where every request was answered by a decision, 1 where not.
pub fn run(args: &BenchArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    ensure!(args.connections > 0 && args.connections <= 10_000, "--connections must be from 1 to 10000");
    ensure!(args.rate.is_none_or(|rate| rate > 0.0), "--rate must be above 0");
    let address = requests::loopback(&args.url)?;
    let key = match (&args.key, &args.key_file) {
        (Some(key), _) => key.trim().to_owned(),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            text.trim().to_owned()
        }
        (None, None) => bail!("give an API key by --key-file, TOLLGATE_KEY_FILE or TOLLGATE_KEY"),
    };
    let plan = Rc::new(Plan {
        address,
        key,
        connections: args.connections,
        length: Duration::from_secs(args.seconds),
        rate: args.rate,
        settle: args.settle,
        bodies: requests::bodies(args.requests.as_deref(), args.hold_ttl_s)?,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let floor = Duration::from_secs(args.seconds.clamp(1, 3));
    let healthz = runtime.block_on(load::reads(&plan, Rc::new(vec!["/healthz".to_owned()]), floor))?;
    let fdatasync = args.floor_dir.as_deref().map(|dir| floors::append_and_sync(dir, floor)).transpose()?;
    let figures = if args.events {
        runtime.block_on(events::events(&plan, args.failing))?
    } else if args.get.is_empty() {
        runtime.block_on(load::admissions(&plan))?
    } else {
        runtime.block_on(load::reads(&plan, Rc::new(args.get.clone()), plan.length))?
    };
    report(args, &figures, &healthz, fdatasync.as_ref(), out)?;
    Ok(u8::from(!figures.errors.is_empty()))
}

fn report(
    args: &BenchArgs,
    figures: &Figures,
    healthz: &Figures,
    fdatasync: Option<&Figures>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut named = vec![("requests", figures), ("floor: /healthz", healthz)];
    named.extend(fdatasync.map(|figures| ("floor: append + fdatasync", figures)));
    if args.json {
        let document = json!({
            "connections": args.connections, "seconds": args.seconds, "rate": args.rate, "settle": args.settle,
            "requests": figures.json(), "allowed": figures.allowed, "denied": figures.denied,
            "errors": figures.errors, "first_error": figures.first_error,
            "healthz": healthz.json(), "append_fdatasync": fdatasync.map(Figures::json),
            "of_healthz": figures.per_second() / healthz.per_second(),
        });
        writeln!(out, "{document}")?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = named.iter().map(|(name, figures)| figures.row(name)).collect();
    table(out, &["what", "count", "per second", "p50 ms", "p99 ms", "p99.9 ms", "max ms"], &rows)?;
    writeln!(out, "allowed {}, denied {}, errors {:?}", figures.allowed, figures.denied, figures.errors)?;
    if let Some(error) = &figures.first_error {
        writeln!(out, "the first error: {error}")?;
    }
    Ok(())
}
