//! Every route with whatever may come: never a failure of ours, always a problem document, and a daemon that goes on.
//!
//! `TOLLGATE_FUZZ_CASES` says how many requests (400 by default). A failure prints what was sent and leaves its seed in
//! `tests/it/fuzz_routes.seeds`, which is tried first from then on.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test")]

use crate::support::{ADMIN_KEY, Daemon, Raw, body, example, head};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use serde_json::{Value, json};
use std::cell::Cell;
use tollgate::http::problem::PROBLEMS;
use tollgate::http::routes::{ROUTES, Route};

/// What stands in a body's text for JSON that no value can hold, and that JSON.
const RAW: [(&str, &str); 10] = [
    ("@lone@", "\"\\ud800\""),
    ("@pair@", "\"\\ud83d\\ude00\""),
    ("@nul@", "\"\\u0000\""),
    ("@huge@", "1e999"),
    ("@long@", "123456789012345678901234567890"),
    ("@tiny@", "1e-999"),
    ("@zero@", "-0.0"),
    ("@twice@", "{\"a\":1,\"a\":2}"),
    ("@half@", "{\"a\":"),
    ("@nan@", "NaN"),
];

/// Texts that are ids, numbers, times and pointers, or nearly.
const WORDS: [&str; 40] = [
    "",
    " ",
    "x",
    "rfq-draft",
    "rfq",
    "run-1",
    "run-17",
    "erp",
    "w",
    "s",
    "b",
    "/a",
    "/entity/properties/due_date",
    "a/b",
    "..",
    "../../etc/passwd",
    "%00",
    "%zz",
    "\u{0}",
    "\u{7f}",
    "\u{202e}",
    "e\u{301}",
    "\u{feff}",
    "\u{10ffff}",
    "😀",
    "0",
    "-1",
    "1e9",
    "0.0000000001",
    "9223372036.854775807",
    "99999999999999999999",
    "2026-11-24T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "2026-02-30",
    "-009999-01-01T00:00:00Z",
    "America/New_York",
    "* * * * *",
    "0 0 30 2 *",
    "sha256:0",
    "<script>alert(1)</script>",
];

