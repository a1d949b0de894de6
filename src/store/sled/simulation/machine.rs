//! One machine: a state directory, a clock, and the parts of the store that a daemon would start as threads, driven step by
//! step. Its power can go at any call to the disk.

use super::disk::SimDisk;
use super::random::Random;
use crate::audit::WriterId;
use crate::clock::{Clock as _, ClockGuard, ManualClock};
use crate::decide::{Answer, Envelope, Limits, Refusal};
use crate::state::{Changes, State};
use crate::store::sled::batch::{Batches, Record};
use crate::store::sled::findings::Findings;
use crate::store::sled::history::{History, HistoryError};
use crate::store::sled::index::Rows;
use crate::store::sled::journal::{Disk, Journal, anchor, cut_torn_end, find, walk_kept};
use crate::store::sled::keeper::{self, Keeping, Kept, Work};
use crate::store::sled::recover::{Recovered, recover};
use crate::store::sled::used_keys::UsedKeys;
use crate::store::sled::writer::{self, Queue, Writer};
use crate::store::{CommitFailure, Feed};
use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a command came to.
pub(super) type Outcome = Result<Answer, CommitFailure<Refusal>>;

/// How one machine is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    pub(super) segment_bytes: u64,
    pub(super) checkpoint_bytes: u64,
    /// Segments are dropped; where they are not, the database behind may be lost.
    pub(super) retain: bool,
    pub(super) webhook: bool,
}

pub(super) struct Machine {
    dir: tempfile::TempDir,
    pub(super) clock: ManualClock,
    pub(super) disk: SimDisk,
    pub(super) profile: Profile,
    live: Option<Live>,
    /// Starts so far.
    pub(super) starts: u32,
}

struct Live {
    writer: Writer<Batches>,
    queue: Arc<Queue<Batches>>,
    state: Arc<RwLock<State>>,
    history: Arc<History>,
    guard: Arc<ClockGuard>,
    work: Work,
    kept: Kept,
}

