//! A small reference runtime: it claims attempts, acknowledges, asks the gate before each step, reports, settles, and
//! honours a cancellation. What it is told to do is a script.

use super::caller::{Answer, Caller};
use serde_json::{Value, json};
use std::cell::Cell;
use std::time::Duration;
use tollgate::clock::ManualClock;

/// A worker of one agent.
pub(crate) struct Runtime {
    caller: Caller,
    worker: String,
    agent: String,
    next: Cell<u64>,
    clock: Option<ManualClock>,
}

/// An attempt that it has.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) run: String,
    pub(crate) attempt: u64,
    pub(crate) lease: Option<String>,
    /// What it was handed.
    pub(crate) claim: Value,
}

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed,
    Blocked,
    Cancelled,
}

/// One step of its work.
pub(crate) struct Step<'a> {
    pub(crate) name: &'a str,
    pub(crate) usd: &'a str,
    /// The code that it fails with.
    pub(crate) fails: Option<&'a str>,
}

impl<'a> Step<'a> {
    pub(crate) fn good(name: &'a str, usd: &'a str) -> Self {
        Self { name, usd, fails: None }
    }
}

impl Runtime {
    pub(crate) fn new(caller: Caller, worker: &str, agent: &str) -> Self {
        Self { caller, worker: worker.to_owned(), agent: agent.to_owned(), next: Cell::new(0), clock: None }
    }

    /// A second passes with each thing that it does.
    pub(crate) fn paced(self, clock: &ManualClock) -> Self {
        Self { clock: Some(clock.clone()), ..self }
    }

    fn pass(&self) {
        if let Some(clock) = &self.clock {
            clock.advance(Duration::from_secs(1));
        }
    }

    /// One event of its own, ready to be sent.
    pub(crate) fn event(&self, run: &str, kind: &str, mut data: Value) -> Value {
        self.pass();
        if data.get("agent").is_none() {
            data["agent"] = json!({"id": self.agent});
        }
        self.next.set(self.next.get() + 1);
        json!({
            "specversion": "1.0", "id": self.next.get().to_string(), "source": format!("runtime/{}", self.worker),
            "type": kind, "subject": run, "data": data
        })
    }

    /// Sends an event.
    pub(crate) fn report(&self, run: &str, kind: &str, data: Value) -> Answer {
        self.caller.post("/api/v1/events", &self.event(run, kind, data))
    }

    /// Queues a run for workers.
    pub(crate) fn queue(&self, run: &str, input: Value) -> Answer {
        let data = json!({"agent": {"id": self.agent}, "dispatch": "claim", "input": input});
        self.report(run, "tollgate.run.queued", data).expect(200)
    }

    /// Asks for an attempt.
    pub(crate) fn claim(&self, wait_s: u64) -> Option<Held> {
        let body = json!({"worker": self.worker, "agents": [self.agent], "wait_s": wait_s});
        let answer = self.caller.post("/api/v1/attempts/claim", &body);
        if answer.status() == 204 {
            return None;
        }
        let answer = answer.expect(200);
        Some(Held {
            run: answer["run"].as_str().unwrap().to_owned(),
            attempt: answer["attempt"].as_u64().unwrap(),
            lease: Some(answer["lease"].as_str().unwrap().to_owned()),
            claim: answer.json().clone(),
        })
    }

    /// Reports of an attempt that it has; whether it was told to stop.
    pub(crate) fn tell(&self, held: &Held, kind: &str, mut data: Value) -> bool {
        data["attempt"] = held.attempt.into();
        if let Some(lease) = &held.lease {
            data["lease"] = lease.clone().into();
        }
        let answer = self.report(&held.run, kind, data).expect(200);
        assert_eq!(answer["items"][0]["standing"], "counted", "{}", answer.text());
        answer["items"][0]["cancelled"].as_bool().unwrap()
    }

    /// The admission of a step.
    pub(crate) fn ask(&self, held: &Held, step: &Step<'_>) -> Answer {
        self.pass();
        let mut run = json!({"id": held.run, "attempt": held.attempt, "step": step.name});
        if let Some(lease) = &held.lease {
            run["lease"] = lease.clone().into();
        }
        self.caller.admit(&json!({
            "idempotency_key": format!("{}/{}/{}", held.run, held.attempt, step.name),
            "agent": {"id": self.agent},
            "action": {"name": "draft_quote", "properties": {}},
            "entity": {"type": "rfq", "id": "RFQ-1042", "properties": {"due_date": "2026-12-01"}},
            "run": run, "connectors": ["erp"],
            "estimate": [{"unit": "usd", "amount": step.usd}],
        }))
    }

    /// Works on an attempt from its acknowledgement to its end.
    pub(crate) fn work(&self, held: &Held, steps: &[Step<'_>]) -> End {
        let mut stop = self.tell(held, "tollgate.run.acknowledged", json!({"worker": self.worker}));
        stop |= self.tell(held, "tollgate.run.started", json!({}));
        for step in steps {
            if stop {
                self.tell(held, "tollgate.run.cancelled", json!({}));
                return End::Cancelled;
            }
            self.tell(held, "tollgate.step.started", json!({"step": step.name}));
            let asked = self.ask(held, step).expect(200);
            if asked["decision"] == "deny" {
                let reason = asked["reasons"][0].clone();
                let error = json!({"code": reason["code"], "message": reason["message"], "details": reason});
                self.tell(held, "tollgate.run.blocked", json!({"step": step.name, "error": error}));
                return End::Blocked;
            }
            if let Some(code) = step.fails {
                self.caller.release(&asked.hold()).expect(200);
                let error = json!({"code": code, "message": format!("{} does not answer", step.name)});
                self.tell(held, "tollgate.step.failed", json!({"step": step.name, "error": error.clone()}));
                self.tell(held, "tollgate.run.failed", json!({"step": step.name, "error": error}));
                return End::Failed;
            }
            self.caller.settle(&asked.hold(), step.usd).expect(200);
            let checkpoint = json!({"id": format!("after-{}", step.name), "state": {"done": step.name}});
            stop = self.tell(held, "tollgate.step.completed", json!({"step": step.name}));
            stop |= self.tell(held, "tollgate.checkpoint.saved", json!({"step": step.name, "checkpoint": checkpoint}));
        }
        self.tell(held, "tollgate.run.completed", json!({}));
        End::Completed
    }
}
