//! The operator's walkthrough by the command line alone: what it says, and the exit codes that a script goes by.

use crate::support::{ADMIN_KEY, Daemon, Runtime, example, until};
use serde_json::{Value, json};
use std::process::Command;

struct Shell<'a>(&'a Daemon);

impl Shell<'_> {
    /// Runs a command; its exit code and what it wrote.
    fn run(&self, line: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(line)
            .env("TOLLGATE_URL", self.0.url())
            .env("TOLLGATE_KEY", ADMIN_KEY)
            .env_remove("TOLLGATE_KEY_FILE")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), said)
    }

    /// Fails the test unless it ends so and says all of this, in this order.
    #[track_caller]
    fn says(&self, line: &[&str], code: i32, words: &[&str]) -> String {
        let (ended, said) = self.run(line);
        assert_eq!(ended, code, "{line:?}: {said}");
        let mut rest = said.as_str();
        for word in words {
            let at = rest.find(word).unwrap_or_else(|| panic!("{line:?} does not say {word:?} there: {said}"));
            rest = &rest[at + word.len()..];
        }
        said
    }

    fn item(&self, run: &str) -> Value {
        let (_, said) = self.run(&["attention", "list", "--run", run, "--json"]);
        serde_json::from_str::<Value>(&said).unwrap()["items"][0].clone()
    }
}

fn daemon() -> Daemon {
    let policy =
        "package tollgate.agents[\"rfq-draft\"]\n\nimport rego.v1\n\nallow if true\n\nallow_without_entity if true\n";
    let daemon = Daemon::with().file("policies/agents/rfq_draft.rego", policy).start();
    daemon.admin().put("/api/v1/agents/rfq-draft", &json!({"escalation_contact": "Dana Reyes"})).expect(200);
    daemon.admin().daily_budget("daily", "1.00").expect(201);
    daemon
}

fn ask(daemon: &Daemon, run: &str, usd: &str) -> Value {
    let mut body = example(run, usd);
    body["run"] = json!({"id": run, "attempt": 1, "step": "price-lookup"});
    body["connectors"] = json!(["erp"]);
    daemon.admin().admit(&body).expect(200).json().clone()
}

#[test]
fn a_failed_run_is_read_retried_escalated_and_done() {
    let daemon = daemon();
    let (shell, runtime) = (Shell(&daemon), Runtime::new(daemon.admin(), "w", "rfq-draft"));
    let fails = |attempt: u32| {
        let error = json!({"code": "timeout", "message": "The ERP did not answer."});
        let data = json!({"attempt": attempt, "step": "price-lookup", "error": error});
        runtime.report("run-17", "tollgate.run.failed", data).expect(200);
    };
    shell.says(&["attention", "headline"], 0, &["0 without a decision"]);
    runtime.report("run-17", "tollgate.run.started", json!({"title": "Metro", "agent_version": "1.3"})).expect(200);
    runtime.report("run-17", "tollgate.step.completed", json!({"step": "read"})).expect(200);
    let checkpoint = json!({"step": "read", "checkpoint": {"id": "after-read"}});
    runtime.report("run-17", "tollgate.checkpoint.saved", checkpoint).expect(200);
    let asked = ask(&daemon, "run-17", "0.3");
    daemon.admin().settle(asked["hold"]["id"].as_str().unwrap(), "0.3").expect(200);
    let artifact = json!({"step": "price-lookup", "artifact": {"name": "prices.csv", "media_type": "text/csv", "content": "YQ=="}});
    runtime.report("run-17", "tollgate.artifact.produced", artifact).expect(200);
    fails(1);

    shell.says(&["attention", "headline"], 1, &["1 without a decision"]);
    shell.says(&["attention", "list"], 0, &["failed_run", "open", "temporary", "retry", "run-17"]);
    let item = shell.item("run-17")["id"].as_str().unwrap().to_owned();
    shell.says(
        &["attention", "show", &item],
        0,
        &["Run run-17 failed at step price-lookup", "passes by itself", "CHANGED"],
    );
    let order = [
        "failed",
        "events",
        "tollgate.step.completed",
        "The ERP did not answer.",
        "checkpoints",
        "after-read",
        "decisions",
        "allow",
        "budget usage",
        "0.3",
        "budgets",
        "daily",
        "artifacts",
        "prices.csv",
    ];
    shell.says(&["runs", "show", "run-17"], 0, &order);
    shell.says(&["runs", "retry", "run-17"], 0, &["attempt 2", "after-read", "side effects", "prices.csv"]);
    shell.says(&["runs", "retry", "run-17", "--reason", "It is back."], 1, &["not_acknowledged"]);
    shell.says(&["runs", "retry", "run-17", "--reason", "It is back.", "--acknowledge-all"], 0, &["attempt 2"]);
    runtime.report("run-17", "tollgate.run.started", json!({"attempt": 2, "agent_version": "1.4"})).expect(200);
    fails(2);
    shell.says(&["attention", "list", "--run", "run-17"], 0, &["escalate"]);
    shell.says(&["runs", "diff", "run-17", "--to", "2"], 0, &["agent_version", "1.3", "1.4"]);
    let again = ["runs", "retry", "run-17", "--reason", "Once more.", "--acknowledge-all"];
    shell.says(&again, 1, &["same_step_failed"]);
    shell.says(
        &["attention", "escalate", &item, "--reason", "the same step"],
        0,
        &["escalated", "inspect", "Dana Reyes has it"],
    );
    shell.says(&[&again[..], &["--override"]].concat(), 0, &["attempt 3"]);
    runtime.report("run-17", "tollgate.run.completed", json!({"attempt": 3})).expect(200);
    assert_eq!(shell.item("run-17")["resolution"]["category"], "succeeded");
    shell.says(&["attention", "headline"], 0, &["0 without a decision"]);
}

