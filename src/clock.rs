//! The one file that reads clocks. Everywhere else time is a value.

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far the wall clock may leave the monotonic one before admissions stop.
const LARGEST_DRIFT: SignedDuration = SignedDuration::from_secs(60);

/// What share of the time that passes the wall clock may be slow or fast by without that adding up: one in so many. NTP slews
/// a clock by half of it at most.
const SLEWED: i32 = 1_000;

/// For so long at most between two looks at the clocks: what nobody watched is not taken for slewing.
const WATCHED: SignedDuration = SignedDuration::from_mins(10);

/// A source of time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn wall(&self) -> Timestamp;
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The machine's clocks.
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is moved: for tests and for `simulate`.
#[derive(Debug, Clone)]
pub struct ManualClock {
    at: Arc<Mutex<(Timestamp, Duration)>>,
}

impl ManualClock {
    /// Standing at `wall`.
    pub fn new(wall: Timestamp) -> Self {
        Self { at: Arc::new(Mutex::new((wall, Duration::ZERO))) }
    }

    /// Time passes: both clocks go on.
    pub fn advance(&self, by: Duration) {
        let mut at = self.at.lock();
        at.1 += by;
        at.0 += by;
    }

    /// Somebody sets the wall clock: the monotonic one does not notice.
    pub fn set_wall(&self, wall: Timestamp) {
        self.at.lock().0 = wall;
    }

    /// Time passes until `wall`; a moment that is past already changes nothing.
    pub fn advance_to(&self, wall: Timestamp) {
        let mut at = self.at.lock();
        if let Ok(by) = Duration::try_from(wall.duration_since(at.0)) {
            *at = (wall, at.1 + by);
        }
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        self.at.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.at.lock().1
    }
}

/// The wall clock left the monotonic one: no admission can be judged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wall clock is {drift:#} away from where it should be; it must come back, or an admin must confirm it")]
pub struct ClockJumped {
    /// How far, positive for ahead.
    pub drift: SignedDuration,
}

/// Watches the wall clock against the monotonic one.
#[derive(Debug)]
pub struct ClockGuard {
    clock: Arc<dyn Clock>,
    anchor: Mutex<(Timestamp, Duration)>,
}

impl ClockGuard {
    /// Trusts the wall clock as it stands, but not one that lags more than a minute behind what is journalled already:
    /// that was set back while Tollgate was down.
    pub fn new(clock: Arc<dyn Clock>, last_journalled: Option<Timestamp>) -> Self {
        let wall = clock.wall();
        let anchored = last_journalled.map_or(wall, |last| wall.max(last));
        let anchor = Mutex::new((anchored, clock.monotonic()));
        Self { clock, anchor }
    }

    /// The wall clock, unless it has jumped. What it leaves the monotonic one by little by little is forgotten as time
    /// passes, so that weeks of slewing, or a small step now and then, never come to a jump; while it has jumped nothing is.
    pub fn now(&self) -> Result<Timestamp, ClockJumped> {
        let mut anchor = self.anchor.lock();
        let (wall, elapsed) = (self.clock.wall(), self.elapsed(&anchor));
        let steady = anchor.0.saturating_add(elapsed).unwrap_or(anchor.0);
        let drift = wall.duration_since(steady);
        let jumped = drift.abs() > LARGEST_DRIFT;
        let slewed = elapsed.min(WATCHED) / SLEWED;
        let forgotten = if jumped { SignedDuration::ZERO } else { drift.clamp(-slewed, slewed) };
        if elapsed > SignedDuration::ZERO {
            *anchor = (steady.saturating_add(forgotten).unwrap_or(steady), anchor.1 + elapsed.unsigned_abs());
        }
        if jumped { Err(ClockJumped { drift }) } else { Ok(wall) }
    }

    /// The time by which the monotonic clock has gone on from the last trusted moment: for expiry while the wall clock
    /// cannot be trusted.
    pub fn steady(&self) -> Timestamp {
        let anchor = self.anchor.lock();
        anchor.0.saturating_add(self.elapsed(&anchor)).unwrap_or(anchor.0)
    }

