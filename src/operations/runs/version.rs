//! Which versions of an agent were reported, and when: found by looking back over its last runs.

use crate::runs::Run;
use crate::state::State;
use crate::vocabulary::{AgentId, RunId};
use jiff::Timestamp;

/// How many runs are looked at.
const LOOKED_AT: usize = 2_000;

/// A version as an attempt reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operations) struct Reported {
    /// When the attempt was queued.
    pub(in crate::operations) at: Timestamp,
    /// The version.
    pub(in crate::operations) version: String,
    /// The attempt's run.
    pub(in crate::operations) run: RunId,
}

/// The versions that the agent's last runs reported, oldest first: those since a moment, and one before it where there is
/// one among the runs that are looked at.
pub(in crate::operations) fn versions(state: &State, agent: &AgentId, since: Timestamp) -> Vec<Reported> {
    let mut found = Vec::new();
    for run in state.runs().back(None, None).take(LOOKED_AT).filter(|run| run.agent == *agent) {
        found.extend(reported(run));
        if run.created_at < since && found.iter().any(|one: &Reported| one.at < since) {
            break;
        }
    }
    found.sort_by(|a, b| (a.at, &a.run).cmp(&(b.at, &b.run)));
    let first = found.iter().rposition(|one| one.at < since).unwrap_or(0);
    found.drain(..first);
    found
}

fn reported(run: &Run) -> impl Iterator<Item = Reported> {
    run.attempts.iter().filter_map(|attempt| {
        let version = attempt.agent_version.clone()?;
        Some(Reported { at: attempt.queued_at, version, run: run.id.clone() })
    })
}
