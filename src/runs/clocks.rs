//! The five clocks: dispatch → acknowledgement, acknowledgement → first event, silence (suspicious, then critical),
//! longest run time, cancel grace.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long each may take, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clocks {
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
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            dispatch_s: 120,
            first_event_s: 120,
            silence_s: 300,
            silence_critical_s: 900,
            longest_run_s: 4 * 3600,
            cancel_grace_s: 120,
            worker_gone_s: 120,
        }
    }
}

/// Which clock rang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// Nobody picked it up.
    NotPickedUp,
    /// It was handed over, and nobody acknowledged.
    NotAcknowledged,
    /// It was acknowledged, and nothing followed.
    NoFirstEvent,
    /// It has been silent for suspiciously long.
    Silent,
    /// It has been silent for so long that it is stalled.
    SilentCritical,
    /// Its worker's lease ended after it had acknowledged: it is stalled.
    LeaseEnded,
    /// It runs for too long, though it talks.
    TooLong,
    /// It was cancelled, and its runtime has not proved it.
    CancelNotConfirmed,
}

impl ClockKind {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPickedUp => "not_picked_up",
            Self::NotAcknowledged => "not_acknowledged",
            Self::NoFirstEvent => "no_first_event",
            Self::Silent => "silent",
            Self::SilentCritical => "silent_critical",
            Self::LeaseEnded => "lease_ended",
            Self::TooLong => "too_long",
            Self::CancelNotConfirmed => "cancel_not_confirmed",
        }
    }
}

/// A clock that rang, and that nothing has quieted since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Which.
    pub clock: ClockKind,
    /// Since when.
    pub since: Timestamp,
}
