//! Clients that behave badly, one at a time: what they send is refused or answered in order, what they leave lying is
//! closed, and the gate goes on. Thousands of them at once are in `faults/clients.rs`.

use super::figure;
use crate::support::{ADMIN_KEY, Daemon, Raw, example, head, until};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

fn address(daemon: &Daemon) -> &str {
    daemon.url().trim_start_matches("http://")
}

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(address(daemon)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Who asks for it has one itself.
fn nobody_else_is_connected(daemon: &Daemon) -> bool {
    figure(daemon, "tollgate_http_connections") <= 1
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::start();
    let mut stream = connect(&daemon);
    let mut bytes = Vec::new();
    for n in 0..300 {
        write!(bytes, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: n{n}\r\n\r\n").unwrap();
        let body = example(&format!("k{n}"), "0.01").to_string();
        let length = body.len();
        let head = head("POST", "/api/v1/admissions", ADMIN_KEY);
        let last = if n == 299 { "Connection: close\r\n" } else { "" };
        write!(
            bytes,
            "{head}Content-Type: application/json\r\nContent-Length: {length}\r\nX-Request-Id: a{n}\r\n{last}\r\n{body}"
        )
        .unwrap();
    }
    let mut sending = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || sending.write_all(&bytes).unwrap());
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    sender.join().unwrap();
    let ids: Vec<_> = answers.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).collect();
    let wanted: Vec<_> = (0..300).flat_map(|n| [format!("n{n}"), format!("a{n}")]).collect();
    assert_eq!(ids, wanted);
    assert_eq!(answers.matches("\"decision\":\"allow\"").count(), 300);
}

