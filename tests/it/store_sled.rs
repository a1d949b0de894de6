//! The embedded store: its contract, and what it does when its files are cut, changed or gone.

use crate::faulty_disk::FaultyDisk;
use crate::store_asks::{admit, asked, commit, decided, envelope, furnish, hold_of, settle};
use crate::store_contract::{Place, suite};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tollgate::admission::Decision;
use tollgate::clock::ManualClock;
use tollgate::decide::{Answer, Command};
use tollgate::store::sled::journal::segments;
use tollgate::store::sled::{OpenError, Recovery, Settings, Sled};
use tollgate::store::{AuditFilter, CommitFailure, DecisionFilter, Store, read};

struct Directory {
    dir: tempfile::TempDir,
    clock: ManualClock,
    segment_bytes: u64,
}

impl Directory {
    fn new(segment_bytes: u64) -> Self {
        let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
        Self { dir: tempfile::tempdir().unwrap(), clock, segment_bytes }
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.dir.path());
        settings.segment_bytes = self.segment_bytes;
        settings
    }

    fn try_open(&self) -> Result<(Sled, Recovery), OpenError> {
        Sled::open(&self.settings(), Arc::new(self.clock.clone()))
    }

    fn open(&self) -> Sled {
        self.try_open().unwrap().0
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn last_segment(&self) -> PathBuf {
        segments(&self.path("journal")).unwrap().pop().unwrap().1
    }
}

impl Place for Directory {
    fn open(&self) -> Box<dyn Store> {
        Box::new(Directory::open(self))
    }

    fn let_age(&self, store: &dyn Store) {
        // every record fills its segment, so all but the last are sealed, and the indexer takes them
        until(|| store.status().index_lag <= 1);
    }
}

/// Returns when it holds; the test's time limit is the other end.
fn until(holds: impl Fn() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}

#[test]
fn keeps_the_contract_in_one_segment() {
    struct Young(Directory);
    impl Place for Young {
        fn open(&self) -> Box<dyn Store> {
            Box::new(self.0.open())
        }
        fn let_age(&self, _: &dyn Store) {}
    }
    suite(|| Young(Directory::new(64 << 20)));
}

#[test]
fn keeps_the_contract_with_a_segment_for_each_record() {
    suite(|| Directory::new(1));
}

/// What everybody may ask, as text.
fn everything(store: &Sled) -> String {
    let decisions = store.decisions(&DecisionFilter::default(), None, 1000).unwrap();
    let filter = AuditFilter { include_admissions: true, ..AuditFilter::default() };
    let audit = store.audit(&filter, None, 1000).unwrap();
    let decisions = serde_json::to_string(&decisions.items).unwrap();
    let state = read(store, |state| {
        let effects: Vec<_> = state.as_effects().map(|effect| serde_json::to_string(&effect).unwrap()).collect();
        let mut accounts: Vec<_> = state.accounts().map(|account| serde_json::to_string(account).unwrap()).collect();
        accounts.sort();
        format!("{effects:?}\n{accounts:?}")
    });
    format!("{decisions}\n{}\n{state}", serde_json::to_string(&audit.items).unwrap())
}

fn fill(store: &Sled, count: usize) {
    furnish(store);
    for n in 0..count {
        let record = decided(store, admit("a", &format!("k{n}"), "0.01"));
        if n % 2 == 0 {
            commit(store, settle(hold_of(&record), "0.02")).unwrap();
        }
    }
}

#[test]
fn a_second_daemon_is_refused() {
    let place = Directory::new(1 << 20);
    let first = place.open();
    let refused = place.try_open().unwrap_err();
    assert!(matches!(refused, OpenError::Lock(_)), "{refused}");
    assert!(refused.to_string().contains("in use by another"), "{refused}");
    drop(first);
    place.open();
}

