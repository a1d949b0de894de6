//! A worker's claim on the wire: what it asks, and the attempt that it is handed.

use super::run::RunEntityAnswer;
use super::run_parts::CheckpointAnswer;
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::Problem;
use crate::operations::{ClaimAsked, Claimed};
use crate::vocabulary::{AgentId, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;

const MOST_AGENTS: usize = 256;
const USUAL_LEASE_S: u32 = 60;
const LONGEST_LEASE_S: u32 = 3_600;
const LONGEST_WAIT_S: u32 = 25;

/// A worker's question for an attempt.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ClaimRequest, example = json!({"worker": "worker-1", "agents": ["rfq-draft"], "lease_s": 60, "wait_s": 20}))]
pub struct ClaimBody {
    /// Who asks.
    pub worker: String,
    /// For which agents; those that it is registered for where none is named.
    pub agents: Option<Vec<String>>,
    /// For how long the lease holds, in seconds; every event renews it.
    #[schema(minimum = 5, maximum = 3600, default = 60)]
    pub lease_s: Option<u32>,
    /// How long to wait for an attempt, in seconds.
    #[schema(maximum = 25, default = 0)]
    pub wait_s: Option<u32>,
}

impl RequestBody for ClaimBody {}

impl ClaimBody {
    /// What is asked.
    pub fn asked(self) -> Result<ClaimAsked, Problem> {
        let mut check = Check::new("");
        let worker = check.parse::<WorkerId>("/worker", &self.worker);
        let agents = agents(self.agents.unwrap_or_default(), &mut check);
        let lease_s = self.lease_s.unwrap_or(USUAL_LEASE_S);
        if !(5..=LONGEST_LEASE_S).contains(&lease_s) {
            check.fault("/lease_s", format_args!("must be from 5 to {LONGEST_LEASE_S}"));
        }
        let wait_s = self.wait_s.unwrap_or(0);
        if wait_s > LONGEST_WAIT_S {
            check.fault("/wait_s", format_args!("must be at most {LONGEST_WAIT_S}"));
        }
        // without any wait there is still the one look
        let wait = Duration::from_secs(u64::from(wait_s)).max(Duration::from_millis(100));
        check.finish(worker.map(|worker| ClaimAsked { worker, agents, lease_s, wait }))
    }
}

/// Agents by name.
pub fn agents(names: Vec<String>, check: &mut Check) -> Vec<AgentId> {
    if names.len() > MOST_AGENTS {
        check.fault("/agents", format_args!("must have at most {MOST_AGENTS} entries"));
    }
    let named = names.iter().enumerate().take(MOST_AGENTS);
    named.filter_map(|(n, name)| check.parse::<AgentId>(format_args!("/agents/{n}"), name)).collect()
}

/// An attempt, handed to a worker.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ClaimedAttempt)]
pub struct ClaimedAnswer {
    /// The run.
    pub run: String,
    /// The attempt's number.
    pub attempt: u32,
    /// Whose run it is.
    pub agent: String,
    /// What it is called.
    pub title: Option<String>,
    /// The record that it is about.
    pub entity: Option<RunEntityAnswer>,
    /// The token that the attempt's events (`data.lease`) and admissions (`run.lease`) carry.
    pub lease: String,
    /// Until when the lease holds; every event renews it.
    pub lease_expires_at: String,
    /// What it works on.
    pub input: Value,
    /// What people supplied, by field: beside the input, never merged into it.
    #[schema(value_type = Object)]
    pub supplied: Value,
    /// Where it goes on from.
    pub checkpoint: Option<CheckpointAnswer>,
    /// The state that was saved there.
    pub checkpoint_state: Value,
    /// Why the attempt before was denied, which no longer holds.
    #[schema(value_type = Vec<Object>)]
    pub lifted: Value,
}

impl From<&Claimed> for ClaimedAnswer {
    fn from(claimed: &Claimed) -> Self {
        let run = &claimed.run;
        let lease = run.latest().and_then(|attempt| attempt.lease.as_ref());
        let (checkpoint, state) = match &claimed.checkpoint {
            Some((checkpoint, state)) => (Some(checkpoint.into()), state.clone()),
            None => (None, None),
        };
        Self {
            run: run.id.to_string(),
            attempt: run.latest_number(),
            agent: run.agent.to_string(),
            title: run.title.clone(),
            entity: run.entity.as_ref().map(Into::into),
            lease: claimed.token.reveal().to_owned(),
            lease_expires_at: lease.map(|lease| lease.expires_at.to_string()).unwrap_or_default(),
            input: claimed.input.clone().unwrap_or_default(),
            supplied: run
                .supplied
                .as_ref()
                .map_or_else(|| Value::Object(serde_json::Map::new()), |s| Value::Object(s.data.clone())),
            checkpoint,
            checkpoint_state: state.unwrap_or_default(),
            lifted: serde_json::to_value(&claimed.lifted).unwrap_or_default(),
        }
    }
}
