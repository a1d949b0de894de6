//! Storms: one failure over and over, in however many runs, faster than people can look at items. An item a run and one
//! group stay as they are; a storm is the alarm beside them. It begins when a fingerprint failed often enough within the
//! window, and ends when it fails less than half as often.
//!
//! Nothing here is stored: a restart forgets what it counted, and a storm that goes on is soon found again.

use super::fingerprint::Fingerprint;
use crate::vocabulary::RunId;
use jiff::Timestamp;
use std::collections::{HashMap, VecDeque};

/// How many fingerprints are counted at once. While so many fail, others are not looked at.
const MOST_FINGERPRINTS: usize = 4_096;
/// How many runs of one storm are told apart.
const MOST_RUNS: usize = 10_000;

/// When it is a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormLimits {
    /// So many failures of one fingerprint; 0: never.
    pub failures: u32,
    /// Within so many seconds.
    pub within_s: u32,
}

/// A storm as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storm {
    /// Of which trouble.
    pub fingerprint: Fingerprint,
    /// What that is called.
    pub title: String,
    /// Failures within the window.
    pub failures: u32,
    /// In how many runs.
    pub runs: usize,
    /// When it began.
    pub since: Timestamp,
}

/// What fails, and how often lately.
#[derive(Debug)]
pub struct Storms {
    limits: StormLimits,
    lately: HashMap<Fingerprint, Lately>,
}

#[derive(Debug, Default)]
struct Lately {
    title: String,
    /// Failures by second, oldest first.
    seconds: VecDeque<(i64, u32)>,
    failures: u32,
    /// Each run's last failure.
    runs: HashMap<RunId, i64>,
    since: Option<Timestamp>,
}

impl Storms {
    /// Nothing has failed yet.
    pub fn new(limits: StormLimits) -> Self {
        Self { limits, lately: HashMap::new() }
    }

    /// Counts a failure; the storm, if one begins by it. Times do not go backwards.
    pub fn note(&mut self, fingerprint: &Fingerprint, title: &str, run: &RunId, now: Timestamp) -> Option<Storm> {
        let limits = self.limits;
        if limits.failures == 0 || (self.lately.len() >= MOST_FINGERPRINTS && !self.lately.contains_key(fingerprint)) {
            return None;
        }
        let lately = self.lately.entry(fingerprint.clone()).or_default();
        lately.count(run, now.as_second());
        lately.forget_before(first_second(limits, now));
        if lately.since.is_some() || lately.failures < limits.failures {
            return None;
        }
        title.clone_into(&mut lately.title);
        lately.since = Some(now);
        lately.storm(fingerprint)
    }

    /// What time does: the storms that are over, as they stand now.
    pub fn calmed(&mut self, now: Timestamp) -> Vec<Storm> {
        let (limits, mut over) = (self.limits, Vec::new());
        self.lately.retain(|fingerprint, lately| {
            lately.forget_before(first_second(limits, now));
            if u64::from(lately.failures) * 2 < u64::from(limits.failures) {
                over.extend(lately.storm(fingerprint));
                lately.since = None;
            }
            lately.failures > 0
        });
        over
    }

    /// Those that are under way, as they stand now, the worst first.
    pub fn now(&self) -> Vec<Storm> {
        let mut storms: Vec<Storm> =
            self.lately.iter().filter_map(|(fingerprint, lately)| lately.storm(fingerprint)).collect();
        storms.sort_by(|a, b| b.failures.cmp(&a.failures).then_with(|| a.fingerprint.cmp(&b.fingerprint)));
        storms
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.lately.values().filter(|lately| lately.since.is_some()).count()
    }
}

/// The first second that still counts.
fn first_second(limits: StormLimits, now: Timestamp) -> i64 {
    now.as_second().saturating_sub(i64::from(limits.within_s)).saturating_add(1)
}

impl Lately {
    fn count(&mut self, run: &RunId, second: i64) {
        match self.seconds.back_mut() {
            Some((last, count)) if *last >= second => *count += 1,
            _ => self.seconds.push_back((second, 1)),
        }
        self.failures += 1;
        if self.runs.len() < MOST_RUNS || self.runs.contains_key(run) {
            self.runs.insert(run.clone(), second);
        }
    }