#[test]
fn an_end_cut_at_any_byte_loses_that_record_and_nothing_else() {
    let place = Directory::new(64 << 20);
    let store = place.open();
    fill(&store, 3);
    let before = everything(&store);
    let mark = place.path("journal/durable");
    let whole_before = fs::read(place.last_segment()).unwrap().len();
    decided(&store, admit("a", "last", "0.01"));
    drop(store);
    let segment = place.last_segment();
    let bytes = fs::read(&segment).unwrap();
    // every byte of the header and the first ones of the payload, then in steps: each start reads all of it
    let cuts = (whole_before..whole_before + 80).chain((whole_before + 80..bytes.len()).step_by(131));
    for cut in cuts {
        fs::write(&segment, &bytes[..cut]).unwrap();
        // as if the daemon had been killed before it could note that the record was durable
        let _ = fs::remove_file(&mark);
        let (store, recovery) = place.try_open().unwrap();
        assert_eq!(recovery.torn.is_some(), cut > whole_before, "cut at {cut}");
        assert_eq!(everything(&store), before, "cut at {cut}");
        drop(store);
        assert_eq!(fs::read(&segment).unwrap().len(), whole_before, "the torn end is gone");
    }
    let mut zeros = bytes[..whole_before].to_vec();
    zeros.extend([0; 4096]);
    fs::write(&segment, &zeros).unwrap();
    let _ = fs::remove_file(&mark);
    assert_eq!(everything(&place.open()), before);
    // what was durable once is never taken for a torn end
    let kept = fs::read(&segment).unwrap();
    for end in [kept[..whole_before - 1].to_vec(), [&kept[..whole_before - 20], &[7; 20]].concat()] {
        fs::write(&segment, &end).unwrap();
        let error = place.try_open().unwrap_err().to_string();
        assert!(error.contains(segment.file_name().unwrap().to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_changed_byte_stops_the_start_and_is_named() {
    let place = Directory::new(1);
    let store = place.open();
    fill(&store, 3);
    drop(store);
    for (seq, path) in segments(&place.path("journal")).unwrap() {
        let bytes = fs::read(&path).unwrap();
        for position in (0..bytes.len()).step_by(61) {
            let mut changed = bytes.clone();
            changed[position] ^= 0x40;
            fs::write(&path, &changed).unwrap();
            let error = place.try_open().unwrap_err().to_string();
            assert!(error.contains(path.file_name().unwrap().to_str().unwrap()), "segment {seq} {position}: {error}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    place.open();
}

fn damage_all_files(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage_all_files(&path);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            for byte in bytes.iter_mut().step_by(97) {
                *byte ^= 0x5a;
            }
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn a_database_that_is_gone_or_damaged_is_built_anew_and_answers_the_same() {
    let place = Directory::new(2000);
    let store = place.open();
    fill(&store, 40);
    until(|| store.status().index_lag < 5);
    let before = everything(&store);
    drop(store);

    fs::remove_dir_all(place.path("db")).unwrap();
    let (store, recovery) = place.try_open().unwrap();
    assert_eq!(recovery.put_aside, None);
    assert_eq!(everything(&store), before, "deleted");
    drop(store);

    damage_all_files(&place.path("db"));
    let (store, recovery) = place.try_open().unwrap();
    let aside = recovery.put_aside.expect("it is noticed");
    assert!(aside.to.exists(), "{aside:?}");
    assert_eq!(everything(&store), before, "damaged");
    drop(store);

    // another state's database is not this one's
    let other = Directory::new(2000);
    let store = other.open();
    fill(&store, 40);
    until(|| store.status().index_lag < 5);
    drop(store);
    fs::remove_dir_all(place.path("db")).unwrap();
    fs::rename(other.path("db"), place.path("db")).unwrap();
    let (store, recovery) = place.try_open().unwrap();
    assert!(recovery.put_aside.is_some());
    assert_eq!(everything(&store), before, "of another state");
}

#[test]
fn the_database_behind_has_holds_keys_and_accounts() {
    let place = Directory::new(1);
    let store = place.open();
    furnish(&store);
    let record = decided(&store, admit("a", "k1", "1"));
    let hold = hold_of(&record);
    commit(&store, settle(hold.clone(), "2")).unwrap();
    decided(&store, admit("a", "k2", "0.5"));
    decided(&store, admit("a", "k3", "0.25"));
    until(|| store.status().index_lag <= 1);
    let index = store.index().unwrap();
    let account = read(&store, |state| {
        state.accounts_of(&"daily".parse().unwrap()).next().map(|account| account.key.clone()).unwrap()
    });
    let kept = index.hold(&hold, 0).unwrap().unwrap();
    assert_eq!(kept.settlement.unwrap().actual["usd"].to_string(), "2");
    let pending = hold_of(&decided(&store, admit("a", "k2", "0.5")));
    assert_eq!(index.hold(&pending, 0).unwrap(), None, "pending holds are hot");
    let account = index.account(&account).unwrap().unwrap();
    assert_eq!((account.sums.spent.to_string(), account.sums.held.to_string()), ("2".to_owned(), "0.50".to_owned()));
    let listed = index.accounts_of(&"daily".parse().unwrap(), 10).unwrap();
    assert_eq!(listed, [account]);
    assert!(index.accounts_of(&"dail".parse().unwrap(), 10).unwrap().is_empty());
}

#[test]
fn holds_expire_in_a_quiet_hour() {
    let place = Directory::new(1 << 20);
    let mut settings = place.settings();
    settings.writer.tick = Duration::from_millis(2);
    let (store, _) = Sled::open(&settings, Arc::new(place.clock.clone())).unwrap();
    furnish(&store);
    decided(&store, admit("a", "k1", "5"));
    assert_eq!(read(&store, tollgate::state::State::open_holds), 1);
    let seq = store.status().seq;
    place.clock.advance(Duration::from_secs(601));
    until(|| store.status().seq > seq);
    until(|| read(&store, tollgate::state::State::open_holds) == 0);
    assert_eq!(decided(&store, admit("a", "k2", "5")).decision, Decision::Allow, "what expired is free again");
    let newest = store.audit(&AuditFilter { include_admissions: true, ..AuditFilter::default() }, None, 4).unwrap();
    assert!(newest.items.iter().any(|entry| entry.op == "hold.expire"));
}

#[test]
fn batch_time_never_runs_backwards() {
    let place = Directory::new(1 << 20);
    let store = place.open();
    furnish(&store);
    let first = decided(&store, admit("a", "k1", "1"));
    place.clock.set_wall("2026-11-23T11:59:30Z".parse().unwrap());
    let second = decided(&store, admit("a", "k2", "1"));
    assert_eq!(second.decided_at, first.decided_at);
    drop(store);
    let store = place.open();
    assert!(decided(&store, admit("a", "k3", "1")).decided_at >= first.decided_at, "nor after a restart");
}

#[test]
fn what_is_not_durable_leaves_no_trace() {
    let place = Directory::new(1 << 20);
    let disk = FaultyDisk::default();
    let (store, _) = Sled::open_on(&place.settings(), Arc::new(place.clock.clone()), Box::new(disk.clone())).unwrap();
    fill(&store, 4);
    let before = everything(&store);
    disk.order(|trouble| trouble.sync_fails = true);
    let refused = commit(&store, asked(admit("a", "lost", "1")));
    assert!(matches!(refused, Err(CommitFailure::NotDurable(_))), "{refused:?}");
    assert_eq!(everything(&store), before);
    drop(store);
    let store = place.open();
    assert_eq!(everything(&store), before, "nor after a restart");
    let answer = commit(&store, asked(admit("a", "lost", "1"))).unwrap();
    assert!(matches!(answer, Answer::Decided(_)), "the key is free");
    assert!(matches!(commit(&store, envelope(Command::Tick)), Ok(Answer::Done)));
}

/// More than is kept whole in memory, none of it sealed: what is older is read from the journal where it stands.
#[test]
fn what_is_not_kept_whole_is_read_from_the_open_segment() {
    const COUNT: usize = 6_000;
    let directory = Directory::new(64 << 20);
    let store = directory.open();
    furnish(&store);
    decided(&store, admit("b", "first", "0.0001"));
    for chunk in (0..COUNT).collect::<Vec<_>>().chunks(500) {
        let ask = |n: &usize| store.submit(asked(admit("a", &format!("k{n}"), "0.0001")));
        let replies: Vec<_> = chunk.iter().map(ask).collect();
        for reply in replies {
            assert!(matches!(reply.blocking_recv().unwrap(), Ok(Answer::Decided(_))));
        }
    }
    let everything_is_there = |store: &Sled| {
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.decisions(&DecisionFilter::default(), cursor.as_deref(), 700).unwrap();
            keys.extend(page.items.iter().map(|record| record.idempotency_key.clone().unwrap().to_string()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let wanted: Vec<String> = (0..COUNT).rev().map(|n| format!("k{n}")).chain(["first".to_owned()]).collect();
        assert!(keys == wanted, "{} listed", keys.len());
        let of_run = DecisionFilter { run: Some("run-of-b".parse().unwrap()), ..DecisionFilter::default() };
        let page = store.decisions(&of_run, None, 10).unwrap();
        assert_eq!((page.items.len(), page.next), (1, None), "a run's are found without a look at the others");
        let oldest = decided(store, admit("a", "k0", "0.0001"));
        assert_eq!(oldest.idempotency_key.as_ref().unwrap().to_string(), "k0");
    };
    everything_is_there(&store);
    drop(store);
    everything_is_there(&directory.open());
}