#[test]
fn bombs_of_headers_and_broken_requests_are_refused() {
    let daemon = Daemon::start();
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n";
    let post = "POST /api/v1/admissions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let many: String = (0..5_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let mut bombs: Vec<(&str, Vec<u8>)> = vec![
        ("many headers", format!("{get}{many}\r\n").into_bytes()),
        ("a long header", format!("{get}X: {}\r\n\r\n", "y".repeat(1 << 20)).into_bytes()),
        ("a header without an end", format!("{get}X: {}", "y".repeat(1 << 20)).into_bytes()),
        ("a long address", format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(1 << 20)).into_bytes()),
        (
            "a long query",
            format!("GET /healthz?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(100_000)).into_bytes(),
        ),
        ("no colon", format!("{get}nothing\r\n\r\n").into_bytes()),
        ("a NUL", format!("{get}X: a\0b\r\n\r\n").into_bytes()),
        ("a space in a name", format!("{get}X y: z\r\n\r\n").into_bytes()),
        ("a length below zero", format!("{post}Content-Length: -1\r\n\r\n{{}}").into_bytes()),
        ("a length that is none", format!("{post}Content-Length: many\r\n\r\n{{}}").into_bytes()),
        ("two lengths", format!("{post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}x").into_bytes()),
        (
            "length and chunks",
            format!("{post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes(),
        ),
        (
            "a chunk of no size",
            format!("{post}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n")
                .into_bytes(),
        ),
        ("another encoding", format!("{post}Transfer-Encoding: gzip\r\n\r\n{{}}").into_bytes()),
        ("another version", b"GET /healthz HTTP/3.7\r\nHost: localhost\r\n\r\n".to_vec()),
        ("HTTP/2 by surprise", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("TLS", vec![0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3]),
    ];
    let noise: Vec<u8> = (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    bombs.push(("noise", noise));
    for (name, bytes) in bombs {
        let mut stream = connect(&daemon);
        // it may be refused before it is all sent
        let _ = stream.write_all(&bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or("closed");
        assert!(matches!(status, "closed" | "400" | "401" | "404" | "414" | "431"), "{name}: {answer}");
        daemon.nobody().get("/healthz").expect(200);
    }
    until("they are gone", || nobody_else_is_connected(&daemon));
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_comes() {
    let daemon = Daemon::start();
    let head = head("POST", "/api/v1/admissions", ADMIN_KEY);
    for length in ["1048577", "10000000000", "18446744073709551615"] {
        let asked =
            format!("{head}Content-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        let answer = Raw::exchange(address(&daemon), asked.as_bytes()).unwrap();
        assert_eq!((answer.status, &answer.json()["code"]), (413, &json!("payload_too_large")), "{length}: {answer:?}");
    }
}

#[test]
fn bodies_share_a_bound_and_small_ones_always_fit() {
    let bounds = |config: &mut tollgate::config::Config| {
        config.http.max_body_bytes = 256 * 1024;
        config.http.max_batch_body_bytes = 256 * 1024;
        config.http.max_bodies_bytes = 300 * 1024;
    };
    let daemon = Daemon::with().config(bounds).start();
    let large = |key: &str| {
        let mut body = example(key, "0.01");
        body["context"] = json!({"x": "y".repeat(200_000)});
        body
    };
    daemon.admin().admit(&large("before")).allowed();
    let body = large("slow").to_string();
    let head = head("POST", "/api/v1/admissions", ADMIN_KEY);
    let mut slow = connect(&daemon);
    let all = format!(
        "{head}Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (most, last) = all.as_bytes().split_at(all.len() - 1);
    slow.write_all(most).unwrap();
    until("the slow one has its room", || {
        let answer = daemon.admin().admit(&large("other"));
        if answer.status() == 200 { false } else { answer.problem(503, "busy").header("retry-after") == Some("1") }
    });
    daemon.admin().ask("small", "0.01").allowed();
    slow.write_all(last).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"decision\":\"allow\""), "{answer}");
    daemon.admin().admit(&large("after")).allowed();
}

#[test]
fn a_second_request_that_is_begun_and_never_ended_does_not_hold_its_connection() {
    let daemon = Daemon::start();
    let mut stream = connect(&daemon);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    stream.write_all(b"G").unwrap();
    until("it is connected", || figure(&daemon, "tollgate_http_connections") == 2);
    daemon.clock().advance(Duration::from_secs(75 + 31));
    until("it is closed", || nobody_else_is_connected(&daemon));
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

/// Nobody waits for as long as others may be idle.
#[test]
fn idle_connections_make_room_for_who_comes() {
    let places = |config: &mut tollgate::config::Config| {
        config.http.workers = 1;
        config.http.max_connections_per_worker = 16;
    };
    let daemon = Daemon::with().config(places).start();
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"}") {
            stream.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));
        std::io::Result::Ok(())
    };
    let mut idle: Vec<_> = (0..16).map(|_| connect(&daemon)).collect();
    idle.iter_mut().for_each(|stream| ask(stream).unwrap());
    daemon.clock().advance(Duration::from_secs(60));
    ask(&mut idle[0]).unwrap();
    daemon.clock().advance(Duration::from_secs(2));
    ask(&mut connect(&daemon)).expect("the newcomer is answered");
    ask(&mut idle[0]).expect("who asked last keeps its place");
    assert_eq!(figure(&daemon, "tollgate_http_crowded_out_total"), 4, "and only as many go as must");
}

#[test]
fn who_does_not_read_a_long_answer_is_let_go() {
    let daemon = Daemon::start();
    let mut stream = connect(&daemon);
    let asked = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(500);
    stream.write_all(asked.as_bytes()).unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    until("it is connected", || figure(&daemon, "tollgate_http_connections") == 2);
    until("it is closed", || {
        daemon.clock().advance(Duration::from_secs(75 + 31));
        nobody_else_is_connected(&daemon)
    });
    drop(stream);
}

#[test]
fn who_does_not_read_the_stream_is_let_go_and_others_hear_on() {
    let daemon = Daemon::with().config(|config| config.http.reader_timeout_ms = 100).start();
    let mut stalled = connect(&daemon);
    stalled.write_all(format!("{}\r\n", head("GET", "/api/v1/stream", ADMIN_KEY)).as_bytes()).unwrap();
    let mut start = [0; 15];
    stalled.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    // a stream that is only silent stays
    daemon.clock().advance(Duration::from_secs(3_600));
    let round = std::cell::Cell::new(0);
    until("it is closed", || {
        round.set(round.get() + 1);
        let item = |n| {
            let mut body = example(&format!("k{}-{n}", round.get()), "0");
            body["run"] = json!({"id": format!("{}-{n}-{}", round.get(), "r".repeat(200))});
            body
        };
        let items: Vec<_> = (0..500).map(item).collect();
        daemon.admin().post("/api/v1/admissions/batch", &json!({"items": items})).expect(200);
        nobody_else_is_connected(&daemon)
    });
    drop(stalled);
}
