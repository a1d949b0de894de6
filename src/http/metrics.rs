//! Metrics: counted wherever something happens, by name, and shown here in Prometheus' text form.
//!
//! Names are `tollgate_*` with their unit. Labels come from closed lists: never an agent, a run or anything else that a
//! caller can make more of; budgets are the admin's own and have one series each.

use super::caller::{Caller, Gate};
use super::edge::Edge;
use super::problem::Problem;
use crate::budget::{BudgetView, view};
use crate::operations::{App, Operation, OperationError};
use crate::vocabulary::{Balance, BudgetId, CODES};
use actix_web::{HttpRequest, HttpResponse, web};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Bounds of histograms of seconds: from 50 µs to 10 s.
const SECONDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Bounds of the histogram of batch sizes.
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// So many budgets have series of their own: a scrape must stay one.
const MOST_BUDGETS: usize = 1_000;

/// Whether `/metrics` answers without a key.
#[derive(Clone, Copy, Debug)]
pub struct Open(pub bool);

/// Sets the process's recorder, once; later daemons of the same process (tests) share it.
pub fn install() -> Option<&'static PrometheusHandle> {
    RECORDER
        .get_or_init(|| {
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZES))
                .ok()?;
            let handle = builder.install_recorder().ok()?;
            describe();
            Some(handle)
        })
        .as_ref()
}

/// What is counted along the way.
const COUNTED: [(&str, &str); 14] = [
    ("tollgate_decisions_total", "Admissions decided, by decision"),
    ("tollgate_denials_total", "Reasons of denials, by code"),
    ("tollgate_policy_sets_refused_total", "Policy trees that were not taken"),
    ("tollgate_policy_layers_compiled_total", "Layers compiled because they or what they import changed"),
    ("tollgate_policy_asked_again_total", "Layers asked a second time because they seemed to be out of time"),
    ("tollgate_policy_engines_built_total", "Engines that workers built or read back, by engine"),
    ("tollgate_throttled_total", "Requests refused before they were judged, by the allowance spent"),
    ("tollgate_commit_dropped_total", "Commands that nobody waited for any more, not decided"),
    ("tollgate_http_stalled_total", "Connections closed because the client neither asked nor read"),
    ("tollgate_http_crowded_out_total", "Quiet connections closed to make room where nearly all places were taken"),
    ("tollgate_engine_alarms_total", "Layers that lost the trust in the faster engine"),
    ("tollgate_journal_bytes_total", "Bytes appended to the journal"),
    ("tollgate_journal_failures_total", "Batches that could not be made durable"),
    ("tollgate_store_findings_total", "Bad places found in the state directory since the start"),
];

/// What is measured along the way, and has a distribution.
const MEASURED: [(&str, &str); 5] = [
    ("tollgate_policy_seconds", "Evaluating the layers of one admission"),
    ("tollgate_commit_seconds", "From joining the queue to the durable answer"),
    ("tollgate_commit_batch_size", "Commands of one batch"),
    ("tollgate_journal_flush_seconds", "Writing and fsyncing one batch"),
    ("tollgate_http_request_seconds", "Requests, by route and class of status"),
];

const ENGINE_BYTES: (&str, &str) = ("tollgate_policy_engine_bytes", "What the engines of all workers take, about");
const QUEUE_DEPTH: (&str, &str) = ("tollgate_commit_queue_depth", "Commands that waited when the last batch began");