    fn elapsed(&self, anchor: &(Timestamp, Duration)) -> SignedDuration {
        let elapsed = self.clock.monotonic().saturating_sub(anchor.1);
        SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX)
    }

    /// An admin says that the wall clock is right as it is.
    pub fn confirm(&self) -> Timestamp {
        let wall = self.clock.wall();
        *self.anchor.lock() = (wall, self.clock.monotonic());
        wall
    }

    /// The clock behind it, for what needs no trust (logs, ids of requests).
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> (ManualClock, ClockGuard) {
        let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
        let guard = ClockGuard::new(Arc::new(clock.clone()), None);
        (clock, guard)
    }

    #[test]
    fn time_that_passes_is_no_jump() {
        let (clock, guard) = guard();
        clock.advance(Duration::from_secs(400 * 24 * 3600));
        assert_eq!(guard.now(), Ok(clock.wall()));
    }

    #[test]
    fn a_jump_either_way_stops_until_it_is_undone_or_confirmed() {
        let (clock, guard) = guard();
        let right = clock.wall();
        for jump in [-3600, 61, 365 * 24 * 3600] {
            clock.set_wall(right + SignedDuration::from_secs(jump));
            assert_eq!(guard.now(), Err(ClockJumped { drift: SignedDuration::from_secs(jump) }), "{jump}");
            clock.set_wall(right);
            assert_eq!(guard.now(), Ok(right));
        }
        clock.set_wall(right + SignedDuration::from_secs(59));
        assert!(guard.now().is_ok(), "an NTP step of a minute is no jump");
        clock.set_wall(right - SignedDuration::from_secs(3600));
        assert_eq!(guard.confirm(), clock.wall());
        assert_eq!(guard.now(), Ok(clock.wall()));
    }

    #[test]
    fn slewing_never_adds_up_to_a_jump_and_steps_that_come_fast_do() {
        let (clock, guard) = guard();
        // four weeks at the fastest that NTP slews: 1,209 seconds
        for _ in 0..28 * 24 * 60 {
            clock.advance(Duration::from_secs(60));
            clock.set_wall(clock.wall() + SignedDuration::from_millis(30));
            assert_eq!(guard.now(), Ok(clock.wall()));
        }
        // a step of 20 s a day, either way
        for day in 0..60 {
            let step = if day < 30 { 20 } else { -20 };
            clock.set_wall(clock.wall() + SignedDuration::from_secs(step));
            for _ in 0..24 * 60 {
                assert_eq!(guard.now(), Ok(clock.wall()), "day {day}");
                clock.advance(Duration::from_secs(60));
            }
        }
        // a wall clock that runs a hundredth too fast
        let trusted = (0..200).take_while(|_| {
            clock.advance(Duration::from_secs(60));
            clock.set_wall(clock.wall() + SignedDuration::from_millis(600));
            guard.now().is_ok()
        });
        assert!((100..120).contains(&trusted.count()));
    }

    #[test]
    fn a_jump_is_not_forgotten_however_long_it_lasts() {
        let (clock, guard) = guard();
        clock.set_wall(clock.wall() + SignedDuration::from_secs(61));
        for _ in 0..30 * 24 * 60 {
            clock.advance(Duration::from_secs(60));
            assert!(guard.now().is_err());
        }
        // nor is a long time in which nobody looked taken for slewing
        assert_eq!(guard.confirm(), clock.wall());
        clock.advance(Duration::from_secs(30 * 24 * 3600));
        clock.set_wall(clock.wall() + SignedDuration::from_secs(61));
        assert!(guard.now().is_err());
        assert_eq!(guard.confirm(), clock.wall());
        clock.advance(Duration::from_secs(30 * 24 * 3600));
        for (step, trusted) in [(50, true), (50, false)] {
            clock.set_wall(clock.wall() + SignedDuration::from_secs(step));
            assert_eq!(guard.now().is_ok(), trusted);
        }
    }

    #[test]
    fn a_clock_set_back_while_down_is_noticed() {
        let clock = ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap());
        let last = "2026-11-23T13:00:00Z".parse().unwrap();
        let guard = ClockGuard::new(Arc::new(clock.clone()), Some(last));
        assert!(guard.now().is_err());
        clock.advance(Duration::from_secs(60));
        assert!(guard.now().is_err(), "still an hour behind");
        clock.set_wall("2026-11-23T13:01:00Z".parse().unwrap());
        assert!(guard.now().is_ok());
    }
}