#[test]
fn setup_is_fixed_and_what_waited_is_retried_or_cancelled_in_bulk() {
    let daemon = daemon();
    let (shell, runtime) = (Shell(&daemon), Runtime::new(daemon.admin(), "w", "rfq-draft"));
    let stopped = |run: &str, usd: &str| {
        let code = ask(&daemon, run, usd)["reasons"][0]["code"].clone();
        let error = json!({"step": "price-lookup", "error": {"code": code, "message": "The gate said no."}});
        runtime.report(run, "tollgate.run.blocked", error).expect(200);
    };
    stopped("dear", "5");
    shell.says(
        &["setup", "connector", "erp", "--status", "down", "--detail", "upgrade"],
        0,
        &["erp", "down", "upgrade"],
    );
    stopped("erp", "0.1");
    shell.says(&["setup", "list"], 1, &["CONNECTOR", "down", "SCHEDULE", "WORKER"]);
    shell.says(&["runs", "retry", "dear"], 1, &["setup_required", "Connector erp is down", "Daily budget"]);
    shell.says(&["attention", "groups"], 0, &["budget:daily"]);
    shell.says(&["attention", "bulk", "retry", "--agent", "rfq-draft", "--reason", "now"], 1, &["setup_required"]);

    shell.says(&["budget", "raise", "daily", "--limit", "10", "--reason", "worth it"], 0, &[]);
    shell.says(&["setup", "connector", "erp", "--status", "up"], 0, &["up"]);
    until("both are ready", || ["dear", "erp"].iter().all(|run| shell.item(run)["state"] == "ready_to_retry"));
    shell.says(&["setup", "list"], 0, &["up"]);
    let bulk = ["attention", "bulk", "retry", "--state", "ready_to_retry", "--reason", "It is put right."];
    shell.says(&bulk, 0, &["200", "retrying", "200", "retrying"]);
    assert_eq!(shell.item("dear")["state"], "ready_to_retry", "a preview does nothing");
    shell.says(&[&bulk[..], &["--yes"]].concat(), 0, &["200", "retrying", "200", "retrying"]);
    assert_eq!(shell.item("dear")["state"], "retrying");

    runtime.report("stuck", "tollgate.run.started", json!({})).expect(200);
    shell.says(&["runs", "force-stop", "stuck", "--reason", "Its worker is gone."], 0, &["failed"]);
    let item = shell.item("stuck")["id"].as_str().unwrap().to_owned();
    let cancel = ["attention", "bulk", "cancel", item.as_str(), "--category", "noise", "--reason", "A test.", "--yes"];
    shell.says(&cancel, 0, &["resolved"]);
    shell.says(&cancel, 1, &["the item is resolved"]);
    shell.says(&["runs", "show", "stuck"], 0, &["cancelled by first admin: noise: A test."]);
    shell.says(&["attention", "bulk", "cancel", "--category", "noise", "--reason", "x"], 2, &["say which by"]);
}
