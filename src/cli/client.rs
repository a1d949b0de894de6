//! The command line as a client of the API.

use anyhow::{Context as _, bail};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Which daemon, and by which key.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ClientArgs {
    /// The daemon
    #[arg(long, global = true, value_name = "URL", env = "TOLLGATE_URL", default_value = "http://127.0.0.1:8181")]
    pub url: String,
    /// The API key
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "TOLLGATE_KEY",
        hide_env_values = true,
        conflicts_with = "key_file"
    )]
    pub key: Option<String>,
    /// A file that holds it, such as the state directory's admin.key
    #[arg(long, global = true, value_name = "FILE", env = "TOLLGATE_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// Write JSON as the API answers it
    #[arg(long, global = true)]
    pub json: bool,
}

/// A client.
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    key: String,
}

/// What came back.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    pub(super) body: Value,
}

impl Response {
    /// The body of a success; a problem document becomes an error that says all it says.
    pub(super) fn ok(self) -> anyhow::Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let text = |name: &str| self.body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut message = format!("{} {}: {}", self.status, text("code"), text("detail"));
        for error in self.body.get("errors").and_then(Value::as_array).into_iter().flatten() {
            let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            message.push_str(&format!("\n  {} {}", part("pointer"), part("message")));
        }
        bail!(message)
    }
}

impl Client {
    pub(super) fn new(base: &str, key: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned(), key: key.to_owned() }
    }

    pub(super) fn of(args: &ClientArgs) -> anyhow::Result<Self> {
        let key = match (&args.key, &args.key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(path)) => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            (None, None) => bail!("give an API key by --key-file, TOLLGATE_KEY_FILE or TOLLGATE_KEY"),
        };
        Ok(Self::new(&args.url, key.trim()))
    }

    pub(super) fn get(&self, path: &str) -> anyhow::Result<Response> {
        self.send("GET", path, None, None)
    }

    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        if_match: Option<&str>,
    ) -> anyhow::Result<Response> {
        let url = format!("{}{path}", self.base);
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.key));
        if let Some(etag) = if_match {
            request = request.header("if-match", etag);
        }
        let asked = || format!("{method} {url}");
        let response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string());
                self.agent.run(request.with_context(asked)?)
            }
            None => self.agent.run(request.body(()).with_context(asked)?),
        };
        let mut response = response.with_context(|| format!("{} does not answer", asked()))?;
        let etag = response.headers().get("etag").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(64 * 1024 * 1024).read_to_string().with_context(asked)?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).with_context(|| format!("{}: not JSON: {text}", asked()))?
        };
        Ok(Response { status, etag, body })
    }
}

/// A path segment with everything escaped that could end it.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Columns, each as wide as its widest cell. Control characters are stripped: a cell may be anybody's text.
pub(super) fn table(out: &mut dyn Write, head: &[&str], rows: &[Vec<String>]) -> std::io::Result<()> {
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let width = |n: usize| {
        let cells = rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count());
        cells.chain(head.get(n).map(|cell| cell.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut line = |cells: &[&str]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", padded.join("  ").trim_end())
    };
    line(head)?;
    for row in &rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// A field as text; nothing for `null`.
pub(super) fn field(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| field(item, "")).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

/// All pages of a list.
pub(super) fn items(client: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = match &next {
            Some(cursor) => client.get(&format!("{path}{separator}cursor={}", segment(cursor)))?,
            None => client.get(path)?,
        };
        let mut page = page.ok()?;
        if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
            items.extend(more);
        }
        match page.get("next").and_then(Value::as_str) {
            Some(cursor) => next = Some(cursor.to_owned()),
            None => return Ok(items),
        }
    }
}
