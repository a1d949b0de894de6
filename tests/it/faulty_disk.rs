//! Disks that fail, and disks that wait, for the journal's and the writer's tests.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use tollgate::store::sled::journal::{Disk, LogFile, OsDisk};

/// What goes wrong next; cleared by doing so.
#[derive(Default, Debug)]
pub(crate) struct Trouble {
    /// The next append writes only so many bytes and fails.
    pub write_fails_after: Option<usize>,
    /// The next flush fails.
    pub sync_fails: bool,
    /// So many bytes fit on the disk, and no new file.
    pub room: Option<usize>,
    /// So many attempts to make a segment fail.
    pub create_fails: usize,
    /// Flushes wait while this is set.
    pub held: bool,
    /// How many flushes wait.
    pub waiting: usize,
}

/// The operating system's disk, with trouble on order.
#[derive(Clone, Default)]
pub(crate) struct FaultyDisk(Arc<(Mutex<Trouble>, Condvar)>);

struct FaultyFile(Box<dyn LogFile>, FaultyDisk);

impl FaultyDisk {
    /// Orders trouble.
    pub(crate) fn order(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// Takes all orders back.
    pub(crate) fn calm(&self) {
        self.order(|trouble| *trouble = Trouble { waiting: trouble.waiting, ..Trouble::default() });
    }

    /// Returns when a flush waits.
    pub(crate) fn until_a_flush_waits(&self) {
        let mut trouble = self.0.0.lock().unwrap();
        while trouble.waiting == 0 {
            trouble = self.0.1.wait(trouble).unwrap();
        }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut trouble = self.0.0.lock().unwrap();
        if trouble.room.is_some() {
            return Err(io::Error::other("no space"));
        }
        if trouble.create_fails > 0 {
            trouble.create_fails -= 1;
            return Err(io::Error::other("no space"));
        }
        OsDisk.create(path).map(|file| Box::new(FaultyFile(file, self.clone())) as Box<dyn LogFile>)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        OsDisk.open(path).map(|file| Box::new(FaultyFile(file, self.clone())) as Box<dyn LogFile>)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // the mark: its failure is nobody's trouble, so it takes none of what was ordered
        OsDisk.replace(path, bytes)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.sync_dir(dir)
    }
}

impl LogFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let failing = self.1.0.0.lock().unwrap().write_fails_after.take();
        if let Some(written) = failing {
            self.0.append(&bytes[..written.min(bytes.len())])?;
            return Err(io::Error::other("write failed"));
        }
        let room = match &mut self.1.0.0.lock().unwrap().room {
            None => bytes.len(),
            Some(room) => {
                let written = bytes.len().min(*room);
                *room -= written;
                written
            }
        };
        self.0.append(&bytes[..room])?;
        if room < bytes.len() { Err(io::Error::other("no space")) } else { Ok(()) }
    }
    fn sync(&mut self) -> io::Result<()> {
        let (trouble, changed) = &*self.1.0;
        let mut trouble = trouble.lock().unwrap();
        trouble.waiting += 1;
        changed.notify_all();
        while trouble.held {
            trouble = changed.wait(trouble).unwrap();
        }
        trouble.waiting -= 1;
        if std::mem::take(&mut trouble.sync_fails) {
            return Err(io::Error::other("flush failed"));
        }
        self.0.sync()
    }
}
