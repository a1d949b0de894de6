//! The converter, checked on the data where it is there.

use super::{convert, source};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn every_tool_call_is_one_request_in_the_order_of_the_file() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let requests = convert::requests(&data)?;
    assert_eq!((data.runs.len(), requests.len()), (200, 1_164));
    let calls = data.runs.iter().flat_map(|run| &run.events).filter_map(|event| match event {
        source::Event::ToolCall { name, arguments } => Some((name, arguments)),
        _ => None,
    });
    for (request, (name, arguments)) in requests.iter().zip(calls) {
        assert_eq!(request["action"], json!({"name": name, "properties": arguments}));
    }
    let keys: BTreeSet<_> = requests.iter().map(|request| request["idempotency_key"].as_str()).collect();
    assert_eq!(keys.len(), requests.len(), "idempotency keys are not unique");
    Ok(())
}

#[test]
fn a_request_is_small_carries_its_record_and_says_nothing_of_the_outcome() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let on_nothing = [
        "calculate",
        "list_all_airports",
        "search_direct_flight",
        "search_onestop_flight",
        "think",
        "transfer_to_human_agents",
    ];
    for request in convert::requests(&data)? {
        let (key, name) = (&request["idempotency_key"], request["action"]["name"].as_str().context("a name")?);
        let text = request.to_string();
        assert!(text.len() < 16 * 1024, "{key} has {} bytes", text.len());
        assert!(!text.contains("succeeded"), "{key} tells the outcome");
        if on_nothing.contains(&name) {
            assert!(request.get("entity").is_none(), "{key}: {name} acts on nothing");
        } else {
            let properties =
                request["entity"]["properties"].as_object().with_context(|| format!("{key}: no record"))?;
            assert!(!properties.is_empty(), "{key}: an unknown record");
        }
    }
    Ok(())
}

#[test]
fn a_run_sees_its_own_changes_and_no_other_run_does() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let requests = convert::requests(&data)?;
    let find = |key: &str| requests.iter().find(|request| request["idempotency_key"] == key).context("no such request");
    // Run 151 pays with a certificate in its sixth call, and asks to pay with it again in its seventh.
    let wallet = |request: &Value| request["entity"]["properties"]["payment_methods"].clone();
    let (before, after) = (wallet(find("tau/151/6")?), wallet(find("tau/151/7")?));
    assert!(before.get("certificate_7504069").is_some() && after.get("certificate_7504069").is_none());
    // Its tenth call books anew, and its eleventh cancels what that made.
    let cancelled = &find("tau/151/11")?["entity"];
    assert_eq!(
        (&cancelled["id"], &cancelled["properties"]["created_at"]),
        (&json!("HATHAU"), &json!("2024-05-15T15:00:00"))
    );
    // The next run of that user starts from the snapshot.
    assert!(wallet(find("tau/101/4")?).get("certificate_7504069").is_some());
    Ok(())
}

#[test]
fn the_requests_can_be_written_for_simulate() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let requests = convert::requests(&data)?;
    let file = tempfile::NamedTempFile::new()?;
    convert::write_jsonl(&requests, file.path())?;
    let text = std::fs::read_to_string(file.path())?;
    let read: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(read, requests);
    Ok(())
}

#[test]
fn an_estimate_is_the_turn_that_wrote_the_call() -> Result<()> {
    // 10 characters read are 3 tokens, `think{"t":""}` written are 13 characters and 4 tokens.
    let estimate = super::estimate::of_call(10, "think", &json!({"t": ""}))?;
    assert_eq!(estimate, json!([{"unit": "usd", "amount": "0.000075"}, {"unit": "tokens", "amount": "7"}]));
    Ok(())
}

#[test]
fn a_few_runs_cost_more_than_their_cap_and_all_of_them_less_than_the_day() -> Result<()> {
    let Some(data) = source::find()? else { return Ok(()) };
    let limit = |budget: &Value| -> Result<i64> {
        Ok(budget["limit"].as_str().context("a limit")?.parse::<tollgate::vocabulary::Amount>()?.nanos())
    };
    let [day, run] = super::budgets::all();
    let mut runs = std::collections::BTreeMap::<String, i64>::new();
    for request in convert::requests(&data)? {
        let usd: tollgate::vocabulary::Amount = request["estimate"][0]["amount"].as_str().context("usd")?.parse()?;
        *runs.entry(request["run"]["id"].to_string()).or_default() += usd.nanos();
    }
    let (cap, total) = (limit(&run)?, runs.values().sum::<i64>());
    assert_eq!(total, 17_138_645_000);
    assert!(total < limit(&day)?);
    assert_eq!(runs.values().filter(|spent| **spent > cap).count(), 11);
    Ok(())
}
