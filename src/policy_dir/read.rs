//! Reads the two directories into a tree.

use crate::clock::{Clock, SystemClock};
use crate::policy::{Text, Tree};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most files of a tree.
const MAX_FILES: usize = 20_000;
/// The largest file.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The most bytes of a tree.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// A file that was read so soon after it was changed may have been changed once more without its times telling: they go by
/// the ticks of the kernel, or by whole seconds.
const YOUNG: SignedDuration = SignedDuration::from_secs(2);

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
    TreeReader::new(policies, data).read()
}

/// Reads both directories again and again. A file that is the same by its times, length and inode is not opened.
#[derive(Debug)]
pub struct TreeReader {
    policies: PathBuf,
    data: PathBuf,
    known: BTreeMap<String, Known>,
    /// Files opened so far.
    opened: u64,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    text: Text,
    /// Whether its stamp says that it has not changed.
    trusted: bool,
}

/// What changes with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it was made well before `now`.
    fn is_old(&self, now: Timestamp) -> bool {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let at = Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0));
        at.is_ok_and(|at| now.duration_since(at) > YOUNG)
    }
}

impl TreeReader {
    /// Of these directories; nothing is read yet.
    pub fn new(policies: &Path, data: &Path) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self { policies: policies.to_owned(), data: data.to_owned(), known: BTreeMap::new(), opened: 0, clock }
    }

    /// Opens every file the next time: not every file system tells the truth about times.
    pub fn trust_nothing(&mut self) {
        self.known.values_mut().for_each(|known| known.trusted = false);
    }

    /// What the directories hold now.
    pub fn read(&mut self) -> Result<Tree, ReadTreeError> {
        let before = std::mem::take(&mut self.known);
        let mut reading = Reading { before, known: BTreeMap::new(), bytes: 0, opened: 0, now: self.clock.wall() };
        let read = reading.both(&self.policies, &self.data);
        self.opened += reading.opened;
        // of a reading that failed, what it did not come to is as it was
        self.known = reading.known;
        self.known.extend(reading.before.into_iter().filter(|_| read.is_err()));
        read?;
        let files = self.known.iter().map(|(path, known)| (path.clone(), known.text.clone()));
        Ok(Tree { files: files.collect() })
    }
}

struct Reading {
    before: BTreeMap<String, Known>,
    known: BTreeMap<String, Known>,
    bytes: u64,
    opened: u64,
    now: Timestamp,
}

impl Reading {
    fn both(&mut self, policies: &Path, data: &Path) -> Result<(), ReadTreeError> {
        self.directory(policies, "policies", &[".rego", ".case.yaml", ".case.yml"])?;
        if data.exists() {
            self.directory(data, "data", &[".json", ".yaml", ".yml"])?;
        }
        Ok(())
    }

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
            let name = format!("{prefix}/{relative}");
            let known = self.file(&name, &entry)?;
            self.known.insert(name, known);
            if self.known.len() > MAX_FILES {
                let what = format!("a policy tree may hold at most {MAX_FILES} files");
                return Err(ReadTreeError::TooLarge { path: root.to_owned(), what });
            }
        }
        Ok(())
    }

    /// One file: as it was, where its stamp says so.
    fn file(&mut self, name: &str, entry: &walkdir::DirEntry) -> Result<Known, ReadTreeError> {
        let path = entry.path();
        let io = |source| ReadTreeError::Io { path: path.to_owned(), source };
        let before = self.before.remove(name);
        let stamp = Stamp::of(&entry.metadata().map_err(|error| io(error.into()))?);
        if let Some(known) = before.as_ref().filter(|known| known.trusted && known.stamp == stamp) {
            self.weigh(path, known.text.len() as u64)?;
            return Ok(Known { text: known.text.clone(), ..*known });
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(io)?;
        // of the time before it is read: what changes it meanwhile changes its stamp
        let stamp = Stamp::of(&file.metadata().map_err(io)?);
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        self.opened += 1;
        self.weigh(path, bytes.len() as u64)?;
        let text = match before.filter(|known| known.text.as_bytes() == bytes) {
            Some(known) => known.text,
            None => String::from_utf8(bytes).map_err(|_| ReadTreeError::Text(path.to_owned()))?.into(),
        };
        Ok(Known { stamp, text, trusted: stamp.is_old(self.now) })
    }

    fn weigh(&mut self, path: &Path, length: u64) -> Result<(), ReadTreeError> {
        self.bytes += length;
        if length > MAX_FILE_BYTES || self.bytes > MAX_BYTES {
            let what = format!("at most {MAX_FILE_BYTES} bytes a file and {MAX_BYTES} bytes in all");
            return Err(ReadTreeError::TooLarge { path: path.to_owned(), what });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

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

    fn reader(root: &Path, clock: ManualClock) -> TreeReader {
        TreeReader { clock: Arc::new(clock), ..TreeReader::new(&root.join("policies"), &root.join("data")) }
    }

    #[test]
    fn what_has_not_changed_is_not_opened_again() {
        let root = tempfile::tempdir().unwrap();
        for path in ["policies/base.rego", "policies/agents/a.rego", "data/x.json"] {
            write(root.path(), path, "1");
        }
        let later = SystemClock::new().wall() + SignedDuration::from_hours(1);
        let mut reader = reader(root.path(), ManualClock::new(later));
        let first = reader.read().unwrap();
        assert_eq!(reader.opened, 3);
        assert_eq!(reader.read().unwrap().hash(), first.hash());
        assert_eq!(reader.opened, 3);
        write(root.path(), "policies/agents/a.rego", "2");
        assert_eq!(reader.read().unwrap().files["policies/agents/a.rego"], "2");
        assert_eq!(reader.opened, 4);
        // a file that takes another's place is another file
        write(root.path(), "policies/new", "3");
        std::fs::rename(root.path().join("policies/new"), root.path().join("policies/base.rego")).unwrap();
        std::fs::remove_file(root.path().join("data/x.json")).unwrap();
        let tree = reader.read().unwrap();
        assert_eq!((reader.opened, tree.files.len(), &*tree.files["policies/base.rego"]), (5, 2, "3"));
        // a reading that fails loses nothing
        std::fs::write(root.path().join("policies/bad.rego"), [0xff]).unwrap();
        assert!(reader.read().is_err());
        std::fs::remove_file(root.path().join("policies/bad.rego")).unwrap();
        let opened = reader.opened;
        assert_eq!(reader.read().unwrap(), tree);
        assert_eq!(reader.opened, opened);
        reader.trust_nothing();
        assert_eq!(reader.read().unwrap(), tree);
        assert_eq!(reader.opened, opened + 2);
    }

    #[test]
    fn what_was_just_written_is_opened_again() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "policies/base.rego", "1");
        let mut reader = reader(root.path(), ManualClock::new(SystemClock::new().wall()));
        reader.read().unwrap();
        reader.read().unwrap();
        assert_eq!(reader.opened, 2);
    }
}
