//! Another Command Center, as far as hearing goes: a receiver of webhooks that answers as it is told, or not at all.

use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

/// It hangs up without an answer.
pub(crate) const HANGS_UP: u16 = 0;
/// It never answers, and keeps the connection.
pub(crate) const HANGS: u16 = 1;

/// One delivery as it came, and how it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Value,
    pub(crate) status: u16,
}

/// The receiver.
pub(crate) struct Receiver {
    port: u16,
    secret: tempfile::NamedTempFile,
    status: Arc<AtomicU16>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Receiver {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (status, heard) = (Arc::new(AtomicU16::new(200)), Arc::default());
        let (answer, log) = (Arc::clone(&status), Arc::clone(&heard));
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                kept.extend(one(stream.unwrap(), answer.load(Ordering::SeqCst), &log));
            }
        });
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        Self { port, secret, status, heard }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn secret_file(&self) -> PathBuf {
        self.secret.path().to_owned()
    }

    /// How it answers from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Everything that came.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// What it took, by id.
    pub(crate) fn taken(&self) -> Vec<String> {
        let heard = self.heard();
        heard.iter().filter(|one| one.status / 100 == 2).map(|one| one.headers["webhook-id"].clone()).collect()
    }
}

/// Hears one delivery; the connection is given back where it stays open.
fn one(mut stream: TcpStream, status: u16, log: &Mutex<Vec<Heard>>) -> Option<TcpStream> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    log.lock().unwrap().push(Heard { headers, body, status });
    if status == HANGS {
        return Some(stream);
    }
    if status != HANGS_UP {
        let location = if status == 302 { "Location: http://127.0.0.1:1/\r\n" } else { "" };
        let _ = write!(stream, "HTTP/1.1 {status} x\r\n{location}Content-Length: 0\r\nConnection: close\r\n\r\n");
    }
    None
}
