//! Files of the journal that were deleted behind a checkpoint: a start does not read them, and misses them all the same.

use crate::store_asks::furnish;
use crate::store_keeping::{Place, fill, flip, settled_down, until};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tollgate::store::Store;
use tollgate::store::sled::journal::segments;
use tollgate::store::sled::survey::survey;
use tollgate::store::sled::{Scrubbing, Sled};

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
