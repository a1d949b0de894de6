//! `tollgate demo`: a daemon on a fresh state, and the story of one quote packet, told as it happens.

mod files;
mod story;

use super::check::TreeArgs;
use super::serve::stop_on_signals;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::server::{FirstKey, Options, block_on, build, spawn};
use anyhow::{Context as _, anyhow, bail};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Start a daemon on a fresh state and walk through one story: allowed, denied, raised, allowed
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8181")]
    pub listen: String,
    /// A directory for the demo's state, policies and data; must not exist yet. A temporary one where it is not said
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// End when the story is told, instead of serving on
    #[arg(long)]
    pub exit: bool,
}

/// Tells the story, and serves on unless told to end.
pub fn run(args: &DemoArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let dir = fresh(args.dir.as_deref())?;
    let tree = TreeArgs { policies: dir.join("policies"), data: dir.join("data") };
    files::write(&dir)?;
    let options = Options {
        listen: args.listen.clone(),
        state: dir.join("state"),
        policies: tree.policies.clone(),
        data: tree.data,
        config: Config::default(),
        admin_key: None,
        show_key: false,
        clock: Arc::new(SystemClock::new()),
    };
    let code = block_on(async {
        let today = jiff::tz::TimeZone::UTC.to_datetime(crate::clock::Clock::wall(&*options.clock)).date();
        let server = build(options).await?;
        let FirstKey::Written(key_file) = server.first_key().clone() else {
            bail!("a fresh state makes a first key");
        };
        let key = std::fs::read_to_string(&key_file).context("the key that was just written")?;
        let base = format!("http://{}", server.address());
        let stop = server.stop_handle();
        stop_on_signals(stop.clone())?;
        let running = spawn(server.run());
        let left = if args.dir.is_some() { story::Left::Directory(dir.clone()) } else { story::Left::Nothing };
        let ends = args.exit.then_some(left);
        let place = story::Place { base, key: key.trim().to_owned(), key_file, policies: tree.policies, today, ends };
        let told = tokio::task::spawn_blocking(move || {
            let mut text = Vec::new();
            let told = story::tell(&place, &mut text);
            (text, told)
        });
        let (text, told) = told.await?;
        out.write_all(&text)?;
        out.flush()?;
        if told.is_err() || args.exit {
            stop.stop().await;
        } else {
            writeln!(out, "It keeps serving; Ctrl-C ends it.")?;
            out.flush()?;
        }
        running.await.map_err(|error| anyhow!("the server ended: {error}"))??;
        told?;
        Ok(0)
    });
    if args.exit && args.dir.is_none() {
        let _ = std::fs::remove_dir_all(&dir);
    }
    code
}

fn fresh(wanted: Option<&std::path::Path>) -> anyhow::Result<PathBuf> {
    let dir = if let Some(dir) = wanted {
        dir.to_owned()
    } else {
        let mut bytes = [0; 6];
        getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        std::env::temp_dir().join(format!("tollgate-demo-{name}"))
    };
    std::fs::create_dir(&dir)
        .with_context(|| format!("the demo wants a fresh directory, and cannot make {}", dir.display()))?;
    Ok(dir)
}
