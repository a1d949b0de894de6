//! A daemon on a fresh state directory. It runs on a thread of its own and is drained when it is dropped.

use super::caller::Caller;
use crate::faulty_disk::FaultyDisk;
use jiff::Timestamp;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tollgate::clock::{Clock as _, ManualClock, SystemClock};
use tollgate::config::Config;
use tollgate::server::{Options, Stop, build_on};
use tollgate::store::sled::lock::Lock;

/// The first admin's key.
pub(crate) const ADMIN_KEY: &str = "an-admin-key-of-the-tests-0123456789";

/// What a daemon's directories hold at its start, and how it is set up.
pub(crate) struct Setup {
    files: Vec<(String, String)>,
    config: Config,
    dir: tempfile::TempDir,
    clock: ManualClock,
    disk: FaultyDisk,
}

/// A running daemon.
pub(crate) struct Daemon {
    url: String,
    clock: ManualClock,
    setup: Option<Setup>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

impl Setup {
    /// The RFQ story's policies and no budgets, at noon (UTC) on 23 November 2026.
    fn new() -> Self {
        let setup = Self {
            files: Vec::new(),
            config: Config::default(),
            dir: tempfile::tempdir().unwrap(),
            clock: ManualClock::new("2026-11-23T17:00:00Z".parse().unwrap()),
            disk: FaultyDisk::default(),
        };
        setup
            .file("policies/base.rego", "package tollgate.base\n\nimport rego.v1\n")
            .file(
                "policies/agents/rfq_draft.rego",
                "package tollgate.agents[\"rfq-draft\"]\n\nimport rego.v1\n\nallow if input.action.name != \"delete_everything\"\n\nallow_without_entity if input.action.name == \"think\"\n",
            )
            .file(
                "policies/entities/rfq.rego",
                "package tollgate.entities.rfq\n\nimport rego.v1\n\nallow if true\n\ndeny contains {\"code\": \"missing_data\", \"message\": \"The due date is missing.\", \"remedy\": {\"kind\": \"supply_data\", \"target\": \"field:/entity/properties/due_date\"}} if not input.entity.properties.due_date\n",
            )
    }

    /// A file under `policies/` or `data/`.
    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Another configuration.
    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> Daemon {
        for (path, text) in &self.files {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        for dir in ["policies", "data"] {
            std::fs::create_dir_all(self.dir.path().join(dir)).unwrap();
        }
        run(self)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn run(setup: Setup) -> Daemon {
    let options = Options {
        listen: "127.0.0.1:0".to_owned(),
        state: setup.path("state"),
        policies: setup.path("policies"),
        data: setup.path("data"),
        config: setup.config.clone(),
        admin_key: Some(ADMIN_KEY.to_owned()),
        show_key: false,
        clock: Arc::new(setup.clock.clone()),
    };
    let (state, disk) = (options.state.clone(), Box::new(setup.disk.clone()));
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let app = actix_web::rt::System::new().block_on(async move {
            let server = build_on(options, disk).await.unwrap();
            let app = Arc::downgrade(server.app());
            sender.send((server.address(), server.stop_handle())).unwrap();
            server.run().await.unwrap();
            app
        });
        // a process would have ended here; in this one the workers' threads let go of the state directory in their own time
        until("the workers have ended", || app.strong_count() == 0);
        // what they held is being dropped, the lock last; a child that another test has just forked holds it for a moment too
        until("the state directory is let go of", || Lock::take(&state).is_ok());
    });
    let (address, stop) = receiver.recv().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let clock = setup.clock.clone();
    Daemon { url: format!("http://{address}"), clock, setup: Some(setup), stop, thread: Some(thread), runtime }
}

/// Waits until the daemon has come to something by itself. What it is asked is an answer of the daemon, and takes its time;
/// a minute without success fails the test.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let clock = SystemClock::new();
    while !condition() {
        assert!(clock.monotonic() < Duration::from_secs(60), "in vain: {what}");
        std::thread::yield_now();
    }
}

impl Daemon {
    /// What a daemon can be started with.
    pub(crate) fn with() -> Setup {
        Setup::new()
    }

    /// The usual one.
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its clock.
    pub(crate) fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// The time that it goes by.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// The disk of its journal.
    pub(crate) fn disk(&self) -> &FaultyDisk {
        &self.setup.as_ref().unwrap().disk
    }

    /// Its directories.
    pub(crate) fn dir(&self) -> &Path {
        self.setup.as_ref().unwrap().dir.path()
    }

    /// The first admin.
    pub(crate) fn admin(&self) -> Caller {
        Caller::new(&self.url, Some(ADMIN_KEY))
    }

    /// Somebody without a key.
    pub(crate) fn nobody(&self) -> Caller {
        Caller::new(&self.url, None)
    }

    /// Somebody with another key.
    pub(crate) fn caller(&self, secret: &str) -> Caller {
        Caller::new(&self.url, Some(secret))
    }

    /// The holder of a new key with these roles, bound to these agents if any are named.
    pub(crate) fn holder(&self, roles: &[&str], agents: &[&str]) -> Caller {
        let id = format!("test-{}-{}", roles.join("-"), agents.join("-")).replace('_', "-");
        let mut body = json!({"id": id.trim_end_matches('-'), "holder": "a test", "roles": roles});
        if !agents.is_empty() {
            body["agents"] = json!(agents);
        }
        let answer = self.admin().post("/api/v1/keys", &body).expect(201);
        self.caller(answer["secret"].as_str().unwrap())
    }

    /// Stops it and starts it again on the same directories.
    pub(crate) fn restart(mut self) -> Self {
        self.end();
        run(self.setup.take().unwrap())
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            let stop = self.stop.clone();
            self.runtime.block_on(async move { stop.stop().await });
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(setup) = &self.setup
        {
            // a test that failed while it held the disk would wait for ever for the daemon to drain
            setup.disk.calm();
        }
        self.end();
    }
}
