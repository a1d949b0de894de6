//! What becomes durable, as it does: for those who follow rather than ask.

use crate::state::Entry;
use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many batches one who follows may be behind, before some are missed.
const KEPT: usize = 1_024;

/// One durable batch.
#[derive(Debug)]
pub struct Committed {
    /// Its record's sequence number.
    pub seq: u64,
    /// The batch's time.
    pub time: Timestamp,
    /// What was done, in order.
    pub entries: Vec<Arc<Entry>>,
}

/// Follows the batches. One that is too slow hears how many it has missed.
pub type Following = broadcast::Receiver<Arc<Committed>>;

/// Where batches are told.
#[derive(Clone, Debug)]
pub struct Feed(broadcast::Sender<Arc<Committed>>);

impl Default for Feed {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Feed {
    /// Follows from now on.
    pub fn follow(&self) -> Following {
        self.0.subscribe()
    }

    /// Tells a batch, if anybody follows.
    pub fn tell(&self, seq: u64, time: Timestamp, entries: &[Arc<Entry>]) {
        if self.0.receiver_count() > 0 {
            // nobody there any more is no fault
            let _ = self.0.send(Arc::new(Committed { seq, time, entries: entries.to_vec() }));
        }
    }
}
