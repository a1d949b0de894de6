//! How often may be asked: token buckets, in the form that needs one number a bucket (GCRA, ITU-T I.371, annex A).
//! Time is a value here, and so is who asks: a number.

use std::collections::HashMap;
use std::time::Duration;

/// So many a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Between two of them, when all that was saved up is spent.
    interval: Duration,
    /// How long an empty bucket takes to be full.
    fill: Duration,
}

impl Rate {
    /// So many a second, of which `burst` may be saved up; `None` where there is no limit. A burst of 0 is that of a second.
    pub fn new(per_s: u32, burst: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(per_s)?;
        let burst = if burst == 0 { per_s } else { burst };
        Some(Self { interval, fill: interval.saturating_mul(burst) })
    }

    /// Takes one out of the bucket that is full at `full_at`, or says how long it takes until there is one.
    fn take(self, full_at: &mut Duration, now: Duration) -> Result<(), Duration> {
        let after = (*full_at).max(now).saturating_add(self.interval);
        let missing = after.saturating_sub(now).saturating_sub(self.fill);
        if missing > Duration::ZERO {
            return Err(missing);
        }
        *full_at = after;
        Ok(())
    }
}

/// A bucket for each who asks. One that is full again is as good as none, so it is forgotten; and when there are as many as
/// may be, whoever is new shares one bucket with all others who are.
#[derive(Debug)]
pub struct Buckets {
    rate: Rate,
    most: usize,
    /// When each bucket is full: those taken from since the last turn, and those of the time before.
    young: HashMap<u64, Duration>,
    old: HashMap<u64, Duration>,
    turned: Duration,
    shared: Duration,
}

impl Buckets {
    /// All full. `most` is how many are remembered one by one.
    pub fn new(rate: Rate, most: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { rate, most, young, old, turned: Duration::ZERO, shared: Duration::ZERO }
    }

