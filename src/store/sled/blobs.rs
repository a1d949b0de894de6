//! Content-addressed files: policy sets, by the SHA-256 of their bytes. Durable before a record names them, checked when
//! they are read, never changed.

use crate::audit::Digest;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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

    /// Stores bytes under their digest; durable when it returns. Storing them again does nothing.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), BlobError> {
        let found = Digest::of(bytes);
        if found != *digest {
            return Err(BlobError::Claim { claimed: *digest, found });
        }
        if let Ok(Some(_)) = self.get(digest) {
            return Ok(());
        }
        let path = self.path(digest);
        self.write(&path, bytes).map_err(|error| BlobError::Io { path, error })
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
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder)?;
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(folder)?.sync_all()?;
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
}
