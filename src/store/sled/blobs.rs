//! Content-addressed files: policy sets, by the SHA-256 of their bytes. Durable before a record names them, checked when
//! they are read, never changed.

use crate::audit::Digest;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Files being written: each has a name of its own, for two may hold the same bytes.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// The folder of blobs of a state directory.
#[derive(Clone, Debug)]
pub struct Blobs {
    dir: PathBuf,
}

/// A blob cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Its file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Its bytes are not those that were stored.
    #[error("{path}: its bytes give the digest {found}: they were changed after they were written")]
    Changed {
        /// The file.
        path: PathBuf,
        /// The digest of what it holds.
        found: Digest,
    },
    /// What was to be stored is not what its digest says.
    #[error("the bytes have the digest {found}, not {claimed}")]
    Claim {
        /// The digest it was to be stored under.
        claimed: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
}

impl Blobs {
    /// In this folder, which need not exist yet.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Takes away what was never finished. For a start, before anything is stored.
    pub fn remove_unfinished(&self) -> Result<(), BlobError> {
        let io = |path: &Path, error| BlobError::Io { path: path.to_owned(), error };
        if !self.dir.exists() {
            return Ok(());
        }
        for folder in fs::read_dir(&self.dir).map_err(|error| io(&self.dir, error))? {
            let folder = folder.map_err(|error| io(&self.dir, error))?.path();
            for file in fs::read_dir(&folder).map_err(|error| io(&folder, error))? {
                let path = file.map_err(|error| io(&folder, error))?.path();
                if path.extension().is_some_and(|extension| extension == "new") {
                    fs::remove_file(&path).map_err(|error| io(&path, error))?;
                }
            }
        }
        Ok(())
    }

    /// Stores bytes under their digest; durable when it returns. Storing them again only sees to that: who stored them first
    /// may not have come so far.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), BlobError> {
        let found = Digest::of(bytes);
        if found != *digest {
            return Err(BlobError::Claim { claimed: *digest, found });
        }
        let there = matches!(self.get(digest), Ok(Some(_)));
        let path = self.path(digest);
        let stored = if there { Ok(()) } else { self.write(&path, bytes) };
        stored.and_then(|()| self.sync_names(&path)).map_err(|error| BlobError::Io { path, error })
    }

    /// The bytes of this digest, if they were ever stored.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, BlobError> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(bytes) => match Digest::of(&bytes) {
                found if found == *digest => Ok(Some(bytes)),
                found => Err(BlobError::Changed { path, found }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BlobError::Io { path, error }),
        }
    }

    /// Every blob, by its digest, in order.
    pub fn list(&self) -> Result<Vec<Digest>, BlobError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| BlobError::Io { path, error }
        };
        let mut digests = Vec::new();
        if !self.dir.exists() {
            return Ok(digests);
        }
        for folder in fs::read_dir(&self.dir).map_err(io(&self.dir))? {
            let folder = folder.map_err(io(&self.dir))?.path();
            for file in fs::read_dir(&folder).map_err(io(&folder))? {
                // a name that is no digest is a file that was never finished
                let name = file.map_err(io(&folder))?.file_name();
                digests.extend(name.to_str().and_then(|name| name.parse::<Digest>().ok()));
            }
        }
        digests.sort_unstable();
        Ok(digests)
    }

    /// Where the bytes of this digest are.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.dir.join(&name[..2]).join(&name)
    }

    /// Under another name first: a file of a digest's name is whole.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
        let fresh = path.with_extension(format!("{}.new", WRITTEN.fetch_add(1, Ordering::Relaxed)));
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    }

    /// Makes its name durable, and those of the folders that it is in.
    fn sync_names(&self, path: &Path) -> io::Result<()> {
        File::open(path.parent().unwrap_or(&self.dir))?.sync_all()?;
        File::open(&self.dir)?.sync_all()?;
        match self.dir.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_read_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(dir.path().join("blobs"));
        let digest = Digest::of(b"package tollgate.base");
        assert!(blobs.list().unwrap().is_empty());
        assert!(blobs.get(&digest).unwrap().is_none());
        blobs.put(&digest, b"package tollgate.base").unwrap();
        blobs.put(&digest, b"package tollgate.base").unwrap();
        assert_eq!(blobs.get(&digest).unwrap().unwrap(), b"package tollgate.base");
        assert_eq!(blobs.list().unwrap(), [digest]);
        assert!(matches!(blobs.put(&digest, b"other"), Err(BlobError::Claim { .. })));
        fs::write(blobs.path(&digest), b"package tollgate.bass").unwrap();
        assert!(matches!(blobs.get(&digest), Err(BlobError::Changed { .. })));
        blobs.put(&digest, b"package tollgate.base").unwrap();
        assert!(blobs.get(&digest).unwrap().is_some(), "putting it again mends it");
    }

    #[test]
    fn the_same_bytes_from_many_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(dir.path().join("blobs"));
        for round in 0..20u8 {
            let bytes = vec![round; 100_000];
            let digest = Digest::of(&bytes);
            let start = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        start.wait();
                        blobs.put(&digest, &bytes).unwrap();
                        assert_eq!(blobs.get(&digest).unwrap().unwrap(), bytes);
                    });
                }
            });
        }
        assert_eq!(blobs.list().unwrap().len(), 20);
    }

    #[test]
    fn what_was_never_finished_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(dir.path().join("blobs"));
        blobs.remove_unfinished().unwrap();
        let digest = Digest::of(b"whole");
        blobs.put(&digest, b"whole").unwrap();
        let path = blobs.path(&digest);
        let leftovers = [path.with_extension("new"), path.with_extension("7.new")];
        for leftover in &leftovers {
            fs::write(leftover, b"wh").unwrap();
        }
        blobs.remove_unfinished().unwrap();
        assert!(leftovers.iter().all(|leftover| !leftover.exists()));
        assert_eq!(blobs.get(&digest).unwrap().unwrap(), b"whole");
    }
}
