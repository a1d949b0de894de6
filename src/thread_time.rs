//! CPU time of the calling thread, from the operating system. Not a wall clock: it only tells work from waiting.

use crate::policy::ThreadClock;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// What the calling thread has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadTime;

impl ThreadClock for ThreadTime {
    fn cpu(&self) -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanoseconds)
    }
}
