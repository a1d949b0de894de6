//! Reads `policies/` and `data/` into a [`Tree`], and watches them: the one place where policy meets the disk.
//!
//! A change is reported when the directories have been quiet for a while and two readings in a row have the same
//! hash, so that half of a `git pull` is never taken for a policy set.

use crate::policy::Tree;
use notify::{RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The most files of a tree.
const MAX_FILES: usize = 20_000;
/// The largest file.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The most bytes of a tree.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// How long nothing may have happened before the tree is read.
const QUIET: Duration = Duration::from_millis(100);
/// Without any event the tree is read this often all the same: not every file system tells.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);

/// Why a tree could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadTreeError {
    /// A directory or file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A path that is not UTF-8.
    #[error("{}: the name is not UTF-8", .0.display())]
    Name(PathBuf),
    /// A file that is not UTF-8.
    #[error("{}: the content is not UTF-8", .0.display())]
    Text(PathBuf),
    /// Its ending is that of policy in other letters: it would be left out without a word.
    #[error("{}: the name must end with {ending:?} in lower-case letters, or with something else", path.display())]
    Ending {
        /// Which one.
        path: PathBuf,
        /// The ending that it seems to mean.
        ending: String,
    },
    /// It is named as policy is, and is a pipe, a device or a socket.
    #[error("{}: is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// More than a policy tree may hold.
    #[error("{}: {what}", path.display())]
    TooLarge {
        /// Where the limit was passed.
        path: PathBuf,
        /// Which limit.
        what: String,
    },
}

/// Reads both directories. A `data` directory that does not exist is empty; `policies` must exist.
///
/// Files whose name, or whose directory's name, starts with a dot are left out; so is what policy does not read
/// (`budgets.toml`, a README). Symbolic links are followed. What looks like policy and could not be read as such is refused.
pub fn read_tree(policies: &Path, data: &Path) -> Result<Tree, ReadTreeError> {
    let mut reader = Reader { files: BTreeMap::new(), bytes: 0 };
    reader.directory(policies, "policies", &[".rego", ".case.yaml", ".case.yml"])?;
    if data.exists() {
        reader.directory(data, "data", &[".json", ".yaml", ".yml"])?;
    }
    Ok(Tree { files: reader.files })
}

struct Reader {
    files: BTreeMap<String, String>,
    bytes: u64,
}

