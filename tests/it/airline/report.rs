//! A recorded run as its runtime would have reported it: it asks the gate before each tool call, reports each step, and
//! says at the end how the run stands.
//!
//! How it ends is what a runtime can know. A *matter* is a tool and the record that it acts on. The last call about each
//! matter leaves it done, refused by the gate, or failed by the tool's error. A run with a refused matter is `blocked`, else
//! one with a failed matter `failed`, with the latest such call's error; every other run is `completed`.

use super::source::{Event, Run};
use crate::support::{Answer, Caller};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tollgate::clock::{Clock as _, ManualClock};

/// How long everything in a run takes, and the pause between two runs.
const PACE: Duration = Duration::from_secs(1);

/// Reports runs, one after another.
pub(crate) struct Reporter<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) clock: &'a ManualClock,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The status that it was reported to end with.
    pub(crate) end: &'static str,
    /// The error that it was reported with.
    pub(crate) error: Option<Value>,
    /// How many events were sent.
    pub(crate) events: usize,
    /// The tools' own errors among them.
    pub(crate) tool_errors: Vec<String>,
}

/// A step that did not go well.
#[derive(Clone, Debug)]
struct Bad {
    step: String,
    error: Value,
    refused: bool,
}

/// One run under way.
struct Course<'a> {
    reporter: &'a Reporter<'a>,
    id: String,
    /// Made and not yet sent.
    waiting: Vec<Value>,
    told: Told,
    /// What became of each matter, and at which call.
    matters: BTreeMap<String, (usize, Option<Bad>)>,
}

impl Reporter<'_> {
    /// Tells of a whole run, whose calls are these requests.
    pub(crate) fn tell(&self, run: &Run, id: &str, requests: &[Value]) -> Result<Told> {
        let (told, matters) = (Told::default(), BTreeMap::new());
        let mut course = Course { reporter: self, id: id.to_owned(), waiting: Vec::new(), told, matters };
        self.clock.advance(PACE);
        let title = format!("Task {}, trial {}", run.task_id, run.trial);
        course.event("tollgate.run.started", json!({"agent": {"id": "airline"}, "attempt": 1, "title": title}));
        let mut calls = requests.iter().enumerate();
        let mut open = None;
        for event in &run.events {
            self.clock.advance(PACE);
            match event {
                Event::ToolCall { .. } => {
                    let (call, request) = calls.next().context("a call without a request")?;
                    open = Some((call, request, course.ask(call, request)?));
                }
                Event::ToolResult { error, .. } => {
                    let (call, request, refusal) = open.take().context("a result without a call")?;
                    course.result(call, request, refusal, error.as_deref());
                }
                _ => {}
            }
        }
        ensure!(open.is_none() && calls.next().is_none(), "every call has its result");
        Ok(course.end())
    }
}

impl Course<'_> {
    fn event(&mut self, kind: &str, data: Value) {
        self.told.events += 1;
        let time = self.reporter.clock.wall();
        self.waiting.push(json!({
            "specversion": "1.0", "id": self.told.events.to_string(), "source": "tau-bench", "type": kind,
            "subject": self.id, "time": time.to_string(), "data": data
        }));
    }

    fn send(&mut self) {
        let batch = std::mem::take(&mut self.waiting);
        let answer = self.reporter.caller.post("/api/v1/events", &json!(batch)).expect(200);
        for item in answer["items"].as_array().into_iter().flatten() {
            assert_eq!(item["standing"], "counted", "{}", answer.text());
        }
    }

    /// Begins a step and asks for its admission; the gate's refusal, if it is one. What is allowed costs its estimate,
    /// whatever the tool answers: it is the turn that is paid.
    fn ask(&mut self, call: usize, request: &Value) -> Result<Option<Value>> {
        self.event("tollgate.step.started", json!({"step": request["run"]["step"]}));
        self.send();
        let answer: Answer = self.reporter.caller.admit(request).expect(200);
        if answer["decision"] == "allow" {
            let actual = json!({"actual": request["estimate"]});
            self.reporter.caller.post(&format!("/api/v1/holds/{}/settle", answer.hold()), &actual).expect(200);
            return Ok(None);
        }
        let reason = answer["reasons"].get(0).with_context(|| format!("call {call} was denied without a reason"))?;
        Ok(Some(json!({"code": reason["code"], "message": reason["message"], "details": {"admission": answer["id"]}})))
    }

    /// What the tool answered. Where the gate refused, its word is the one that stands, and that the tool went along is not told: it
    /// would not have been called.
    fn result(&mut self, call: usize, request: &Value, refusal: Option<Value>, error: Option<&str>) {
        let step = request["run"]["step"].as_str().unwrap_or_default().to_owned();
        let mut bad = None;
        if let Some(error) = error {
            self.told.tool_errors.push(error.to_owned());
            let error = json!({"code": "tool_error", "message": error});
            self.event("tollgate.step.failed", json!({"step": step, "error": error}));
            bad = Some(Bad { step: step.clone(), error, refused: false });
        }
        if let Some(error) = refusal {
            self.event("tollgate.step.failed", json!({"step": step, "error": error}));
            bad = Some(Bad { step: step.clone(), error, refused: true });
        }
        if bad.is_none() {
            self.event("tollgate.step.completed", json!({"step": step}));
        }
        let matter = format!("{} {}", request["action"]["name"], request["entity"]["id"]);
        self.matters.insert(matter, (call, bad));
    }

    fn end(mut self) -> Told {
        let bad = self.matters.values().filter_map(|(call, bad)| Some((bad.as_ref()?.refused, *call, bad.clone()?)));
        let worst = bad.max_by_key(|(refused, call, _)| (*refused, *call)).map(|(_, _, bad)| bad);
        let (end, data) = match &worst {
            None => ("completed", json!({})),
            Some(bad) if bad.refused => ("blocked", json!({"step": bad.step, "error": bad.error})),
            Some(bad) => ("failed", json!({"step": bad.step, "error": bad.error})),
        };
        self.event(&format!("tollgate.run.{end}"), data);
        self.send();
        self.told.end = end;
        self.told.error = worst.map(|bad| bad.error);
        self.told
    }
}
