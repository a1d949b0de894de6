//! The real binary as a child, to be ended the hard way. Each test ends the child that it started, and no other.

use crate::support::{Caller, until};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

const BIN: &str = env!("CARGO_BIN_EXE_tollgate");
pub(super) const ADMIN_KEY: &str = "an-admin-key-of-the-faults-0123456789";

/// Directories that outlive the daemons that use them.
pub(super) struct Site {
    dir: tempfile::TempDir,
}

/// A running child. It is killed when it is dropped.
pub(super) struct Process {
    child: Child,
    url: String,
}

impl Site {
    /// Policies that permit drafting a quote, and segments so small that the journal often begins another.
    pub(super) fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        for (path, text) in [
            ("policies/base.rego", "package tollgate.base\n"),
            ("policies/agents/rfq_draft.rego", "package tollgate.agents[\"rfq-draft\"]\n\nallow := true\n"),
            ("policies/entities/rfq.rego", "package tollgate.entities.rfq\n\nallow := true\n"),
            ("data/empty.json", "{}\n"),
            ("config.toml", "[store]\nsegment_bytes = 65536\n"),
        ] {
            let path = site.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        site
    }

    /// Adds to the configuration.
    pub(super) fn configure(&self, more: &str) {
        let path = self.path("config.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}\n{more}")).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BIN);
        command.args(["serve", "--listen", "127.0.0.1:0", "--json"]);
        for (flag, name) in
            [("--state", "state"), ("--policies", "policies"), ("--data", "data"), ("--config", "config.toml")]
        {
            command.arg(flag).arg(self.path(name));
        }
        command.env("TOLLGATE_ADMIN_KEY", ADMIN_KEY).env("RUST_LOG", "error").stdin(Stdio::null());
        command
    }

    /// Starts a daemon here, and returns when it listens.
    pub(super) fn start(&self) -> Process {
        self.spawn(self.command())
    }

    /// Starts one that may have so many files open.
    pub(super) fn start_with_files(&self, files: u32) -> Process {
        let daemon = self.command();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -n {files}; exec \"$@\"")).arg("sh").arg(daemon.get_program());
        shell.args(daemon.get_args()).stdin(Stdio::null());
        for (name, value) in daemon.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        self.spawn(shell)
    }

    fn spawn(&self, mut command: Command) -> Process {
        let log = std::fs::File::options().create(true).append(true).open(self.path("stderr.log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}", self.log()));
        Process { child, url: said["listening"].as_str().unwrap().to_owned() }
    }

    /// What a daemon does that cannot start here.
    pub(super) fn cannot_start(&self) -> Output {
        let child = self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut process = Process { child, url: String::new() };
        let ended = std::cell::RefCell::new(&mut process.child);
        until("it ends", || ended.borrow_mut().try_wait().unwrap().is_some());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        process.child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        process.child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        Output { status: process.child.wait().unwrap(), stdout, stderr }
    }

    /// `tollgate audit verify` on the state directory.
    #[track_caller]
    pub(super) fn verify(&self) {
        let output = Command::new(BIN).args(["audit", "verify", "--state"]).arg(self.path("state")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("chain     whole"), "{said}");
    }

    /// What the daemons had to say.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.path("stderr.log")).unwrap_or_default()
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path("state")
    }
}

impl Process {
    /// The first admin.
    pub(super) fn admin(&self) -> Caller {
        Caller::new(&self.url, Some(ADMIN_KEY))
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// The memory that it has in use, in MiB.
    pub(super) fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }

    /// `kill -9`.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, without waiting for what it does.
    pub(super) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Its end.
    pub(super) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
