//! Events of runs, in batches: what a busy runtime reports.

use super::connection::Connection;
use super::load::{Figures, Plan, on_all, random};
use crate::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;

/// Events of one run: it starts, takes four steps, and ends.
const OF_A_RUN: usize = 10;
/// Runs of one batch.
const RUNS: usize = 10;

/// Batches of 100 events, of ten runs each.
pub(super) async fn events(plan: &Rc<Plan>, failing: u32) -> anyhow::Result<Figures> {
    let prefix = Rc::new(random("bench")?);
    let next = Rc::new(Cell::new(0_u64));
    on_all(plan, |plan, clock| one_connection(plan, Rc::clone(&prefix), clock, Rc::clone(&next), failing)).await
}

async fn one_connection(
    plan: Rc<Plan>,
    prefix: Rc<String>,
    clock: Rc<SystemClock>,
    next: Rc<Cell<u64>>,
    failing: u32,
) -> anyhow::Result<Figures> {
    let mut connection = Connection::open(plan.address, &plan.key).await?;
    let mut figures = Figures::default();
    while clock.monotonic() < plan.length {
        let first = next.get();
        next.set(first + RUNS as u64);
        let runs = first..first + RUNS as u64;
        let batch: Vec<Value> =
            runs.flat_map(|run| of_a_run(&format!("{prefix}-{run}"), run % 100 < u64::from(failing))).collect();
        let started = clock.monotonic();
        let (status, answer) = connection.ask("POST", "/api/v1/events", &Value::from(batch).to_string()).await?;
        let taken = answer.matches("\"status\":200").count();
        if status == 200 && taken == RUNS * OF_A_RUN {
            figures.add(clock.monotonic().saturating_sub(started));
            figures.allowed += taken as u64;
        } else {
            let answer = answer.to_owned();
            figures.error(format!("{status}, {taken} taken"), &answer);
        }
    }
    Ok(figures)
}

fn of_a_run(run: &str, fails: bool) -> Vec<Value> {
    let event = |number: usize, kind: &str, data: Value| json!({"specversion": "1.0", "id": number.to_string(), "source": "bench", "type": kind, "subject": run, "data": data});
    let agent = json!({"agent": {"id": "rfq-draft"}, "attempt": 1, "title": "A quote packet", "agent_version": "1"});
    let mut events = vec![event(0, "tollgate.run.started", agent)];
    for step in 0..4 {
        let data = json!({"attempt": 1, "step": format!("step-{step}")});
        events.push(event(2 * step + 1, "tollgate.step.started", data.clone()));
        events.push(event(2 * step + 2, "tollgate.step.completed", data));
    }
    let error =
        json!({"attempt": 1, "error": {"code": "provider_unavailable", "message": "the price list did not answer"}});
    events.push(if fails {
        event(OF_A_RUN - 1, "tollgate.run.failed", error)
    } else {
        event(OF_A_RUN - 1, "tollgate.run.completed", json!({"attempt": 1}))
    });
    events
}
