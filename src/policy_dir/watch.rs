//! Watches the two directories.
//!
//! A change is reported when they have been quiet for a while and two readings in a row have the same hash, so that half of
//! a `git pull` is never taken for a policy set.

use super::read::{ReadTreeError, TreeReader};
use crate::policy::Tree;
use notify::{RecursiveMode, Watcher as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Nothing may have happened for this long before the tree is read, and for as long again before it is read the second time.
const HALF_QUIET: Duration = Duration::from_millis(50);
/// Without any event the whole tree is read this often all the same: not every file system tells.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);

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
    let mut settled = Settled { reader: TreeReader::new(policies, data), last: Ok(last) };
    let thread = std::thread::Builder::new().name("policy-watch".to_owned()).spawn(move || {
        let _notifier = notifier;
        // once at the beginning, so that the first change finds all else read
        loop {
            match settled.read(&signals) {
                ControlFlow::Continue(Some(news)) => changed(news),
                ControlFlow::Continue(None) => {}
                ControlFlow::Break(()) => break,
            }
            match signals.recv_timeout(AT_LEAST_EVERY) {
                Ok(Signal::Changed) => {}
                Err(RecvTimeoutError::Timeout) => settled.reader.trust_nothing(),
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    })?;
    Ok(Watcher { stop: sender, thread: Some(thread) })
}

struct Settled {
    reader: TreeReader,
    /// The hash, or the text of the error, that was reported last.
    last: Result<String, String>,
}

impl Settled {
    /// Reads until the directories are quiet and two readings agree. `None` if that is nothing new.
    fn read(&mut self, signals: &Receiver<Signal>) -> ControlFlow<(), Option<Result<Tree, ReadTreeError>>> {
        let mut before = None;
        loop {
            match signals.recv_timeout(HALF_QUIET) {
                Ok(Signal::Changed) => {
                    before = None;
                    continue;
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return ControlFlow::Break(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let tree = self.reader.read();
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
    use crate::policy_dir::read_tree;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
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
