//! What is masked is seen by policy, and found nowhere in the state directory, nor in any answer.

use crate::support::{Daemon, example};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Every file below a directory that holds the text.
fn holding(dir: &Path, text: &[u8], found: &mut Vec<String>) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += holding(&path, text, found);
        } else {
            files += 1;
            let bytes = fs::read(&path).unwrap();
            if bytes.windows(text.len()).any(|window| window == text) {
                found.push(path.display().to_string());
            }
        }
    }
    files
}

#[test]
fn a_masked_value_decides_and_is_written_nowhere() {
    let policy = "package tollgate.entities.rfq\n\nallow := true\n\n\
        deny contains {\"code\": \"blocked_account\", \"message\": sprintf(\"The account %s is blocked.\", [input.entity.properties.iban]), \
        \"details\": {\"iban\": input.entity.properties.iban, \"token\": input.context.token}} if {\n\
        \tstartswith(input.entity.properties.iban, \"DE02-\")\n}\n";
    let daemon = Daemon::with()
        .file("policies/entities/rfq.rego", policy)
        .config(|config| config.mask.pointers = vec!["/context/token".to_owned()])
        .start();
    let schema = json!({"properties": {"iban": {"type": "string", "x-tollgate-mask": true}}});
    daemon.admin().put("/api/v1/entity-types/rfq", &json!({"schema": schema})).expect(200);

    let mut ask = example("masked/1", "0.42");
    ask["entity"]["properties"]["iban"] = json!("DE02-SECRET-1203");
    ask["context"] = json!({"token": "tok-SECRET-77"});
    let denied = daemon.admin().post("/api/v1/admissions", &ask).expect(200);
    assert_eq!(denied["decision"], json!("deny"), "policy saw the clear value");
    assert_eq!(denied["reasons"][0]["code"], json!("blocked_account"));
    assert!(!denied.text().contains("SECRET"), "{}", denied.text());

    let id = denied["id"].as_str().unwrap();
    let record = daemon.admin().get(&format!("/api/v1/admissions/{id}")).expect(200);
    assert!(!record.text().contains("SECRET"), "{}", record.text());
    assert_eq!(record["replayable"], json!(false));

    let again = daemon.admin().post("/api/v1/admissions", &ask).expect(200);
    assert_eq!(again.text(), denied.text(), "the body is recognised by its digest");

    let mut found = Vec::new();
    let files = holding(&daemon.dir().join("state"), b"SECRET", &mut found);
    assert!(files > 2, "the state directory has files");
    assert_eq!(found, Vec::<String>::new());
    let mut seen = Vec::new();
    holding(&daemon.dir().join("state"), b"blocked_account", &mut seen);
    assert!(!seen.is_empty(), "the search can find what is there");
}

/// A plain digest of what was masked tells whether a guess is right.
#[test]
fn no_digest_of_a_runs_input_lets_its_values_be_guessed() {
    let daemon = Daemon::with().config(|config| config.mask.pointers = vec!["/input/pin".to_owned()]).start();
    let input = json!({"pin": "4711"});
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "test", "type": "tollgate.run.queued", "subject": "run-1",
        "data": {"agent": {"id": "rfq-draft"}, "input": input}
    });
    daemon.admin().post("/api/v1/events", &event).expect(200);
    let guess = tollgate::audit::Digest::of(tollgate::audit::canonical_json(&input).as_bytes()).to_string();
    let mut found = Vec::new();
    holding(&daemon.dir().join("state"), guess.as_bytes(), &mut found);
    holding(&daemon.dir().join("state"), b"4711", &mut found);
    assert_eq!(found, Vec::<String>::new());
    let mut seen = Vec::new();
    holding(&daemon.dir().join("state"), b"tollgate.run.queued", &mut seen);
    assert!(!seen.is_empty(), "the search can find what is there");
}
