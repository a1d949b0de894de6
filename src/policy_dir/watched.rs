//! What the system is asked to tell of: the two directories, and whatever leads to them.

use notify::{RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most symbolic links on the way to a directory; Linux follows 40.
const MOST_LINKS: usize = 64;

/// What the system tells of: both trees, and every entry that leads to them, for whoever swaps a link or puts another
/// directory in place of one changes all that is behind it without touching it.
pub(super) struct Watched {
    notifier: notify::RecommendedWatcher,
    roots: [PathBuf; 2],
    /// The entries that lead to the roots; what else happens beside them is nobody's business here.
    ways: Arc<Mutex<Vec<PathBuf>>>,
    paths: Vec<PathBuf>,
}

impl Watched {
    pub(super) fn new(policies: &Path, data: &Path, tell: impl Fn() + Send + 'static) -> Result<Self, notify::Error> {
        let roots = [std::path::absolute(policies)?, std::path::absolute(data)?];
        let ways = Arc::new(Mutex::new(Vec::new()));
        let (of_events, leading) = (roots.clone(), Arc::clone(&ways));
        let notifier = notify::recommended_watcher(move |event: Result<notify::Event, notify::Error>| {
            // our own reading is an event too, of a kind that changes nothing
            let matters = event.as_ref().map_or(true, |event| {
                let leading = leading.lock();
                let ours =
                    |path: &PathBuf| of_events.iter().any(|root| path.starts_with(root)) || leading.contains(path);
                !event.kind.is_access()
                    && (event.paths.is_empty() || event.need_rescan() || event.paths.iter().any(ours))
            });
            if matters {
                tell();
            }
        })?;
        let mut watched = Self { notifier, roots, ways, paths: Vec::new() };
        watched.follow()?;
        Ok(watched)
    }

    /// Watches what the paths lead to now. A `data` directory that is not there is watched for.
    pub(super) fn follow(&mut self) -> Result<(), notify::Error> {
        for path in self.paths.drain(..) {
            // what is gone has no watch
            let _ = self.notifier.unwatch(&path);
        }
        let ways: Vec<PathBuf> = self.roots.iter().flat_map(|root| ways_to(root)).collect();
        for parent in ways.iter().filter_map(|entry| entry.parent()) {
            let within = self.roots.iter().any(|root| parent.starts_with(root));
            // what cannot be watched is seen by the regular reading
            if !within
                && !self.paths.iter().any(|known| known == parent)
                && self.notifier.watch(parent, RecursiveMode::NonRecursive).is_ok()
            {
                self.paths.push(parent.to_owned());
            }
        }
        *self.ways.lock() = ways;
        for (root, needed) in self.roots.iter().zip([true, false]) {
            if needed || root.exists() {
                self.notifier.watch(root, RecursiveMode::Recursive)?;
                self.paths.push(root.clone());
            }
        }
        Ok(())
    }
}

/// The entries that lead to a directory: its own, and every symbolic link on the way to it and to what that points at.
fn ways_to(directory: &Path) -> Vec<PathBuf> {
    let mut ways: Vec<PathBuf> = Vec::new();
    let mut ahead = vec![directory.to_owned()];
    while let Some(path) = ahead.pop().filter(|_| ways.len() < MOST_LINKS) {
        for entry in path.ancestors() {
            let target = std::fs::read_link(entry);
            if (entry != path && target.is_err()) || ways.iter().any(|known| known == entry) {
                continue;
            }
            ways.push(entry.to_owned());
            if let (Ok(target), Some(parent), Ok(rest)) = (target, entry.parent(), path.strip_prefix(entry)) {
                ahead.push(parent.join(target).join(rest));
            }
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_links_has_an_end() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", root.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", root.path().join("b")).unwrap();
        assert!(ways_to(&root.path().join("a/policies")).len() <= MOST_LINKS);
    }
}
