//! Where the webhook goes, and how it is signed: Standard Webhooks (github.com/standard-webhooks/standard-webhooks,
//! version 1.0): HMAC-SHA256 over `id.timestamp.body`.
//!
//! The addresses of the target are checked where the connection is made, so that no later answer of a name server gets
//! around it. No redirects, no proxies.

use crate::config::WebhookConfig;
use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// How long one try may take.
const LONGEST_TRY: Duration = Duration::from_secs(10);

/// A target that may be sent to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    url: String,
    secret: Vec<u8>,
    agent: ureq::Agent,
}

impl Target {
    /// Of the configuration, or what is wrong with it.
    pub(super) fn of(config: &WebhookConfig) -> anyhow::Result<Self> {
        let uri: Uri = config.url.parse().context("attention.webhook.url is not an address")?;
        let host = uri.host().context("attention.webhook.url names no host")?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let listed = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() && config.allow.contains(&ip));
                ensure!(
                    listed,
                    "attention.webhook.url must be https, unless it is a loopback address that `allow` lists"
                );
            }
            _ => bail!("attention.webhook.url must be https"),
        }
        let path = &config.secret_file;
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let secret = text.trim().strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let secret = secret.filter(|secret| (24..=64).contains(&secret.len()));
        let secret =
            secret.with_context(|| format!("{} must hold whsec_ and base64 of 24 to 64 bytes", path.display()))?;
        let settings = Config::builder()
            .timeout_global(Some(LONGEST_TRY))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent("tollgate")
            .build();
        let resolver = Guarded { allow: config.allow.clone(), inner: DefaultResolver::default() };
        let agent = ureq::Agent::with_parts(settings, DefaultConnector::default(), resolver);
        Ok(Self { url: config.url.clone(), secret, agent })
    }

    /// One try. Only a 2xx is taken.
    pub(super) fn send(&self, id: &str, unix_s: i64, body: &str) -> Result<(), String> {
        let signature = sign(&self.secret, id, unix_s, body);
        let sent = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", &unix_s.to_string())
            .header("webhook-signature", &signature)
            .send(body);
        match sent {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("it answered {}", response.status().as_u16())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// `v1,` and the signature.
fn sign(secret: &[u8], id: &str, unix_s: i64, body: &str) -> String {
    // a key of any length is one for HMAC
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{id}.{unix_s}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Answers only addresses that may be sent to.
#[derive(Debug)]
struct Guarded {
    allow: Vec<IpAddr>,
    inner: DefaultResolver,
}

impl Resolver for Guarded {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        // one that may not be is enough: who can mix them can choose them
        match found.iter().find(|address| !is_public(address.ip()) && !self.allow.contains(&address.ip())) {
            None => Ok(found),
            Some(address) => Err(ureq::Error::Io(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{} is not a public address, and attention.webhook.allow does not list it", address.ip()),
            ))),
        }
    }
}

/// Whether an address is anybody's on the internet.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| is_public_v6(ip), is_public_v4),
    }
}

/// By the IANA registry of special-purpose addresses (RFC 6890 and its updates).
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

/// Global unicast alone, without documentation, and without what carries an IPv4 address (6to4, Teredo, NAT64).
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    a & 0xe000 == 0x2000 && !(a == 0x2001 && (b < 0x0200 || b == 0x0db8)) && a != 0x2002 && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn addresses() {
        for (ip, public) in [
            ("8.8.8.8", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("198.18.0.1", false),
            ("2606:4700:4700::1111", true),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fc00::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("2001:db8::1", false),
            ("2002:0a00:0001::", false),
            ("64:ff9b::a00:1", false),
        ] {
            assert_eq!(is_public(ip.parse().unwrap()), public, "{ip}");
        }
    }

    fn target(url: &str, allow: &[&str], secret: &str) -> Result<Target, String> {
        let dir = tempfile::tempdir().unwrap();
        let secret_file = dir.path().join("secret");
        std::fs::write(&secret_file, secret).unwrap();
        let allow = allow.iter().map(|ip| ip.parse().unwrap()).collect();
        Target::of(&WebhookConfig { url: url.to_owned(), secret_file, allow }).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_may_be_configured() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
        for (url, allow, secret, wrong) in [
            ("https://example.com/hook", vec![], secret, None),
            ("http://127.0.0.1:9/hook", vec!["127.0.0.1"], secret, None),
            ("http://127.0.0.1:9/hook", vec![], secret, Some("must be https")),
            ("http://10.0.0.1/hook", vec!["10.0.0.1"], secret, Some("must be https")),
            ("http://localhost/hook", vec!["127.0.0.1"], secret, Some("must be https")),
            ("ftp://example.com/", vec![], secret, Some("must be https")),
            ("/hook", vec![], secret, Some("names no host")),
            ("https://example.com/", vec![], "whsec_c2hvcnQ=", Some("24 to 64 bytes")),
            ("https://example.com/", vec![], "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Some("24 to 64 bytes")),
        ] {
            match (target(url, &allow, secret), wrong) {
                (Ok(_), None) => {}
                (Err(error), Some(wrong)) => assert!(error.contains(wrong), "{url}: {error}"),
                (outcome, _) => panic!("{url}: {outcome:?}"),
            }
        }
    }

    #[test]
    fn an_address_that_is_not_listed_is_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target =
            target(&format!("https://127.0.0.1:{port}/"), &[], "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let error = target.send("m", 0, "{}").unwrap_err();
        assert!(error.contains("not a public address"), "{error}");
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody came");
    }
}
