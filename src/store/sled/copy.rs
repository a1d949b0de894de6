//! Backup and restore: the journal up to its last whole record, the checkpoints, the policy sets, and the masking secret,
//! copied and checked. The database behind is not copied: it is made from the journal.

use super::check::{CheckError, Checked, check};
use super::checkpoint::checkpoint_files;
use super::journal::{ReadError, Torn, cut_torn_end, sealed_segments, segments, walk_kept};
use crate::audit::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The name of the manifest in a backup.
pub const MANIFEST: &str = "manifest.json";

/// Files at the top of a state directory that a backup holds too, where they are there.
const OTHER_FILES: [&str; 1] = ["mask.key"];

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this document.
    pub v: u32,
    /// The last record.
    pub records: u64,
    /// Its hash.
    pub head: Digest,
    /// Its time.
    pub last_time: Option<Timestamp>,
    /// Segment files.
    pub segments: u64,
    /// Policy sets' files.
    pub blobs: u64,
}

/// A backup or a restore failed; nothing at the source was changed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is something already.
    #[error("{0} is not empty: nothing is ever written over a state or a backup")]
    NotEmpty(PathBuf),
    /// There is no journal.
    #[error("{0} has no journal")]
    NoJournal(PathBuf),
    /// The copy is not what its manifest says.
    #[error("the backup is not what its manifest says: {what} is {found}, not {wanted}")]
    Manifest {
        /// Which of its figures.
        what: &'static str,
        /// What the manifest says.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// The manifest cannot be read.
    #[error("the backup's manifest cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// Source or copy is damaged, or cannot be read.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A file cannot be copied.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Copies a state directory into a new or empty one. A daemon may go on using it: what it writes meanwhile is left out.
pub fn backup(state: &Path, to: &Path) -> Result<Manifest, CopyError> {
    copy(state, to)?;
    let manifest = manifest(&check(to, None)?);
    let text = serde_json::to_vec_pretty(&manifest).map_err(CopyError::Unreadable)?;
    let path = to.join(MANIFEST);
    fs::write(&path, text).map_err(io_at(&path))?;
    sync(&path)?;
    sync(to)?;
    Ok(manifest)
}

/// Makes a state directory from a backup, checked before and after. Returns what the backup's manifest says.
pub fn restore(from: &Path, state: &Path) -> Result<Manifest, CopyError> {
    let path = from.join(MANIFEST);
    let text = fs::read(&path).map_err(io_at(&path))?;
    let wanted: Manifest = serde_json::from_slice(&text).map_err(CopyError::Unreadable)?;
    compare(&wanted, &manifest(&check(from, Some(wanted.head))?))?;
    copy(from, state)?;
    compare(&wanted, &manifest(&check(state, Some(wanted.head))?))?;
    Ok(wanted)
}

fn manifest(checked: &Checked) -> Manifest {
    Manifest {
        v: 1,
        records: checked.records,
        head: checked.head,
        last_time: checked.last_time,
        segments: checked.segments,
        blobs: checked.blobs,
    }
}

fn compare(wanted: &Manifest, found: &Manifest) -> Result<(), CopyError> {
    let differ = |what, wanted: &dyn ToString, found: &dyn ToString| {
        Err(CopyError::Manifest { what, wanted: wanted.to_string(), found: found.to_string() })
    };
    if wanted.head != found.head {
        return differ("the head", &wanted.head, &found.head);
    }
    if wanted.records != found.records {
        return differ("the number of records", &wanted.records, &found.records);
    }
    if wanted.blobs != found.blobs {
        return differ("the number of policy sets' files", &wanted.blobs, &found.blobs);
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), CopyError> {
    let source = from.join("journal");
    if !source.is_dir() {
        return Err(CopyError::NoJournal(from.to_owned()));
    }
    make_empty(to)?;
    let target = to.join("journal");
    make_empty(&target)?;
    // before the segments, which are dropped only behind a checkpoint
    copy_checkpoints(&from.join("checkpoints"), &to.join("checkpoints"))?;
    copy_segments(&source, &target)?;
    copy_tree(&from.join("blobs"), &to.join("blobs"))?;
    for name in OTHER_FILES {
        if from.join(name).exists() {
            copy_file(&from.join(name), &to.join(name))?;
        }
    }
    sync(&target)?;
    sync(to)
}

/// Those that are still there: the daemon may take the oldest away meanwhile.
fn copy_checkpoints(from: &Path, to: &Path) -> Result<(), CopyError> {
    make_empty(to)?;
    for (_, path) in checkpoint_files(from).map_err(io_at(from))? {
        let target = to.join(path.file_name().unwrap_or_default());
        match fs::copy(&path, &target) {
            Ok(_) => sync(&target)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_at(&path)(error)),
        }
    }
    sync(to)
}

/// Sealed segments as they are; the last one up to its last whole record.
fn copy_segments(source: &Path, target: &Path) -> Result<(), CopyError> {
    let read = |error: ReadError| CopyError::Check(CheckError::Journal(error));
    let files = segments(source).map_err(read)?;
    for (_, path) in &files {
        copy_file(path, &target.join(path.file_name().unwrap_or_default()))?;
    }
    // the last one may have been sealed or abandoned since it was listed: then what follows its end is dead
    let last = files.last().map(|(seq, path)| (*seq, target.join(path.file_name().unwrap_or_default())));
    if let Some((seq, path)) = last {
        let sealed = sealed_segments(source).map_err(read)?;
        if let Some(sealed) = sealed.iter().find(|sealed| sealed.first_seq == seq) {
            let length = fs::metadata(&path).map_err(io_at(&path))?.len();
            if length > sealed.length {
                let dead = Torn { path: path.clone(), offset: sealed.length, bytes: length - sealed.length };
                cut_torn_end(&dead).map_err(io_at(&path))?;
            }
        }
    }
    if let Some(torn) = walk_kept(target, &mut |_, _| Ok(())).map_err(read)?.torn {
        cut_torn_end(&torn).map_err(io_at(&torn.path))?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), CopyError> {
    if !from.is_dir() {
        return Ok(());
    }
    make_empty(to)?;
    for entry in fs::read_dir(from).map_err(io_at(from))? {
        let path = entry.map_err(io_at(from))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else if path.extension().is_none() {
            // one with an extension was never finished
            copy_file(&path, &target)?;
        }
    }
    sync(to)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), CopyError> {
    fs::copy(from, to).map_err(io_at(from))?;
    sync(to)
}

fn make_empty(path: &Path) -> Result<(), CopyError> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        let empty = fs::read_dir(path).map_err(io_at(path))?.next().is_none();
        return if empty { Ok(()) } else { Err(CopyError::NotEmpty(path.to_owned())) };
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_at(path))
}

fn sync(path: &Path) -> Result<(), CopyError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io_at(path))
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> CopyError {
    let path = path.to_owned();
    |error| CopyError::Io { path, error }
}
