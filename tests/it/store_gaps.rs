//! Files of the journal that were deleted behind a checkpoint: a start does not read them, and misses them all the same.

use crate::store_asks::{admit, asked, decided, furnish};
use crate::store_keeping::{Place, fill, flip, settled_down, until};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tollgate::store::sled::journal::segments;
use tollgate::store::sled::survey::survey;
use tollgate::store::sled::{Scrubbing, Sled};
use tollgate::store::{CommitFailure, Store};

/// A journal of many segments, and its files.
fn filled() -> (Place, Vec<(u64, PathBuf)>) {
    let place = Place::new();
    let store = place.open();
    furnish(&store);
    fill(&store, 0, 60);
    settled_down(&store);
    drop(store);
    let files = segments(&place.dir.path().join("journal")).unwrap();
    assert!(files.len() > 12, "{} segments", files.len());
    (place, files)
}

fn names(place: &Place) -> Vec<String> {
    fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_start_misses_segments_that_were_deleted_behind_a_checkpoint() {
    let (place, files) = filled();
    for gone in [0..3, 4..5, 5..8] {
        let (first, next) = (files[gone.start].0, files[gone.end].0);
        let kept: Vec<_> = files[gone].iter().map(|(_, path)| (path, fs::read(path).unwrap())).collect();
        kept.iter().for_each(|(path, _)| fs::remove_file(path).unwrap());
        let refused = place.try_open().err().unwrap().to_string();
        let wanted = format!("the records {first} to {} are missing", next - 1);
        assert!(refused.contains(&wanted) && refused.contains(&format!("{next:020}.seg")), "{refused}");
        assert!(!names(&place).iter().any(|name| name.contains("damaged")), "{:?}", names(&place));
        kept.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    }
    let (_, recovery) = place.try_open().unwrap();
    assert!(recovery.checkpoint.is_some() && recovery.bad_checkpoints.is_empty() && recovery.put_aside.is_none());
}

#[test]
fn a_segment_that_is_cut_short_behind_a_checkpoint_is_missed_from_there_on() {
    let (place, files) = filled();
    let (_, path) = &files[3];
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
    let refused = place.try_open().err().unwrap().to_string();
    assert!(refused.contains(&format!("to {} are missing", files[4].0 - 1)), "{refused}");
    // one changed byte is the scrubber's to find: nothing is missing
    fs::write(path, &bytes).unwrap();
    flip(path, bytes.len() / 2);
    assert!(place.try_open().is_ok());
}

#[test]
fn the_scrubber_misses_what_is_deleted_under_a_running_daemon() {
    let (place, files) = filled();
    let mut settings = place.settings();
    settings.keeping.checkpoint_bytes = 64 << 20;
    settings.scrubbing = Scrubbing { bytes_per_s: 1 << 40, rest: Duration::from_millis(1) };
    let (store, _) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
    until(|| store.status().scrubbed.passes >= 2);
    assert_eq!(store.status().findings, []);
    fs::remove_file(&files[0].1).unwrap();
    fs::remove_file(&files[5].1).unwrap();
    let said = |what: String| store.status().findings.iter().any(|finding| finding.what.contains(&what));
    until(|| said(format!("the records 1 to {} are missing", files[1].0 - 1)));
    until(|| said(format!("the records {} to {} are missing", files[5].0, files[6].0 - 1)));
}

/// Returns when it holds, or fails after many looks.
fn soon(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..20_000_000 {
        if holds() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{what}");
}

/// A byte of a segment's first record.
const FLIPPED: u64 = 200;

/// A sealed segment that cannot be read keeps commits from going on once memory holds eight more, and then no further one is
/// sealed that would have it tried again.
#[test]
fn a_segment_that_could_not_be_read_is_tried_again_although_none_is_sealed() {
    let mut place = Place::new();
    place.checkpoint_bytes = 64 << 20;
    let mut settings = place.settings();
    settings.keeping.again_after = Duration::from_millis(10);
    settings.scrubbing.bytes_per_s = 0;
    let (store, _) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
    furnish(&store);
    fill(&store, 0, 12);
    // what the writer has open, once a record is in it: nobody reads it before it is sealed
    let last = || segments(&place.dir.path().join("journal")).unwrap().pop().unwrap().1;
    let mut n = 100;
    while fs::metadata(last()).unwrap().len() < FLIPPED + 100 {
        fill(&store, n, 1);
        n += 1;
    }
    let open = last();
    let file = fs::File::options().read(true).write(true).open(&open).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, FLIPPED).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], FLIPPED).unwrap();
    let refused = (0..1_000).find(|n| {
        let asked = store.submit(asked(admit("a", &format!("more-{n}"), "0.01")));
        matches!(asked.blocking_recv().unwrap(), Err(CommitFailure::Busy | CommitFailure::NotDurable(_)))
    });
    assert!(refused.is_some(), "memory is bounded");
    soon("it says why", || store.status().failed.is_some());
    assert!(store.status().findings.iter().any(|finding| open.display().to_string() == finding.file));
    // what woke the keeper last has been heard by then
    (0..1_000).for_each(|_| std::thread::yield_now());
    file.write_all_at(&byte, FLIPPED).unwrap();
    soon("it is read after all", || store.status().failed.is_none() && store.status().index_lag < 40);
    decided(&store, admit("a", "behind", "0.01"));
}

#[test]
fn a_survey_names_a_missing_segment_and_a_changed_checkpoint() {
    let (place, files) = filled();
    let seen = survey(place.dir.path()).unwrap();
    assert!(seen.journal.missing.is_none() && seen.checkpoints.iter().all(|one| one.wrong.is_none()), "{seen:?}");
    fs::remove_file(&files[2].1).unwrap();
    let newest = place.checkpoints().pop().unwrap();
    flip(&newest, fs::read(&newest).unwrap().len() / 2);
    let seen = survey(place.dir.path()).unwrap();
    assert!(seen.journal.missing.unwrap().contains(&format!("the records {} to {}", files[2].0, files[3].0 - 1)));
    assert!(seen.checkpoints.last().unwrap().wrong.as_ref().unwrap().contains("checksum"), "{:?}", seen.checkpoints);
}
