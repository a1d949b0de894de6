//! The floor under every durable answer: an append and an `fdatasync`, one after the other.

use super::load::Figures;
use crate::clock::{Clock as _, SystemClock};
use anyhow::Context as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// About what one admission appends.
const RECORD_BYTES: usize = 4096;

/// Appends and syncs for as long as it is told to, in a file that it removes.
pub(super) fn append_and_sync(dir: &Path, length: Duration) -> anyhow::Result<Figures> {
    let path = dir.join("tollgate-bench.floor");
    let context = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new().create_new(true).append(true).open(&path).with_context(context)?;
    let record = [7_u8; RECORD_BYTES];
    let clock = SystemClock::new();
    let mut figures = Figures::default();
    while clock.monotonic() < length {
        let started = clock.monotonic();
        file.write_all(&record).and_then(|()| file.sync_data()).with_context(context)?;
        figures.add(clock.monotonic().saturating_sub(started));
    }
    figures.took = clock.monotonic();
    drop(file);
    std::fs::remove_file(&path).with_context(context)?;
    Ok(figures)
}
