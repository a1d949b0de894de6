//! "What changed": what else was done around the moment when an item's trouble began.

use crate::attention::Item;
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::store::AuditFilter;
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
    /// What was done.
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
    let shifted = |minutes| item.began_at.checked_add(SignedDuration::from_mins(minutes)).ok();
    changed_between(app, shifted(-BEFORE_MIN), shifted(BEHIND_MIN))
}

/// What changed between two moments that may be why something works otherwise, newest first.
pub fn changed_between(
    app: &App,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Vec<Changed>, OperationError> {
    let filter = AuditFilter { since, until, ..AuditFilter::default() };
    let mut changed = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let page = app.store.audit(&filter, cursor.as_deref(), MOST)?;
        let causes = page.items.into_iter().filter(|entry| CAUSES.iter().any(|cause| entry.op.starts_with(cause)));
        changed.extend(causes.map(|entry| Changed {
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
    changed.truncate(MOST);
    Ok(changed)
}
