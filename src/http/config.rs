//! How the HTTP face is set up: the `[http]` part of the configuration file.

use serde::Deserialize;
use std::time::Duration;

/// Bounds and names of the HTTP face.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Names that requests may use for this daemon in `Host`, besides loopback names and bare addresses.
    pub allowed_hosts: Vec<String>,
    /// The largest body of one request, in bytes.
    pub max_body_bytes: usize,
    /// The largest body of a batch, in bytes.
    pub max_batch_body_bytes: usize,
    /// How long a client may take to send its headers, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long a client may take to send its body, in milliseconds.
    pub body_timeout_ms: u64,
    /// How long a client may leave what it was answered unread, in milliseconds.
    pub reader_timeout_ms: u64,
    /// The memory that bodies share while they are read and answered, in bytes; the first 16 KiB of each are free.
    pub max_bodies_bytes: usize,
    /// How long an idle connection stays open, in seconds.
    pub keep_alive_s: u64,
    /// How long a stopping daemon waits for requests that it has begun to answer, in seconds.
    pub shutdown_timeout_s: u64,
    /// Threads that parse, judge and answer; 0 means one per core.
    pub workers: usize,
    /// Open connections per worker, or as many as the process may have files for; those above wait in the kernel's queue.
    pub max_connections_per_worker: usize,
    /// `/metrics` answers without a key. Without this it does so only for a daemon that listens on loopback.
    pub public_metrics: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            max_body_bytes: 1024 * 1024,
            max_batch_body_bytes: 16 * 1024 * 1024,
            header_timeout_ms: 5_000,
            body_timeout_ms: 10_000,
            reader_timeout_ms: 30_000,
            max_bodies_bytes: 64 * 1024 * 1024,
            keep_alive_s: 75,
            shutdown_timeout_s: 30,
            workers: 0,
            max_connections_per_worker: 25_000,
            public_metrics: false,
        }
    }
}

impl HttpConfig {
    /// How long a connection may be quiet while no request of it is answered: for as long as it may be idle, and then for as
    /// long as a head may take to come or an answer to be read.
    pub fn longest_quiet(&self) -> Duration {
        Duration::from_secs(self.keep_alive_s)
            + Duration::from_millis(self.header_timeout_ms.max(self.reader_timeout_ms))
    }

    /// Whether requests may call this daemon so. A name that a hostile page has pointed at us (DNS rebinding) is none of
    /// ours; a bare address cannot be pointed anywhere, so all of them may.
    pub fn allows_host(&self, host: &str) -> bool {
        let name = without_port(host);
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        bare.parse::<std::net::IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost")
            || self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let config = HttpConfig { allowed_hosts: vec!["gate.example.com".to_owned()], ..HttpConfig::default() };
        for (host, allowed) in [
            ("127.0.0.1:8181", true),
            ("localhost", true),
            ("LOCALHOST:80", true),
            ("[::1]:8181", true),
            ("[::1]", true),
            ("10.0.0.7", true),
            ("tollgate.localhost:1", true),
            ("gate.example.com", true),
            ("Gate.Example.com:8181", true),
            ("evil.example", false),
            ("gate.example.com.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:8181", false),
            ("notlocalhost", false),
            ("", false),
            (":8181", false),
            ("localhost@evil.example", false),
        ] {
            assert_eq!(config.allows_host(host), allowed, "{host:?}");
        }
    }
}
