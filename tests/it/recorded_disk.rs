//! A disk that records what is done to it, and the files as a power cut at any moment may leave them: what was not flushed is
//! gone, there, or there in part, sector by sector, and names that were not made durable may be the old ones.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tollgate::store::sled::journal::{Disk, LogFile, OsDisk};

/// What a disk writes as one.
const SECTOR: usize = 512;

/// One call.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// An empty file, with a number of its own.
    Create(PathBuf, usize),
    Append(usize, Vec<u8>),
    Sync(usize),
    /// Other bytes over those that a file has.
    Note(usize, Vec<u8>),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
    /// A caller heard an answer, by its number.
    Heard(usize),
}

/// The operating system's disk, and a record of what was asked of it. Everything that it holds was made through it.
#[derive(Clone, Default)]
pub(crate) struct RecordedDisk(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    ops: Vec<Op>,
    files: usize,
    names: BTreeMap<PathBuf, usize>,
}

struct RecordedFile {
    file: Box<dyn LogFile>,
    number: usize,
    disk: RecordedDisk,
}

impl RecordedDisk {
    /// A caller heard an answer.
    pub(crate) fn heard(&self, number: usize) {
        self.0.lock().unwrap().ops.push(Op::Heard(number));
    }

    pub(crate) fn ops(&self) -> Vec<Op> {
        self.0.lock().unwrap().ops.clone()
    }
}

impl Disk for RecordedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = OsDisk.create(path)?;
        let mut recorded = self.0.lock().unwrap();
        recorded.files += 1;
        let number = recorded.files;
        recorded.names.insert(path.to_owned(), number);
        recorded.ops.push(Op::Create(path.to_owned(), number));
        Ok(Box::new(RecordedFile { file, number, disk: self.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let number = self.0.lock().unwrap().names[path];
        Ok(Box::new(RecordedFile { file: OsDisk.open(path)?, number, disk: self.clone() }))
    }

    fn rewrite(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        // the same bytes at the same place: whatever a cut leaves of that is what was there
        OsDisk.rewrite(path, at, bytes)
    }

    fn note(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OsDisk.note(path, bytes)?;
        let mut recorded = self.0.lock().unwrap();
        let number = recorded.names[path];
        recorded.ops.push(Op::Note(number, bytes.to_vec()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)?;
        let mut recorded = self.0.lock().unwrap();
        if let Some(number) = recorded.names.remove(from) {
            recorded.names.insert(to.to_owned(), number);
        }
        recorded.ops.push(Op::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)?;
        let mut recorded = self.0.lock().unwrap();
        recorded.names.remove(path);
        recorded.ops.push(Op::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsDisk.sync_dir(dir)?;
        self.0.lock().unwrap().ops.push(Op::SyncDir(dir.to_owned()));
        Ok(())
    }
}

impl LogFile for RecordedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // noted before it is done: what follows a cut between the two is the same
        self.disk.0.lock().unwrap().ops.push(Op::Append(self.number, bytes.to_vec()));
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.disk.0.lock().unwrap().ops.push(Op::Sync(self.number));
        Ok(())
    }
}

/// What becomes of what was not flushed.
pub(crate) enum Unflushed<'a> {
    /// All of it is there: the process was killed, the machine goes on.
    Kept,
    /// Anything, by these random numbers.
    Anything(&'a mut dyn FnMut(u64) -> u64),
}

/// The files after the first so many calls and a cut.
pub(crate) struct Image {
    /// Answers that were heard before the cut.
    pub(crate) heard: Vec<usize>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    flushed: usize,
    /// Written over all of it, and not flushed.
    over: Option<Vec<u8>>,
}

impl Image {
    pub(crate) fn after(ops: &[Op], mut unflushed: Unflushed<'_>) -> Self {
        let mut contents: BTreeMap<usize, Content> = BTreeMap::new();
        let mut durable: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let mut names: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let (mut pending, mut heard) = (Vec::new(), Vec::new());
        for op in ops {
            match op {
                Op::Create(path, number) => {
                    names.insert(path.clone(), *number);
                    contents.insert(*number, Content::default());
                    pending.push((path.clone(), None, Some(*number)));
                }
                Op::Append(number, bytes) => contents.entry(*number).or_default().bytes.extend(bytes),
                Op::Sync(number) => {
                    let content = contents.entry(*number).or_default();
                    content.flushed = content.bytes.len();
                }
                Op::Note(number, bytes) => contents.entry(*number).or_default().over = Some(bytes.clone()),
                Op::Rename(from, to) => {
                    let number = names.remove(from).unwrap();
                    names.insert(to.clone(), number);
                    pending.push((to.clone(), Some(from.clone()), Some(number)));
                }
                Op::Remove(path) => {
                    names.remove(path);
                    pending.push((path.clone(), None, None));
                }
                Op::SyncDir(dir) => {
                    let (done, left): (Vec<_>, Vec<_>) =
                        pending.into_iter().partition(|(path, ..)| path.parent() == Some(dir));
                    done.into_iter().for_each(|change| rename(&mut durable, change));
                    pending = left;
                }
                Op::Heard(number) => heard.push(*number),
            }
        }
        for change in pending {
            let kept = match &mut unflushed {
                Unflushed::Kept => true,
                Unflushed::Anything(random) => random(2) == 0,
            };
            if kept {
                rename(&mut durable, change);
            }
        }
        let mut left = |content: &Content| match &mut unflushed {
            Unflushed::Kept => content.over.as_ref().unwrap_or(&content.bytes).clone(),
            Unflushed::Anything(random) => match &content.over {
                Some(over) if random(2) == 0 => over.clone(),
                _ => torn(content, random),
            },
        };
        let files = durable.into_iter().map(|(path, number)| (path, left(&contents[&number]))).collect();
        Self { heard, files }
    }

    /// Writes them below `to` as they stood below `from`.
    pub(crate) fn write(&self, from: &Path, to: &Path) {
        for (path, bytes) in &self.files {
            let path = to.join(path.strip_prefix(from).unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, change: (PathBuf, Option<PathBuf>, Option<usize>)) {
    let (path, from, number) = change;
    if let Some(from) = from
        && names.get(&from) == number.as_ref()
    {
        names.remove(&from);
    }
    match number {
        Some(number) => names.insert(path, number),
        None => names.remove(&path),
    };
}

/// What was flushed, and of the rest any sectors, up to any length; the others read as zeros.
fn torn(content: &Content, random: &mut dyn FnMut(u64) -> u64) -> Vec<u8> {
    let unflushed = content.bytes.len() - content.flushed;
    let mut bytes = content.bytes[..content.flushed].to_vec();
    let mut below = |number: usize| usize::try_from(random(number as u64)).unwrap();
    let length = match below(4) {
        0 => 0,
        1 => below(unflushed + 1),
        _ => unflushed,
    };
    bytes.extend(&content.bytes[content.flushed..content.flushed + length]);
    let chance = below(4);
    let mut at = content.flushed;
    while at < bytes.len() {
        let end = (at / SECTOR * SECTOR + SECTOR).min(bytes.len());
        if below(4) < chance {
            bytes[at..end].fill(0);
        }
        at = end;
    }
    bytes
}
