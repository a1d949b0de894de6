//! The examples of the docs, run as they stand against the real daemon.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "what fails here fails its test, and a skip is told of")]

use crate::support::Daemon;
use std::path::Path;
use std::process::{Command, Output};

/// Runs an example, unless its program is missing here; where `TOLLGATE_REQUIRE` names the program, that is a failure.
fn run(
    daemon: &Daemon,
    program: &str,
    needs: &str,
    file: &str,
    key: &str,
    environment: &[(&str, &str)],
) -> Option<Output> {
    let found = Command::new(needs).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        let required = std::env::var("TOLLGATE_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == needs), "{needs} is required and not here");
        eprintln!("skipped: {needs} is not here");
        return None;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(file);
    let mut command = Command::new(program);
    command.arg(path).env("TOLLGATE_URL", daemon.url()).env("TOLLGATE_KEY", key).envs(environment.iter().copied());
    Some(command.output().unwrap())
}

fn check(program: &str, needs: &str, file: &str) {
    let daemon = Daemon::start();
    let admin = daemon.admin();
    admin.daily_budget("rfq-draft-daily", "1.00").expect(201);
    let body = serde_json::json!({"id": "runtime", "holder": "example", "roles": ["runtime"], "agents": ["rfq-draft"]});
    let made = admin.post("/api/v1/keys", &body).expect(201);
    let key = made["secret"].as_str().unwrap();
    for (environment, code) in [
        (&[("TOLLGATE_IDEMPOTENCY_KEY", "one")][..], 0),
        (&[("TOLLGATE_IDEMPOTENCY_KEY", "two"), ("ESTIMATE_USD", "0.99")], 1),
        (&[("TOLLGATE_IDEMPOTENCY_KEY", "one"), ("ESTIMATE_USD", "0.41")], 2),
        (&[("TOLLGATE_IDEMPOTENCY_KEY", "three"), ("ESTIMATE_USD", "-1")], 2),
    ] {
        let Some(output) = run(&daemon, program, needs, file, key, environment) else { return };
        assert_eq!(output.status.code(), Some(code), "{environment:?}: {output:?}");
    }
    let budget = admin.get("/api/v1/budgets/rfq-draft-daily").expect(200);
    assert_eq!((&budget["spent"], &budget["held"]), (&"0.39".into(), &"0".into()));
}

#[test]
fn the_python_loop() {
    check("python3", "python3", "runtime_loop.py");
}

#[test]
fn the_curl_loop() {
    check("sh", "curl", "runtime_loop.sh");
}
