//! What is kept of a journal that grows: checkpoints, segments that are dropped behind them, and a memory that lets go of
//! what is over without forgetting anything.

use crate::store_asks::{admit, asked, commit, decided, envelope, furnish, hold_of, settle};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tollgate::clock::ManualClock;
use tollgate::decide::{Answer, BudgetEdit, Command, HoldCommand, Refusal};
use tollgate::store::sled::check::check;
use tollgate::store::sled::journal::{segments, walk_kept};
use tollgate::store::sled::{OpenError, Recovery, Settings, Sled};
use tollgate::store::{AuditFilter, CommitFailure, DecisionFilter, Store, read};

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: ManualClock,
    pub(crate) segment_bytes: u64,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) retain_h: Option<i64>,
}

impl Place {
    /// Every few records fill a segment, and every segment makes a checkpoint.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
        let dir = tempfile::tempdir().unwrap();
        Self { dir, clock, segment_bytes: 3000, checkpoint_bytes: 1, retain_h: None }
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.dir.path());
        settings.segment_bytes = self.segment_bytes;
        settings.keeping.checkpoint_bytes = self.checkpoint_bytes;
        settings.keeping.retain = self.retain_h.map(jiff::SignedDuration::from_hours);
        settings.writer.tick = Duration::from_millis(2);
        settings
    }

    pub(crate) fn try_open(&self) -> Result<(Sled, Recovery), OpenError> {
        Sled::open(&self.settings(), Arc::new(self.clock.clone()))
    }

    pub(crate) fn open(&self) -> Sled {
        self.try_open().unwrap().0
    }

    fn advance_h(&self, hours: u64) {
        self.clock.advance(Duration::from_secs(hours * 3600));
    }

    pub(crate) fn checkpoints(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.dir.path().join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "ckpt"));
        files.sort();
        files
    }
}

/// Returns when it holds; a minute in vain fails the test.
#[track_caller]
pub(crate) fn until(holds: impl Fn() -> bool) {
    crate::support::until("it comes to what is waited for", holds);
}

/// Everything sealed is behind, and the last checkpoint is named by the chain. One is due only after twice its own size, so
/// the last may lie some way back.
pub(crate) fn settled_down(store: &Sled) {
    until(|| {
        let status = store.status();
        status.index_lag < 40 && status.checkpoint.as_ref().is_some_and(|note| status.seq - note.seq < 160)
    });
}

pub(crate) fn fill(store: &Sled, from: usize, count: usize) {
    for n in from..from + count {
        let record = decided(store, admit("a", &format!("k{n}"), "0.01"));
        if n % 2 == 0 {
            commit(store, settle(hold_of(&record), "0.02")).unwrap();
        }
    }
}

/// What decisions depend on, as text, but for the notes of checkpoints.
fn state_of(store: &Sled) -> String {
    read(store, |state| {
        let effects = state.as_effects().map(|effect| serde_json::to_string(&effect).unwrap());
        let mut effects: Vec<_> = effects.filter(|text| !text.contains("checkpoint")).collect();
        effects.sort();
        let mut accounts: Vec<_> = state.accounts().map(|account| serde_json::to_string(account).unwrap()).collect();
        accounts.sort();
        format!("{effects:?}\n{accounts:?}")
    })
}

