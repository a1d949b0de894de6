//! The configuration file (TOML). Everything has a default: a daemon runs without one.

use crate::admission::{Mask, Rate};
use crate::attention::{Classifier, StormLimits};
use crate::decide;
use crate::http::config::HttpConfig;
use crate::operations::{Allowance, Caps};
use crate::policy;
use crate::store::sled::{Keeping, Scrubbing};
use anyhow::Context as _;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

mod budgets;
mod runs;

pub use budgets::BudgetsConfig;
pub use runs::RunsConfig;

/// More threads than these the HTTP server does not take.
const MOST_WORKERS: usize = 512;

/// All of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP face.
    pub http: HttpConfig,
    /// Policy's limits.
    pub policy: PolicyConfig,
    /// Holds and keys.
    pub holds: HoldsConfig,
    /// The journal and its queue.
    pub store: StoreConfig,
    /// How much one agent and one key may ask.
    pub rate: RateConfig,
    /// What must not be readable in the journal.
    pub mask: MaskConfig,
    /// Accounts of budgets.
    pub budgets: BudgetsConfig,
    /// Runs: their clocks, and how many may be open.
    pub runs: RunsConfig,
    /// Command Center.
    pub attention: AttentionConfig,
}

/// Command Center.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttentionConfig {
    /// How long after a denial something must follow, before it is an item, in seconds.
    pub blocked_after_s: u32,
    /// So many failures of one fingerprint are a storm; 0: never.
    pub storm_failures: u32,
    /// Within so many seconds.
    pub storm_within_s: u32,
    /// Where another Command Center is told of items; nowhere where it is not said.
    pub webhook: Option<WebhookConfig>,
}

/// Where another Command Center is told of items.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// https, or http to a listed loopback address.
    pub url: String,
    /// A file that holds the secret, as `whsec_` and base64 of 24 to 64 bytes.
    pub secret_file: std::path::PathBuf,
    /// Loopback and private addresses that it may be sent to all the same.
    #[serde(default)]
    pub allow: Vec<std::net::IpAddr>,
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self { blocked_after_s: 300, storm_failures: 200, storm_within_s: 60, webhook: None }
    }
}

impl AttentionConfig {
    /// When failures are a storm.
    pub fn storms(&self) -> StormLimits {
        StormLimits { failures: self.storm_failures, within_s: self.storm_within_s }
    }
}

/// Policy's limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// CPU time of one layer's evaluation, in milliseconds.
    pub time_limit_ms: u64,
    /// Hits of a limit in a row that put a layer into quarantine.
    pub quarantine_after: u32,
    /// For how long, in seconds.
    pub quarantine_s: u64,
    /// The directories are watched, and a changed tree is taken.
    pub watch: bool,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { time_limit_ms: 10, quarantine_after: 3, quarantine_s: 30, watch: true }
    }
}

/// Holds and keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldsConfig {
    /// Open holds of one agent.
    pub per_agent: usize,
    /// Open holds in all.
    pub total: usize,
    /// Used idempotency keys that are remembered, in all.
    pub keys: usize,
    /// How long an idempotency key is remembered, in hours; 24 at least.
    pub key_ttl_h: u32,
}

impl Default for HoldsConfig {
    fn default() -> Self {
        Self { per_agent: 10_000, total: 1_000_000, keys: 100_000_000, key_ttl_h: 24 }
    }
}

/// The journal and its queue.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Commands that may wait.
    pub queue: usize,
    /// How long a request may wait there; one whose turn comes later is not decided.
    pub deadline_ms: u64,
    /// Commands that one batch may hold.
    pub max_batch: usize,
    /// Size at which a segment of the journal is sealed, in bytes.
    pub segment_bytes: u64,
    /// A checkpoint is made when the journal has grown by so many bytes of JSON, or by twice the last one's size.
    pub checkpoint_bytes: u64,
    /// Segments of the journal are dropped when they are so many days old; without it, never.
    pub retain_days: Option<u32>,
    /// How many MiB a second are read to check everything that is kept; 0: it is not.
    pub scrub_mib_per_s: u32,
    /// For how many minutes that rests when it has come around.
    pub scrub_rest_min: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            queue: 4_096,
            deadline_ms: 10_000,
            max_batch: 512,
            segment_bytes: 16 * 1024 * 1024,
            checkpoint_bytes: 128 * 1024 * 1024,
            retain_days: None,
            scrub_mib_per_s: 8,
            scrub_rest_min: 60,
        }
    }
}

/// How much one agent and one key may ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateConfig {
    /// Admissions a second of one agent under one key; 0: no limit.
    pub agent_per_s: u32,
    /// So many of them at once, after a rest; 0: those of a second.
    pub agent_burst: u32,
    /// Requests a second under one key; 0: no limit.
    pub key_per_s: u32,
    /// So many of them at once, after a rest; 0: those of a second.
    pub key_burst: u32,
    /// Agents, and keys, that are counted one by one; those above share one count.
    pub counted: usize,
    /// The part of the queue that one agent's admissions may fill, in percent.
    pub agent_queue_percent: u32,
    /// The part that one key's commands may fill, in percent.
    pub key_queue_percent: u32,
}

