//! Requests byte by byte, over a bare connection: what a well-behaved client cannot send.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    headers: String,
    pub(crate) body: String,
}

/// The first lines of a request with a key, without the blank line behind them.
pub(crate) fn head(method: &str, target: &str, key: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n")
}

impl Raw {
    /// Sends the bytes and reads one answer, or what comes until the other end closes; `None` where it said nothing.
    pub(crate) fn exchange(address: &str, bytes: &[u8]) -> Option<Self> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // who is refused in the middle of sending may find the door shut
        let _ = stream.write_all(bytes);
        let mut reader = BufReader::new(stream);
        let mut headers = String::new();
        // after an interim answer comes the real one
        while headers.trim().is_empty() || headers.starts_with("http/1.1 100") {
            headers.clear();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return None;
                }
                if line == "\r\n" {
                    break;
                }
                headers.push_str(&line.to_ascii_lowercase());
            }
        }
        let status = headers.split(' ').nth(1)?.parse().ok()?;
        let mut raw = Self { status, headers, body: String::new() };
        let mut body = Vec::new();
        match raw.header("content-length").map(|length| length.parse().unwrap()) {
            _ if bytes.starts_with(b"HEAD ") => 0,
            Some(length) => reader.take(length).read_to_end(&mut body).unwrap_or(0),
            None => reader.read_to_end(&mut body).unwrap_or(0),
        };
        raw.body = String::from_utf8_lossy(&body).into_owned();
        Some(raw)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}
