//! What is asked.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

/// An admission's body around its idempotency key, and what would settle it.
pub(super) struct Template {
    before: String,
    after: String,
    pub(super) settlement: String,
}

impl Template {
    fn new(mut request: Value, hold_ttl_s: u32) -> anyhow::Result<Self> {
        let object = request.as_object_mut().context("a request is a JSON object")?;
        object.remove("idempotency_key");
        object.insert("hold_ttl_s".to_owned(), hold_ttl_s.into());
        let settlement = json!({"actual": object.get("estimate").cloned().unwrap_or_else(|| json!([]))}).to_string();
        let text = request.to_string();
        let rest = text.strip_prefix('{').context("a request is a JSON object")?;
        Ok(Self { before: "{\"idempotency_key\":\"".to_owned(), after: format!("\",{rest}"), settlement })
    }

    /// The body under a key.
    pub(super) fn under(&self, key: &str) -> String {
        format!("{}{key}{}", self.before, self.after)
    }
}

/// The requests of a file, or the usual one.
pub(super) fn bodies(file: Option<&Path>, hold_ttl_s: u32) -> anyhow::Result<Vec<Template>> {
    let Some(path) = file else { return Ok(vec![Template::new(usual(), hold_ttl_s)?]) };
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let bodies: Vec<Template> = lines
        .map(|(n, line)| {
            let at = || format!("{}:{}", path.display(), n + 1);
            Template::new(serde_json::from_str(line).with_context(at)?, hold_ttl_s).with_context(at)
        })
        .collect::<anyhow::Result<_>>()?;
    ensure!(!bodies.is_empty(), "{} holds no request", path.display());
    Ok(bodies)
}

/// An agent, an entity, a run, two units: base, agent and entity layer judge it. It costs next to nothing, so that a day's
/// budget lasts.
fn usual() -> Value {
    json!({
        "kind": "action",
        "agent": {"id": "rfq-draft"},
        "action": {"name": "draft_quote", "properties": {"amount_usd": 420}},
        "entity": {"type": "rfq", "id": "RFQ-1042",
                   "properties": {"customer_id": "metro-equipment", "due_date": "2099-12-01"}},
        "run": {"id": "run-17", "attempt": 1, "step": "price-lookup"},
        "estimate": [{"unit": "usd", "amount": "0.000000001"}, {"unit": "tokens", "amount": "0.001"}],
        "connectors": ["erp"], "context": {},
    })
}

/// The daemon's address. Load is for this machine only.
pub(super) fn loopback(url: &str) -> anyhow::Result<SocketAddr> {
    let host = url.strip_prefix("http://").context("--url must start with http://")?.trim_end_matches('/');
    let address = host.to_socket_addrs().with_context(|| format!("{host} has no address"))?.next();
    let address = address.with_context(|| format!("{host} has no address"))?;
    ensure!(address.ip().is_loopback(), "load is put on a daemon of this machine only, and {address} is elsewhere");
    Ok(address)
}
