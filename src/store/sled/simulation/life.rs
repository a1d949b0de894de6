//! One life from its seed: steps, jumps of the clock, failing flushes, cuts of the power, starts; and the tests that live some.

use super::asks::{Asks, Sent, What, budgets, envelope, rejudged};
use super::judge::{Judge, compare};
use super::machine::{Machine, Profile};
use super::random::Random;
use super::reference::Reference;
use crate::audit::Digest;
use crate::decide::{BudgetEdit, Command};
use crate::store::CommitFailure;
use jiff::SignedDuration;
use std::time::Duration;

/// A longer run is made of lives of so many steps, where `TOLLGATE_SIM_LIFE` does not say another number.
const LIFE: u64 = 5_000;

/// How many are tried where nobody says more.
const STEPS: u64 = 5_000;

/// What a life came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lived {
    steps: u64,
    records: u64,
    starts: u32,
    /// Batches of which nobody was told whether they are there: lost, and kept.
    lost: u64,
    kept: u64,
    holds: usize,
    dropped: bool,
    books: Digest,
}

struct Life {
    machine: Machine,
    asks: Asks,
    random: Random,
    reference: Reference,
    lived: Lived,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let profile = Profile {
            segment_bytes: 20_000 + random.below(200_000),
            checkpoint_bytes: 1 + random.below(400_000),
            retain: random.percent(50),
            webhook: random.percent(50),
        };
        let asks = Asks::new(Random(random.next()));
        let (machine, reference) = (Machine::new(profile), Reference::default());
        let mut life = Self { machine, asks, random, reference, lived: Lived::default() };
        let set = Command::PublishPolicySet { digest: "sha256:1".to_owned(), reason: None };
        assert!(life.machine.commit(vec![envelope(set)])[0].is_ok());
        for fields in budgets() {
            let create = Command::Budget(BudgetEdit::Create(serde_json::from_value(fields).unwrap()));
            assert!(life.machine.commit(vec![envelope(create)])[0].is_ok());
        }
        life.adopt();
        life
    }

    fn adopt(&mut self) {
        let now = self.machine.now();
        self.machine.state(|state| self.reference.adopt(state, now));
    }

    fn live(mut self, steps: u64) -> Lived {
        let mut turns = 0_u64;
        while self.lived.steps < steps {
            turns += 1;
            self.time();
            if self.random.percent(1) {
                self.machine.disk.cut_after(1 + self.random.below(40));
            } else if self.random.percent(2) && !self.machine.disk.is_off() {
                self.machine.disk.fail_next_sync();
            }
            let sent = self.asks.batch(&self.machine, &self.reference);
            self.lived.steps += sent.len() as u64;
            self.turn(sent, false);
            if self.random.percent(4) && !self.machine.disk.is_off() {
                self.machine.round();
            }
            if self.machine.disk.is_off() || self.random.below(300) == 0 {
                self.crash(Vec::new());
            } else if turns.is_multiple_of(40) {
                self.compare();
            }
        }
        self.machine.round();
        if self.machine.disk.is_off() {
            self.crash(Vec::new());
        }
        self.compare();
        self.machine.verify();
        self.lived.records = self.machine.seq();
        self.lived.starts = self.machine.starts;
        self.lived.holds = self.reference.holds.len();
        self.lived.dropped = self.machine.has_dropped();
        let books = format!("{:?} {:?}", self.reference.holds, self.reference.keys);
        self.lived.books = Digest::of(books.as_bytes());
        self.lived
    }

    /// Time passes; now and then somebody sets the clock.
    fn time(&mut self) {
        let seconds = match self.random.below(200) {
            0 => self.random.below(30 * 3_600),
            1..=10 => self.random.below(1_800),
            _ => self.random.below(50),
        };
        self.machine.clock.advance(Duration::from_millis(seconds * 1_000 + 7));
        if self.random.below(150) == 0 {
            use crate::clock::Clock as _;
            let by = i64::try_from(self.random.below(3_600)).unwrap() - 600;
            self.machine.clock.set_wall(self.machine.clock.wall() + SignedDuration::from_secs(by));
        }
        if !self.machine.trusts_the_clock() && self.random.percent(30) {
            let wall = self.machine.confirm_clock();
            let outcomes = self.machine.commit(vec![envelope(Command::NoteClock { wall })]);
            assert!(matches!(&outcomes[0], Ok(_) | Err(CommitFailure::NotDurable(_))), "{outcomes:?}");
        }
        // more may be due than one batch lets expire
        self.machine.tick();
    }

    /// One batch, and what it led to.
    fn turn(&mut self, sent: Vec<Sent>, in_doubt: bool) {
        let now = self.machine.now();
        let outcomes = self.machine.commit(sent.iter().map(|sent| sent.envelope.clone()).collect());
        let off = self.machine.disk.is_off();
        let refused = |outcome: &super::machine::Outcome| matches!(outcome, Err(CommitFailure::NotDurable(_)));
        let mut doubtful = Vec::new();
        let edited = in_doubt && sent.iter().any(|sent| matches!(sent.what, What::Edit));
        if !off || !outcomes.iter().all(refused) {
            // a time that nothing was written at has not come: the clock may be set back while it is down
            self.reference.pass(now);
        }
        for (sent, outcome) in sent.into_iter().zip(outcomes) {
            if off && refused(&outcome) {
                doubtful.push(sent);
                continue;
            }
            let Self { machine, asks, reference, .. } = self;
            Judge { reference, machine, asks, in_doubt, edited }.judge(&sent, &outcome, now);
        }
        if in_doubt {
            self.adopt();
        }
        if off {
            self.crash(doubtful);
        }
    }

    /// The daemon dies and starts again; what was asked last is asked again.
    fn crash(&mut self, doubtful: Vec<Sent>) {
        let before = self.machine.seq();
        let after = self.machine.crash(&mut self.random);
        self.lived.kept += u64::from(after > before);
        self.lived.lost += u64::from(after == before && !doubtful.is_empty());
        self.machine.tick();
        if self.random.percent(80) {
            self.machine.round();
        }
        self.adopt();
        if !doubtful.is_empty() {
            let mut again = doubtful;
            self.machine.state(|state| again.iter_mut().for_each(|sent| rejudged(sent, state)));
            self.turn(again, true);
        }
        self.compare();
    }

    fn compare(&mut self) {
        if self.machine.disk.is_off() {
            return;
        }
        let now = self.machine.now();
        self.machine.tick();
        self.reference.pass(now);
        let Self { machine, reference, .. } = self;
        machine.state(|state| compare(reference, state, now));
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text}")))
}

