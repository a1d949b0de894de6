//! The load itself: connections that ask, and what came of it.

use super::connection::Connection;
use super::requests::Template;
use crate::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::LocalSet;

/// What is to be done.
pub(super) struct Plan {
    pub(super) address: SocketAddr,
    pub(super) key: String,
    pub(super) connections: usize,
    pub(super) length: Duration,
    pub(super) rate: Option<f64>,
    pub(super) settle: bool,
    pub(super) bodies: Vec<Template>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Figures {
    latencies_us: Vec<u32>,
    pub(super) took: Duration,
    pub(super) allowed: u64,
    pub(super) denied: u64,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) first_error: Option<String>,
}

impl Figures {
    pub(super) fn add(&mut self, latency: Duration) {
        self.latencies_us.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn error(&mut self, kind: String, text: &str) {
        self.first_error.get_or_insert_with(|| text.chars().take(500).collect());
        *self.errors.entry(kind).or_default() += 1;
    }

    fn merge(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        self.allowed += other.allowed;
        self.denied += other.denied;
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.first_error = self.first_error.take().or(other.first_error);
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
    pub(super) fn per_second(&self) -> f64 {
        self.latencies_us.len() as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency that so many of a thousand stay under, in milliseconds.
    fn permille(sorted: &[u32], permille: usize) -> f64 {
        let last = sorted.len().saturating_sub(1);
        sorted.get((sorted.len() * permille / 1000).min(last)).map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    }

    fn summary(&self) -> [f64; 4] {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        [500, 990, 999, 1000].map(|permille| Self::permille(&sorted, permille))
    }

    pub(super) fn row(&self, name: &str) -> Vec<String> {
        let mut row = vec![name.to_owned(), self.latencies_us.len().to_string(), format!("{:.0}", self.per_second())];
        row.extend(self.summary().iter().map(|ms| format!("{ms:.2}")));
        row
    }

    pub(super) fn json(&self) -> Value {
        let [p50, p99, p999, max] = self.summary();
        json!({
            "count": self.latencies_us.len(), "per_second": self.per_second(),
            "p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999, "max_ms": max,
        })
    }
}

/// Reads of these paths in turn, on as many connections.
pub(super) async fn reads(plan: &Rc<Plan>, paths: Rc<Vec<String>>, length: Duration) -> anyhow::Result<Figures> {
    let asked = Rc::new(Cell::new(0_usize));
    on_all(plan, move |plan, clock| {
        let (paths, asked) = (Rc::clone(&paths), Rc::clone(&asked));
        async move {
            let mut connection = Connection::open(plan.address, &plan.key).await?;
            let mut figures = Figures::default();
            while clock.monotonic() < length {
                let path = &paths[asked.get() % paths.len()];
                asked.set(asked.get() + 1);
                let started = clock.monotonic();
                let (status, body) = connection.ask("GET", path, "").await?;
                if status == 200 {
                    figures.add(clock.monotonic().saturating_sub(started));
                } else {
                    let body = body.to_owned();
                    figures.error(status.to_string(), &body);
                }
            }
            Ok(figures)
        }
    })
    .await
}

/// A name that no other run of this has.
pub(super) fn random(prefix: &str) -> anyhow::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(format!("{prefix}-{:016x}", u64::from_le_bytes(random)))
}

/// Admissions, and settlements behind them where they are wanted.
pub(super) async fn admissions(plan: &Rc<Plan>) -> anyhow::Result<Figures> {
    let prefix = Rc::new(random("bench")?);
    let asked = Rc::new(Cell::new(0_u64));
    on_all(plan, |plan, clock| one_connection(plan, Rc::clone(&prefix), clock, Rc::clone(&asked))).await
}

/// Runs one task for each connection, all on this thread, and gathers what came of them.
pub(super) async fn on_all<F>(plan: &Rc<Plan>, task: impl Fn(Rc<Plan>, Rc<SystemClock>) -> F) -> anyhow::Result<Figures>
where
    F: Future<Output = anyhow::Result<Figures>> + 'static,
{
    let clock = Rc::new(SystemClock::new());
    let local = LocalSet::new();
    let tasks: Vec<_> =
        (0..plan.connections).map(|_| local.spawn_local(task(Rc::clone(plan), Rc::clone(&clock)))).collect();
    local
        .run_until(async {
            let mut figures = Figures::default();
            for task in tasks {
                figures.merge(task.await??);
            }
            figures.took = clock.monotonic();
            Ok(figures)
        })
        .await
}

async fn one_connection(
    plan: Rc<Plan>,
    prefix: Rc<String>,
    clock: Rc<SystemClock>,
    asked: Rc<Cell<u64>>,
) -> anyhow::Result<Figures> {
    let mut connection = Connection::open(plan.address, &plan.key).await?;
    let mut figures = Figures::default();
    while clock.monotonic() < plan.length {
        let number = asked.get();
        asked.set(number + 1);
        let started = match plan.rate {
            Some(rate) => due(&clock, number, rate).await,
            None => clock.monotonic(),
        };
        let template = &plan.bodies[usize::try_from(number).unwrap_or(0) % plan.bodies.len()];
        let body = template.under(&format!("{prefix}-{number}"));
        let (status, answer) = connection.ask("POST", "/api/v1/admissions", &body).await?;
        if status != 200 {
            let answer = answer.to_owned();
            figures.error(status.to_string(), &answer);
            continue;
        }
        figures.add(clock.monotonic().saturating_sub(started));
        if !answer.contains("\"decision\":\"allow\"") {
            figures.denied += 1;
            figures.first_error.get_or_insert_with(|| answer.chars().take(500).collect());
            continue;
        }
        figures.allowed += 1;
        if plan.settle {
            let hold = answer.split_once("\"hold\":{\"id\":\"").and_then(|(_, rest)| rest.split_once('"'));
            let Some((hold, _)) = hold else { continue };
            let path = format!("/api/v1/holds/{hold}/settle");
            let started = clock.monotonic();
            let (status, answer) = connection.ask("POST", &path, &template.settlement).await?;
            if status == 200 {
                figures.add(clock.monotonic().saturating_sub(started));
            } else {
                let answer = answer.to_owned();
                figures.error(format!("settle {status}"), &answer);
            }
        }
    }
    Ok(figures)
}

/// Waits until a request is due, and says when it was: a late one has waited already.
async fn due(clock: &SystemClock, number: u64, rate: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
    let due = Duration::from_secs_f64(number as f64 / rate);
    let early = due.saturating_sub(clock.monotonic());
    if !early.is_zero() {
        tokio::time::sleep(early).await;
    }
    due
}
