//! The live stream: what happens arrives as it happens, who comes back goes on, and a stopping daemon waits for nobody.

use crate::support::{Daemon, example};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use tollgate::clock::{Clock as _, SystemClock};

/// A reader of server-sent events over a bare connection.
struct Reader(BufReader<TcpStream>);

#[derive(Debug)]
struct Event {
    id: Option<String>,
    name: String,
    data: Value,
}

impl Reader {
    fn open(daemon: &Daemon, query: &str, last: Option<&str>) -> Self {
        let address = daemon.url().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let last = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        write!(
            stream,
            "GET /api/v1/stream{query} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n{last}\r\n",
            crate::support::ADMIN_KEY
        )
        .unwrap();
        let mut reader = Self(BufReader::new(stream));
        let head = reader.until_blank();
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(head.iter().any(|line| line.eq_ignore_ascii_case("content-type: text/event-stream")), "{head:?}");
        reader
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).unwrap() {
            0 => None,
            _ => Some(line.trim_end().to_owned()),
        }
    }

    fn until_blank(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line() {
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        lines
    }

    /// The next event; comments and the sizes of chunks are passed over. `None` at the end.
    fn next(&mut self) -> Option<Event> {
        let (mut id, mut name) = (None, String::new());
        loop {
            let line = self.line()?;
            if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.to_owned());
            } else if let Some(text) = line.strip_prefix("event: ") {
                text.clone_into(&mut name);
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some(Event { id, name, data: serde_json::from_str(text).unwrap() });
            }
        }
    }
}

fn ask(daemon: &Daemon, run: &str, key: &str) {
    let mut body = example(key, "0.1");
    body["run"] = json!({"id": run, "attempt": 1});
    daemon.admin().admit(&body).expect(200);
}

#[test]
fn what_happens_arrives_and_who_comes_back_goes_on() {
    let daemon = Daemon::start();
    let mut reader = Reader::open(&daemon, "", None);
    ask(&daemon, "run-1", "k1");
    let events = [reader.next().unwrap(), reader.next().unwrap()];
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert!(names.contains(&"run") && names.contains(&"admission"), "{events:?}");
    let admission = events.iter().find(|event| event.name == "admission").unwrap();
    assert_eq!(admission.data["run_id"], "run-1");
    let last = events[1].id.clone().unwrap();
    drop(reader);
    ask(&daemon, "run-1", "k2");
    let mut again = Reader::open(&daemon, "", Some(&last));
    // who goes on elsewhere hears of this first
    ask(&daemon, "run-3", "k3");
    let event = again.next().unwrap();
    assert_eq!((event.name.as_str(), &event.data["decision"]), ("admission", &json!("allow")));
    assert_eq!(event.data["run_id"], "run-1");
    assert!(event.id.unwrap() > last);
    let mut stranger = Reader::open(&daemon, "", Some("0-0"));
    assert_eq!(stranger.next().unwrap().name, "reload", "what came before this start is not kept");
}

#[test]
fn filters_and_refusals() {
    let daemon = Daemon::start();
    let mut reader = Reader::open(&daemon, "?run=run-2&kind=admission", None);
    ask(&daemon, "run-1", "k1");
    ask(&daemon, "run-2", "k2");
    let event = reader.next().unwrap();
    assert_eq!((event.name.as_str(), &event.data["run_id"]), ("admission", &json!("run-2")));
    // an event names its run, and is its agent's all the same
    let mut of_agent = Reader::open(&daemon, "?agent=airline&kind=run_event", None);
    for (run, agent) in [("theirs", "rfq-draft"), ("ours", "airline")] {
        let event = json!({"specversion": "1.0", "source": "stream", "id": "1", "type": "tollgate.run.started",
            "subject": run, "data": {"agent": {"id": agent}}});
        daemon.admin().post("/api/v1/events", &event).expect(200);
    }
    let event = of_agent.next().unwrap();
    assert_eq!((event.name.as_str(), &event.data["run"]), ("run_event", &json!("ours")));
    daemon.admin().get("/api/v1/stream?kind=weather").problem(400, "invalid_request");
    daemon
        .admin()
        .send("GET", "/api/v1/stream", &[("last-event-id", "yesterday")], b"")
        .problem(400, "invalid_request");
    daemon.holder(&["runtime"], &[]).get("/api/v1/stream").problem(403, "forbidden");
}

#[test]
fn a_stopping_daemon_ends_the_stream() {
    let daemon = Daemon::start();
    let mut reader = Reader::open(&daemon, "", None);
    let clock = SystemClock::new();
    drop(daemon);
    assert!(reader.next().is_none());
    // what does not end by itself is waited for, for 30 s
    assert!(clock.monotonic() < Duration::from_secs(25), "{:?}", clock.monotonic());
}
