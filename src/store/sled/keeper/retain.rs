//! Checkpoints, and the segments and checkpoints that nothing needs any longer.

use super::work::{KeepError, Kept, Work};
use crate::audit::{CheckpointHeader, checkpoint_name};
use crate::decide::{Command, Envelope};
use crate::registry::Actor;
use crate::state::{DroppedSegment, JournalNote};
use crate::store::sled::checkpoint;
use crate::store::sled::journal::{Sealed, last_time, sealed_segments};
use std::io;

/// How many checkpoints are kept.
const CHECKPOINTS: usize = 2;

impl Work {
    pub(super) fn checkpoint_if_due(&mut self, kept: &Kept) -> Result<(), KeepError> {
        let size = self.good.last().map_or(0, |last| last.bytes);
        let due = self.since >= self.keeping.checkpoint_bytes.max(2 * size);
        if due && self.good.last().is_none_or(|last| last.seq < self.copy.chain.seq) {
            let header = CheckpointHeader { writer: self.copy.writer, chain: self.copy.chain };
            let keys = &self.history.keys;
            let note = checkpoint::write(&*self.disk, &self.checkpoints, header, &self.copy.state, keys);
            let note = note.map_err(KeepError::Checkpoint)?;
            tracing::info!(seq = note.seq, bytes = note.bytes, keys = keys.len(), "checkpoint made");
            self.since = 0;
            self.unnamed = Some(note);
        }
        let Some(note) = self.unnamed.take() else { return Ok(()) };
        if !self.journalled(JournalNote::Checkpoint(note.clone())) {
            self.unnamed = Some(note);
            return Ok(());
        }
        *kept.checkpoint.lock() = Some(note.clone());
        self.good.retain(|good| good.seq != note.seq);
        self.good.push(note);
        self.good.sort_unstable_by_key(|note| note.seq);
        self.drop_checkpoints();
        Ok(())
    }

    /// Has the chain say it; durable when true.
    fn journalled(&self, note: JournalNote) -> bool {
        let envelope = Envelope { command: Command::NoteJournal(note), actor: Actor::tollgate() };
        matches!(self.queue.submit(envelope).blocking_recv(), Ok(Ok(_)))
    }

    /// Takes away all but the last good ones.
    fn drop_checkpoints(&mut self) {
        if self.good.len() <= CHECKPOINTS {
            return;
        }
        let keep_from = self.good[self.good.len() - CHECKPOINTS].seq;
        self.good.retain(|note| note.seq >= keep_from);
        let Ok(files) = checkpoint::checkpoint_files(&self.checkpoints) else { return };
        for (_, path) in files.iter().filter(|(seq, _)| *seq < keep_from) {
            if let Err(error) = self.disk.remove(path) {
                tracing::warn!(%error, path = %path.display(), "an old checkpoint could not be taken away");
            }
        }
    }

    /// Drops segments that are behind the last two good checkpoints, that the database behind has durably, and that are
    /// old enough. The chain says so before the first file goes, so that a journal that begins behind them verifies.
    pub(super) fn drop_segments(&mut self, kept: &Kept) -> Result<(), KeepError> {
        let (Some(retain), [.., before, _last]) = (self.keeping.retain, self.good.as_slice()) else { return Ok(()) };
        let Some(index) = self.history.index() else { return Ok(()) };
        let until = self.guard.now().ok().and_then(|now| now.checked_sub(retain).ok());
        let Some(until) = until.and_then(|until| i64::try_from(until.as_nanosecond()).ok()) else { return Ok(()) };
        let upto = before.seq.min(index.last_seq());
        let sealed = sealed_segments(&self.history.journal)?;
        let old = |segment: &&Sealed| segment.last_seq <= upto && last_time(segment).is_ok_and(|time| time <= until);
        let old: Vec<&Sealed> = sealed.iter().take_while(old).collect();
        if old.is_empty() {
            return Ok(());
        }
        index.make_durable().map_err(KeepError::Drop)?;
        self.checkpoints_are_there()?;
        let note = |segment: &&Sealed| DroppedSegment {
            first_seq: segment.first_seq,
            last_seq: segment.last_seq,
            head: segment.head.to_string(),
        };
        if !self.journalled(JournalNote::Dropped(old.iter().map(note).collect())) {
            return Ok(());
        }
        for segment in old {
            let bytes = segment.file_bytes();
            self.disk.remove(&segment.path).map_err(KeepError::Drop)?;
            // one after the other, oldest first: what is left has no gap
            self.disk.sync_dir(&self.history.journal).map_err(KeepError::Drop)?;
            let mut dropped = kept.dropped.lock();
            *dropped = (dropped.0 + 1, dropped.1 + bytes);
            tracing::info!(first = segment.first_seq, last = segment.last_seq, "journal segment dropped");
        }
        Ok(())
    }

    /// Both checkpoints are read once more before anything goes that only they replace.
    fn checkpoints_are_there(&self) -> Result<(), KeepError> {
        for note in &self.good {
            let path = self.checkpoints.join(checkpoint_name(note.seq));
            let found = checkpoint::verify(&path);
            let right = found.as_ref().is_ok_and(|(_, found)| found == note);
            if !right {
                let why =
                    found.err().map_or_else(|| "it is not the one that was written".to_owned(), |e| e.to_string());
                self.findings.note(&path, &why);
                return Err(KeepError::Drop(io::Error::other(format!("{}: {why}", path.display()))));
            }
        }
        Ok(())
    }
}
