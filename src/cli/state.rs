//! `tollgate state`: how large a state is, how far behind its parts are, and what was found wrong in it: of a directory, by
//! its files, or of a running daemon.

use super::client::{Client, ClientArgs, field, table};
use crate::store::sled::survey::{Survey, survey};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// Show what a state directory holds, or how a running daemon's is
#[derive(Clone, Debug, clap::Args)]
pub struct StateArgs {
    /// The state directory; a daemon may be using it. Without it, the daemon is asked
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Runs it. 1: something was found wrong.
pub fn run(args: &StateArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let Some(dir) = &args.dir else { return of_running(args, out) };
    let found = survey(dir)?;
    if args.client.json {
        writeln!(out, "{}", serde_json::to_string(&found)?)?;
    } else {
        of_directory(&found, out)?;
    }
    let bad = found.checkpoints.iter().any(|checkpoint| checkpoint.wrong.is_some());
    Ok(u8::from(bad || found.journal.missing.is_some()))
}

fn of_running(args: &StateArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let answer = Client::of(&args.client)?.get("/api/v1/state")?.ok()?;
    if args.client.json {
        writeln!(out, "{answer}")?;
    } else {
        of_daemon(&answer, out)?;
    }
    let found = answer["findings"].as_array().is_some_and(|findings| !findings.is_empty());
    Ok(u8::from(found || !answer["failed"].is_null()))
}

fn of_directory(found: &Survey, out: &mut dyn Write) -> std::io::Result<()> {
    let row = |what: &str, files: u64, bytes: u64, more: String| {
        vec![what.to_owned(), files.to_string(), bytes.to_string(), more]
    };
    let journal = &found.journal;
    let durable = journal.durable.map_or_else(|| "not noted".to_owned(), |seq| seq.to_string());
    let records = format!("records {} to {}; durable: {durable}", journal.first_record, journal.last_record);
    let mut rows = vec![row("journal", journal.segments, journal.bytes, records)];
    for checkpoint in &found.checkpoints {
        let more = match (&checkpoint.wrong, checkpoint.record, checkpoint.time) {
            (Some(wrong), ..) => format!("{}: {wrong}", checkpoint.file),
            (None, Some(record), Some(time)) => format!("up to record {record}, {time}"),
            _ => checkpoint.file.clone(),
        };
        rows.push(row("checkpoint", 1, checkpoint.bytes, more));
    }
    rows.push(row("blobs", found.blobs.files, found.blobs.bytes, String::new()));
    rows.push(row("database", found.database.files, found.database.bytes, "made from the journal".to_owned()));
    table(out, &["part", "files", "bytes", ""], &rows)?;
    writeln!(out, "a start reads {} records behind the last checkpoint", found.checkpoint_lag)?;
    if let Some(missing) = &journal.missing {
        writeln!(out, "FOUND: {missing}")?;
    }
    for name in &found.put_aside {
        writeln!(out, "put aside: {name}")?;
    }
    Ok(())
}

fn of_daemon(answer: &Value, out: &mut dyn Write) -> std::io::Result<()> {
    let rows: Vec<Vec<String>> = [
        ("last record", "/seq"),
        ("its hash", "/head"),
        ("its time", "/time"),
        ("journal segments", "/journal/segments"),
        ("journal bytes", "/journal/bytes"),
        ("segments dropped since the start", "/journal/dropped_segments"),
        ("last checkpoint, up to record", "/checkpoint/seq"),
        ("its bytes", "/checkpoint/bytes"),
        ("records behind it", "/checkpoint_lag"),
        ("database behind", "/index/state"),
        ("its segments", "/index/segments"),
        ("of sealed segments", "/index/of"),
        ("records that it lacks", "/index/lag"),
        ("put aside", "/index/put_aside"),
        ("holds in memory", "/memory/holds"),
        ("of them open", "/memory/open_holds"),
        ("accounts in memory", "/memory/accounts"),
        ("recent keys in memory", "/memory/keys"),
        ("older keys remembered", "/memory/used_keys"),
        ("runs in memory", "/memory/runs"),
        ("of them open", "/memory/open_runs"),
        ("open items", "/memory/open_items"),
        ("denials remembered", "/memory/denials"),
        ("commands waiting", "/queue_depth"),
        ("passes of the scrubber", "/scrubbed/passes"),
        ("the last one ended", "/scrubbed/last"),
        ("takes no commands because", "/failed"),
    ]
    .into_iter()
    .map(|(name, pointer)| vec![name.to_owned(), field(answer, pointer)])
    .filter(|row| !row[1].is_empty())
    .collect();
    table(out, &["what", ""], &rows)?;
    for near in answer["nearly_full"].as_array().into_iter().flatten() {
        let [what, used, cap] = ["/what", "/used", "/cap"].map(|pointer| field(near, pointer));
        writeln!(out, "NEARLY FULL: {what}: {used} of {cap}")?;
    }
    for finding in answer["findings"].as_array().into_iter().flatten() {
        writeln!(out, "FOUND: {}: {}", field(finding, "/file"), field(finding, "/what"))?;
    }
    Ok(())
}