/// Says what each is, and shows the counters from the start on: an alert on what was never counted would never fire.
fn describe() {
    for (name, help) in COUNTED {
        describe_counter!(name, help);
    }
    for (name, help) in MEASURED {
        describe_histogram!(name, help);
    }
    describe_gauge!(ENGINE_BYTES.0, ENGINE_BYTES.1);
    describe_gauge!(QUEUE_DEPTH.0, QUEUE_DEPTH.1);
    let codes: Vec<&str> = CODES.iter().map(|row| row.text).collect();
    let labelled: [(&str, &str, &[&'static str]); 5] = [
        ("tollgate_decisions_total", "decision", &["allow", "deny"]),
        ("tollgate_denials_total", "code", &codes),
        ("tollgate_policy_engines_built_total", "engine", &["interpreter", "rvm"]),
        ("tollgate_throttled_total", "spent", &["agent_rate", "key_rate", "agent_waiting", "key_waiting"]),
        ("tollgate_commit_dropped_total", "why", &["late", "gone"]),
    ];
    for (name, _) in COUNTED {
        match labelled.iter().find(|(labelled, ..)| *labelled == name) {
            Some((_, label, values)) => {
                for value in *values {
                    metrics::counter!(name, *label => *value).increment(0);
                }
            }
            None => metrics::counter!(name).increment(0),
        }
    }
}

/// Drains histograms now and then, so that they do not grow where nobody scrapes.
pub async fn upkeep() {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        if let Some(Some(handle)) = RECORDER.get() {
            handle.run_upkeep();
        }
    }
}

/// Read the metrics
///
/// In Prometheus' text form. Open on a daemon that listens on loopback or says `public_metrics`; else for the roles
/// operator, auditor and admin.
#[utoipa::path(get, path = "/metrics", operation_id = "read_metrics", tag = "system", security((), ("key" = [])),
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain")))]
pub async fn read_metrics(
    gate: Gate,
    request: HttpRequest,
    caller: Result<Caller, Problem>,
) -> Result<HttpResponse, Problem> {
    let open = request.app_data::<Open>().is_some_and(|open| open.0);
    if !open {
        caller?.0.may(Operation::ReadMetrics).map_err(|error| Problem::from(OperationError::Forbidden(error)))?;
    }
    let mut text = install().map(PrometheusHandle::render).unwrap_or_default();
    if let Some(edge) = request.app_data::<web::ThinData<Arc<Edge>>>() {
        gauge(&mut text, CONNECTIONS.0, CONNECTIONS.1, edge.connections.count() as u64);
    }
    state(&gate, &mut text);
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// What is read when somebody asks, in the order of its values.
const READ: [(&str, &str); 17] = [
    ("tollgate_open_holds", "Holds that are pending"),
    ("tollgate_accounts", "Accounts in memory"),
    ("tollgate_commands_waiting", "Commands waiting for the writer"),
    ("tollgate_journal_bytes", "Size of the journal"),
    ("tollgate_journal_segments", "Segment files of the journal"),
    ("tollgate_index_lag_records", "Records that the database behind does not have yet"),
    ("tollgate_checkpoint_lag_records", "Records behind the last checkpoint"),
    ("tollgate_holds_in_memory", "Holds in memory, pending or ended lately"),
    ("tollgate_keys_remembered", "Used idempotency keys that are remembered"),
    ("tollgate_open_runs", "Runs that are neither completed nor cancelled"),
    ("tollgate_runs_in_memory", "Runs in memory, open or over"),
    ("tollgate_open_items", "Items of Command Center that are not resolved"),
    ("tollgate_store_findings", "Bad places found in the state directory"),
    ("tollgate_store_failed", "1 where the store takes no commands"),
    ("tollgate_policy_set_refused", "1 where the directory's policies were not taken"),
    ("tollgate_attention_storm", "Storms under way: a failure that comes over and over"),
    ("tollgate_clock_jumped", "1 where the wall clock is not trusted"),
];

/// What is read from the state when somebody asks, instead of being counted along the way: it is never out of step.
fn state(app: &App, text: &mut String) {
    let status = app.store.status();
    let storms = app.storms.lock().under_way();
    let (holds, in_memory, accounts, keys) =
        app.read(|state| (state.open_holds(), state.hold_count(), state.account_count(), state.key_count()));
    let (open_runs, runs, items) =
        app.read(|state| (state.runs().open_count(), state.runs().count(), state.attention().unresolved_count()));
    let values = [
        holds as u64,
        accounts as u64,
        status.queue_depth as u64,
        status.journal_bytes,
        status.segments,
        status.index_lag,
        status.checkpoint_lag,
        in_memory as u64,
        status.used_keys + keys as u64,
        open_runs as u64,
        runs as u64,
        items as u64,
        status.findings.len() as u64,
        u64::from(status.failed.is_some()),
        u64::from(app.refused.read().is_some()),
        storms as u64,
        u64::from(app.guard.now().is_err()),
    ];
    for ((name, help), value) in READ.iter().zip(values) {
        gauge(text, name, help, value);
    }
    budgets(app, text);
}

fn gauge(text: &mut String, name: &str, help: &str, value: u64) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
}

const BUDGET_COUNT: (&str, &str) = ("tollgate_budgets", "Budgets; the first thousand of them have series of their own");
const CONNECTIONS: (&str, &str) = ("tollgate_http_connections", "Open connections");

/// What is read of each budget.
const BUDGETS: [(&str, &str); 4] = [
    ("tollgate_budget_spent_units", "Booked in the current window"),
    ("tollgate_budget_held_units", "Set aside in the current window"),
    ("tollgate_budget_unsettled_units", "Held by holds that expired without a word"),
    ("tollgate_budget_limit_units", "Limit in force, summed over accounts"),
];

fn budgets(app: &App, text: &mut String) {
    let now = app.now();
    let (ids, all): (Vec<BudgetId>, usize) = app.read(|state| {
        let alive = || state.budgets().filter(|budget| budget.deleted_at.is_none()).map(|budget| budget.id());
        (alive().take(MOST_BUDGETS).cloned().collect(), alive().count())
    });
    // a look at the state for each: the writer does not wait for all of them
    let look =
        |id: &BudgetId| app.read(|state| state.budget(id).map(|budget| view(budget, state.accounts_of(id), now)));
    let views: Vec<BudgetView> = ids.iter().filter_map(look).collect();
    gauge(text, BUDGET_COUNT.0, BUDGET_COUNT.1, all as u64);
    let figures: [fn(&crate::budget::AccountUsage) -> Balance; 4] =
        [|usage| usage.spent, |usage| usage.held, |usage| usage.unsettled, |usage| usage.limit_in_force];
    for ((name, help), pick) in BUDGETS.iter().zip(figures) {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for view in &views {
            let accounts = view.usage.iter().chain(view.accounts.iter().flatten());
            let sum = accounts.map(pick).try_fold(Balance::ZERO, Balance::checked_add);
            if let Some(sum) = sum {
                let _ = writeln!(text, "{name}{{budget=\"{}\",unit=\"{}\"}} {sum}", view.spec.id, view.spec.unit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every name in a text that has the form of one of ours, between two delimiters.
    fn names(text: &str, delimiter: char) -> BTreeSet<String> {
        let looks_right = |part: &&str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let parts = text.split(delimiter).filter(|part| part.starts_with("tollgate_")).filter(looks_right);
        parts.map(str::to_owned).collect()
    }

    #[test]
    fn what_is_counted_shown_and_documented_is_the_same() {
        let (read, counted) = (
            READ.iter().chain(&BUDGETS).chain([&BUDGET_COUNT, &CONNECTIONS]),
            COUNTED.iter().chain(&MEASURED).chain([&QUEUE_DEPTH, &ENGINE_BYTES]),
        );
        let here: BTreeSet<String> = read.chain(counted.clone()).map(|(name, _)| (*name).to_owned()).collect();
        let manual = include_str!("../../docs/operating.md");
        let documented = manual.split("\n## ").find(|part| part.starts_with("Metrics")).unwrap();
        assert_eq!(names(documented, '`'), here);

        // what is counted anywhere is described here
        let mut used = BTreeSet::new();
        for entry in walkdir::WalkDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")) {
            let path = entry.unwrap().into_path();
            if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("http/metrics.rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                for call in source.split("metrics::").skip(1) {
                    if ["counter!(", "gauge!(", "histogram!("].iter().any(|kind| call.starts_with(kind)) {
                        used.insert(call.split('"').nth(1).unwrap().to_owned());
                    }
                }
            }
        }
        let counted: BTreeSet<String> = counted.map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(used, counted);
    }

    #[test]
    fn counters_are_there_before_anything_is_counted() {
        let text = install().unwrap().render();
        for (name, help) in COUNTED {
            assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name}\n{text}");
        }
        assert!(text.contains("tollgate_denials_total{code=\"budget_exceeded\"}"), "{text}");
    }
}
