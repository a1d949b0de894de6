//! A disk that knows what of it was flushed. The files stand in a real directory as well, where the store reads them; after a
//! cut they are what that moment may have left: what was not flushed is gone, there, or there in part, sector by sector, and
//! names that were not made durable may be the old ones.

use super::random::Random;
use crate::store::sled::journal::{Disk, LogFile, OsDisk};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What a disk writes as one.
const SECTOR: usize = 512;

/// The disk, and the switch of its power.
#[derive(Clone, Default)]
pub(super) struct SimDisk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    contents: BTreeMap<usize, Content>,
    made: usize,
    names: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    pending: Vec<Renamed>,
    calls: u64,
    cut_at: Option<u64>,
    off: bool,
    sync_fails: bool,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    flushed: usize,
    /// Written over all of it, and not flushed.
    over: Option<Vec<u8>>,
}

/// A name that is not durable yet: which, from which, for which file (none where it was taken away).
struct Renamed {
    path: PathBuf,
    from: Option<PathBuf>,
    file: Option<usize>,
}

fn power() -> io::Error {
    io::Error::other("the power is off")
}

impl Inner {
    /// `false` where the power goes with this call, which may have been done, in part or not at all.
    fn call(&mut self) -> io::Result<bool> {
        if self.off {
            return Err(power());
        }
        self.calls += 1;
        self.off = self.cut_at.is_some_and(|at| self.calls >= at);
        Ok(!self.off)
    }

    fn make(&mut self, path: &Path, content: Content) -> usize {
        self.made += 1;
        self.contents.insert(self.made, content);
        self.names.insert(path.to_owned(), self.made);
        self.made
    }
}

impl SimDisk {
    /// The power goes with the call that comes so many calls from now.
    pub(super) fn cut_after(&self, calls: u64) {
        let mut inner = self.0.lock().unwrap();
        inner.cut_at = Some(inner.calls + calls);
    }

    pub(super) fn is_off(&self) -> bool {
        self.0.lock().unwrap().off
    }

    /// Whether the next flush fails, and the one behind it may not.
    pub(super) fn fails(&self) -> bool {
        let inner = self.0.lock().unwrap();
        inner.sync_fails && !inner.off
    }

    /// The next flush fails, and nobody knows what of it is there.
    pub(super) fn fail_next_sync(&self) {
        self.0.lock().unwrap().sync_fails = true;
    }

    /// Somebody cut a file's end off, durably.
    pub(super) fn truncated(&self, path: &Path, length: u64) {
        let mut inner = self.0.lock().unwrap();
        let file = inner.names[path];
        let content = inner.contents.get_mut(&file).unwrap();
        content.bytes.truncate(usize::try_from(length).unwrap());
        content.flushed = content.bytes.len();
    }

