//! Where the runs and the records are, and how they are read.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What the runs touch, as it was before the first of them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Snapshot {
    /// The benchmark's present, RFC 3339.
    pub(crate) now: String,
    /// By reservation id.
    pub(crate) reservations: Map<String, Value>,
    /// By user id.
    pub(crate) users: Map<String, Value>,
    /// By flight number and date, as `HAT001 2024-05-16`.
    pub(crate) flights: Map<String, Value>,
}

/// One run of the agent. Whether it reached the end that the benchmark expects is not read: no request may know.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Run {
    /// The benchmark's task.
    pub(crate) task_id: u64,
    /// Which try at the task.
    pub(crate) trial: u64,
    /// In order.
    pub(crate) events: Vec<Event>,
}

/// One event of a run. The source has lengths where the texts were.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Event {
    /// The rules that the agent was given.
    System {
        /// Length in characters.
        chars: u64,
    },
    /// What the user said.
    User {
        /// Length in characters.
        chars: u64,
    },
    /// What the agent said.
    Message {
        /// Length in characters.
        chars: u64,
    },
    /// What the agent asked a tool to do.
    ToolCall {
        /// The tool.
        name: String,
        /// Its arguments.
        arguments: Value,
    },
    /// What the tool answered to the call just before.
    ToolResult {
        /// Length in characters.
        chars: u64,
        /// The refusal, where it was one.
        error: Option<String>,
    },
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    /// The records.
    pub(crate) snapshot: Snapshot,
    /// The runs, in the order of the file.
    pub(crate) runs: Vec<Run>,
}

/// The data, or `None` (and a message) where it is not there. An error where it is unreadable, or is not there though
/// `TOLLGATE_REQUIRE` names `tau`.
pub(crate) fn find() -> Result<Option<Data>> {
    let dir = std::env::var_os("TOLLGATE_TAU_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tau-airline"), PathBuf::from);
    if dir.join("runs.jsonl").is_file() {
        return read(&dir).map(Some);
    }
    let required = std::env::var("TOLLGATE_REQUIRE").unwrap_or_default();
    if required.split(',').any(|name| name.trim() == "tau") {
        bail!(
            "TOLLGATE_REQUIRE names tau, and {} holds no runs.jsonl (TOLLGATE_TAU_DIR sets the place)",
            dir.display()
        );
    }
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    {
        eprintln!("skipped: {} holds no runs.jsonl (TOLLGATE_TAU_DIR sets the place)", dir.display());
    }
    Ok(None)
}

fn read(dir: &Path) -> Result<Data> {
    let text = |name: &str| {
        let path = dir.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let snapshot = serde_json::from_str(&text("entities.json")?).context("entities.json")?;
    let runs = text("runs.jsonl")?
        .lines()
        .enumerate()
        .map(|(index, line)| serde_json::from_str(line).with_context(|| format!("runs.jsonl, line {}", index + 1)))
        .collect::<Result<_>>()?;
    Ok(Data { snapshot, runs })
}
