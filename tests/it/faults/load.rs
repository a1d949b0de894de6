//! Callers that keep asking until the daemon is gone, and remember every answer that they got.

use super::process::Process;
use crate::support::{Answer, Caller, example};
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// How many ask at once.
const CALLERS: u64 = 8;

/// Something that was acknowledged, and must be found again word for word.
#[derive(Clone, Debug)]
pub(super) enum Acknowledged {
    /// An admission: what was asked, and the answer.
    Admission(Value, String),
    /// A change of a hold, and how it stands since.
    Hold(String, Value),
    /// A raise's body, and its id.
    Raise(Value, String),
}

/// Load under way.
pub(super) struct Load {
    threads: Vec<JoinHandle<Vec<Acknowledged>>>,
    ticks: Receiver<()>,
}

/// Random numbers from a seed that a failing test prints (`SplitMix64`, Steele et al. 2014).
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    /// A seed that was not used before; `TOLLGATE_TEST_SEED` names one to try again.
    pub(super) fn seeded() -> Self {
        let seed = std::env::var("TOLLGATE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| getrandom::u64().unwrap());
        eprintln!("TOLLGATE_TEST_SEED={seed}");
        Self(seed)
    }

    pub(super) fn forked(&self, by: u64) -> Self {
        Self(self.0 ^ by.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

impl Load {
    /// Begins; `round` keeps the keys of several loads apart.
    pub(super) fn on(process: &Process, round: u64, random: &Random) -> Self {
        let (sender, ticks) = channel();
        let threads = (0..CALLERS).map(|n| {
            let (caller, sender) = (process.admin(), sender.clone());
            let random = random.forked(round * CALLERS + n + 1);
            std::thread::spawn(move || keep_asking(&caller, &format!("{round}-{n}"), random, &sender))
        });
        Self { threads: threads.collect(), ticks }
    }

    /// Returns when so many answers have come.
    pub(super) fn until(&self, answers: u64) {
        for _ in 0..answers {
            self.ticks.recv().expect("the callers are not at their end");
        }
    }

    /// What was acknowledged, once every caller has found the daemon gone.
    pub(super) fn end(self) -> Vec<Acknowledged> {
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

/// Admissions, settlements below what was held, releases, and now and then a raise, until the daemon is gone.
fn keep_asking(caller: &Caller, name: &str, mut random: Random, ticks: &Sender<()>) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    for n in 0_u64.. {
        let body = example(&format!("{name}-{n}"), &format!("0.{}", 1 + random.below(9)));
        let Some(answer) = acked(caller.try_post("/api/v1/admissions", &body)) else { break };
        let _ = ticks.send(());
        acknowledged.push(Acknowledged::Admission(body, answer.text().to_owned()));
        if answer["decision"] == "allow" {
            let hold = answer.hold();
            let (verb, body) = match random.below(4) {
                0 => ("settle", json!({"actual": [{"unit": "usd", "amount": "0.1"}]})),
                1 => ("release", json!({"reason": "not needed"})),
                _ => continue,
            };
            let Some(changed) = acked(caller.try_post(&format!("/api/v1/holds/{hold}/{verb}"), &body)) else { break };
            acknowledged.push(Acknowledged::Hold(hold, changed.json().clone()));
        } else if random.below(50) == 0 {
            let key = format!("raise-{name}-{n}");
            let limit = format!("{}", 21 + random.below(200));
            let body = json!({"limit": limit, "reason": "load", "permanent": true, "idempotency_key": key});
            let Some(raised) = acked(caller.try_post("/api/v1/budgets/tight/raises", &body)) else { break };
            acknowledged.push(Acknowledged::Raise(body, raised["id"].as_str().unwrap().to_owned()));
        }
    }
    acknowledged
}

/// The answer, if it is one: a daemon that drains may still say that it does not take the request.
pub(super) fn acked(answer: Result<Answer, ureq::Error>) -> Option<Answer> {
    let answer = answer.ok()?;
    match answer.status() {
        200 | 201 => Some(answer),
        503 => {
            answer.problem(503, "shutting_down");
            None
        }
        status => panic!("{status}: {}", answer.text()),
    }
}
