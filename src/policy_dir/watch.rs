//! Watches the two directories.
//!
//! A change is reported when they have been quiet for a while and two readings in a row have the same hash, so that half of
//! a `git pull` is never taken for a policy set.

use super::read::{ReadTreeError, TreeReader};
use super::watched::Watched;
use crate::policy::Tree;
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
    changed: impl FnMut(Result<Tree, ReadTreeError>) + Send + 'static,
) -> Result<Watcher, notify::Error> {
    watch_and_look(policies, data, last, AT_LEAST_EVERY, changed)
}

/// The same, reading the tree at least so often without any event.
fn watch_and_look(
    policies: &Path,
    data: &Path,
    last: String,
    at_least_every: Duration,
    mut changed: impl FnMut(Result<Tree, ReadTreeError>) + Send + 'static,
) -> Result<Watcher, notify::Error> {
    let (sender, signals) = channel();
    let events = sender.clone();
    let watched = Watched::new(policies, data, move || drop(events.send(Signal::Changed)))?;
    let mut settled = Settled { reader: TreeReader::new(policies, data), watched, last: Ok(last) };
    let thread = std::thread::Builder::new().name("policy-watch".to_owned()).spawn(move || {
        // once at the beginning, so that the first change finds all else read
        loop {
            match settled.read(&signals) {
                ControlFlow::Continue(Some(news)) => changed(news),
                ControlFlow::Continue(None) => {}
                ControlFlow::Break(()) => break,
            }
            match signals.recv_timeout(at_least_every) {
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
    watched: Watched,
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
            // first, so that nothing that comes after the reading is missed; what cannot be watched cannot be read either
            let _ = self.watched.follow();
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

    /// What is told of a tree that is never read without an event.
    fn told(policies: &Path, data: &Path) -> (Watcher, Receiver<Vec<String>>) {
        let first = read_tree(policies, data).unwrap().hash();
        let (sender, told) = channel();
        let hour = Duration::from_secs(3_600);
        let watcher = watch_and_look(policies, data, first, hour, move |news| {
            let _ =
                sender.send(news.map_or_else(
                    |_| Vec::new(),
                    |tree| tree.files.values().map(|text| String::from(&**text)).collect(),
                ));
        });
        (watcher.unwrap(), told)
    }

    fn next(told: &Receiver<Vec<String>>) -> Vec<String> {
        told.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    /// Lets a link point elsewhere, at once, as deployments do.
    fn swap(link: &Path, target: &str) {
        let fresh = link.with_file_name("being-made");
        std::os::unix::fs::symlink(target, &fresh).unwrap();
        std::fs::rename(fresh, link).unwrap();
    }

    #[test]
    fn a_link_that_is_swapped_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for release in ["one", "two", "three"] {
            write(root.path(), &format!("releases/{release}/tree/policies/base.rego"), release);
        }
        swap(&at("live"), "releases/one");
        swap(&at("current"), "live");
        let (watcher, told) = told(&at("current/tree/policies"), &at("current/tree/data"));
        // a link behind a link, then the first one
        swap(&at("live"), "releases/two");
        assert_eq!(next(&told), ["two"]);
        swap(&at("current"), "releases/three");
        assert_eq!(next(&told), ["three"]);
        // what is there now is watched, and data that comes later is seen
        write(root.path(), "releases/three/tree/policies/base.rego", "changed");
        assert_eq!(next(&told), ["changed"]);
        write(root.path(), "releases/three/tree/data/x.json", "data");
        assert_eq!(next(&told), ["data", "changed"]);
        // and the old ones are not
        write(root.path(), "releases/one/tree/policies/base.rego", "nobody looks");
        swap(&at("current"), "releases/two");
        assert_eq!(next(&told), ["two"]);
        drop(watcher);
    }

    #[test]
    fn a_mounted_config_map_and_a_directory_in_anothers_place() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for version in ["..v1", "..v2"] {
            write(root.path(), &format!("mount/{version}/base.rego"), version);
            write(root.path(), &format!("mount/{version}/agents/a.rego"), version);
        }
        swap(&at("mount/..data"), "..v1");
        for name in ["base.rego", "agents"] {
            std::os::unix::fs::symlink(format!("..data/{name}"), at("mount").join(name)).unwrap();
        }
        let (watcher, told) = told(&at("mount"), &at("data"));
        swap(&at("mount/..data"), "..v2");
        assert_eq!(next(&told), ["..v2", "..v2"]);
        write(root.path(), "fresh/base.rego", "fresh");
        std::fs::rename(at("mount"), at("old")).unwrap();
        std::fs::rename(at("fresh"), at("mount")).unwrap();
        // between the two there was nothing to read, which may be told first
        let news = next(&told);
        assert_eq!(if news.is_empty() { next(&told) } else { news }, ["fresh"]);
        drop(watcher);
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
