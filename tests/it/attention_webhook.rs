//! The webhook: signed, once for each state of an item, and again until it is taken.

use crate::support::{Daemon, example, until};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tollgate::config::WebhookConfig;

type Heard = Arc<Mutex<Vec<(HashMap<String, String>, Value)>>>;

/// Another Command Center, as far as hearing goes. It answers with whatever status is set.
struct Other {
    port: u16,
    status: Arc<AtomicU16>,
    heard: Heard,
}

impl Other {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (status, heard) = (Arc::new(AtomicU16::new(200)), Heard::default());
        let (answer, log) = (Arc::clone(&status), Arc::clone(&heard));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut headers = HashMap::new();
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                        break;
                    }
                    if let Some((name, value)) = line.split_once(':') {
                        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
                    }
                }
                let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let status = answer.load(Ordering::SeqCst);
                log.lock().unwrap().push((headers, serde_json::from_slice(&body).unwrap_or_default()));
                let location = if status == 302 { "Location: http://127.0.0.1:1/\r\n" } else { "" };
                let _ =
                    write!(stream, "HTTP/1.1 {status} x\r\n{location}Content-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { port, status, heard }
    }

    fn daemon(&self) -> Daemon {
        let secret = std::env::temp_dir().join(format!("tollgate-webhook-{}-{}", std::process::id(), self.port));
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let webhook = WebhookConfig {
            url: format!("http://127.0.0.1:{}/hook", self.port),
            secret_file: secret,
            allow: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        };
        let daemon = Daemon::with().config(|config| config.attention.webhook = Some(webhook)).start();
        daemon
            .admin()
            .post("/api/v1/budgets", &json!({"id": "daily", "unit": "usd", "limit": "1", "window": {"kind": "day"}}))
            .expect(201);
        daemon
    }

    fn states(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(_, body)| body["data"]["state"].as_str().unwrap().to_owned()).collect()
    }
}

fn block(daemon: &Daemon) -> Value {
    for n in 0..3 {
        let mut body = example(&format!("k{n}"), "2");
        body["run"] = json!({"id": "run-1", "attempt": 1});
        daemon.admin().admit(&body).expect(200);
    }
    daemon.admin().get("/api/v1/attention?run=run-1").expect(200)["items"][0].clone()
}

fn record(daemon: &Daemon) -> Value {
    daemon.admin().get("/api/v1/attention/deliveries").expect(200)["items"].clone()
}

#[test]
fn each_state_of_an_item_is_told_once_and_signed() {
    let other = Other::listen();
    let daemon = other.daemon();
    let item = block(&daemon);
    until("it was told", || other.states() == ["waiting_on_setup"]);
    let path = format!("/api/v1/attention/{}", item["id"].as_str().unwrap());
    // the state stays: nothing to tell
    daemon.admin().post(&format!("{path}/assign"), &json!({"owner": "Kim"})).expect(200);
    daemon.admin().post(&format!("{path}/resolve"), &json!({"category": "noise", "reason": "a test"})).expect(200);
    until("its end was told", || other.states() == ["waiting_on_setup", "resolved"]);
    let heard = other.heard.lock().unwrap();
    let (headers, body) = &heard[0];
    assert_eq!((&body["type"], &body["data"]["id"]), (&json!("attention.item.waiting_on_setup"), &item["id"]));
    assert!(headers["webhook-signature"].starts_with("v1,") && headers.contains_key("webhook-timestamp"));
    assert_ne!(headers["webhook-id"], heard[1].0["webhook-id"]);
}

#[test]
fn what_is_not_taken_is_tried_again_under_the_same_id_also_behind_a_restart() {
    let other = Other::listen();
    other.status.store(302, Ordering::SeqCst);
    let daemon = other.daemon();
    block(&daemon);
    until("a try failed", || record(&daemon)[0]["tries"] == 1);
    assert_eq!(record(&daemon)[0]["last_failure"], "it answered 302", "a redirect is not followed");
    let daemon = daemon.restart();
    assert_eq!((&record(&daemon)[0]["tries"], &record(&daemon)[0]["delivered_at"]), (&json!(1), &Value::Null));
    other.status.store(204, Ordering::SeqCst);
    daemon.clock().advance(Duration::from_secs(6));
    until("it was taken", || record(&daemon)[0]["delivered_at"].is_string());
    let heard = other.heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].0["webhook-id"], heard[1].0["webhook-id"]);
}
