//! The examples of the docs, run as they stand against the real daemon.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "what fails here fails its test, and a skip is told of")]

use crate::support::Daemon;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

/// Runs an example against a daemon.
fn run(
    daemon: &Daemon,
    program: &str,
    needs: &str,
    file: &str,
    key: &str,
    environment: &[(&str, &str)],
) -> Option<Output> {
    run_at(daemon.url(), program, needs, file, key, environment)
}

/// Runs an example, unless its program is missing here; where `TOLLGATE_REQUIRE` names the program, that is a failure.
fn run_at(
    url: &str,
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
    command.arg(path).env("TOLLGATE_URL", url).env("TOLLGATE_KEY", key).envs(environment.iter().copied());
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

/// Answers one connection after the other with these bytes, whatever is asked, and is gone then. Returns its address.
fn scripted(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut connection, _) = listener.accept().unwrap();
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            loop {
                let read = connection.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
                let length = |head: &str| {
                    let line = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                    line.map_or(0, |length| length.trim().parse::<usize>().unwrap())
                };
                let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length(head));
                if whole || read == 0 {
                    break;
                }
            }
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

fn reply(status: &str, more: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

const ALLOW: &str =
    "{\"id\":\"adm_1\",\"decision\":\"allow\",\"reasons\":[],\"hold\":{\"id\":\"hold_1\"},\"retry_at\":null}";

#[test]
fn what_was_done_and_could_not_be_settled_is_never_called_not_done() {
    let refused = || reply("409 Conflict", "", "{\"code\":\"hold_settled\",\"detail\":\"settled otherwise\"}");
    for (program, needs, file) in [("python3", "python3", "runtime_loop.py"), ("sh", "curl", "runtime_loop.sh")] {
        let url = scripted(vec![reply("200 OK", "", ALLOW), refused()]);
        let Some(output) = run_at(&url, program, needs, file, "key", &[]) else { continue };
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(said.contains("done, but not settled: settle hold_1") && !said.contains("nothing was done"), "{said}");
    }
}

#[test]
fn half_answers_and_dates_to_wait_for_are_asked_again() {
    let cut = reply("200 OK", "", ALLOW).replace("Content-Length: ", "Content-Length: 9");
    let answers = vec![
        cut,
        "BLAH\r\n\r\n".to_owned(),
        reply("503 Service Unavailable", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", "<html>"),
        reply("503 Service Unavailable", "Retry-After: soon\r\n", "[]"),
        reply("200 OK", "", ALLOW),
        reply("200 OK", "", "{\"state\":\"settled\"}"),
    ];
    let Some(output) = run_at(&scripted(answers), "python3", "python3", "runtime_loop.py", "key", &[]) else { return };
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let no_decision = scripted(vec![reply("200 OK", "", "{\"status\":\"ok\"}")]);
    let Some(output) = run_at(&no_decision, "python3", "python3", "runtime_loop.py", "key", &[]) else { return };
    assert_eq!(output.status.code(), Some(2), "no decision is not a denial: {output:?}");
}

/// The text between two fences, the first behind this heading.
fn fenced(page: &str, heading: &str) -> serde_json::Value {
    let (_, behind) = page.split_once(heading).unwrap();
    let text = behind.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_events_of_the_docs_are_taken_by_a_fresh_daemon() {
    let daemon = Daemon::start();
    let page = include_str!("../../docs/runs.md");
    let event = fenced(page, "## Reporting");
    let headers = [("content-type", "application/cloudevents+json")];
    let outcome = daemon.admin().send("POST", "/api/v1/events", &headers, event.to_string().as_bytes()).expect(200);
    assert_eq!(outcome["items"][0]["standing"], "counted", "{outcome:?}");
    let run = daemon.admin().get("/api/v1/runs/run-17").expect(200);
    assert_eq!(run["agent"], "rfq-draft", "{run:?}");
}
