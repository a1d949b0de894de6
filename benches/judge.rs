//! What one evaluation costs, by layer: the shipped policies on the RFQ story's request, and the measured rules of the
//! design (base, agent and entity layer with six rules). `cargo bench --bench judge`.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement reads the clock and prints")]

use serde_json::{Value, json};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use tollgate::policy::{Conditions, Engines, EnginesInUse, Layers, Limits, PolicySet, Quarantine, Tree, agree, check};
use tollgate::thread_time::ThreadTime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: u32 = 1_000;
const TRIES: u32 = 20;

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = tollgate::policy_dir::read_tree(&root.join("policies"), &root.join("data"))?;
    let measured = tollgate::policy_dir::read_tree(&root.join("benches/policies"), &root.join("benches/none"))?;
    for (name, tree) in [("shipped policies", shipped), ("benches/policies", measured)] {
        let set = set_of(&tree)?;
        println!("{name}");
        let in_use = EnginesInUse::default();
        for layer in set.layers().filter(|layer| layer.may_run_on_rvm()) {
            in_use.compared(layer, agree(&set, layer, &[input()]));
        }
        for (engine, in_use) in [("interpreter", None), ("where proven, the RVM", Some(&in_use))] {
            println!("  {engine}");
            row("base + agent + entity", &set, Some("rfq"), in_use);
            row("base + agent", &set, None, in_use);
        }
    }
    Ok(())
}

fn set_of(tree: &Tree) -> anyhow::Result<PolicySet> {
    check(tree).map_err(|problems| anyhow::anyhow!("{problems:?}"))
}

fn row(name: &str, set: &PolicySet, entity_type: Option<&str>, in_use: Option<&EnginesInUse>) {
    let input = &input();
    let (limits, quarantine) = (Limits::default(), Quarantine::default());
    let conditions = Conditions {
        now: "2026-11-23T12:00:00Z".parse().unwrap_or_default(),
        limits: &limits,
        quarantine: &quarantine,
        clock: &ThreadTime,
        in_use,
    };
    let layers = Layers { agent: "rfq-draft", entity_type };
    let mut engines = Engines::default();
    let mut judge = || engines.evaluate(set, &layers, black_box(input), &conditions);
    let reasons = judge().reasons.len();
    let took = timed(|| drop(black_box(judge())));
    println!("    {name:24} {:7.1} µs, {reasons} reasons", took.as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

/// The best of some tries: a machine that does something else makes it slower, never faster.
fn timed(mut what: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let started = Instant::now();
        for _ in 0..ROUNDS {
            what();
        }
        best = best.min(started.elapsed());
    }
    best
}

/// As `admission::input_document` makes it of the bench's usual request.
fn input() -> Value {
    json!({
        "kind": "action",
        "agent": {"id": "rfq-draft", "registered": true, "team": "sales", "labels": {}, "owner": "dana", "mode": "enforce"},
        "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
        "entity": {"type": "rfq", "id": "RFQ-1042",
                   "properties": {"customer_id": "metro-equipment", "due_date": "2099-12-01"}},
        "run": {"id": "run-17", "attempt": 1, "step": "price-lookup", "same_step_failures": 0},
        "estimate": [{"unit": "usd", "amount": "0.000000001"}, {"unit": "tokens", "amount": "0.001"}],
        "budgets": [
            {"id": "rfq-draft-daily", "unit": "usd", "limit": "5", "remaining": "4.58",
             "resets_at": "2026-11-24T00:00:00-05:00", "as_of": "2026-11-23T12:00:00Z"},
            {"id": "sales-monthly", "unit": "usd", "limit": "500", "remaining": "412.2",
             "resets_at": "2026-12-01T00:00:00-05:00", "as_of": "2026-11-23T12:00:00Z"},
            {"id": "org-tokens", "unit": "tokens", "limit": "2000000", "remaining": "1900000",
             "resets_at": null, "as_of": "2026-11-23T12:00:00Z"},
        ],
        "connectors": ["erp"],
        "now": {"rfc3339": "2026-11-23T12:00:00Z", "ns": 1_795_435_200_000_000_000_i64},
        "context": {},
    })
}
