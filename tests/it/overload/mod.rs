//! More than the gate can take, or than one may ask: it says so, and goes on answering everybody else.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails its test")]

mod clients;
mod deadline;
mod fair;
mod rate;

use crate::support::{Answer, Caller, Daemon, example};
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, channel};

/// An admission of an agent, with nothing to hold but what its key says.
fn of_agent(agent: &str, key: &str) -> Value {
    let mut body = example(key, "0.01");
    body["agent"]["id"] = json!(agent);
    body["run"] = json!({"id": format!("run-of-{agent}")});
    body
}

/// Sends each from a thread of its own; the answers come as they come.
fn at_once(asks: Vec<(Caller, Value)>) -> Receiver<Answer> {
    let (sender, answers) = channel();
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(asks.len()));
    for (caller, body) in asks {
        let (sender, barrier) = (sender.clone(), std::sync::Arc::clone(&barrier));
        std::thread::spawn(move || {
            barrier.wait();
            let _ = sender.send(caller.admit(&body));
        });
    }
    answers
}

/// How many commands wait for the writer.
fn waiting(daemon: &Daemon) -> u64 {
    figure(daemon, "tollgate_commands_waiting")
}

/// One of the daemon's own figures.
fn figure(daemon: &Daemon, name: &str) -> u64 {
    let metrics = daemon.nobody().get("/metrics").expect(200);
    let line = metrics.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}
