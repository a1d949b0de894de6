//! Power cuts, kills, failing flushes and full disks: whatever was answered is there afterwards, always, and what was refused
//! is not.

use crate::faulty_disk::FaultyDisk;
use crate::recorded_disk::{Image, Op, RecordedDisk, Unflushed};
use crate::store_asks::{admit, asked, commit, decided, envelope, furnish, hold_of, keep_policy_set, settle};
use crate::store_keeping::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tollgate::budget::HoldState;
use tollgate::decide::{Answer, Command};
use tollgate::store::sled::check::check;
use tollgate::store::sled::journal::segments;
use tollgate::store::sled::{IndexState, Sled};
use tollgate::store::{CommitFailure, DecisionFilter, Store, read};
use tollgate::vocabulary::HoldId;

/// `SplitMix64`, from a seed that a failing test prints.
pub(crate) fn random(seed: Option<u64>) -> impl FnMut(u64) -> u64 {
    let named = std::env::var("TOLLGATE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut state = named.or(seed).unwrap_or_else(|| getrandom::u64().unwrap());
    #[expect(clippy::print_stderr, reason = "a failing test tells its seed")]
    {
        eprintln!("TOLLGATE_TEST_SEED={state}");
    }
    move |below| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// Something that was answered.
enum Heard {
    Admission { key: String, answer: String },
    Settled(HoldId),
}

/// Asks in batches of several callers, settles some, and notes every answer when it is heard.
struct Load {
    place: Place,
    disk: RecordedDisk,
    heard: Vec<Heard>,
}

impl Load {
    fn new(place: Place) -> Self {
        Self { place, disk: RecordedDisk::default(), heard: Vec::new() }
    }

    fn open(&self) -> Sled {
        let clock = Arc::new(self.place.clock.clone());
        Sled::open_on(&self.place.settings(), clock, Box::new(self.disk.clone())).unwrap().0
    }

    fn run(&mut self, store: &Sled, name: &str, rounds: usize) {
        for round in 0..rounds {
            let keys: Vec<String> = (0..=round % 5).map(|n| format!("{name}-{round}-{n}")).collect();
            let replies: Vec<_> = keys.iter().map(|key| store.submit(asked(admit("a", key, "0.01")))).collect();
            let mut last = None;
            for (key, reply) in keys.into_iter().zip(replies) {
                match reply.blocking_recv().unwrap() {
                    Ok(Answer::Decided(record)) => {
                        self.note(Heard::Admission { key, answer: record.answer.get().to_owned() });
                        last = Some(record);
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(CommitFailure::Busy) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            if round % 2 == 0
                && let Some(record) = last
                && record.answer.get().contains("hold_0")
            {
                commit(store, settle(hold_of(&record), "0.02")).unwrap();
                self.note(Heard::Settled(hold_of(&record)));
            }
        }
    }

    fn note(&mut self, heard: Heard) {
        self.disk.heard(self.heard.len());
        self.heard.push(heard);
    }

    /// Starts on an image, and looks for every answer that was heard before the cut.
    fn inspect(&self, image: &Image, what: &str) {
        let dir = tempfile::tempdir().unwrap();
        image.write(self.place.dir.path(), dir.path());
        let mut settings = self.place.settings();
        dir.path().clone_into(&mut settings.state);
        let clock = Arc::new(self.place.clock.clone());
        let (store, _) = Sled::open(&settings, clock).unwrap_or_else(|error| panic!("{what}: {error}"));
        for number in &image.heard {
            match &self.heard[*number] {
                Heard::Admission { key, answer } => {
                    let again = decided(&store, admit("a", key, "0.01"));
                    assert_eq!(again.answer.get(), answer, "{what}: {key}");
                }
                Heard::Settled(id) => {
                    let hold = store.hold(id).unwrap().unwrap_or_else(|| panic!("{what}: {id} is gone"));
                    assert_eq!(hold.state, HoldState::Settled, "{what}: {id}");
                }
            }
        }
        figures_are_right(&store, what);
        // an image is of the journal and the checkpoints alone
        keep_policy_set(&store);
        drop(store);
        check(dir.path(), None).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

/// What the accounts say is set aside is what the pending holds set aside.
pub(crate) fn figures_are_right(store: &Sled, what: &str) {
    let (held, pending) = read(store, |state| {
        let mut pending: BTreeMap<String, i128> = BTreeMap::new();
        for effect in state.as_effects() {
            if let tollgate::state::Effect::Hold(hold) = effect {
                for line in &hold.lines {
                    *pending.entry(line.account.to_string()).or_default() += i128::from(line.held.nanos());
                }
            }
        }
        let held: BTreeMap<String, i128> =
            state.accounts().map(|account| (account.key.to_string(), account.sums.held.nanos())).collect();
        (held, pending)
    });
    for (account, held) in held {
        assert_eq!(held, pending.get(&account).copied().unwrap_or(0), "{what}: {account}");
    }
}

/// The daemon's calls to the disk, cut after each of many: with what was not flushed dropped, kept or torn. Seen to fail
/// with the writer answering before it flushes, with a segment not renamed durably, and with the end judged by its form.
#[test]
fn after_a_power_cut_every_answer_that_was_heard_is_there() {
    let mut random = random(None);
    let mut load = Load::new(Place::new());
    let store = load.open();
    furnish(&store);
    load.run(&store, "cut", 30);
    drop(store);
    let ops = load.disk.ops();
    let start = ops.iter().position(|op| matches!(op, Op::Heard(_))).unwrap();
    for _ in 0..80 {
        let cut = start + usize::try_from(random((ops.len() - start) as u64 + 1)).unwrap();
        let image = Image::after(&ops[..cut], Unflushed::Anything(&mut random));
        load.inspect(&image, &format!("cut after {cut} of {} calls", ops.len()));
    }
}

/// Killed between any two calls to the disk: in a commit, when a segment begins, in a checkpoint, and when one is taken away.
#[test]
fn killed_at_any_call_to_the_disk_every_answer_that_was_heard_is_there() {
    let mut load = Load::new(Place::new());
    let store = load.open();
    furnish(&store);
    load.run(&store, "kill", 12);
    // the keeper works behind: until it has done everything once
    for round in 0..100 {
        if points(&load.disk.ops()).contains("ckpt: remove") {
            break;
        }
        load.run(&store, &format!("more{round}"), 1);
        while store.status().index_segments < store.status().sealed_segments {
            std::thread::yield_now();
        }
    }
    drop(store);
    let ops = load.disk.ops();
    let reached = points(&ops);
    let missing: Vec<&&str> = POINTS.iter().filter(|point| !reached.contains(**point)).collect();
    assert!(missing.is_empty(), "points that no cut reaches: {missing:?} of {reached:?}");
    let start = ops.iter().position(|op| matches!(op, Op::Heard(_))).unwrap();
    for cut in start..=ops.len() {
        load.inspect(
            &Image::after(&ops[..cut], Unflushed::Kept),
            &format!("killed after {cut}: {:?}", brief(&ops, cut)),
        );
    }
}

/// The calls to the disk by what they are for: a cut behind each is a kill at that point.
const POINTS: [&str; 15] = [
    "seg: append",
    "seg: sync",
    "seg.new: create",
    "seg.new: append",
    "seg.new: sync",
    "seg: rename",
    "ckpt.new: create",
    "ckpt.new: append",
    "ckpt.new: sync",
    "ckpt: rename",
    "ckpt: remove",
    "durable: rename",
    "durable: note",
    "journal: sync_dir",
    "checkpoints: sync_dir",
];

/// Which of them there are.
fn points(ops: &[Op]) -> BTreeSet<String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let kind = |path: &Path| name(path).split_once('.').map_or_else(|| name(path), |(_, kind)| kind.to_owned());
    let mut names: BTreeMap<usize, String> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for op in ops {
        found.insert(match op {
            Op::Create(path, number) => {
                names.insert(*number, kind(path));
                format!("{}: create", kind(path))
            }
            Op::Append(number, _) => format!("{}: append", names[number]),
            Op::Sync(number) => format!("{}: sync", names[number]),
            Op::Note(number, _) => format!("{}: note", names[number]),
            Op::Rename(from, to) => {
                let moved = kind(from);
                if let Some(named) = names.values_mut().find(|named| **named == moved) {
                    *named = kind(to);
                }
                format!("{}: rename", kind(to))
            }
            Op::Remove(path) => format!("{}: remove", kind(path)),
            Op::SyncDir(path) => format!("{}: sync_dir", name(path)),
            Op::Heard(_) => continue,
        });
    }
    found
}

/// Killed while the database behind is built anew: whatever of it is there, the next start goes on with it or begins again,
/// and misses nothing.
#[test]
fn killed_while_the_database_behind_is_built_anew_nothing_is_missing() {
    let place = Place::new();
    let store = place.open();
    furnish(&store);
    let asked: Vec<String> = (0..400).map(|n| format!("k{n}")).collect();
    let heard: Vec<_> = asked.iter().map(|key| decided(&store, admit("a", key, "0.001"))).collect();
    drop(store);
    let (mut halfway, mut settings) = (0, place.settings());
    settings.wait_for_database = Duration::ZERO;
    for round in 0..8_u64 {
        std::fs::remove_dir_all(place.dir.path().join("db")).unwrap();
        let (store, _) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
        while store.status().index_segments < round * 4 {
            std::thread::yield_now();
        }
        // the files as they are at this moment are what a killed process leaves
        let copy = tempfile::tempdir().unwrap();
        copy_tree(place.dir.path(), copy.path());
        let status = store.status();
        halfway += u32::from(status.index_segments < status.sealed_segments);
        drop(store);
        let mut settings = place.settings();
        copy.path().clone_into(&mut settings.state);
        let (store, _) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
        while store.status().index_state != IndexState::InStep {
            std::thread::yield_now();
        }
        let page = store.decisions(&DecisionFilter::default(), None, 1_000).unwrap();
        assert_eq!(page.items.len(), heard.len(), "round {round}");
        for (key, record) in asked.iter().zip(&heard) {
            let again = decided(&store, admit("a", key, "0.001"));
            assert_eq!(again.answer.get(), record.answer.get(), "round {round}: {key}");
        }
        drop(store);
        check(copy.path(), None).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert!(halfway > 0, "no copy was taken while it was being built");
}

fn brief(ops: &[Op], cut: usize) -> String {
    match &ops[cut - 1] {
        Op::Append(file, bytes) => format!("append to {file}, {} bytes", bytes.len()),
        other => format!("{other:?}"),
    }
}

/// Segments that are dropped: killed between any two calls, the state is right and the chain verifies.
#[test]
fn killed_while_segments_are_dropped_the_chain_still_verifies() {
    let mut place = Place::new();
    place.retain_h = Some(48);
    let mut load = Load::new(place);
    let store = load.open();
    furnish(&store);
    load.run(&store, "old", 16);
    load.place.clock.advance(Duration::from_secs(50 * 3600));
    // what was answered before is too old to be asked again
    let old = load.heard.len();
    load.run(&store, "new", 16);
    while store.status().dropped_segments < 3 {
        std::thread::yield_now();
    }
    drop(store);
    let ops = load.disk.ops();
    let dropped = |op: &Op| matches!(op, Op::Remove(path) if path.extension().is_some_and(|e| e == "seg"));
    let places: Vec<usize> = ops.iter().enumerate().filter(|(_, op)| dropped(op)).map(|(place, _)| place).collect();
    assert!(places.len() >= 3);
    let mut random = random(None);
    for place in places {
        for cut in [place, place + 1, place + 2] {
            for kept in [true, false] {
                let unflushed = if kept { Unflushed::Kept } else { Unflushed::Anything(&mut random) };
                let mut image = Image::after(&ops[..cut], unflushed);
                image.heard.retain(|number| *number >= old);
                load.inspect(&image, &format!("cut after {cut}"));
            }
        }
    }
}

/// A flush fails: the batch is refused, nothing of it is seen, the next segment names the last durable record.
#[test]
fn after_a_failed_flush_nothing_of_the_batch_is_seen_and_the_daemon_goes_on() {
    let place = Place::new();
    let disk = FaultyDisk::default();
    let (store, _) = Sled::open_on(&place.settings(), Arc::new(place.clock.clone()), Box::new(disk.clone())).unwrap();
    furnish(&store);
    let mut heard = Vec::new();
    for n in 0..30 {
        let key = format!("k{n}");
        if n % 3 == 1 {
            disk.order(|trouble| {
                trouble.sync_fails = true;
                trouble.create_fails = n % 2;
            });
        }
        match commit(&store, asked(admit("a", &key, "0.01"))) {
            Ok(Answer::Decided(record)) => heard.push((key, record)),
            Ok(other) => panic!("{other:?}"),
            Err(CommitFailure::NotDurable(_)) => {
                let before = read(&store, tollgate::state::State::open_holds);
                assert_eq!(before, heard.len(), "no phantom hold");
                disk.calm();
            }
            Err(error) => panic!("{error}"),
        }
        figures_are_right(&store, "after a failed flush");
    }
    disk.calm();
    assert!((15..30).contains(&heard.len()), "{}", heard.len());
    decided(&store, admit("a", "after", "0.01"));
    assert!(store.status().failed.is_none());
    drop(store);
    // what a failed flush left in memory alone is gone
    disk.cut_power(&place.dir.path().join("journal"));
    let store = place.open();
    for (key, record) in &heard {
        assert_eq!(decided(&store, admit("a", key, "0.01")).answer.get(), record.answer.get());
    }
    drop(store);
    check(place.dir.path(), None).unwrap();
}

/// No room on the disk: everything that writes fails, for the journal and for checkpoints, until there is room again.
#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let place = Place::new();
    let disk = FaultyDisk::default();
    let (store, _) = Sled::open_on(&place.settings(), Arc::new(place.clock.clone()), Box::new(disk.clone())).unwrap();
    furnish(&store);
    let first = decided(&store, admit("a", "first", "0.01"));
    for round in 0..4 {
        disk.order(|trouble| trouble.room = Some(700));
        let mut refused = 0;
        for n in 0..12 {
            match commit(&store, asked(admit("a", &format!("k{round}-{n}"), "0.01"))) {
                Ok(_) => {}
                Err(CommitFailure::NotDurable(why)) => {
                    refused += 1;
                    assert!(why.contains("no space"), "{why}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refused >= 10 && store.status().failed.is_some(), "{refused}");
        assert!(store.decision(&first.id).unwrap().is_some(), "reads go on");
        disk.calm();
        decided(&store, admit("a", &format!("again-{round}"), "0.01"));
        assert!(store.status().failed.is_none());
        figures_are_right(&store, "after a full disk");
    }
    assert!(matches!(commit(&store, envelope(Command::Tick)), Ok(Answer::Done)));
    let held = read(&store, tollgate::state::State::open_holds);
    drop(store);
    let store = place.open();
    assert_eq!(read(&store, tollgate::state::State::open_holds), held, "what was refused is not there");
    drop(store);
    check(place.dir.path(), None).unwrap();
}

/// A byte changed anywhere in the state directory is found and named, by the start or by `audit verify`, or it changes
/// nothing that is ever read.
#[test]
fn a_changed_byte_anywhere_is_found_and_named_or_changes_nothing() {
    let mut random = random(None);
    let place = Place::new();
    let store = place.open();
    furnish(&store);
    store.put_blob(&format!("sha256:{}", tollgate::audit::Digest::of(b"package x")), b"package x").unwrap();
    let secret = [5; 32];
    let with_checksum = [&secret[..], &crc32fast::hash(&secret).to_le_bytes()].concat();
    std::fs::write(place.dir.path().join("mask.key"), with_checksum).unwrap();
    let mut heard = Vec::new();
    for n in 0..40 {
        let record = decided(&store, admit("a", &format!("k{n}"), "0.01"));
        if n % 2 == 0 {
            commit(&store, settle(hold_of(&record), "0.02")).unwrap();
        }
        heard.push(record);
    }
    drop(store);
    assert!(segments(&place.dir.path().join("journal")).unwrap().len() > 5);
    let files: Vec<_> = walkdir::WalkDir::new(place.dir.path())
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file() && entry.metadata().unwrap().len() > 0)
        .map(|entry| entry.path().to_owned())
        .collect();
    for round in 0..60 {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(place.dir.path(), copy.path());
        let file = &files[usize::try_from(random(files.len() as u64)).unwrap()];
        let path = copy.path().join(file.strip_prefix(place.dir.path()).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        let at = usize::try_from(random(bytes.len() as u64)).unwrap();
        bytes[at] ^= 1 << random(8);
        std::fs::write(&path, bytes).unwrap();
        let what = format!("round {round}: {} byte {at}", path.display());
        let verified = check(copy.path(), None);
        let mut settings = place.settings();
        settings.state = copy.path().to_owned();
        let opened = Sled::open(&settings, Arc::new(place.clock.clone()));
        let named = |text: String| text.contains(path.file_name().unwrap().to_str().unwrap());
        let in_database = path.starts_with(copy.path().join("db"));
        match &verified {
            Ok(_) => assert!(in_database, "{what}: nobody noticed"),
            Err(error) => assert!(named(error.to_string()), "{what}: {error}"),
        }
        match opened {
            Err(error) => assert!(named(error.to_string()), "{what}: {error}"),
            Ok((store, _)) => {
                for record in &heard {
                    let found = store.decision(&record.id).unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_eq!(found.unwrap().answer.get(), record.answer.get(), "{what}");
                }
                figures_are_right(&store, &what);
            }
        }
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().filter_map(Result::ok) {
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else if let Err(error) = std::fs::copy(entry.path(), target) {
            // a file that is not named yet, or was replaced meanwhile
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}", entry.path().display());
        }
    }
}