/// A change of a body at some place in it.
#[derive(Clone, Debug)]
enum Change {
    Put(Value),
    Remove(Index),
    Rename(Index, &'static str),
    Add(&'static str, Value),
    Nest(usize),
}

/// One request.
#[derive(Clone, Debug)]
struct Sent {
    route: Route,
    target: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

fn junk() -> impl Strategy<Value = Value> {
    let word = select(&WORDS[..]).prop_map(Value::from);
    let raw = select(&RAW[..]).prop_map(|(mark, _)| Value::from(mark));
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |float| serde_json::Number::from_f64(float).map(Value::from)),
        select(vec![json!(0), json!(-1), json!(1), json!(4_294_967_296_u64), json!(1.5)]),
    ];
    let long = (1_usize..70_000).prop_map(|length| Value::from("é".repeat(length / 2)));
    let leaf = prop_oneof![
        4 => word, 2 => raw, 4 => number, 1 => long, 1 => any::<bool>().prop_map(Value::from), 1 => Just(Value::Null),
        2 => any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(select(&WORDS[..]), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn change() -> impl Strategy<Value = Change> {
    const NAMES: [&str; 14] = [
        "id", "kind", "agent", "run", "reason", "limit", "unit", "scope", "each", "data", "items", "context",
        "ends_at", "no-such",
    ];
    prop_oneof![
        4 => junk().prop_map(Change::Put),
        2 => any::<Index>().prop_map(Change::Remove),
        1 => (any::<Index>(), select(&NAMES[..])).prop_map(|(at, name)| Change::Rename(at, name)),
        2 => (select(&NAMES[..]), junk()).prop_map(|(name, value)| Change::Add(name, value)),
        1 => (1_usize..200).prop_map(Change::Nest),
    ]
}

/// The nth value within a value, itself included.
fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, n)),
        Value::Object(fields) => fields.values_mut().find_map(|field| nth(field, n)),
        _ => None,
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

fn changed(mut body: Value, changes: &[(Index, Change)]) -> Value {
    for (place, change) in changes {
        let mut n = place.index(count(&body));
        let Some(place) = nth(&mut body, &mut n) else { continue };
        match (change, place) {
            (Change::Put(junk), place) => *place = junk.clone(),
            (Change::Nest(depth), place) => *place = (0..*depth).fold(place.take(), |inner, _| json!([inner])),
            (Change::Remove(at), Value::Object(fields)) => drop(taken(fields, *at)),
            (Change::Remove(_), Value::Array(items)) => drop(items.pop()),
            (Change::Rename(at, name), Value::Object(fields)) => {
                if let Some(value) = taken(fields, *at) {
                    fields.insert((*name).to_owned(), value);
                }
            }
            (Change::Add(name, value), Value::Object(fields)) => drop(fields.insert((*name).to_owned(), value.clone())),
            (Change::Add(_, value), Value::Array(items)) => items.push(value.clone()),
            _ => {}
        }
    }
    body
}

/// One of the fields, taken out.
fn taken(fields: &mut serde_json::Map<String, Value>, at: Index) -> Option<Value> {
    let key = fields.keys().nth(at.index(fields.len().max(1)))?.clone();
    fields.remove(&key)
}

/// As text, with what no value can hold put in.
fn written(body: &Value) -> Vec<u8> {
    let text = body.to_string();
    RAW.iter().fold(text, |text, (mark, raw)| text.replace(&format!("\"{mark}\""), raw)).into_bytes()
}

fn bytes_of(route: Route, known: &Known) -> BoxedStrategy<Vec<u8>> {
    let example = match route.path {
        "/api/v1/holds/{id}/settle" => {
            json!({"actual": [{"unit": "usd", "amount": "0.01"}, {"unit": "tokens", "amount": "5"}]})
        }
        "/api/v1/runs/{id}/retry" => json!({"plan_version": known.plan, "idempotency_key": "k", "reason": "a test"}),
        path => body(route.method, path),
    };
    let near = prop::collection::vec((any::<Index>(), change()), 0..4)
        .prop_map(move |changes| written(&changed(example.clone(), &changes)))
        .boxed();
    let cut = (near.clone(), any::<Index>()).prop_map(|(bytes, at)| bytes[..at.index(bytes.len() + 1)].to_vec());
    let flipped = (near.clone(), any::<Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![12 => near, 1 => cut, 2 => flipped, 1 => noise, 1 => junk().prop_map(|junk| written(&junk))].boxed()
}

/// Ids of what is there.
#[derive(Clone, Debug)]
struct Known {
    ids: Vec<String>,
    plan: String,
}

/// Everything but letters and digits as `%XX`.
fn escaped(text: &str) -> String {
    let one =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    text.bytes().map(one).collect()
}

fn segment(known: &Known) -> BoxedStrategy<String> {
    let odd = prop_oneof![select(&WORDS[..]).prop_map(str::to_owned), any::<String>()].prop_map(|text| escaped(&text));
    let bare = "[!$&-.0-;=@-Z_a-z~]{1,40}|%[0-9a-f]{2}|%[g-z]|%";
    prop_oneof![6 => select(known.ids.clone()), 2 => odd, 1 => bare].boxed()
}

fn query() -> BoxedStrategy<String> {
    const NAMES: [&str; 16] = [
        "limit",
        "cursor",
        "agent",
        "action",
        "since",
        "until",
        "explain",
        "kind",
        "from",
        "to",
        "state",
        "owner",
        "run",
        "format",
        "decision",
        "include_admissions",
    ];
    let pair = (select(&NAMES[..]), prop_oneof![select(&WORDS[..]).prop_map(str::to_owned), any::<String>()]);
    let pairs = prop::collection::vec(pair, 1..4).prop_map(|pairs| {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        format!("?{}", pairs.join("&"))
    });
    prop_oneof![6 => Just(String::new()), 3 => pairs, 1 => "\\?[!$-~]{0,60}".prop_map(|text| text.replace('#', ""))]
        .boxed()
}

fn headers() -> BoxedStrategy<Vec<(&'static str, Vec<u8>)>> {
    const NAMES: [&str; 14] = [
        "If-Match",
        "If-None-Match",
        "Last-Event-ID",
        "X-Request-Id",
        "Request-Timeout-Ms",
        "X-Envoy-Expected-Rq-Timeout-Ms",
        "Accept",
        "Accept-Encoding",
        "Content-Encoding",
        "Content-Type",
        "Expect",
        "Range",
        "Cookie",
        "Origin",
    ];
    let value = prop_oneof![
        select(vec!["\"1\"", "*", "\"2\"", "1", "application/json", "gzip", "100-continue", "bytes=0-", "0", "-1"])
            .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(prop_oneof![b' '..=b'~', 0x80_u8..=0xff], 0..60),
    ];
    prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec((select(&NAMES[..]), value), 1..3)].boxed()
}

fn sent(known: &Known) -> impl Strategy<Value = Sent> + use<> {
    let known = known.clone();
    select(ROUTES).prop_flat_map(move |route| {
        let parts = prop::collection::vec(segment(&known), 2);
        (parts, query(), headers(), bytes_of(route, &known)).prop_map(move |(parts, query, headers, body)| {
            let mut parts = parts.into_iter();
            let path: Vec<_> = route
                .path
                .split('/')
                .map(|part| if part.starts_with('{') { parts.next().unwrap_or_default() } else { part.to_owned() })
                .collect();
            Sent { route, target: format!("{}{query}", path.join("/")), headers, body }
        })
    })
}

fn exchange(daemon: &Daemon, sent: &Sent) -> Option<Raw> {
    // the stream has no end: its head is enough
    let method = if sent.route.path == "/api/v1/stream" { "HEAD" } else { sent.route.method };
    let mut bytes = head(method, &sent.target, ADMIN_KEY).into_bytes();
    bytes.extend_from_slice(b"Connection: close\r\n");
    if !sent.headers.iter().any(|(name, _)| *name == "Content-Type") {
        bytes.extend_from_slice(b"Content-Type: application/json\r\n");
    }
    for (name, value) in &sent.headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    if method != "GET" && method != "HEAD" {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", sent.body.len()).as_bytes());
        bytes.extend_from_slice(&sent.body);
    } else {
        bytes.extend_from_slice(b"\r\n");
    }
    Raw::exchange(daemon.url().trim_start_matches("http://"), &bytes)
}

/// Something of each kind, so that what is sent gets deep.
fn furnished() -> (Daemon, Known) {
    let daemon = Daemon::with()
        .file(
            "policies/agents/other.rego",
            "package tollgate.agents.other\n\nimport rego.v1\n\nallow if to_number(input.context.n) > 1\n",
        )
        .start();
    let admin = daemon.admin();
    let tokens = json!({"id": "tokens", "unit": "tokens", "limit": "1000", "each": ["run"], "window": {"kind": "rolling", "length_s": 3600}});
    admin.daily_budget("b", "100").expect(201);
    admin.post("/api/v1/budgets", &tokens).expect(201);
    admin.put("/api/v1/agents/rfq-draft", &json!({"team": "quotes"})).expect(200);
    admin.put("/api/v1/connectors/erp", &json!({"status": "up"})).expect(200);
    admin.put("/api/v1/workers/w", &json!({"agents": ["rfq-draft"]})).expect(200);
    let mut ask = example("one", "0.01");
    ask["estimate"] = json!([{"unit": "usd", "amount": "0.01"}, {"unit": "tokens", "amount": "5"}]);
    let admitted = admin.admit(&ask).allowed();
    let event = |id: &str, kind: &str, data: Value| {
        let body = json!({"specversion": "1.0", "id": id, "source": "fuzz", "type": format!("tollgate.run.{kind}"), "subject": "run-1", "data": data});
        admin.post("/api/v1/events", &body).expect(200);
    };
    event("1", "started", json!({"attempt": 1, "agent": {"id": "rfq-draft"}}));
    event("2", "failed", json!({"attempt": 1, "error": {"code": "timeout", "message": "no answer"}}));
    let plan = admin.get("/api/v1/runs/run-1/retry-plan").expect(200)["plan_version"].as_str().unwrap().to_owned();
    let items = admin.get("/api/v1/attention").expect(200);
    let sets = admin.get("/api/v1/policy-sets").expect(200);
    let mut ids: Vec<String> =
        ["rfq-draft", "rfq", "run-1", "run-17", "b", "tokens", "erp", "w", "s", "other"].map(str::to_owned).into();
    ids.extend([admitted.hold(), admitted["id"].as_str().unwrap().to_owned()]);
    ids.extend(items["items"].as_array().unwrap().iter().filter_map(|item| item["id"].as_str().map(str::to_owned)));
    ids.extend(sets["in_force"]["digest"].as_str().map(str::to_owned));
    (daemon, Known { ids, plan })
}

fn check(sent: &Sent, answer: Option<&Raw>) -> Result<(), TestCaseError> {
    let Some(answer) = answer else { return Err(TestCaseError::fail("no answer")) };
    prop_assert!(answer.status < 500, "{} {}", answer.status, answer.body);
    if answer.status < 400 {
        return Ok(());
    }
    // what is no HTTP never comes as far as a route
    if answer.header("x-request-id").is_none() {
        prop_assert!(matches!(answer.status, 400 | 414 | 417 | 431), "{answer:?}");
        return Ok(());
    }
    prop_assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{:?}", answer);
    if sent.route.path != "/api/v1/stream" {
        let problem = answer.json();
        let row = PROBLEMS.iter().find(|row| problem["code"] == row.text);
        prop_assert_eq!(row.map(|row| row.status), Some(answer.status), "{:?}", answer);
        prop_assert_eq!(problem["status"].as_u64(), Some(u64::from(answer.status)));
    }
    Ok(())
}

#[test]
fn whatever_comes_is_answered_and_nothing_of_it_is_our_failure() {
    let (daemon, known) = furnished();
    let cases = std::env::var("TOLLGATE_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fuzz_routes.seeds");
    let config = Config {
        cases,
        max_shrink_iters: 500,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(seeds))),
        source_file: Some(file!()),
        ..Config::default()
    };
    let taken = Cell::new(0);
    let outcome = TestRunner::new(config).run(&sent(&known), |sent| {
        let answer = exchange(&daemon, &sent);
        taken.set(taken.get() + u32::from(answer.as_ref().is_some_and(|answer| answer.status < 300)));
        check(&sent, answer.as_ref())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    assert!(taken.get() > cases / 20, "most of it gets nowhere: {} of {cases} were taken", taken.get());
    daemon.admin().get("/readyz").expect(200);
    daemon.admin().ask("at the end", "0").expect(200);
}
