//! How the store is, on the wire.

use crate::operations::CapUse;
use crate::state::State;
use crate::store::StoreStatus;
use serde::Serialize;
use utoipa::ToSchema;

/// How the store is: sizes, lags, the last checkpoint, and what was found wrong in its files.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StateAnswer {
    /// The last durable record.
    pub seq: u64,
    /// Its hash: note it elsewhere, to see later that the end was not cut off.
    pub head: String,
    /// Its time.
    pub time: Option<String>,
    /// The journal's files.
    pub journal: JournalAnswer,
    /// The last checkpoint.
    pub checkpoint: Option<CheckpointAnswer>,
    /// Records that a start would read behind it.
    pub checkpoint_lag: u64,
    /// The database behind.
    pub index: IndexAnswer,
    /// What is in memory.
    pub memory: MemoryAnswer,
    /// What of it comes near its cap: nine tenths are used.
    pub nearly_full: Vec<CapAnswer>,
    /// The scrubber.
    pub scrubbed: ScrubbedAnswer,
    /// Commands waiting.
    pub queue_depth: u64,
    /// Why no commands are taken, if they are not.
    pub failed: Option<String>,
    /// What was found wrong in the files since the start.
    pub findings: Vec<FindingAnswer>,
}

/// The journal's files.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JournalAnswer {
    /// Segments.
    pub segments: u64,
    /// Bytes.
    pub bytes: u64,
    /// Segments dropped since the start.
    pub dropped_segments: u64,
}

/// A checkpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CheckpointAnswer {
    /// The last record that it covers.
    pub seq: u64,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of its file, which the chain names.
    pub sha256: String,
}

/// The database behind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IndexAnswer {
    /// `opening`, `building`, `in_step` or `failing`.
    #[schema(example = "in_step")]
    pub state: String,
    /// Sealed segments that it has.
    pub segments: u64,
    /// Of so many.
    pub of: u64,
    /// Records that it does not have yet.
    pub lag: u64,
    /// Where a damaged one was put since the start.
    pub put_aside: Option<String>,
}

/// What is in memory.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MemoryAnswer {
    /// Holds.
    pub holds: u64,
    /// Of them pending.
    pub open_holds: u64,
    /// Accounts.
    pub accounts: u64,
    /// Used keys of the open segment.
    pub keys: u64,
    /// Used keys of sealed segments, 16 bytes each.
    pub used_keys: u64,
    /// Runs.
    pub runs: u64,
    /// Of them neither completed nor cancelled.
    pub open_runs: u64,
    /// Items of Command Center that are not resolved.
    pub open_items: u64,
    /// Denials that may become items.
    pub denials: u64,
}

/// How much of a cap is used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CapAnswer {
    /// Of what.
    #[schema(example = "open runs")]
    pub what: String,
    /// So many there are.
    pub used: u64,
    /// So many there may be.
    pub cap: u64,
}

/// The scrubber.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScrubbedAnswer {
    /// Passes over everything since the start.
    pub passes: u64,
    /// When the last one ended.
    pub last: Option<String>,
    /// Bytes read since the start.
    pub bytes: u64,
}

/// One bad place.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FindingAnswer {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

impl From<CapUse> for CapAnswer {
    fn from(found: CapUse) -> Self {
        Self { what: found.what, used: found.used, cap: found.cap }
    }
}

impl MemoryAnswer {
    /// Of a state.
    pub fn of(state: &State, used_keys: u64) -> Self {
        Self {
            holds: state.hold_count() as u64,
            open_holds: state.open_holds() as u64,
            accounts: state.account_count() as u64,
            keys: state.key_count() as u64,
            used_keys,
            runs: state.runs().count() as u64,
            open_runs: state.runs().open_count() as u64,
            open_items: state.attention().unresolved_count() as u64,
            denials: state.attention().denial_count() as u64,
        }
    }
}

impl StateAnswer {
    /// Of a store.
    pub fn new(status: StoreStatus, memory: MemoryAnswer, uses: Vec<CapUse>) -> Self {
        let state = serde_json::to_value(status.index_state).ok();
        let state = state.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let checkpoint =
            status.checkpoint.map(|note| CheckpointAnswer { seq: note.seq, bytes: note.bytes, sha256: note.sha256 });
        let findings = status.findings.into_iter();
        Self {
            seq: status.seq,
            head: status.head,
            time: status.time.map(|time| time.to_string()),
            journal: JournalAnswer {
                segments: status.segments,
                bytes: status.journal_bytes,
                dropped_segments: status.dropped_segments,
            },
            checkpoint,
            checkpoint_lag: status.checkpoint_lag,
            index: IndexAnswer {
                state,
                segments: status.index_segments,
                of: status.sealed_segments,
                lag: status.index_lag,
                put_aside: status.put_aside,
            },
            memory,
            nearly_full: uses.into_iter().filter(CapUse::is_near).map(CapAnswer::from).collect(),
            scrubbed: ScrubbedAnswer {
                passes: status.scrubbed.passes,
                last: status.scrubbed.last.map(|time| time.to_string()),
                bytes: status.scrubbed.bytes,
            },
            queue_depth: status.queue_depth as u64,
            failed: status.failed,
            findings: findings.map(|finding| FindingAnswer { file: finding.file, what: finding.what }).collect(),
        }
    }
}
