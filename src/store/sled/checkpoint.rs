//! Checkpoints on the disk: written whole, flushed, renamed and read back; the last good one found at the start.

use super::journal::Disk;
use super::used_keys::{Generation, UsedKeys};
use crate::audit::{
    Chain, CheckpointFault, CheckpointHeader, Digest, Hashing, SectionKind, WriterId, checkpoint_name, checkpoint_seq,
    put_section, read_sections,
};
use crate::budget::Account;
use crate::state::{CheckpointNote, Effect, State};
use jiff::Timestamp;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// So many effects or accounts are in one section.
const SECTION_ITEMS: usize = 1_000;

/// So many bytes are written between two flushes, so that no flush of the journal waits behind all of a checkpoint.
const FLUSH_BYTES: usize = 4 << 20;

/// So much is read back at once.
const PIECE: usize = 256 << 10;

/// A checkpoint as it was read.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) chain: Chain,
    pub(super) writer: WriterId,
    pub(super) state: State,
    pub(super) keys: Vec<Generation>,
    pub(super) note: CheckpointNote,
}

/// A checkpoint that is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {fault}")]
pub struct BadCheckpoint {
    /// Its file.
    pub file: String,
    /// What is wrong with it.
    pub fault: CheckpointFault,
}

/// The checkpoint files of a folder, by the last record that they cover, in order. A folder that is not there has none.
pub(super) fn checkpoint_files(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(seq) = entry.file_name().to_str().and_then(checkpoint_seq) {
            found.push((seq, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Writes the checkpoint of a state that stands at the last record of a sealed segment, and reads it back. It has its name
/// when it is whole and durable.
pub(super) fn write(
    disk: &dyn Disk,
    dir: &Path,
    header: CheckpointHeader,
    state: &State,
    keys: &UsedKeys,
) -> io::Result<CheckpointNote> {
    let path = dir.join(checkpoint_name(header.chain.seq));
    let fresh = path.with_extension("ckpt.new");
    let mut file = Writing { file: disk.create(&fresh)?, hashing: Hashing::default(), buffer: Vec::new(), length: 0 };
    file.buffer.extend_from_slice(&header.encode());
    let mut effects = state.as_effects().peekable();
    while effects.peek().is_some() {
        let some: Vec<Effect> = effects.by_ref().take(SECTION_ITEMS).collect();
        file.section(SectionKind::Effects, |bytes| Ok(serde_json::to_writer(bytes, &some)?))?;
    }
    let mut accounts = state.accounts().peekable();
    while accounts.peek().is_some() {
        let some: Vec<&Account> = accounts.by_ref().take(SECTION_ITEMS).collect();
        file.section(SectionKind::Accounts, |bytes| Ok(serde_json::to_writer(bytes, &some)?))?;
    }
    for generation in keys.generations().iter() {
        file.section(SectionKind::Keys, |bytes| {
            encode_keys(generation, bytes);
            Ok(())
        })?;
    }
    let (digest, bytes) = file.finish()?;
    disk.rename(&fresh, &path)?;
    disk.sync_dir(dir)?;
    let note = CheckpointNote { seq: header.chain.seq, sha256: digest.to_string(), bytes };
    let found = digest_of(&path)?;
    if found != digest {
        return Err(io::Error::other(format!("{} was read back with other bytes", path.display())));
    }
    Ok(note)
}

/// A file being written: hashed on the way, flushed a few MiB at a time.
struct Writing {
    file: Box<dyn super::journal::LogFile>,
    hashing: Hashing,
    buffer: Vec<u8>,
    length: u64,
}

impl Writing {
    fn section(&mut self, kind: SectionKind, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        put_section(&mut self.buffer, kind, write)?;
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hashing.update(&self.buffer);
        self.length += self.buffer.len() as u64;
        for piece in self.buffer.chunks(FLUSH_BYTES) {
            self.file.append(piece)?;
            self.file.sync()?;
        }
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.flush()?;
        let digest = self.hashing.so_far();
        self.section(SectionKind::End, |bytes| {
            bytes.extend_from_slice(digest.as_bytes());
            Ok(())
        })?;
        self.flush()?;
        Ok((self.hashing.so_far(), self.length))
    }
}

fn encode_keys(generation: &Generation, bytes: &mut Vec<u8>) {
    let end = i64::try_from(generation.last_end.as_nanosecond()).unwrap_or(i64::MAX);
    bytes.reserve(16 + 16 * generation.keys.len());
    bytes.extend_from_slice(&generation.upto.to_le_bytes());
    bytes.extend_from_slice(&end.to_le_bytes());
    for (fingerprint, place) in &generation.keys {
        bytes.extend_from_slice(&fingerprint.to_le_bytes());
        bytes.extend_from_slice(&place.to_le_bytes());
    }
}

/// A file's digest, read piece by piece.
fn digest_of(path: &Path) -> io::Result<Digest> {
    let (mut file, mut hashing, mut piece) = (fs::File::open(path)?, Hashing::default(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hashing.so_far()),
            read => hashing.update(&piece[..read]),
        }
    }
}

fn decode_keys(content: &[u8]) -> Option<Generation> {
    let (upto, rest) = content.split_first_chunk::<8>()?;
    let (end, rest) = rest.split_first_chunk::<8>()?;
    let (pairs, []) = rest.as_chunks::<16>() else { return None };
    let half = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    Some(Generation {
        upto: u64::from_le_bytes(*upto),
        last_end: Timestamp::from_nanosecond(i128::from(i64::from_le_bytes(*end))).ok()?,
        keys: pairs.iter().map(|pair| (half(&pair[..8]), half(&pair[8..]))).collect(),
    })
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, CheckpointFault> {
    fs::read(path).map_err(|error| unread(&error))
}

/// What the system does not let be read may be good all the same.
fn unread(error: &io::Error) -> CheckpointFault {
    CheckpointFault::Unread(error.to_string())
}

/// Reads a checkpoint with everything in it.
pub(super) fn read(path: &Path) -> Result<Checkpoint, CheckpointFault> {
    let bytes = bytes_of(path)?;
    let header = CheckpointHeader::decode(&bytes)?;
    let chain = header.chain;
    let (mut state, mut keys) = (State::default(), Vec::new());
    let time = Timestamp::from_nanosecond(i128::from(chain.time_ns)).unwrap_or(Timestamp::MIN);
    let wrong = |error: serde_json::Error| CheckpointFault::Content(error.to_string());
    let digest = read_sections(&bytes, &mut |kind, content| {
        match kind {
            SectionKind::Effects => {
                let effects: Vec<Effect> = serde_json::from_slice(content).map_err(wrong)?;
                state.restore(&effects, chain.seq);
            }
            SectionKind::Accounts => {
                let accounts: Vec<Account> = serde_json::from_slice(content).map_err(wrong)?;
                state.restore_accounts(accounts, chain.seq, time);
            }
            SectionKind::Keys => {
                let short = || CheckpointFault::Content("its keys have another form".to_owned());
                keys.push(decode_keys(content).ok_or_else(short)?);
            }
            SectionKind::End => {}
        }
        Ok(())
    })?;
    named(path, chain.seq)?;
    let note = CheckpointNote { seq: chain.seq, sha256: digest.to_string(), bytes: bytes.len() as u64 };
    Ok(Checkpoint { chain, writer: header.writer, state, keys, note })
}

/// Checks a checkpoint without making anything of it. Returns where it stands and its digest.
pub(super) fn verify(path: &Path) -> Result<(CheckpointHeader, CheckpointNote), CheckpointFault> {
    verify_bytes(path, &bytes_of(path)?)
}

/// The same with the file's bytes.
pub(super) fn verify_bytes(path: &Path, bytes: &[u8]) -> Result<(CheckpointHeader, CheckpointNote), CheckpointFault> {
    let header = CheckpointHeader::decode(bytes)?;
    let digest = read_sections(bytes, &mut |_, _| Ok(()))?;
    named(path, header.chain.seq)?;
    let note = CheckpointNote { seq: header.chain.seq, sha256: digest.to_string(), bytes: bytes.len() as u64 };
    Ok((header, note))
}

/// The digests of the policy sets that a checkpoint remembers.
pub(super) fn policy_sets(path: &Path) -> Result<Vec<String>, CheckpointFault> {
    let bytes = bytes_of(path)?;
    let mut sets = Vec::new();
    read_sections(&bytes, &mut |kind, content| {
        if matches!(kind, SectionKind::Effects) {
            let effects: Vec<Effect> =
                serde_json::from_slice(content).map_err(|error| CheckpointFault::Content(error.to_string()))?;
            sets.extend(effects.into_iter().filter_map(|effect| match effect {
                Effect::PolicySet(head) => Some(head.digest),
                _ => None,
            }));
        }
        Ok(())
    })?;
    Ok(sets)
}

fn named(path: &Path, seq: u64) -> Result<(), CheckpointFault> {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(checkpoint_seq);
    if name == Some(seq) {
        return Ok(());
    }
    Err(CheckpointFault::Foreign(format!("it covers the records up to {seq}, and its name says otherwise")))
}
