//! `tollgate attention bulk`: the same done to many items, by a list that a preview froze.

use super::client::{Client, field, table};
use anyhow::bail;
use serde_json::{Map, Value, json};
use std::io::Write;

/// The act, and on which items
#[derive(Clone, Debug, clap::Args)]
pub(super) struct BulkArgs {
    #[arg(
        value_parser = ["retry", "cancel", "force_stop", "assign", "snooze", "escalate", "resolve"],
        help = "What is to be done: retry, cancel, force_stop, assign, snooze, escalate, resolve"
    )]
    act: String,
    /// The items; without them, those that fit --state, --kind and so on
    ids: Vec<String>,
    /// In this state
    #[arg(long)]
    state: Option<String>,
    /// Of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Of this class
    #[arg(long)]
    class: Option<String>,
    /// Of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Of this person
    #[arg(long)]
    of: Option<String>,
    /// All of this group of: groups --by fingerprint
    #[arg(long)]
    fingerprint: Option<String>,
    /// All of this group of: groups --by fix
    #[arg(long)]
    fix: Option<String>,
    /// Those without a decision alone
    #[arg(long)]
    without_decision: bool,
    #[arg(long, help = "Why (retry, cancel, force_stop, escalate, resolve)")]
    reason: Option<String>,
    #[arg(
        long,
        help = "no_longer_needed, wrong_record, noise or denial_was_right; resolve also fixed (cancel, resolve)"
    )]
    category: Option<String>,
    /// Acknowledge the side effects that the preview names (retry)
    #[arg(long)]
    acknowledge_all: bool,
    /// The person (assign)
    #[arg(long)]
    owner: Option<String>,
    /// By when, RFC 3339 (assign)
    #[arg(long)]
    due_at: Option<String>,
    /// The fix that they wait for (assign)
    #[arg(long)]
    waits_for: Option<String>,
    /// Until when, RFC 3339 (snooze)
    #[arg(long)]
    until: Option<String>,
    /// To whom (escalate)
    #[arg(long)]
    to: Option<String>,
    /// Do it; without this the preview is shown, and nothing is done
    #[arg(long)]
    yes: bool,
}

/// Runs it. Exit code 1 where one of them was refused, or would be.
pub(super) fn bulk(args: &BulkArgs, client: &Client, as_json: bool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let act = json!({ &args.act: act(args)? });
    let mut asked = json!({"act": act});
    let query = query(args);
    match (args.ids.is_empty(), query.is_empty()) {
        (false, true) => asked["ids"] = json!(args.ids),
        (true, false) => asked["query"] = Value::Object(query),
        (true, true) => bail!("name items, or say which by --state, --fix, --fingerprint and so on"),
        (false, false) => bail!("name items or say which by --state and so on, not both"),
    }
    let preview = client.send("POST", "/api/v1/attention/bulk/preview", Some(&asked), None)?.ok()?;
    let frozen: Vec<Value> = items(&preview).filter(|item| item["status"] == 200).map(frozen).collect();
    let refused: Vec<Value> = items(&preview).filter(|item| item["status"] != 200).cloned().collect();
    if !args.yes || frozen.is_empty() {
        tell(out, &preview, as_json)?;
        return Ok(u8::from(!refused.is_empty()));
    }
    let body = json!({"act": act, "items": frozen});
    let mut done = client.send("POST", "/api/v1/attention/bulk", Some(&body), None)?.ok()?;
    // what the preview refused was not handed in: it is told beside what was done
    if let Some(list) = done["items"].as_array_mut() {
        list.extend(refused);
    }
    if preview["more"] == true {
        done["more"] = json!(true);
    }
    tell(out, &done, as_json)?;
    Ok(u8::from(items(&done).any(|item| item["status"] != 200)))
}

fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().into_iter().flatten()
}

fn frozen(item: &Value) -> Value {
    let mut frozen = json!({"id": item["id"], "revision": item["revision"]});
    if item["plan_version"].is_string() {
        frozen["plan_version"] = item["plan_version"].clone();
    }
    frozen
}

/// The fields of the act that were given; what is missing or too much, the daemon says.
fn act(args: &BulkArgs) -> anyhow::Result<Value> {
    let mut body = Map::new();
    for (name, value) in [
        ("reason", &args.reason),
        ("category", &args.category),
        ("owner", &args.owner),
        ("due_at", &args.due_at),
        ("fix", &args.waits_for),
        ("until", &args.until),
        ("to", &args.to),
    ] {
        if let Some(value) = value {
            body.insert(name.to_owned(), json!(value));
        }
    }
    if args.acknowledge_all {
        if args.act != "retry" {
            bail!("--acknowledge-all belongs to retry");
        }
        body.insert("acknowledge_side_effects".to_owned(), json!(true));
    }
    Ok(Value::Object(body))
}

fn query(args: &BulkArgs) -> Map<String, Value> {
    let mut query = Map::new();
    for (name, value) in [
        ("state", &args.state),
        ("kind", &args.kind),
        ("class", &args.class),
        ("agent", &args.agent),
        ("owner", &args.of),
        ("fingerprint", &args.fingerprint),
        ("fix", &args.fix),
    ] {
        if let Some(value) = value {
            query.insert(name.to_owned(), json!(value));
        }
    }
    if args.without_decision {
        query.insert("without_decision".to_owned(), json!(true));
    }
    query
}

fn tell(out: &mut dyn Write, answer: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = items(answer)
        .map(|item| {
            let effects = item["side_effects"].as_array().map_or(0, Vec::len);
            let effects = if effects == 0 { String::new() } else { effects.to_string() };
            let [id, status, state, code, detail] =
                ["/id", "/status", "/state", "/problem/code", "/problem/detail"].map(|at| field(item, at));
            vec![id, status, state, effects, code, detail]
        })
        .collect();
    table(out, &["ID", "STATUS", "STATE", "SIDE EFFECTS", "REFUSED", "WHY"], &rows)?;
    if answer["more"] == true {
        writeln!(out, "more fit than one act takes: ask again for the rest")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_a_table() {
        let answer = json!({"more": true, "items": [
            {"id": "item_1", "status": 200, "state": "retrying", "side_effects": [{"id": "hold_1"}]},
            {"id": "item_2", "status": 409, "problem": {"code": "setup_required", "detail": "no\u{1b}[2J"}}]});
        let mut out = Vec::new();
        tell(&mut out, &answer, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("item_1  200     retrying  1") && text.contains("setup_required  no[2J"), "{text}");
        assert!(text.ends_with("ask again for the rest\n"), "{text}");
    }
}
