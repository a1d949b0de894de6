//! Callers that start at the same moment, and the journal that says in which order they were decided.

use crate::support::{Answer, Caller, Daemon};
use serde_json::Value;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// One act of each of `n` callers, all let go by one barrier with their connections open; what they got, in order.
pub(super) fn race<T: Send>(daemon: &Daemon, n: usize, act: impl Fn(usize, &Caller) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(n);
    std::thread::scope(|scope| {
        let (act, barrier) = (&act, &barrier);
        let threads: Vec<_> = (0..n)
            .map(|n| {
                let caller = daemon.admin();
                scope.spawn(move || {
                    caller.get("/healthz").expect(200);
                    barrier.wait();
                    act(n, &caller)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// An admission asked for while something else went on.
pub(super) struct Asked {
    /// How often the same caller was told before it that policy changed twice.
    pub(super) turned_away: usize,
    /// How many of the steps had been answered when it was sent.
    pub(super) sent_after: usize,
    /// And when its answer had come.
    pub(super) answered_after: usize,
    pub(super) answer: Answer,
}

/// Four callers keep asking while `steps` is called with 0, 1, 2… until it says that it is done; between two steps some
/// answers come.
pub(super) fn while_asking(
    daemon: &Daemon,
    body: impl Fn(&str) -> Value + Sync,
    mut step: impl FnMut(usize) -> bool,
) -> Vec<Asked> {
    const CALLERS: usize = 4;
    let (steps, answers, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (steps, answers, done, body) = (&steps, &answers, &done, &body);
        let threads: Vec<_> = (0..CALLERS)
            .map(|n| {
                let caller = daemon.admin();
                scope.spawn(move || {
                    let _ends = EndOnPanic(done);
                    let (mut asked, mut turned_away) = (Vec::new(), 0);
                    while !done.load(Ordering::SeqCst) {
                        let body = body(&format!("{n}-{}", asked.len()));
                        let sent_after = steps.load(Ordering::SeqCst);
                        let answer = caller.admit(&body);
                        answers.fetch_add(1, Ordering::SeqCst);
                        // changed twice while it was judged: asked again under the same key
                        if answer.status() == 503 {
                            answer.problem(503, "stale_policy");
                            turned_away += 1;
                            continue;
                        }
                        let answered_after = steps.load(Ordering::SeqCst);
                        asked.push(Asked { turned_away, sent_after, answered_after, answer: answer.expect(200) });
                    }
                    asked
                })
            })
            .collect();
        let _ends = EndOnPanic(done);
        let some_come = |from: usize| {
            while answers.load(Ordering::SeqCst) < from + 20 && !done.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        };
        loop {
            some_come(answers.load(Ordering::SeqCst));
            let again = step(steps.load(Ordering::SeqCst));
            steps.fetch_add(1, Ordering::SeqCst);
            if !again {
                break;
            }
        }
        some_come(answers.load(Ordering::SeqCst));
        done.store(true, Ordering::SeqCst);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Nobody goes on asking when somebody has failed.
struct EndOnPanic<'a>(&'a AtomicBool);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// Everything that was decided, in the order in which it was.
pub(super) fn journal(daemon: &Daemon) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.admin().get(&format!("/api/v1/audit?include_admissions=true&limit=500{cursor}")).expect(200);
        entries.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    entries.reverse();
    entries
}

/// The decided admissions among them: their answers, by place.
pub(super) fn answer_of(entry: &Value) -> Option<&Value> {
    if entry["op"] != "admit" {
        return None;
    }
    entry["effects"].as_array().unwrap().iter().find_map(|effect| find(effect, "answer"))
}

/// The first value under that name, however deep.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(name).or_else(|| fields.values().find_map(|value| find(value, name))),
        Value::Array(items) => items.iter().find_map(|value| find(value, name)),
        _ => None,
    }
}
