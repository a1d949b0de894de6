//! Thousands of bad clients at once, against the real binary: others are answered, memory and files stay bounded, and those
//! that stall are closed. How many is bounded by the files that this process may open.

use super::process::{ADMIN_KEY, Process, Site};
use crate::support::{example, head, until};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// Short patience, so that the test need not have more.
const IMPATIENT: &str = "[store]\nsegment_bytes = 65536\n\n[http]\nheader_timeout_ms = 500\nbody_timeout_ms = 500\nkeep_alive_s = 1\nreader_timeout_ms = 500\n";

fn site(config: &str) -> Site {
    let site = Site::new();
    std::fs::write(site.path("config.toml"), config).unwrap();
    site
}

fn connections(process: &Process) -> u64 {
    let metrics = process.admin().get("/metrics").expect(200);
    let line = metrics.text().lines().find_map(|line| line.strip_prefix("tollgate_http_connections "));
    line.unwrap().parse().unwrap()
}

/// How many files this process, and all tests in it, may have open.
fn files_allowed() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A connection that has sent this, if one is to be had.
fn sent(process: &Process, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(process.address()).ok()?;
    stream.write_all(bytes).ok()?;
    Some(stream)
}

#[test]
fn thousands_that_stall_are_closed_while_others_are_answered() {
    let site = site(&IMPATIENT.replace("= 500", "= 3000"));
    let process = site.start();
    let allowed = files_allowed();
    let count = usize::try_from((allowed / 5).min(3_000)).unwrap();
    let half_body = format!(
        "{}Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{{",
        head("POST", "/api/v1/admissions", ADMIN_KEY)
    );
    let whole = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let kinds = ["", "GET /healthz HT", &half_body, whole, whole];
    let mut stalled = Vec::with_capacity(count);
    for n in 0..count {
        let mut stream = sent(&process, kinds[n % kinds.len()].as_bytes()).unwrap();
        if n % kinds.len() == 4 {
            // a second request is begun when the first is answered
            stream.read_exact(&mut [0; 12]).unwrap();
            stream.write_all(b"GET /he").unwrap();
        }
        stalled.push(stream);
        if n % 50 == 0 {
            process.admin().admit(&example(&format!("meanwhile-{n}"), "0")).allowed();
        }
    }
    until("the stalled ones are closed", || connections(&process) <= 1);
    let ends = stalled.iter_mut().map(|stream| stream.read_to_end(&mut Vec::new()));
    assert_eq!(ends.count(), count, "each has an end");
}

#[test]
fn bodies_that_many_send_halves_of_take_no_more_memory_than_they_may() {
    let site = site("[http]\nmax_bodies_bytes = 16777216\n");
    let process = site.start();
    process.admin().admit(&example("before", "0")).allowed();
    let before = process.memory_mib();
    let head = head("POST", "/api/v1/admissions", ADMIN_KEY);
    let body =
        format!("{head}Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{}", " ".repeat(999_000));
    // who is refused in the middle may see its connection broken
    let clients: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(process.address()).unwrap();
            let _ = stream.write_all(body.as_bytes());
            stream
        })
        .collect();
    process.admin().admit(&example("meanwhile", "0")).allowed();
    let grown = process.memory_mib().saturating_sub(before);
    assert!(grown < 140, "{grown} MiB more, of 286 that were sent");
    drop(clients);
}

/// Whoever sends what is no HTTP writes nothing into the log: it would be theirs to fill.
#[test]
fn what_cannot_be_read_leaves_no_line_in_the_log() {
    let site = site(IMPATIENT);
    let process = site.start();
    let long = format!("GET /healthz HTTP/1.1\r\nX: {}", "y".repeat(200_000));
    for bytes in ["GET /healthz HTTP/3.7\r\n\r\n", "no HTTP at all\r\n\r\n", long.as_str()].iter().cycle().take(60) {
        let Some(mut stream) = sent(&process, bytes.as_bytes()) else { continue };
        let _ = stream.read_to_end(&mut Vec::new());
    }
    process.admin().admit(&example("behind", "0")).allowed();
    let log = site.log();
    assert!(log.contains("Tollgate listens"), "it does log: {log}");
    assert!(log.lines().count() < 40, "{log}");
}

#[test]
fn the_journal_always_finds_a_file_to_open() {
    if files_allowed() < 8_192 {
        eprintln!("skipped: it needs 1,000 connections, and this process may open {} files", files_allowed());
        return;
    }
    let site = site("[store]\nsegment_bytes = 65536\n\n[http]\nheader_timeout_ms = 60000\n");
    let process = site.start_with_files(400);
    let admin = process.admin();
    admin.admit(&example("first", "0")).allowed();
    // each would take two files; those that are not taken in fit the kernel's queue
    let stalled: Vec<_> = (0..240).map(|_| sent(&process, b"GET /he").unwrap()).collect();
    // a connection that is there already goes on, over several segments of the journal
    for n in 0..300 {
        admin.admit(&example(&format!("meanwhile-{n}"), "0")).allowed();
    }
    assert!(std::fs::read_dir(site.state().join("journal")).unwrap().count() > 3);
    // and whoever comes has a turn when those before are gone
    drop(stalled);
    process.admin().admit(&example("behind", "0")).allowed();
}
