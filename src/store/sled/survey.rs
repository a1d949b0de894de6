//! What a state directory holds, by its files' heads and sizes: also of one that a daemon uses. Of what it holds only the
//! checkpoints are checked, and that no segment is missing between two others; the rest is `tollgate audit verify`'s.

use super::checkpoint::{checkpoint_files, verify};
use super::gaps::first_gap;
use super::journal::{ReadError, last_record, read_mark, segments};
use jiff::Timestamp;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::Path;

/// A state directory at a glance.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// The journal.
    pub journal: JournalSurvey,
    /// Checkpoints, oldest first.
    pub checkpoints: Vec<CheckpointSurvey>,
    /// Records that a start would read behind the last of them.
    pub checkpoint_lag: u64,
    /// Policy sets.
    pub blobs: FilesSurvey,
    /// The database behind.
    pub database: FilesSurvey,
    /// What was put aside, by name; nothing needs it.
    pub put_aside: Vec<String>,
}

/// The journal's files.
#[derive(Clone, Debug, Serialize)]
pub struct JournalSurvey {
    /// Segment files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first record that is there.
    pub first_record: u64,
    /// The last one.
    pub last_record: u64,
    /// The last one that is noted as durable.
    pub durable: Option<u64>,
    /// Records that no file has, between the first and the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// One checkpoint.
#[derive(Clone, Debug, Serialize)]
pub struct CheckpointSurvey {
    /// Its file.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// The last record that it covers.
    pub record: Option<u64>,
    /// That record's time.
    pub time: Option<Timestamp>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

/// How many files, and their bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct FilesSurvey {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Looks at a state directory.
pub fn survey(state: &Path) -> Result<Survey, ReadError> {
    let journal = journal(&state.join("journal"))?;
    let folder = state.join("checkpoints");
    let files = checkpoint_files(&folder).map_err(|error| ReadError::Io { path: folder, error })?;
    let checkpoints: Vec<CheckpointSurvey> = files.iter().map(|(_, path)| checkpoint(path)).collect();
    let covered = checkpoints.iter().filter_map(|one| one.record).max().unwrap_or(0);
    Ok(Survey {
        checkpoint_lag: journal.last_record.saturating_sub(covered),
        journal,
        checkpoints,
        blobs: files_of(&state.join("blobs")),
        database: files_of(&state.join("db")),
        put_aside: put_aside(state).map_err(|error| ReadError::Io { path: state.to_owned(), error })?,
    })
}

fn journal(dir: &Path) -> Result<JournalSurvey, ReadError> {
    let files = segments(dir)?;
    let bytes = files.iter().filter_map(|(_, path)| fs::metadata(path).ok()).map(|meta| meta.len()).sum();
    let last = files.last().map(|(first, path)| last_record(*first, path)).transpose();
    let last = last.map_err(|error| ReadError::Io { path: dir.to_owned(), error })?;
    Ok(JournalSurvey {
        segments: files.len() as u64,
        bytes,
        first_record: files.first().map_or(0, |(first, _)| *first),
        last_record: last.unwrap_or(0),
        durable: read_mark(dir).ok().flatten().map(|mark| mark.seq),
        missing: first_gap(dir)?.map(|damage| damage.to_string()),
    })
}

fn checkpoint(path: &Path) -> CheckpointSurvey {
    let head = verify(path);
    let chain = head.as_ref().ok().map(|(head, _)| head.chain);
    CheckpointSurvey {
        file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        bytes: fs::metadata(path).map_or(0, |meta| meta.len()),
        record: chain.map(|chain| chain.seq),
        time: chain.and_then(|chain| Timestamp::from_nanosecond(i128::from(chain.time_ns)).ok()),
        wrong: head.err().map(|fault| fault.to_string()),
    }
}

fn files_of(folder: &Path) -> FilesSurvey {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    let sizes = files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|meta| meta.len());
    sizes.fold(FilesSurvey::default(), |sum, bytes| FilesSurvey { files: sum.files + 1, bytes: sum.bytes + bytes })
}

fn put_aside(state: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in [state.to_owned(), state.join("checkpoints")] {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.contains(".damaged") {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}
