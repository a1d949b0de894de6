//! Structured logs, to stderr. `TOLLGATE_LOG` filters them (`info`, `tollgate::http=warn`), `TOLLGATE_LOG_FORMAT=json`
//! makes each a line of JSON.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// What is logged where nobody says more. What is no HTTP at all is anybody's to send as often as they like: a line for each
/// would let them fill a disk.
const USUAL: &str = "info,sled=warn,actix_http=off";

/// Starts them. A filter that cannot be read is told of, and `info` taken.
pub(super) fn start() {
    let wanted = std::env::var("TOLLGATE_LOG").unwrap_or_default();
    let wanted = if wanted.is_empty() { USUAL.to_owned() } else { wanted };
    let (filter, bad) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(USUAL), Some(error)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let json = std::env::var("TOLLGATE_LOG_FORMAT").is_ok_and(|format| format == "json");
    // A subscriber that is set already (a test's) stays.
    let _ = if json {
        builder.json().with_current_span(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    if let Some(error) = bad {
        tracing::warn!(%error, "TOLLGATE_LOG cannot be read; taking \"info\"");
    }
}