impl Machine {
    pub(super) fn new(profile: Profile) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["journal", "checkpoints"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let clock = ManualClock::new("2026-10-30T10:00:00Z".parse().unwrap());
        let mut machine = Self { dir, clock, disk: SimDisk::default(), profile, live: None, starts: 0 };
        machine.start();
        machine
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    /// What `Sled::open_on` does, without threads.
    fn start(&mut self) {
        self.starts += 1;
        let (journal_dir, checkpoints) = (self.journal(), self.dir.path().join("checkpoints"));
        let findings = Arc::new(Findings::default());
        let Recovered { state, copy, keys, checkpoint, bad_checkpoints, recent, walked, sealed_json } =
            recover(&journal_dir, &checkpoints, &findings).unwrap_or_else(|error| panic!("the start fails: {error}"));
        assert!(bad_checkpoints.is_empty(), "a checkpoint has its name when it is whole: {bad_checkpoints:?}");
        if let Some(torn) = &walked.torn {
            cut_torn_end(torn).unwrap();
            self.disk.truncated(&torn.path, torn.offset);
        }
        let base = copy.chain.seq;
        let history =
            Arc::new(History::new(journal_dir.clone(), self.dir.path().join("db"), UsedKeys::new(keys), base));
        for (seq, time, entries) in recent {
            history.add(seq, time, entries.into_iter().map(Arc::new).collect(), None);
        }
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let writer_id = WriterId::from_bytes([7; 16]);
        let journal =
            Journal::open(Arc::clone(&disk), &journal_dir, &walked, writer_id, self.profile.segment_bytes).unwrap();
        let last = Timestamp::from_nanosecond(i128::from(walked.chain.time_ns)).ok().filter(|_| walked.chain.seq > 0);
        let guard = Arc::new(ClockGuard::new(Arc::new(self.clock.clone()), last));
        let named = checkpoint.clone().filter(|note| state.checkpoints().contains(note));
        let state = Arc::new(RwLock::new(state));
        let limits = Limits { up_since: Some(guard.steady()), webhook: self.profile.webhook, ..Limits::default() };
        let batches =
            Batches { state: Arc::clone(&state), history: Arc::clone(&history), limits, feed: Feed::default() };
        let (writer, way_in) = Writer::new(batches, journal, Arc::clone(&guard), writer::Settings::default());
        let queue = Arc::new(way_in(std::thread::spawn(|| {})));
        let retain = self.profile.retain.then(|| SignedDuration::from_hours(30));
        let work = Work {
            history: Arc::clone(&history),
            disk,
            checkpoints,
            keeping: Keeping { checkpoint_bytes: self.profile.checkpoint_bytes, retain, ..Keeping::default() },
            copy: keeper::Copy { writer: writer.id(), ..copy },
            since: sealed_json,
            good: named.iter().cloned().collect(),
            unnamed: checkpoint.filter(|_| named.is_none()),
            queue: Arc::clone(&queue),
            guard: Arc::clone(&guard),
            findings,
            rows: Rows::default(),
            buffer: keeper::Buffer::default(),
            room: Vec::new(),
        };
        self.live = Some(Live { writer, queue, state, history, guard, work, kept: Kept::default() });
    }

    fn live(&mut self) -> &mut Live {
        self.live.as_mut().unwrap()
    }

    /// The time that a batch would have now.
    pub(super) fn now(&self) -> Timestamp {
        self.live.as_ref().unwrap().writer.now()
    }

    /// Whether admissions could be judged by the wall clock.
    pub(super) fn trusts_the_clock(&self) -> bool {
        self.live.as_ref().unwrap().guard.now().is_ok()
    }

    /// An admin says that it is right.
    pub(super) fn confirm_clock(&self) -> Timestamp {
        self.live.as_ref().unwrap().guard.confirm()
    }

    pub(super) fn state<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.live.as_ref().unwrap().state.read())
    }

    pub(super) fn history(&self) -> &History {
        &self.live.as_ref().unwrap().history
    }

    /// The last durable record, as the running store has it.
    pub(super) fn seq(&self) -> u64 {
        self.live.as_ref().unwrap().writer.chain().seq
    }

    /// Asks these as one batch (and more where one of them must end it).
    pub(super) fn commit(&mut self, envelopes: Vec<Envelope>) -> Vec<Outcome> {
        let live = self.live();
        let replies: Vec<_> = envelopes.into_iter().map(|envelope| live.queue.submit(envelope)).collect();
        while live.writer.asked() {}
        let answered = |mut reply: writer::Reply<Answer, Refusal>| reply.try_recv().expect("every command is answered");
        replies.into_iter().map(answered).collect()
    }

    /// What is due happens, until nothing more comes of it.
    pub(super) fn tick(&mut self) {
        for _ in 0..10_000 {
            let failing = self.disk.fails();
            let moved = self.live().writer.ticked();
            let failed = failing && !self.disk.fails();
            if !moved && !failed {
                return;
            }
        }
        panic!("something is due again and again");
    }

    /// The keeper does its work.
    pub(super) fn round(&mut self) {
        let Live { writer, work, kept, .. } = self.live();
        if work.history.index().is_none() {
            keeper::open_index(&work.history);
        }
        let stopping = AtomicBool::new(false);
        let done = std::thread::scope(|scope| {
            let round = scope.spawn(|| work.round(kept, &stopping));
            while !round.is_finished() {
                if !writer.asked() {
                    std::thread::yield_now();
                }
            }
            round.join().unwrap()
        });
        if let Err(error) = done {
            assert!(self.disk.is_off() || error.to_string().contains("the flush failed"), "{error}");
        }
    }

    /// The daemon dies, with the power or alone; what starts after it must stand where it stood, and where the last batch
    /// was never answered, before or behind that.
    pub(super) fn crash(&mut self, random: &mut Random) -> u64 {
        let Live { writer, queue, state, history, guard, work, .. } = self.live.take().unwrap();
        let (seq, now) = (writer.chain().seq, writer.now());
        let steady = guard.steady();
        let mut before = state.read().clone();
        drop((writer, work, history, guard, state));
        queue.close();
        drop(queue);
        if self.clock.wall() > steady {
            // somebody sets the clock right before it starts again
            self.clock.set_wall(steady);
        }
        let torn = random.percent(60).then_some(random);
        if let Some(random) = torn {
            self.disk.cut(self.dir.path(), Some(random));
            if !self.profile.retain && random.percent(15) {
                let _ = fs::remove_dir_all(self.dir.path().join("db"));
            }
        } else {
            self.disk.cut(self.dir.path(), None);
        }
        self.start();
        let after = self.seq();
        assert!((seq..=seq + 1).contains(&after), "record {seq} was the last one, and {after} is");
        if after > seq {
            let found = find(&self.journal(), after).unwrap().unwrap();
            let record: Record = serde_json::from_slice(&found.payload).unwrap();
            let time = record.time;
            before.commit(record.into_changes(), after, time);
        }
        // both let go of what is over by then
        before.apply(&Changes::default(), now);
        let mut after_it = self.state(State::clone);
        after_it.apply(&Changes::default(), now);
        let differences = before.differences(&after_it, now);
        assert!(differences.is_empty(), "start {}: after the start there differ: {differences:?}", self.starts);
        if self.starts.is_multiple_of(8) {
            self.verify();
        }
        after
    }

    /// The chain is whole.
    pub(super) fn verify(&self) {
        let walked = walk_kept(&self.journal(), &mut |_, _| Ok(())).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(walked.chain.seq, self.seq());
    }

    /// Whether segments were dropped.
    pub(super) fn has_dropped(&self) -> bool {
        anchor(&self.journal()).unwrap().is_some()
    }

    /// Reads from behind; what has to wait for the database behind is read when the keeper has done its work.
    pub(super) fn read<R>(&mut self, read: impl Fn(&History) -> Result<R, HistoryError>) -> Option<R> {
        if let Ok(found) = read(self.history()) {
            return Some(found);
        }
        self.round();
        if self.disk.is_off() {
            return None;
        }
        Some(read(self.history()).unwrap_or_else(|error| panic!("it cannot be read: {error}")))
    }
}
