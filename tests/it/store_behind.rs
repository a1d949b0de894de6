//! The database behind the journal as a power cut may leave it: sled flushes nothing that a cut would spare, so whatever of its
//! files is there, older, torn or gone, every answer is there all the same.

use crate::store_asks::{admit, commit, decided, furnish, hold_of, settle};
use crate::store_cuts::{copy_tree, figures_are_right, random};
use crate::store_keeping::{Place, until};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tollgate::admission::DecisionRecord;
use tollgate::budget::HoldState;
use tollgate::store::sled::{IndexState, Sled};
use tollgate::store::{DecisionFilter, Store};

/// What a disk writes as one.
const SECTOR: usize = 512;

/// sled's own files are written in pieces of these at most.
const PIECE: usize = 64 * 1024;

fn files(root: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(root.join("db")).into_iter().map(Result::unwrap);
    all.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// Leaves of a file what a cut may leave: all of it, none, less, sectors of before, sectors that were never written.
fn tear(path: &Path, before: Option<&[u8]>, random: &mut dyn FnMut(u64) -> u64) {
    let mut below = |most: usize| usize::try_from(random(most as u64)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    match below(6) {
        0 => return,
        1 => return fs::remove_file(path).unwrap(),
        2 => bytes.truncate(below(bytes.len() + 1)),
        _ => {}
    }
    let (unit, chance) = ([SECTOR, PIECE][below(2)], [0, 1, 10, 50][below(4)]);
    let old = before.filter(|_| below(3) > 0);
    let mut at = 0;
    while at < bytes.len() {
        let end = (at + unit).min(bytes.len());
        if below(100) < chance {
            match old.and_then(|old| old.get(at..end)) {
                Some(old) => bytes[at..end].copy_from_slice(old),
                None => bytes[at..end].fill(0),
            }
        }
        at = end;
    }
    fs::write(path, bytes).unwrap();
}

/// Every answer, word for word; every hold as it stands; and as many decisions in the list as there were.
fn all_is_there(store: &Sled, heard: &[(Arc<DecisionRecord>, bool)], what: &str) {
    for (record, settled) in heard {
        let found = store.decision(&record.id).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = found.unwrap_or_else(|| panic!("{what}: {} is gone", record.id));
        assert_eq!(found.answer.get(), record.answer.get(), "{what}");
        let hold = store.hold(&hold_of(record)).unwrap().unwrap_or_else(|| panic!("{what}: a hold is gone"));
        assert_eq!(hold.state == HoldState::Settled, *settled, "{what}: {hold:?}");
    }
    let page = store.decisions(&DecisionFilter::default(), None, 1_000).unwrap();
    assert_eq!(page.items.len(), heard.len(), "{what}");
    figures_are_right(store, what);
}

#[test]
fn whatever_a_power_cut_leaves_of_the_database_behind_every_answer_is_there() {
    let mut random = random(None);
    let place = Place::new();
    let store = place.open();
    furnish(&store);
    let mut heard = Vec::new();
    let early = tempfile::tempdir().unwrap();
    for n in 0..120 {
        let record = decided(&store, admit("a", &format!("k{n}"), "0.01"));
        if n % 2 == 0 {
            commit(&store, settle(hold_of(&record), "0.02")).unwrap();
        }
        heard.push((record, n % 2 == 0));
        if n == 60 {
            copy_tree(place.dir.path(), early.path());
        }
    }
    until(|| store.status().index_lag < 40);
    // what a killed daemon leaves: nothing was stopped in order
    let killed = tempfile::tempdir().unwrap();
    copy_tree(place.dir.path(), killed.path());
    drop(store);
    let (mut anew, mut lacking) = (0, 0);
    for round in 0..60 {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(killed.path(), copy.path());
        for path in files(copy.path()) {
            let before = fs::read(early.path().join(path.strip_prefix(copy.path()).unwrap())).ok();
            tear(&path, before.as_deref(), &mut random);
        }
        let mut settings = place.settings();
        copy.path().clone_into(&mut settings.state);
        let (store, recovery) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
        until(|| store.status().index_state == IndexState::InStep);
        all_is_there(&store, &heard, &format!("round {round}, put aside: {:?}", recovery.put_aside));
        anew += u32::from(recovery.put_aside.is_some());
        lacking += u32::from(recovery.put_aside.is_none());
    }
    assert!(anew > 0 && lacking > 0, "{anew} begun anew, {lacking} gone on with");
}