impl Reader {
    fn directory(&mut self, root: &Path, prefix: &str, endings: &[&str]) -> Result<(), ReadTreeError> {
        let visible =
            |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.');
        for entry in walkdir::WalkDir::new(root).follow_links(true).into_iter().filter_entry(visible) {
            let entry = entry.map_err(|error| ReadTreeError::Io {
                path: error.path().unwrap_or(root).to_owned(),
                source: error.into(),
            })?;
            let name = entry.file_name().to_string_lossy();
            let lower = name.to_lowercase();
            let Some(ending) = endings.iter().find(|ending| lower.ends_with(**ending)) else { continue };
            if entry.file_type().is_dir() {
                continue;
            }
            let path = entry.path();
            if !name.ends_with(ending) {
                return Err(ReadTreeError::Ending { path: path.to_owned(), ending: (*ending).to_owned() });
            }
            if !entry.file_type().is_file() {
                return Err(ReadTreeError::NotAFile(path.to_owned()));
            }
            let relative = path.strip_prefix(root).unwrap_or(path).to_str().map(|name| name.replace('\\', "/"));
            let relative = relative.ok_or_else(|| ReadTreeError::Name(path.to_owned()))?;
            let text = self.file(path)?;
            self.files.insert(format!("{prefix}/{relative}"), text);
            if self.files.len() > MAX_FILES {
                let what = format!("a policy tree may hold at most {MAX_FILES} files");
                return Err(ReadTreeError::TooLarge { path: root.to_owned(), what });
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<String, ReadTreeError> {
        let io = |source| ReadTreeError::Io { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(io)?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        let length = bytes.len() as u64;
        self.bytes += length;
        if length > MAX_FILE_BYTES || self.bytes > MAX_BYTES {
            let what = format!("at most {MAX_FILE_BYTES} bytes a file and {MAX_BYTES} bytes in all");
            return Err(ReadTreeError::TooLarge { path: path.to_owned(), what });
        }
        String::from_utf8(bytes).map_err(|_| ReadTreeError::Text(path.to_owned()))
    }
}

/// Watches both directories until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    stop: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

enum Signal {
    Changed,
    Stop,
}

/// Watches both directories, and hands `changed` every tree that differs from the last, or the error of reading it.
/// `last` is the [`Tree::hash`] of what the caller has already.
///
/// The callback runs on the watcher's own thread.
pub fn watch(
    policies: &Path,
    data: &Path,
    last: String,
    mut changed: impl FnMut(Result<Tree, ReadTreeError>) + Send + 'static,
) -> Result<Watcher, notify::Error> {
    let (sender, signals) = channel();
    let events = sender.clone();
    let mut notifier = notify::recommended_watcher(move |event: Result<notify::Event, notify::Error>| {
        // our own reading is an event too, of a kind that changes nothing
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = events.send(Signal::Changed);
        }
    })?;
    notifier.watch(policies, RecursiveMode::Recursive)?;
    // a directory that comes later is seen by the regular reading
    if data.exists() {
        notifier.watch(data, RecursiveMode::Recursive)?;
    }
    let (policies, data) = (policies.to_owned(), data.to_owned());
    let thread = std::thread::Builder::new().name("policy-watch".to_owned()).spawn(move || {
        let _notifier = notifier;
        let mut settled = Settled { policies, data, last: Ok(last) };
        while wait(&signals).is_continue() {
            match settled.read(&signals) {
                ControlFlow::Continue(Some(news)) => changed(news),
                ControlFlow::Continue(None) => {}
                ControlFlow::Break(()) => break,
            }
        }
    })?;
    Ok(Watcher { stop: sender, thread: Some(thread) })
}

/// Waits for an event, or for the regular reading.
fn wait(signals: &Receiver<Signal>) -> ControlFlow<()> {
    match signals.recv_timeout(AT_LEAST_EVERY) {
        Ok(Signal::Changed) | Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
        Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
    }
}

struct Settled {
    policies: PathBuf,
    data: PathBuf,
    /// The hash, or the text of the error, that was reported last.
    last: Result<String, String>,
}

impl Settled {
    /// Reads until the directories are quiet and two readings agree. `None` if that is nothing new.
    fn read(&mut self, signals: &Receiver<Signal>) -> ControlFlow<(), Option<Result<Tree, ReadTreeError>>> {
        let mut before = None;
        loop {
            match signals.recv_timeout(QUIET) {
                Ok(Signal::Changed) => {
                    before = None;
                    continue;
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return ControlFlow::Break(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let tree = read_tree(&self.policies, &self.data);
            let now = tree.as_ref().map(Tree::hash).map_err(ToString::to_string);
            if now == self.last {
                return ControlFlow::Continue(None);
            }
            if before.as_ref() == Some(&now) {
                self.last = now;
                return ControlFlow::Continue(Some(tree));
            }
            before = Some(now);
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.stop.send(Signal::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn what_is_read_and_what_is_not() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "policies/base.rego",
            "policies/agents/a.rego",
            "policies/agents/a.case.yaml",
            "policies/README.md",
            "policies/.git/x.rego",
            "policies/agents/.#a.rego",
            "data/x/y.json",
            "data/budgets.toml",
        ] {
            write(root.path(), path, path);
        }
        let tree = read_tree(&root.path().join("policies"), &root.path().join("data")).unwrap();
        let names: Vec<_> = tree.files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["data/x/y.json", "policies/agents/a.case.yaml", "policies/agents/a.rego", "policies/base.rego"]
        );
        assert_eq!(tree.files["data/x/y.json"], "data/x/y.json");
        assert!(read_tree(&root.path().join("nowhere"), &root.path().join("data")).is_err());
        std::fs::write(root.path().join("policies/bad.rego"), [0xff, 0xfe]).unwrap();
        let error = read_tree(&root.path().join("policies"), &root.path().join("data")).unwrap_err();
        assert!(matches!(error, ReadTreeError::Text(_)), "{error}");
    }

    #[test]
    fn what_looks_like_policy_and_is_not_read_is_refused() {
        let refused = |path: &str, make: &dyn Fn(&Path)| {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "policies/base.rego", "1");
            write(root.path(), "data/x.json", "1");
            make(&root.path().join(path));
            let error = read_tree(&root.path().join("policies"), &root.path().join("data")).unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
            error
        };
        let file = |path: &Path| std::fs::write(path, "1").unwrap();
        for path in ["policies/x.REGO", "policies/a.case.YAML", "data/y.Json"] {
            assert!(matches!(refused(path, &file), ReadTreeError::Ending { .. }), "{path}");
        }
        let device = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        assert!(matches!(refused("policies/zero.rego", &device), ReadTreeError::NotAFile(_)));
        let socket = |path: &Path| drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        assert!(matches!(refused("policies/f.rego", &socket), ReadTreeError::NotAFile(_)));
    }

    #[test]
    fn a_change_is_told_once_and_whole() {
        let root = tempfile::tempdir().unwrap();
        let (policies, data) = (root.path().join("policies"), root.path().join("data"));
        write(root.path(), "policies/base.rego", "1");
        let first = read_tree(&policies, &data).unwrap().hash();
        let (sender, told) = channel();
        let watcher =
            watch(&policies, &data, first, move |news| drop(sender.send(news.map(|tree| tree.files.len())))).unwrap();
        for n in 0..20 {
            write(root.path(), &format!("policies/agents/a{n}.rego"), "x");
        }
        assert_eq!(told.recv_timeout(Duration::from_secs(30)).unwrap().unwrap(), 21);
        // the same content again is no news; what comes next is the next change
        write(root.path(), "policies/base.rego", "1");
        std::fs::remove_file(policies.join("agents/a0.rego")).unwrap();
        assert_eq!(told.recv_timeout(Duration::from_secs(30)).unwrap().unwrap(), 20);
        drop(watcher);
        assert!(told.recv().is_err());
    }
}
