//! Somebody who calls the daemon: the verbs of the API as methods, and answers that can be asked for what a test expects.

use serde_json::{Value, json};
use std::ops::Index;
use std::time::Duration;

/// A caller with a key, or without one.
#[derive(Clone)]
pub(crate) struct Caller {
    agent: ureq::Agent,
    url: String,
    key: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    text: String,
    json: Value,
}

impl Caller {
    pub(crate) fn new(url: &str, key: Option<&str>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self { agent: config.into(), url: url.to_owned(), key: key.map(str::to_owned) }
    }

    /// Sends anything.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).unwrap()
    }

    /// Sends anything to a daemon that may end meanwhile: an error means that no whole answer came.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.agent.run(request.body(body.to_vec())?)?;
        let headers = response.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned())).collect();
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string()?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, headers, text, json })
    }

    /// Posts to a daemon that may end meanwhile.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        self.try_send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub(crate) fn put_if(&self, path: &str, etag: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("if-match", etag)];
        self.send("PUT", path, &headers, body.to_string().as_bytes())
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], b"")
    }

    pub(crate) fn delete_if(&self, path: &str, etag: &str) -> Answer {
        self.send("DELETE", path, &[("if-match", etag)], b"")
    }

    /// Asks for an admission.
    pub(crate) fn admit(&self, body: &Value) -> Answer {
        self.post("/api/v1/admissions", body)
    }

    /// Asks for the design's example under a key, at a price.
    pub(crate) fn ask(&self, key: &str, usd: &str) -> Answer {
        self.admit(&example(key, usd))
    }

    /// Settles a hold with one amount of dollars.
    pub(crate) fn settle(&self, hold: &str, usd: &str) -> Answer {
        self.post(&format!("/api/v1/holds/{hold}/settle"), &json!({"actual": [{"unit": "usd", "amount": usd}]}))
    }

    /// Releases a hold.
    pub(crate) fn release(&self, hold: &str) -> Answer {
        self.post(&format!("/api/v1/holds/{hold}/release"), &json!({"reason": "not needed"}))
    }

    /// Makes a daily budget in dollars of the agent `rfq-draft`.
    pub(crate) fn daily_budget(&self, id: &str, limit: &str) -> Answer {
        let body = json!({
            "id": id, "scope": {"agent": "rfq-draft"}, "unit": "usd", "limit": limit,
            "window": {"kind": "day", "time_zone": "America/New_York"}
        });
        self.post("/api/v1/budgets", &body)
    }
}

/// The design's example of an admission, with a price in dollars.
pub(crate) fn example(key: &str, usd: &str) -> Value {
    json!({
        "idempotency_key": key, "kind": "action",
        "agent": {"id": "rfq-draft"},
        "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
        "entity": {"type": "rfq", "id": "RFQ-1042", "properties": {"customer_id": "metro-equipment", "due_date": "2026-12-01"}},
        "run": {"id": "run-17", "attempt": 1, "step": "price-lookup"},
        "estimate": [{"unit": "usd", "amount": usd}],
        "connectors": ["erp"], "context": {}, "hold_ttl_s": 600
    })
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Fails the test, with the answer's text, unless it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Fails the test unless it is a problem document of this code.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("x-request-id"), self.json["request_id"].as_str());
        self
    }

    /// Fails the test unless it is an allowed admission.
    #[track_caller]
    pub(crate) fn allowed(self) -> Self {
        assert_eq!((self.status, self.json["decision"].as_str()), (200, Some("allow")), "{}", self.text);
        self
    }

    /// Fails the test unless it is a denial with this code among its reasons.
    #[track_caller]
    pub(crate) fn denied(self, code: &str) -> Self {
        assert_eq!((self.status, self.json["decision"].as_str()), (200, Some("deny")), "{}", self.text);
        let found = self.json["reasons"].as_array().unwrap().iter().any(|reason| reason["code"] == code);
        assert!(found, "{code} is not among the reasons: {}", self.text);
        self
    }

    /// The id of the hold that it placed.
    #[track_caller]
    pub(crate) fn hold(&self) -> String {
        self.json["hold"]["id"].as_str().unwrap_or_else(|| panic!("no hold: {}", self.text)).to_owned()
    }
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.json[field]
    }
}
