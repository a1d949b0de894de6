//! "What changed": what else was done around the moment when an item's trouble began.

use crate::attention::Item;
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::runs::versions;
use crate::registry::Actor;
use crate::state::State;
use crate::store::AuditFilter;
use crate::vocabulary::AgentId;
use jiff::{SignedDuration, Timestamp};

/// How long before the trouble a change may have caused it, in minutes.
const BEFORE_MIN: i64 = 60;
/// And how long behind its beginning it may still be told, in minutes.
const BEHIND_MIN: i64 = 5;
/// How many changes are told, the last ones.
const MOST: usize = 50;
/// How many pages of the audit trail are looked through.
const PAGES: usize = 4;

/// The operations that may be why something no longer works.
const CAUSES: [&str; 9] =
    ["policy_set.", "budget.", "agent.", "entity_type.", "pause.", "connector.", "schedule.", "worker.", "clock."];

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// When.
    pub at: Timestamp,
    /// What was done; `agent.version` where runs began to report another version of their agent, `worker.gone` where a
    /// worker was seen for the last time.
    pub op: String,
    /// On what.
    pub subject: String,
    /// By whom.
    pub by: String,
    /// Why, where somebody said so.
    pub reason: Option<String>,
}

/// What changed around the moment when the item's trouble began, newest first.
pub fn changed_around(app: &App, item: &Item) -> Result<Vec<Changed>, OperationError> {
    let shifted = |minutes| item.began_at.checked_add(SignedDuration::from_mins(minutes));
    let since = shifted(-BEFORE_MIN).unwrap_or(Timestamp::MIN);
    changed_between(app, item.place.agent.as_ref(), since, shifted(BEHIND_MIN).unwrap_or(Timestamp::MAX))
}

/// What changed between two moments that may be why something works otherwise for this agent, newest first.
pub fn changed_between(
    app: &App,
    agent: Option<&AgentId>,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Changed>, OperationError> {
    let mut changed = done(app, since, until)?;
    if let Some(agent) = agent {
        let now = app.now();
        app.read(|state| {
            changed.extend(new_versions(state, agent, since, until));
            changed.extend(gone_workers(state, agent, app.clocks.worker_gone_s, now, since, until));
        });
        changed.sort_by_key(|change| std::cmp::Reverse(change.at));
    }
    changed.truncate(MOST);
    Ok(changed)
}

/// What people and Tollgate did, by the audit trail.
fn done(app: &App, since: Timestamp, until: Timestamp) -> Result<Vec<Changed>, OperationError> {
    let kinds = CAUSES.map(str::to_owned).to_vec();
    let filter = AuditFilter { kinds, since: Some(since), until: Some(until), ..AuditFilter::default() };
    let mut changed = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let page = app.store.audit(&filter, cursor.as_deref(), MOST)?;
        changed.extend(page.items.into_iter().map(|entry| Changed {
            at: entry.at,
            op: entry.op,
            subject: entry.subject,
            by: entry.actor.name,
            reason: entry.reason,
        }));
        cursor = page.next;
        if cursor.is_none() || changed.len() >= MOST {
            break;
        }
    }
    Ok(changed)
}

/// Where the agent's runs began to report another version.
fn new_versions(state: &State, agent: &AgentId, since: Timestamp, until: Timestamp) -> Vec<Changed> {
    let reported = versions(state, agent, since);
    let pairs = reported.windows(2).filter_map(|pair| {
        let [before, behind] = pair else { return None };
        let is_new = before.version != behind.version && since <= behind.at && behind.at < until;
        is_new.then(|| Changed {
            at: behind.at,
            op: "agent.version".to_owned(),
            subject: format!("agent:{agent}"),
            by: format!("run:{}", behind.run),
            reason: Some(format!("{} → {}", before.version, behind.version)),
        })
    });
    pairs.collect()
}

/// Workers of the agent that were seen for the last time then.
fn gone_workers(
    state: &State,
    agent: &AgentId,
    gone_after_s: u32,
    now: Timestamp,
    since: Timestamp,
    until: Timestamp,
) -> Vec<Changed> {
    let gone = state.runs().workers_of(agent).filter(|(worker, _)| worker.is_gone(now, gone_after_s));
    let then = gone.filter(|(worker, _)| since <= worker.last_seen && worker.last_seen < until);
    then.map(|(worker, _)| Changed {
        at: worker.last_seen,
        op: "worker.gone".to_owned(),
        subject: format!("worker:{}", worker.id),
        by: Actor::tollgate().name,
        reason: Some("it was not seen again".to_owned()),
    })
    .collect()
}