    /// Takes one for `who`, or says how long it takes until there is one.
    pub fn take(&mut self, who: u64, now: Duration) -> Result<(), Duration> {
        self.turn(now);
        if let Some(full_at) = self.young.get_mut(&who) {
            return self.rate.take(full_at, now);
        }
        let known = self.old.remove(&who);
        if known.is_none() && self.len() >= self.most {
            return self.rate.take(&mut self.shared, now);
        }
        let mut full_at = known.unwrap_or(now);
        let taken = self.rate.take(&mut full_at, now);
        self.young.insert(who, full_at);
        taken
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was not taken from for as long as filling up takes is full: it goes, all at once and without being looked for.
    fn turn(&mut self, now: Duration) {
        let since = now.saturating_sub(self.turned);
        if since <= self.rate.fill {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        if since > self.rate.fill.saturating_mul(2) {
            self.old.clear();
        }
        self.turned = now;
    }
}

/// How much of a common thing each who asks has at the moment, each at most a share of it.
#[derive(Debug, Default)]
pub struct Shares {
    of: HashMap<u64, u32>,
}

impl Shares {
    /// Takes one more for `who`, unless that were above its share.
    pub fn take(&mut self, who: u64, share: u32) -> bool {
        let taken = self.of.entry(who).or_default();
        if *taken >= share {
            return false;
        }
        *taken += 1;
        true
    }

    /// Gives one back. Who has none left is forgotten.
    pub fn give(&mut self, who: u64) {
        if let Some(taken) = self.of.get_mut(&who) {
            *taken -= 1;
            if *taken == 0 {
                self.of.remove(&who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_bucket_by_and_by() {
        // ten a second, three at once: at so many milliseconds, and the wait in milliseconds where there is none left
        let rate = Rate::new(10, 3).unwrap();
        let mut full_at = Duration::ZERO;
        for (at, wait) in [
            (1_000, None),
            (1_000, None),
            (1_000, None),
            (1_000, Some(100)),
            (1_040, Some(60)),
            (1_100, None),
            (1_100, Some(100)),
            (1_200, None),
            (5_000, None),
            (5_000, None),
            (5_000, None),
            (5_000, Some(100)),
            (4_000, Some(1_100)),
        ] {
            assert_eq!(rate.take(&mut full_at, ms(at)).err(), wait.map(ms), "at {at}");
        }
    }

    #[test]
    fn what_a_rate_is() {
        assert_eq!(Rate::new(0, 5), None, "no limit");
        assert_eq!(Rate::new(4, 0), Rate::new(4, 4), "a second's");
        for (per_s, burst) in [(1, 1), (u32::MAX, u32::MAX), (1, u32::MAX), (u32::MAX, 1)] {
            let rate = Rate::new(per_s, burst).unwrap();
            assert_eq!(rate.take(&mut { Duration::ZERO }, Duration::MAX / 2), Ok(()), "{per_s} {burst}");
        }
    }

    #[test]
    fn each_has_its_own_and_full_ones_are_forgotten() {
        let mut buckets = Buckets::new(Rate::new(1, 2).unwrap(), 100);
        for who in 0..50 {
            assert_eq!([buckets.take(who, ms(10_000)).is_ok(), buckets.take(who, ms(10_000)).is_ok()], [true, true]);
            assert_eq!(buckets.take(who, ms(10_000)), Err(ms(1_000)), "{who}");
        }
        assert_eq!(buckets.len(), 50);
        // one of them goes on, and is not forgotten by the turn
        assert_eq!(buckets.take(7, ms(11_500)), Ok(()));
        assert_eq!(buckets.take(7, ms(12_500)), Ok(()));
        assert_eq!(buckets.take(7, ms(12_501)), Err(ms(499)));
        assert_eq!(buckets.take(7, ms(14_900)), Ok(()));
        assert_eq!(buckets.len(), 1, "the others were full");
        assert_eq!(buckets.take(1, ms(90_000)), Ok(()));
        assert_eq!(buckets.len(), 1);
    }

    #[test]
    fn beyond_the_bound_strangers_share_one() {
        let mut buckets = Buckets::new(Rate::new(1, 2).unwrap(), 10);
        for who in 0..10 {
            assert!(buckets.take(who, ms(0)).is_ok());
        }
        let strangers: Vec<_> = (100..1_100).map(|who| buckets.take(who, ms(0)).is_ok()).collect();
        assert_eq!(strangers.iter().filter(|taken| **taken).count(), 2, "one burst for all of them");
        assert_eq!(buckets.len(), 10);
        assert!(buckets.take(3, ms(0)).is_ok(), "who is known has its own");
    }

    #[test]
    fn a_share_is_had_and_given_back() {
        let mut shares = Shares::default();
        assert_eq!([1, 1, 1, 2].map(|who| shares.take(who, 2)), [true, true, false, true]);
        shares.give(1);
        assert!(shares.take(1, 2));
        [1, 1, 2, 2, 9].into_iter().for_each(|who| shares.give(who));
        assert!(shares.of.is_empty(), "{shares:?}");
        assert!(!shares.take(1, 0));
    }

    proptest! {
        /// Never more in any stretch than the burst and what came
        /// in meanwhile, and whoever waits for as long as it was told gets one.
        #[test]
        fn never_more_than_burst_and_rate(
            per_s in 1_u32..2_000, burst in 1_u32..50, steps in prop::collection::vec((0_u64..3, 0_u64..400), 1..200)
        ) {
            let mut buckets = Buckets::new(Rate::new(per_s, burst).unwrap(), 100);
            let mut now = Duration::from_secs(1);
            let mut taken: HashMap<u64, Vec<Duration>> = HashMap::new();
            for (who, step) in steps {
                now += ms(step);
                match buckets.take(who, now) {
                    Ok(()) => taken.entry(who).or_default().push(now),
                    Err(wait) => {
                        now += wait;
                        prop_assert_eq!(buckets.take(who, now), Ok(()));
                        taken.entry(who).or_default().push(now);
                    }
                }
            }
            for times in taken.values() {
                for (first, from) in times.iter().enumerate() {
                    for (last, to) in times.iter().enumerate().skip(first) {
                        let meanwhile = to.saturating_sub(*from).as_nanos() / u128::from(1_000_000_000 / per_s);
                        prop_assert!((last - first + 1) as u128 <= u128::from(burst) + meanwhile, "{from:?} to {to:?}");
                    }
                }
            }
        }
    }
}