    fn forget_before(&mut self, first: i64) {
        let mut forgot = false;
        while let Some((_, count)) = self.seconds.front().filter(|(second, _)| *second < first) {
            self.failures -= count;
            self.seconds.pop_front();
            forgot = true;
        }
        if forgot {
            self.runs.retain(|_, second| *second >= first);
        }
    }

    fn storm(&self, fingerprint: &Fingerprint) -> Option<Storm> {
        Some(Storm {
            fingerprint: fingerprint.clone(),
            title: self.title.clone(),
            failures: self.failures,
            runs: self.runs.len(),
            since: self.since?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: StormLimits = StormLimits { failures: 6, within_s: 10 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn run(n: u8) -> RunId {
        RunId::new(format!("run-{n}")).unwrap()
    }

    fn trouble(n: u8) -> Fingerprint {
        Fingerprint::of("timeout", None, if n == 0 { "one" } else { "another" })
    }

    #[test]
    fn it_begins_once_and_ends_when_it_fails_less_than_half_as_often() {
        let mut storms = Storms::new(LIMITS);
        let note =
            |storms: &mut Storms, n: u8, second: i64| storms.note(&trouble(0), "Took too long", &run(n), at(second));
        for n in 0..5 {
            assert_eq!(note(&mut storms, n, 0), None);
        }
        assert_eq!(storms.note(&trouble(1), "Another", &run(9), at(0)), None, "another trouble counts for itself");
        let storm = note(&mut storms, 0, 4).unwrap();
        assert_eq!((storm.failures, storm.runs, storm.since), (6, 5, at(4)));
        assert_eq!(storms.now(), [storm], "the other trouble is none");
        assert_eq!(note(&mut storms, 0, 5), None, "told once");
        assert_eq!((storms.calmed(at(9)), storms.under_way()), (Vec::new(), 1));
        let over = storms.calmed(at(10));
        assert_eq!((over[0].failures, over[0].runs, storms.under_way()), (2, 1, 0));
        assert_eq!(storms.calmed(at(60)), []);
        assert!(storms.lately.is_empty(), "what no longer fails is not remembered");
        for n in 0..6 {
            assert_eq!(note(&mut storms, n, 70).is_some(), n == 5, "it may come again");
        }
    }

    #[test]
    fn no_limit_is_no_alarm_and_memory_is_bounded() {
        let mut off = Storms::new(StormLimits { failures: 0, within_s: 10 });
        let mut on = Storms::new(StormLimits { failures: 1, within_s: 10 });
        for n in 0..=MOST_FINGERPRINTS {
            let letters: String = n.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
            let trouble = Fingerprint::of("x", None, &letters);
            assert_eq!(off.note(&trouble, "t", &run(0), at(0)), None);
            assert_eq!(on.note(&trouble, "t", &run(0), at(0)).is_some(), n < MOST_FINGERPRINTS);
        }
    }

    proptest! {
        /// What is counted is what a list of all failures would say.
        #[test]
        fn the_count_is_that_of_a_list(steps in prop::collection::vec((0i64..4, 0u8..2, 0u8..4, any::<bool>()), 1..80)) {
            let (mut storms, mut all, mut now) = (Storms::new(LIMITS), Vec::new(), 0);
            let mut storming = [false; 2];
            for (passes, which, n, looks) in steps {
                now += passes;
                let lately = |all: &Vec<(u8, u8, i64)>, which| {
                    all.iter().filter(|(w, _, at)| *w == which && *at > now - 10).count()
                };
                if looks {
                    storms.calmed(at(now));
                    for which in 0..2 {
                        storming[usize::from(which)] &= lately(&all, which) >= 3;
                    }
                } else {
                    all.push((which, n, now));
                    let began = storms.note(&trouble(which), "t", &run(n), at(now)).is_some();
                    let count = lately(&all, which);
                    let storm = &mut storming[usize::from(which)];
                    prop_assert_eq!(began, !*storm && count >= 6);
                    *storm |= began;
                }
                prop_assert_eq!(storms.under_way(), storming.iter().filter(|storm| **storm).count());
            }
        }
    }
}
