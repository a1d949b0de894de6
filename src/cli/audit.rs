//! `tollgate audit verify|export`: the audit trail checked and printed with nothing but the files of a state directory.

use crate::audit::{Digest, EntryView, Frame, parse_body};
use crate::store::sled::check::{Checked, check};
use crate::store::sled::journal::walk_kept;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use std::io::{self, Write};
use std::path::PathBuf;

/// Check or print the audit trail, with nothing but the files of a state directory
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Which of the two.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check every record and its place in the chain, every checkpoint, and every file of blobs/
    Verify(VerifyArgs),
    /// Print the operations, one JSON document a line
    Export(ExportArgs),
}

/// What to check.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The state directory; a daemon may be using it
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// A record's hash that was noted elsewhere: it must still be in the chain
    #[arg(long, value_name = "HASH")]
    pub head: Option<Digest>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// What to print.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The state directory; a daemon may be using it
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Only what happened at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only what happened before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON document a line
    Jsonl,
}

/// 0: all of it is right. 1: something was changed, cut or lost. 2: it could not be read.
pub fn run(args: &AuditArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    match &args.command {
        AuditCommand::Verify(args) => verify(args, out),
        AuditCommand::Export(args) => export(args, out),
    }
}

fn verify(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    match check(&args.state, args.head) {
        Ok(checked) => {
            let right = checked.has_head != Some(false);
            if args.json {
                print_json(&checked, right, out)?;
            } else {
                print_text(&checked, args.head, out)?;
            }
            Ok(u8::from(!right))
        }
        Err(error) if error.is_damage() => {
            if args.json {
                writeln!(out, "{}", serde_json::json!({"ok": false, "error": error.to_string()}))?;
            } else {
                writeln!(out, "DAMAGED: {error}")?;
            }
            Ok(1)
        }
        Err(error) => Err(error.into()),
    }
}

fn print_text(checked: &Checked, head: Option<Digest>, out: &mut dyn Write) -> io::Result<()> {
    let Checked { entries, segments, bytes, blobs, checkpoints, dropped, .. } = checked;
    let records = checked.records - dropped;
    writeln!(out, "records   {records} with {entries} operations, in {segments} segments of {bytes} bytes")?;
    if *dropped > 0 {
        writeln!(out, "dropped   the first {dropped} records, on purpose: a later record says so")?;
    }
    writeln!(out, "blobs     {blobs}")?;
    writeln!(out, "checkpoints {checkpoints}")?;
    if let (Some(first), Some(last)) = (checked.first_time, checked.last_time) {
        writeln!(out, "from      {first}")?;
        writeln!(out, "to        {last}")?;
    }
    writeln!(out, "head      {}", checked.head)?;
    if let Some(torn) = &checked.torn {
        let (file, bytes, offset) = (torn.path.display(), torn.bytes, torn.offset);
        writeln!(out, "note      {file} has {bytes} bytes behind offset {offset} that are no whole record:")?;
        writeln!(out, "          being written just now, or left by a crash; nothing in them was ever answered")?;
    }
    match (checked.has_head, head) {
        (Some(true), Some(head)) => writeln!(out, "chain     whole, and {head} is in it"),
        (Some(false), Some(head)) => {
            writeln!(out, "DAMAGED: no record has the hash {head}: an end was cut off, or all of it was written anew")
        }
        _ => writeln!(out, "chain     whole; without --head nobody can see whether an end was cut off"),
    }
}

fn print_json(checked: &Checked, right: bool, out: &mut dyn Write) -> io::Result<()> {
    let torn = checked.torn.as_ref();
    let document = serde_json::json!({
        "ok": right,
        "records": checked.records,
        "dropped": checked.dropped,
        "entries": checked.entries,
        "segments": checked.segments,
        "bytes": checked.bytes,
        "blobs": checked.blobs,
        "checkpoints": checked.checkpoints,
        "first_time": checked.first_time,
        "last_time": checked.last_time,
        "head": checked.head,
        "head_found": checked.has_head,
        "torn_end": torn.map(|torn| serde_json::json!({"file": torn.path, "offset": torn.offset, "bytes": torn.bytes})),
    });
    writeln!(out, "{document}")
}

/// One operation as exported. Effects stay as the journal has them.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    index: usize,
    time: Timestamp,
    op: &'a str,
    actor: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'a RawValue>,
    effects: &'a RawValue,
}

fn export(args: &ExportArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let Format::Jsonl = args.format;
    let mut failed = None;
    let mut visit = |_, frame: &Frame<'_>| {
        let json = frame.payload.json().map_err(|error| error.to_string())?;
        let body = parse_body(&json).map_err(|error| error.to_string())?;
        let wanted =
            args.since.is_none_or(|since| since <= body.time) && args.until.is_none_or(|until| body.time < until);
        if wanted && failed.is_none() {
            let mut lines = body.entries.iter().enumerate();
            failed = lines.find_map(|(index, entry)| line(frame.seq, index, body.time, entry, out).err());
        }
        Ok(())
    };
    walk_kept(&args.state.join("journal"), &mut visit)?;
    failed.map_or(Ok(0), |error| Err(error.into()))
}

fn line(seq: u64, index: usize, time: Timestamp, entry: &EntryView<'_>, out: &mut dyn Write) -> io::Result<()> {
    let line = Line {
        seq,
        index,
        time,
        op: &entry.op,
        actor: entry.actor,
        subject: entry.subject.as_deref(),
        reason: entry.reason.as_deref(),
        before: entry.before,
        effects: entry.effects,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}