    /// The files as a cut leaves them, written below `root` in place of what is there; and the power on again. Without
    /// random numbers all of it is kept: the process was killed, and the machine goes on.
    pub(super) fn cut(&self, root: &Path, mut torn: Option<&mut Random>) {
        let mut inner = self.0.lock().unwrap();
        let mut durable = std::mem::take(&mut inner.durable);
        for renamed in std::mem::take(&mut inner.pending) {
            if torn.as_mut().is_none_or(|random| random.below(2) == 0) {
                apply(&mut durable, renamed);
            }
        }
        let contents = std::mem::take(&mut inner.contents);
        for folder in ["journal", "checkpoints"].map(|folder| root.join(folder)) {
            fs::remove_dir_all(&folder).unwrap();
            fs::create_dir(&folder).unwrap();
        }
        *inner = Inner::default();
        for (path, file) in durable.into_iter().filter(|(path, _)| path.extension().is_none_or(|end| end != "new")) {
            let bytes = match torn.as_mut() {
                None => contents[&file].over.as_ref().unwrap_or(&contents[&file].bytes).clone(),
                Some(random) => match &contents[&file].over {
                    Some(over) if random.below(2) == 0 => over.clone(),
                    _ => tear(&contents[&file], random),
                },
            };
            fs::write(&path, &bytes).unwrap();
            let flushed = bytes.len();
            let file = inner.make(&path, Content { bytes, flushed, over: None });
            inner.durable.insert(path, file);
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, renamed: Renamed) {
    if let Some(from) = &renamed.from
        && names.get(from) == renamed.file.as_ref()
    {
        names.remove(from);
    }
    match renamed.file {
        Some(file) => names.insert(renamed.path, file),
        None => names.remove(&renamed.path),
    };
}

/// What was flushed, and of the rest any sectors, up to any length; the others read as zeros.
fn tear(content: &Content, random: &mut Random) -> Vec<u8> {
    let unflushed = content.bytes.len() - content.flushed;
    let length = match random.below(4) {
        0 => 0,
        1 => random.index(unflushed + 1),
        _ => unflushed,
    };
    let mut bytes = content.bytes[..content.flushed + length].to_vec();
    let chance = random.below(4);
    let mut at = content.flushed;
    while at < bytes.len() {
        let end = (at / SECTOR * SECTOR + SECTOR).min(bytes.len());
        if random.below(4) < chance {
            bytes[at..end].fill(0);
        }
        at = end;
    }
    bytes
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut inner = self.0.lock().unwrap();
        let stays_on = inner.call()?;
        let file = inner.make(path, Content::default());
        inner.pending.push(Renamed { path: path.to_owned(), from: None, file: Some(file) });
        if !stays_on {
            return Err(power());
        }
        Ok(Box::new(SimFile { real: OsDisk.create(path)?, file, disk: self.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut inner = self.0.lock().unwrap();
        if !inner.call()? {
            return Err(power());
        }
        let file = inner.names[path];
        Ok(Box::new(SimFile { real: OsDisk.open(path)?, file, disk: self.clone() }))
    }

    fn rewrite(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        // the same bytes at the same place: whatever a cut leaves of that is what was there
        if self.0.lock().unwrap().call()? { OsDisk.rewrite(path, at, bytes) } else { Err(power()) }
    }

    fn note(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let stays_on = inner.call()?;
        let Some(file) = inner.names.get(path).copied() else { return Err(io::ErrorKind::NotFound.into()) };
        inner.contents.get_mut(&file).unwrap().over = Some(bytes.to_vec());
        if stays_on { OsDisk.note(path, bytes) } else { Err(power()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let stays_on = inner.call()?;
        let file = inner.names.remove(from).unwrap();
        inner.names.insert(to.to_owned(), file);
        inner.pending.push(Renamed { path: to.to_owned(), from: Some(from.to_owned()), file: Some(file) });
        if stays_on { OsDisk.rename(from, to) } else { Err(power()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let stays_on = inner.call()?;
        inner.names.remove(path);
        inner.pending.push(Renamed { path: path.to_owned(), from: None, file: None });
        if stays_on { OsDisk.remove(path) } else { Err(power()) }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if !inner.call()? {
            return Err(power());
        }
        let (done, left) = std::mem::take(&mut inner.pending)
            .into_iter()
            .partition(|renamed: &Renamed| renamed.path.parent() == Some(dir));
        inner.pending = left;
        let mut durable = std::mem::take(&mut inner.durable);
        done.into_iter().for_each(|renamed| apply(&mut durable, renamed));
        inner.durable = durable;
        let Inner { contents, names, durable, pending, .. } = &mut *inner;
        let pending: Vec<usize> = pending.iter().filter_map(|renamed| renamed.file).collect();
        let named = |file: &usize| names.values().chain(durable.values()).chain(&pending).any(|other| other == file);
        contents.retain(|file, _| named(file));
        Ok(())
    }
}

struct SimFile {
    real: Box<dyn LogFile>,
    file: usize,
    disk: SimDisk,
}

impl LogFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.disk.0.lock().unwrap();
        let stays_on = inner.call()?;
        inner.contents.get_mut(&self.file).unwrap().bytes.extend(bytes);
        if stays_on { self.real.append(bytes) } else { Err(power()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.disk.0.lock().unwrap();
        if !inner.call()? {
            return Err(power());
        }
        if std::mem::take(&mut inner.sync_fails) {
            return Err(io::Error::other("the flush failed"));
        }
        let content = inner.contents.get_mut(&self.file).unwrap();
        content.flushed = content.bytes.len();
        Ok(())
    }
}
