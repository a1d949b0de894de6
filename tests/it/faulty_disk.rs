//! Disks that fail, and disks that wait, for the journal's and the writer's tests.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
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
    /// What a failed flush left in the page cache alone, taken for written: file, and from where to where.
    pub lost: Vec<(u64, Range<u64>)>,
}

/// The operating system's disk, with trouble on order.
#[derive(Clone, Default)]
pub(crate) struct FaultyDisk(Arc<(Mutex<Trouble>, Condvar)>);

struct FaultyFile {
    file: Box<dyn LogFile>,
    disk: FaultyDisk,
    /// Which file it is, whatever its name.
    inode: u64,
    /// How long it is, and how much of that was flushed, or was to be.
    length: u64,
    flushed: u64,
}

impl FaultyDisk {
    /// Orders trouble.
    pub(crate) fn order(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// Takes all orders back.
    pub(crate) fn calm(&self) {
        self.order(|trouble| {
            let lost = std::mem::take(&mut trouble.lost);
            *trouble = Trouble { waiting: trouble.waiting, lost, ..Trouble::default() };
        });
    }

    /// The power goes: what only the page cache has reads as zeros from now on.
    pub(crate) fn cut_power(&self, dir: &Path) {
        let lost = std::mem::take(&mut self.0.0.lock().unwrap().lost);
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let inode = fs::metadata(&path).unwrap().ino();
            for (_, range) in lost.iter().filter(|(lost, _)| *lost == inode) {
                let mut bytes = fs::read(&path).unwrap();
                let place = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                bytes[place].fill(0);
                fs::write(&path, bytes).unwrap();
            }
        }
    }

    fn file(&self, path: &Path, file: Box<dyn LogFile>) -> Box<dyn LogFile> {
        let meta = fs::metadata(path).unwrap();
        let (inode, length) = (meta.ino(), meta.len());
        Box::new(FaultyFile { file, disk: self.clone(), inode, length, flushed: length })
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
        OsDisk.create(path).map(|file| self.file(path, file))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        OsDisk.open(path).map(|file| self.file(path, file))
    }
    fn rewrite(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        OsDisk.rewrite(path, at, bytes)?;
        let (inode, end) = (fs::metadata(path)?.ino(), at + bytes.len() as u64);
        let again = |(lost, range): &(u64, Range<u64>)| *lost == inode && at <= range.start && range.end <= end;
        self.0.0.lock().unwrap().lost.retain(|lost| !again(lost));
        Ok(())
    }
    fn note(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OsDisk.note(path, bytes)
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
        let failing = self.disk.0.0.lock().unwrap().write_fails_after.take();
        if let Some(written) = failing {
            self.put(&bytes[..written.min(bytes.len())])?;
            return Err(io::Error::other("write failed"));
        }
        let room = match &mut self.disk.0.0.lock().unwrap().room {
            None => bytes.len(),
            Some(room) => {
                let written = bytes.len().min(*room);
                *room -= written;
                written
            }
        };
        self.put(&bytes[..room])?;
        if room < bytes.len() { Err(io::Error::other("no space")) } else { Ok(()) }
    }
    fn sync(&mut self) -> io::Result<()> {
        let (trouble, changed) = &*self.disk.0;
        let mut trouble = trouble.lock().unwrap();
        trouble.waiting += 1;
        changed.notify_all();
        while trouble.held {
            trouble = changed.wait(trouble).unwrap();
        }
        trouble.waiting -= 1;
        if std::mem::take(&mut trouble.sync_fails) {
            // as Linux does it: the pages stay, and count as clean
            trouble.lost.push((self.inode, self.flushed..self.length));
            return Err(io::Error::other("flush failed"));
        }
        self.flushed = self.length;
        self.file.sync()
    }
}

impl FaultyFile {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.file.append(bytes)
    }
}