impl Default for RateConfig {
    fn default() -> Self {
        Self {
            agent_per_s: 0,
            agent_burst: 0,
            key_per_s: 0,
            key_burst: 0,
            counted: 100_000,
            agent_queue_percent: 25,
            key_queue_percent: 75,
        }
    }
}

/// What must not be readable in the journal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaskConfig {
    /// JSON pointers into an admission: `/context/token`, `/entity/properties/iban`.
    pub pointers: Vec<String>,
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let config: Self = toml::from_str(&text).with_context(|| format!("{} is not right", path.display()))?;
        config.check().with_context(|| format!("{} is not right", path.display()))?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        for pointer in &self.mask.pointers {
            let inside = ["/entity/properties/", "/action/properties/", "/context/"];
            anyhow::ensure!(
                inside.iter().any(|prefix| pointer.starts_with(prefix)),
                "mask.pointers: {pointer:?} must lie inside the entity's or the action's properties or the context, \
                 for what else there is are ids that budgets and records go by"
            );
        }
        anyhow::ensure!(
            self.runs.max_open > 0 && self.runs.max_open_per_agent > 0,
            "runs: max_open and max_open_per_agent must be above 0"
        );
        anyhow::ensure!(
            self.budgets.max_accounts > 0 && self.budgets.max_accounts_per_budget > 0,
            "budgets: max_accounts and max_accounts_per_budget must be above 0"
        );
        anyhow::ensure!(self.store.queue > 0 && self.store.max_batch > 0, "store: queue and max_batch must be above 0");
        anyhow::ensure!(self.store.deadline_ms > 0, "store.deadline_ms must be above 0");
        anyhow::ensure!(
            self.http.max_bodies_bytes >= self.http.max_batch_body_bytes.max(self.http.max_body_bytes),
            "http.max_bodies_bytes must be as large as the largest body"
        );
        let percent = 1..=100;
        anyhow::ensure!(
            percent.contains(&self.rate.agent_queue_percent) && percent.contains(&self.rate.key_queue_percent),
            "rate: agent_queue_percent and key_queue_percent must be from 1 to 100"
        );
        anyhow::ensure!(self.store.segment_bytes >= 64 * 1024, "store.segment_bytes must be 65536 or more");
        anyhow::ensure!(
            self.store.max_batch <= 32_768,
            "store.max_batch must be 32768 or less: an id has 16 bits for the place in its batch"
        );
        anyhow::ensure!(self.store.checkpoint_bytes >= 64 * 1024, "store.checkpoint_bytes must be 65536 or more");
        let keys_days = self.holds.key_ttl_h.div_ceil(24) + 1;
        anyhow::ensure!(
            self.store.retain_days.is_none_or(|days| days >= keys_days.max(2)),
            "store.retain_days must be 2 or more, and longer than idempotency keys are remembered (holds.key_ttl_h)"
        );
        anyhow::ensure!(
            self.http.workers <= MOST_WORKERS,
            "http.workers must be {MOST_WORKERS} or less; 0 means one per core"
        );
        anyhow::ensure!(self.http.max_connections_per_worker > 0, "http.max_connections_per_worker must be above 0");
        anyhow::ensure!(self.policy.time_limit_ms > 0, "policy.time_limit_ms must be above 0");
        anyhow::ensure!(
            (1..=3_600).contains(&self.attention.storm_within_s),
            "attention.storm_within_s must be from 1 to 3600"
        );
        anyhow::ensure!(self.holds.key_ttl_h >= 24, "holds.key_ttl_h must be 24 or more: a key outlives its hold");
        Ok(())
    }

    /// The core's bounds.
    pub fn limits(&self) -> decide::Limits {
        decide::Limits {
            holds_per_agent: self.holds.per_agent,
            holds: self.holds.total,
            key_ttl_s: i64::from(self.holds.key_ttl_h) * 3600,
            accounts_per_budget: self.budgets.max_accounts_per_budget,
            accounts: self.budgets.max_accounts,
            runs_per_agent: self.runs.max_open_per_agent,
            runs: self.runs.max_open,
            clocks: self.runs.clocks(),
            up_since: None,
            blocked_after_s: self.attention.blocked_after_s,
            classifier: Classifier::shared(),
            webhook: self.attention.webhook.is_some(),
        }
    }

    /// How much memory holds at most.
    pub fn caps(&self) -> Caps {
        Caps {
            holds: self.holds.total,
            accounts: self.budgets.max_accounts,
            accounts_per_budget: self.budgets.max_accounts_per_budget,
            runs: self.runs.max_open,
            runs_per_agent: self.runs.max_open_per_agent,
            keys: self.holds.keys,
        }
    }

    /// How much one agent and one key may ask.
    pub fn allowance(&self) -> Allowance {
        let part = |percent: u32| {
            let places = u32::try_from(self.store.queue).unwrap_or(u32::MAX);
            u32::try_from(u64::from(places) * u64::from(percent) / 100).unwrap_or(places).max(1)
        };
        Allowance {
            agent: Rate::new(self.rate.agent_per_s, self.rate.agent_burst),
            key: Rate::new(self.rate.key_per_s, self.rate.key_burst),
            buckets: self.rate.counted,
            agent_waiting: part(self.rate.agent_queue_percent),
            key_waiting: part(self.rate.key_queue_percent),
        }
    }

    /// Checkpoints, and what is dropped behind them.
    pub fn keeping(&self) -> Keeping {
        let retain = self.store.retain_days.map(|days| jiff::SignedDuration::from_hours(24 * i64::from(days)));
        Keeping { checkpoint_bytes: self.store.checkpoint_bytes, retain, keys: self.holds.keys, ..Keeping::default() }
    }

    /// How fast and how often everything that is kept is checked.
    pub fn scrubbing(&self) -> Scrubbing {
        Scrubbing {
            bytes_per_s: u64::from(self.store.scrub_mib_per_s) << 20,
            rest: Duration::from_secs(60 * u64::from(self.store.scrub_rest_min.max(1))),
        }
    }

    /// Policy's limits.
    pub fn policy_limits(&self) -> policy::Limits {
        policy::Limits {
            time: Duration::from_millis(self.policy.time_limit_ms),
            quarantine_after: self.policy.quarantine_after,
            quarantine_for: Duration::from_secs(self.policy.quarantine_s),
        }
    }

    /// Which values are masked whatever the entity's type.
    pub fn mask(&self) -> Mask {
        Mask { pointers: self.mask.pointers.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        for (text, wrong) in [
            ("[polcy]\n", "polcy"),
            ("[policy]\ntime_limit = 3\n", "time_limit"),
            ("[policy]\ntime_limit_ms = 0\n", "time_limit_ms"),
            ("[mask]\npointers = [\"/agent/id\"]\n", "/agent/id"),
            ("[holds]\nkey_ttl_h = 1\n", "key_ttl_h"),
            ("[store]\nretain_days = 1\n", "retain_days"),
            ("[holds]\nkey_ttl_h = 72\n[store]\nretain_days = 3\n", "retain_days"),
            ("[store]\nmax_batch = 100000\n", "max_batch"),
            ("[store]\ndeadline_ms = 0\n", "deadline_ms"),
            ("[budgets]\nmax_accounts_per_budget = 0\n", "max_accounts_per_budget"),
            ("[runs]\nmax_open = 0\n", "max_open"),
            ("[runs]\nsilence = 3\n", "silence"),
            ("[rate]\nagent_queue_percent = 101\n", "agent_queue_percent"),
            ("[http]\nmax_bodies_bytes = 1000000\n", "max_bodies_bytes"),
            ("[rate]\nper_agent = 1\n", "per_agent"),
            ("[attention]\nstorm_within_s = 0\n", "storm_within_s"),
            ("[http]\nworkers = 513\n", "http.workers"),
            ("[http]\nmax_connections_per_worker = 0\n", "max_connections_per_worker"),
        ] {
            let error = toml::from_str::<Config>(text)
                .map_err(anyhow::Error::from)
                .and_then(|config| config.check())
                .expect_err(text)
                .to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
        assert!(Config::default().check().is_ok());
    }

    /// The keys of a part of the file, as the reader of it names them for one that it does not know.
    fn keys(part: &str) -> Vec<String> {
        let header = if part.is_empty() { String::new() } else { format!("[{part}]\n") };
        let more = if part == "attention.webhook" { "url = \"x\"\nsecret_file = \"x\"\n" } else { "" };
        let error = toml::from_str::<Config>(&format!("{header}{more}zzz = 1\n")).unwrap_err().to_string();
        let (_, expected) = error.split_once("expected one of ").or_else(|| error.split_once("expected ")).unwrap();
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The manual's file is the defaults, and names every setting.
    #[test]
    fn the_manual_has_every_setting_with_its_default() {
        let manual = include_str!("../docs/operating.md");
        let part = manual.split("\n## ").find(|part| part.starts_with("The configuration file")).unwrap();
        let text = part.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let read: Config = toml::from_str(text).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", Config::default()));
        let sections = keys("");
        assert!(sections.len() >= 7, "{sections:?}");
        for section in sections.iter().map(String::as_str).chain(["attention.webhook"]) {
            let (_, rest) = text.split_once(&format!("[{section}]\n")).unwrap_or_else(|| panic!("{section}"));
            let lines = rest.split("\n[").next().unwrap().split("\n# [").next().unwrap();
            for key in keys(section).iter().filter(|key| *key != "webhook") {
                let there = lines.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
                assert!(there, "{section}.{key} is not in the manual");
            }
        }
    }
}
