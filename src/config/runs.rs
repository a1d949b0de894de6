//! The part of the configuration that is about runs.

use crate::runs::Clocks;
use serde::Deserialize;

/// Runs: their clocks, in seconds, and how many may be open.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunsConfig {
    /// From queued to picked up, and from dispatched to acknowledged.
    pub dispatch_s: u32,
    /// From acknowledged to the first event.
    pub first_event_s: u32,
    /// Silence that is suspicious.
    pub silence_s: u32,
    /// Silence that makes a running attempt `stalled`.
    pub silence_critical_s: u32,
    /// The longest that an attempt may run, talking or not.
    pub longest_run_s: u32,
    /// From the request of a cancellation to its proof.
    pub cancel_grace_s: u32,
    /// A worker that has not asked for so long is gone.
    pub worker_gone_s: u32,
    /// Runs that are neither completed nor cancelled, in all.
    pub max_open: usize,
    /// And of one agent.
    pub max_open_per_agent: usize,
}

impl Default for RunsConfig {
    fn default() -> Self {
        let Clocks {
            dispatch_s,
            first_event_s,
            silence_s,
            silence_critical_s,
            longest_run_s,
            cancel_grace_s,
            worker_gone_s,
        } = Clocks::default();
        Self {
            dispatch_s,
            first_event_s,
            silence_s,
            silence_critical_s,
            longest_run_s,
            cancel_grace_s,
            worker_gone_s,
            max_open: 1_000_000,
            max_open_per_agent: 100_000,
        }
    }
}

impl RunsConfig {
    /// Its clocks.
    pub fn clocks(&self) -> Clocks {
        Clocks {
            dispatch_s: self.dispatch_s,
            first_event_s: self.first_event_s,
            silence_s: self.silence_s,
            silence_critical_s: self.silence_critical_s,
            longest_run_s: self.longest_run_s,
            cancel_grace_s: self.cancel_grace_s,
            worker_gone_s: self.worker_gone_s,
        }
    }
}
