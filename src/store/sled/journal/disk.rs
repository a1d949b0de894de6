//! The few calls that the journal makes to the file system, behind a trait, so that tests can make them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Makes segment files durable.
pub trait Disk: Send + Sync {
    /// A new, empty file, in place of one of that name.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// A file that is there, to be written at its end.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Writes bytes that a file has already once more, at their place. For what a flush may have failed on: Linux then takes
    /// the pages in its cache for written, and no later flush writes them.
    fn rewrite(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes a small file's bytes over those that it has, as many, and does not wait for them to be flushed: a killed process
    /// leaves the new ones, a power cut either.
    fn note(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file another name, in place of one of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Writes a small file in place of one of that name: after a crash it is the old one or the new one, whole.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let fresh = path.with_extension("new");
        let mut file = self.create(&fresh)?;
        file.append(bytes)?;
        file.sync()?;
        self.rename(&fresh, path)
    }
}

/// A file that only grows.
pub trait LogFile: Send {
    /// Writes all of it at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything written is on stable storage.
    fn sync(&mut self) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        // a stale file of that name was never part of the journal; append mode needs it gone first
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Box::new(OpenOptions::new().append(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn rewrite(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        // not in append mode, in which every write goes to the end
        OpenOptions::new().write(true).open(path)?.write_all_at(bytes, at)
    }

    fn note(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.rewrite(path, 0, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl LogFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // the length is metadata that fdatasync does flush: a file could not be read back without it
        self.sync_data()
    }
}
