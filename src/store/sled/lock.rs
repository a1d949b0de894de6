//! One daemon a state directory: a lock that the system drops when its holder ends, however it ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Held while the state directory is in use.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The lock was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{0} is in use by another Tollgate daemon (its file `lock` is locked): one state directory has one daemon")]
    Held(PathBuf),
    /// The lock file cannot be opened or locked.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

impl Lock {
    /// Takes the lock of this directory, or says who is in the way.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let path = state.join("lock");
        let io = |error| LockError::Io(path.clone(), error);
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(state.to_owned())),
            Err(TryLockError::Error(error)) => Err(LockError::Io(path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(LockError::Held(_))));
        drop(held);
        assert!(Lock::take(dir.path()).is_ok());
    }
}