pub(crate) fn flip(path: &Path, position: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[position] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_start_reads_the_last_checkpoint_and_only_what_is_behind_it() {
    let place = Place::new();
    let store = place.open();
    furnish(&store);
    fill(&store, 0, 60);
    settled_down(&store);
    let before = state_of(&store);
    let first = decided(&store, admit("a", "k0", "0.01"));
    drop(store);

    let (oldest, path) = segments(&place.dir.path().join("journal")).unwrap().remove(0);
    flip(&path, 700);
    let (store, recovery) = place.try_open().unwrap();
    assert!(recovery.checkpoint.unwrap() > oldest && recovery.bad_checkpoints.is_empty(), "{recovery:?}");
    assert_eq!(state_of(&store), before);
    assert!(read(&store, |state| state.key_count() < 40 && state.hold_count() < 60), "the old ones are not in memory");
    let again = decided(&store, admit("a", "k0", "0.01"));
    assert_eq!((&again.id, again.answer.get()), (&first.id, first.answer.get()), "a key from before the checkpoint");
    let error = check(place.dir.path(), None).unwrap_err().to_string();
    assert!(error.contains("00000000000000000001.seg"), "a start does not read it, so verify must: {error}");
    drop(store);
    flip(&path, 700);
    check(place.dir.path(), None).unwrap();
    // two good ones, one that the chain does not name yet, and one that a stop kept from being taken away
    assert!((2..=4).contains(&place.checkpoints().len()), "older ones are taken away");
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_is_used() {
    let place = Place::new();
    let store = place.open();
    furnish(&store);
    fill(&store, 0, 60);
    settled_down(&store);
    let before = state_of(&store);
    drop(store);
    // the last one may be one that the chain does not name yet
    let files = place.checkpoints();
    let [.., older, newest] = files.as_slice() else { panic!("{files:?}") };
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = fs::read(newest).unwrap();
    for position in (0..whole.len()).step_by(whole.len() / 11) {
        flip(newest, position);
        let error = check(place.dir.path(), None).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(&name(newest)), "byte {position}: {error}");
        fs::write(newest, &whole).unwrap();
    }
    flip(newest, whole.len() / 2);
    let (store, recovery) = place.try_open().unwrap();
    assert_eq!(recovery.bad_checkpoints[0].file, name(newest));
    assert_eq!(
        Some(older.file_name().unwrap().to_str().unwrap()),
        recovery.checkpoint.map(|seq| format!("{seq:020}.ckpt")).as_deref()
    );
    assert_eq!(state_of(&store), before);
    assert!(store.status().findings[0].file.contains(&name(newest)), "the status tells");
    drop(store);
    for path in place.checkpoints() {
        flip(&path, 300);
    }
    let (store, recovery) = place.try_open().unwrap();
    assert_eq!((recovery.checkpoint, recovery.bad_checkpoints.is_empty()), (None, false));
    assert_eq!(state_of(&store), before, "read from the journal's beginning");
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_not_put_aside() {
    let place = Place::new();
    let store = place.open();
    furnish(&store);
    fill(&store, 0, 60);
    settled_down(&store);
    let before = state_of(&store);
    drop(store);
    let newest = place.checkpoints().pop().unwrap();
    let good = place.dir.path().join("kept.ckpt");
    fs::rename(&newest, &good).unwrap();
    // a folder cannot be read as a file, whoever reads
    fs::create_dir(&newest).unwrap();
    let (store, recovery) = place.try_open().unwrap();
    assert_eq!(recovery.bad_checkpoints.len(), 1);
    assert!(recovery.bad_checkpoints[0].to_string().contains("cannot be read at present"), "{recovery:?}");
    assert_eq!(state_of(&store), before);
    drop(store);
    assert!(newest.is_dir(), "it has its name still");
    let error = check(place.dir.path(), None).unwrap_err();
    assert!(!error.is_damage(), "{error}");
    fs::remove_dir(&newest).unwrap();
    fs::rename(&good, &newest).unwrap();
    assert_eq!(state_of(&place.open()), before);
    check(place.dir.path(), None).unwrap();
}

#[test]
fn another_states_checkpoint_and_a_replaced_one_are_refused() {
    let (place, other) = (Place::new(), Place::new());
    for (place, count) in [(&place, 30), (&other, 90)] {
        let store = place.open();
        furnish(&store);
        fill(&store, 0, count);
        settled_down(&store);
    }
    let before = state_of(&place.open());
    let theirs = other.checkpoints().pop().unwrap();
    // under our name, and under its own
    for under_its_own_name in [false, true] {
        let newest = place.checkpoints().pop().unwrap();
        let to = if under_its_own_name { newest.with_file_name(theirs.file_name().unwrap()) } else { newest };
        fs::copy(&theirs, &to).unwrap();
        assert!(check(place.dir.path(), None).unwrap_err().is_damage());
        let (store, recovery) = place.try_open().unwrap();
        assert_eq!(recovery.bad_checkpoints.len(), 1, "{recovery:?}");
        assert_eq!(state_of(&store), before);
    }
}

#[test]
fn segments_are_dropped_behind_two_checkpoints_and_the_chain_still_verifies() {
    let mut place = Place::new();
    place.retain_h = Some(48);
    let store = place.open();
    furnish(&store);
    fill(&store, 0, 40);
    let first = decided(&store, admit("a", "k0", "0.01"));
    let silent = hold_of(&decided(&store, admit("a", "silent", "0.30")));
    settled_down(&store);
    assert_eq!(store.status().dropped_segments, 0, "nothing is old enough");
    place.advance_h(49);
    fill(&store, 100, 60);
    until(|| store.status().dropped_segments > 5);
    settled_down(&store);
    let before = state_of(&store);
    let journal = place.dir.path().join("journal");
    assert!(segments(&journal).unwrap()[0].0 > 1);
    // the keeper goes on meanwhile: a segment may be dropped while it is looked for, and a note may be written behind
    until(|| {
        let at_least = store.status().seq;
        let checked = check(place.dir.path(), None);
        checked.is_ok_and(|checked| checked.dropped > 10 && (at_least..=store.status().seq).contains(&checked.records))
    });
    assert_eq!(store.decision(&first.id).unwrap().unwrap().answer.get(), first.answer.get(), "the history has it");
    assert!(matches!(commit(&store, settle(silent.clone(), "0.25")), Ok(Answer::Hold(_))), "so has it the old hold");
    drop(store);

    let (store, recovery) = place.try_open().unwrap();
    assert!(recovery.checkpoint.is_some() && recovery.put_aside.is_none(), "{recovery:?}");
    assert_ne!(state_of(&store), before, "settled since");
    let before = state_of(&store);
    assert_eq!(store.hold(&silent).unwrap().unwrap().settlement.as_ref().unwrap().actual["usd"].to_string(), "0.25");
    drop(store);

    // one more segment that is gone was not dropped on purpose
    let (_, next) = segments(&journal).unwrap().remove(0);
    let kept = fs::read(&next).unwrap();
    fs::remove_file(&next).unwrap();
    assert!(check(place.dir.path(), None).unwrap_err().is_damage());
    let first_left = segments(&journal).unwrap()[0].0;
    let refused = place.try_open().err().unwrap().to_string();
    let last_gone = format!("to {} are missing before it", first_left - 1);
    assert!(refused.contains(&last_gone) && !refused.contains("records 1 to"), "{refused}");
    fs::write(&next, kept).unwrap();

    // without its checkpoints such a journal does not make a state
    let checkpoints: Vec<_> = place.checkpoints().into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    checkpoints.iter().for_each(|(_, path)| fs::remove_file(path).unwrap());
    assert!(matches!(place.try_open(), Err(OpenError::NoCheckpoint { .. })));
    checkpoints.iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());

    // without the database behind the state is right, and what only that had is gone
    fs::remove_dir_all(place.dir.path().join("db")).unwrap();
    let store = place.open();
    assert_eq!(state_of(&store), before);
    assert!(store.decision(&first.id).unwrap_or(None).is_none());
    assert!(!store.decisions(&DecisionFilter::default(), None, 10).unwrap().items.is_empty());
    decided(&store, admit("a", "after", "0.01"));
}

#[test]
fn what_has_left_memory_is_still_there() {
    let place = Place::new();
    let store = place.open();
    furnish(&store);
    let silent = hold_of(&decided(&store, admit("a", "silent", "0.30")));
    let first = decided(&store, admit("a", "first", "0.10"));
    place.advance_h(1);
    fill(&store, 0, 40);
    until(|| read(&store, |state| state.hold(&silent).is_none()));
    let hold = store.hold(&silent).unwrap().unwrap();
    assert_eq!(format!("{:?}", hold.state), "Expired");
    assert!(store.hold(&"hold_00000000000000000000000000".parse().unwrap()).unwrap().is_none());
    let again = decided(&store, admit("a", "first", "0.10"));
    assert_eq!(again.id, first.id);
    let other = commit(&store, asked(admit("a", "first", "0.11"))).unwrap_err();
    assert_eq!(other, CommitFailure::Refused(Refusal::IdempotencyConflict { admission: Some(first.id.clone()) }));

    // the next day: the account has left as well, and the settlement books on it all the same
    place.advance_h(24);
    fill(&store, 100, 40);
    let daily = "daily".parse().unwrap();
    until(|| read(&store, |state| state.accounts_of(&daily).count() == 1));
    let spent = |store: &Sled| {
        let past = store.past_accounts(&daily).unwrap();
        let monday = past.iter().find(|account| account.key.window.starts_with("2026-11-23")).cloned();
        let memory = read(store, |state| {
            state.accounts_of(&daily).find(|account| account.key.window.starts_with("2026-11-23")).cloned()
        });
        memory.or(monday).unwrap().sums
    };
    let before = spent(&store);
    assert_eq!(before.held.to_string(), "0");
    assert!(matches!(commit(&store, settle(silent.clone(), "0.25")), Ok(Answer::Hold(_))));
    assert!(matches!(commit(&store, settle(silent.clone(), "0.25")), Ok(Answer::Hold(_))), "settled twice, alike");
    assert!(matches!(commit(&store, settle(silent.clone(), "0.26")), Err(CommitFailure::Refused(Refusal::Hold(_)))));
    let after = spent(&store);
    assert_eq!(after.spent.checked_sub(before.spent).unwrap().to_string(), "0.25");
    assert_eq!(before.unsettled.checked_sub(after.unsettled).unwrap().to_string(), "0.30");
    fill(&store, 200, 40);
    until(|| read(&store, |state| state.accounts_of(&daily).count() == 1));
    assert_eq!(spent(&store), after, "and leaves again");
    let release = envelope(Command::Hold(silent, HoldCommand::Release("late".to_owned())));
    assert!(matches!(commit(&store, release), Err(CommitFailure::Refused(Refusal::Hold(_)))));
    // the key's 24 hours are over
    assert_ne!(decided(&store, admit("a", "first", "0.10")).id, first.id);
    until(|| read(&store, |state| state.key_count() + state.hold_count()) < 80);
}

#[test]
fn many_holds_due_at_once_expire_in_small_records_and_at_once() {
    let mut place = Place::new();
    (place.segment_bytes, place.checkpoint_bytes) = (64 << 20, 64 << 20);
    let store = place.open();
    furnish(&store);
    let replies: Vec<_> = (0..3_000).map(|n| store.submit(asked(admit("a", &format!("k{n}"), "0.001")))).collect();
    replies.into_iter().for_each(|reply| assert!(reply.blocking_recv().unwrap().is_ok()));
    assert_eq!(read(&store, tollgate::state::State::open_holds), 3_000);
    place.clock.advance(Duration::from_secs(601));
    // nobody asks anything: the records follow each other without waiting for the next tick
    until(|| read(&store, tollgate::state::State::open_holds) == 0);
    let all = AuditFilter { op: Some("hold.expire".to_owned()), include_admissions: true, ..AuditFilter::default() };
    let expiries = store.audit(&all, None, 1_000).unwrap().items;
    let sizes: Vec<usize> = expiries.iter().map(|item| item.effects.as_array().unwrap().len()).collect();
    assert!(sizes.len() >= 11 && sizes.iter().all(|size| *size <= 2 * 256), "{sizes:?}");
}

/// The same asks of a store that seals, checkpoints, forgets and restarts all the time, and of one that does none of it: the
/// answers are the same.
#[test]
fn a_store_that_forgets_answers_as_one_that_does_not() {
    let (small, mut whole) = (Place::new(), Place::new());
    (whole.segment_bytes, whole.checkpoint_bytes) = (64 << 20, 64 << 20);
    let mut stores = [small.open(), whole.open()];
    let hourly = serde_json::json!({"id": "hourly", "unit": "usd", "limit": "2.00", "window": {"kind": "hour"}, "each": ["agent"]});
    let rolling = serde_json::json!({"id": "rolling", "unit": "usd", "limit": "6.00", "window": {"kind": "rolling", "length_s": 7200}});
    for store in &stores {
        furnish(store);
        for spec in [&hourly, &rolling] {
            commit(store, envelope(Command::Budget(BudgetEdit::Create(serde_json::from_value(spec.clone()).unwrap()))))
                .unwrap();
        }
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut holds: Vec<[tollgate::vocabulary::HoldId; 2]> = Vec::new();
    for step in 0..600 {
        match next(20) {
            0 => {
                let by = Duration::from_secs(next(5) * 1_300);
                small.clock.advance(by);
                whole.clock.advance(by);
            }
            1 if step % 3 == 0 => {
                let [first, second] = stores;
                drop(first);
                stores = [small.open(), second];
            }
            2..=6 if !holds.is_empty() => {
                let pair = holds[usize::try_from(next(holds.len() as u64)).unwrap()].clone();
                let amount = format!("0.0{}", next(9) + 1);
                let release = next(4) == 0;
                let answers: Vec<String> = stores
                    .iter()
                    .zip(pair)
                    .map(|(store, id)| {
                        let ask = if release {
                            envelope(Command::Hold(id.clone(), HoldCommand::Release("r".to_owned())))
                        } else {
                            settle(id.clone(), &amount)
                        };
                        let answer = commit(store, ask);
                        let state = store.hold(&id).unwrap().unwrap().state;
                        match answer {
                            Ok(Answer::Hold(hold)) => {
                                format!("{:?} {:?} {state:?}", hold.state, hold.settlement.as_ref().map(|s| &s.actual))
                            }
                            Ok(other) => panic!("{other:?}"),
                            Err(error) => format!("{error} {state:?}"),
                        }
                    })
                    .collect();
                assert_eq!(answers[0], answers[1], "step {step}");
            }
            _ => {
                let (agent, key) = (["a", "b", "c"][usize::try_from(next(3)).unwrap()], next(400));
                let amount = format!("0.{}", next(3) + 1);
                let records: Vec<_> = stores
                    .iter()
                    .map(|store| match commit(store, asked(admit(agent, &format!("k{key}"), &amount))) {
                        Err(error) => Err(matches!(error, CommitFailure::Refused(Refusal::IdempotencyConflict { .. }))),
                        Ok(_) => Ok(decided(store, admit(agent, &format!("k{key}"), &amount))),
                    })
                    .collect();
                match (&records[0], &records[1]) {
                    (Ok(one), Ok(two)) => {
                        let figures = |record: &tollgate::admission::DecisionRecord| {
                            let mut answer: serde_json::Value = serde_json::from_str(record.answer.get()).unwrap();
                            answer["id"] = serde_json::Value::Null;
                            if answer["hold"].is_object() {
                                answer["hold"]["id"] = serde_json::Value::Null;
                            }
                            answer.to_string()
                        };
                        assert_eq!(figures(one), figures(two), "step {step}");
                        if one.answer.get().contains("hold_0") {
                            holds.push([hold_of(one), hold_of(two)]);
                        }
                    }
                    (one, two) => assert_eq!(one.as_ref().err(), two.as_ref().err(), "step {step}"),
                }
            }
        }
    }
    // besides the two good ones: one under way, and those that restarts left unnamed since the last round
    let checkpoints = small.checkpoints().len();
    assert!((2..=8).contains(&checkpoints) && holds.len() > 30, "{checkpoints} checkpoints, {} holds", holds.len());
    let records = walk_kept(&small.dir.path().join("journal"), &mut |_, _| Ok(())).unwrap().segments.len();
    assert!(records > 20, "{records} segments");
    drop(stores);
    check(small.dir.path(), None).unwrap();
}

#[test]
fn the_scrubber_finds_what_a_start_does_not_read() {
    let place = Place::new();
    let mut settings = place.settings();
    settings.scrubbing.bytes_per_s = 0;
    let (store, _) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
    furnish(&store);
    fill(&store, 0, 40);
    store.put_blob(&format!("sha256:{}", tollgate::audit::Digest::of(b"package x")), b"package x").unwrap();
    settled_down(&store);
    drop(store);
    let in_blobs = walkdir::WalkDir::new(place.dir.path().join("blobs")).into_iter().map(Result::unwrap);
    let blob =
        in_blobs.filter(|entry| entry.file_type().is_file()).map(|entry| entry.path().to_owned()).next().unwrap();
    let (_, segment) = segments(&place.dir.path().join("journal")).unwrap().remove(1);
    let checkpoints = place.checkpoints();
    let older = checkpoints[checkpoints.len() - 2].clone();
    let damaged = [blob, segment, older];
    for path in &damaged {
        flip(path, fs::read(path).unwrap().len() / 2);
    }
    // a start reads the newest checkpoint and what is behind it
    settings.keeping.checkpoint_bytes = 64 << 20;
    settings.scrubbing = tollgate::store::sled::Scrubbing { bytes_per_s: 1 << 40, rest: Duration::from_millis(1) };
    let (store, recovery) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
    assert!(recovery.bad_checkpoints.is_empty());
    until(|| store.status().scrubbed.passes >= 2);
    let status = store.status();
    for path in &damaged {
        let found = status.findings.iter().filter(|finding| finding.file == path.display().to_string()).count();
        assert_eq!(found, 1, "{path:?}: {:?}", status.findings);
    }
    assert_eq!(status.findings.len(), damaged.len());
    assert!(status.scrubbed.bytes > 0 && status.scrubbed.last.is_some());
    decided(&store, admit("a", "after", "0.01"));
}

#[test]
fn a_survey_tells_sizes_and_lags_by_the_files_alone() {
    let place = Place::new();
    let store = place.open();
    furnish(&store);
    fill(&store, 0, 30);
    settled_down(&store);
    let survey = tollgate::store::sled::survey::survey(place.dir.path()).unwrap();
    let status = store.status();
    assert_eq!((survey.journal.first_record, survey.journal.last_record), (1, status.seq));
    assert!(survey.journal.segments > 5 && survey.journal.bytes >= status.journal_bytes, "{survey:?}");
    assert!(!survey.checkpoints.is_empty() && survey.checkpoints.iter().all(|one| one.wrong.is_none()));
    assert!(survey.checkpoint_lag < 40 && survey.database.bytes > 0 && survey.put_aside.is_empty(), "{survey:?}");
}

/// The database behind is deleted: while it is built anew, admissions are answered, and so is a key from before; what only it
/// has waits, and says so.
#[test]
fn admissions_are_answered_while_the_database_behind_is_built_anew() {
    let mut place = Place::new();
    place.checkpoint_bytes = 64 << 20;
    let store = place.open();
    furnish(&store);
    let silent = hold_of(&decided(&store, admit("a", "silent", "0.30")));
    let first = decided(&store, admit("a", "first", "0.10"));
    place.advance_h(1);
    fill(&store, 0, 150);
    drop(store);
    fs::remove_dir_all(place.dir.path().join("db")).unwrap();
    let mut settings = place.settings();
    settings.wait_for_database = Duration::ZERO;
    let (store, _) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
    let again = decided(&store, admit("a", "first", "0.10"));
    assert_eq!(again.answer.get(), first.answer.get());
    decided(&store, admit("a", "new", "0.01"));
    let mut waited = 0;
    let settled = loop {
        match commit(&store, settle(silent.clone(), "0.25")) {
            Err(CommitFailure::Unread(_)) => waited += 1,
            answer => break answer,
        }
        assert!(matches!(store.hold(&silent), Err(tollgate::store::ReadError::NotYet) | Ok(Some(_))));
    };
    assert!(matches!(settled, Ok(Answer::Hold(_))), "after {waited} times: {settled:?}");
    until(|| store.status().index_state == tollgate::store::sled::IndexState::InStep);
    let page = store.decisions(&DecisionFilter::default(), None, 1_000).unwrap();
    assert_eq!(page.items.len(), 153);
    let status = store.status();
    assert!(status.index_segments == status.sealed_segments && status.sealed_segments > 20, "{status:?}");
}

#[test]
fn beyond_the_most_keys_admissions_wait_and_settlements_do_not() {
    let place = Place::new();
    let mut settings = place.settings();
    settings.keeping.keys = 10;
    let (store, _) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
    furnish(&store);
    let first = decided(&store, admit("a", "first", "0.01"));
    let mut n = 0;
    while store.status().used_keys < 10 {
        let _ = store.submit(asked(admit("a", &format!("k{n}"), "0.01"))).blocking_recv().unwrap();
        n += 1;
    }
    let refused = store.submit(asked(admit("a", "more", "0.01"))).blocking_recv().unwrap();
    assert!(matches!(refused, Err(CommitFailure::Busy)), "{refused:?}");
    commit(&store, settle(hold_of(&first), "0.01")).unwrap();
}