/// Lives as many steps as it is told by `TOLLGATE_SIM_STEPS`, from the seed `TOLLGATE_SIM_SEED` on. A life that fails has told
/// its own seed: with that alone it is lived again.
#[test]
fn whatever_happens_the_store_keeps_its_books_and_its_word() {
    let steps = from_environment("TOLLGATE_SIM_STEPS").unwrap_or(STEPS);
    let mut seed = from_environment("TOLLGATE_SIM_SEED").unwrap_or_else(|| getrandom::u64().unwrap());
    let life = from_environment("TOLLGATE_SIM_LIFE").unwrap_or(LIFE);
    let mut left = steps;
    while left > 0 {
        #[expect(clippy::print_stderr, reason = "a failing test tells its seed")]
        {
            eprintln!("TOLLGATE_SIM_SEED={seed} TOLLGATE_SIM_LIFE={life} TOLLGATE_SIM_STEPS={}", left.min(life));
        }
        let lived = Life::new(seed).live(left.min(life));
        #[expect(clippy::print_stderr, reason = "how much was tried")]
        {
            eprintln!("{lived:?}");
        }
        left = left.saturating_sub(life);
        seed = seed.wrapping_add(1);
    }
}

#[test]
fn the_same_seed_is_the_same_life() {
    let lives = [1, 2].map(|_| Life::new(7).live(800));
    assert_eq!(lives[0], lives[1]);
}
