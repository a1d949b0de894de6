//! CPU time of the calling thread, from the operating system, and a monotonic clock beside. Neither tells the time of day:
//! they only tell work from waiting.

use crate::policy::ThreadClock;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// What the calling thread has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadTime;

impl ThreadClock for ThreadTime {
    fn cpu(&self) -> Duration {
        read(ClockId::ThreadCPUTime)
    }

    fn wall(&self) -> Duration {
        read(ClockId::Monotonic)
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanoseconds)
}
