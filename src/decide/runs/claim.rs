//! A queued attempt handed to a worker: exactly one, for the writer decides one claim after the other.

use super::command::{ClaimCommand, RunAnswer};
use super::put::{Change, put};
use super::setup::{first_seen, seen};
use crate::decide::command::Context;
use crate::registry::Actor;
use crate::runs;
use crate::state::{Draft, Effect, Entry};
use std::sync::Arc;

/// Hands the oldest attempt of the worker's agents over, unless it holds as many as it takes.
pub(super) fn claim(draft: &mut Draft<'_>, asked: &ClaimCommand, actor: &Actor, ctx: &Context<'_>) -> RunAnswer {
    let known = draft.runs().worker(&asked.worker).cloned();
    let capacity = known.as_ref().map_or(1, |worker| worker.capacity);
    let news = match &known {
        Some(worker) => seen(worker, ctx.now),
        None => Some(first_seen(asked.worker.clone(), asked.agents.clone(), ctx.now)),
    };
    let news = news.map(|worker| Effect::Worker(Arc::new(worker)));
    let free = draft.runs().held_by(&asked.worker) < usize::try_from(capacity).unwrap_or(usize::MAX);
    let next = free.then(|| draft.runs().claimable(&asked.agents).cloned()).flatten();
    let claimed = next.and_then(|run| runs::claim(&run, &asked.worker, &asked.sha256, asked.lease_s, ctx.now));
    let Some((run, event)) = claimed else {
        if let Some(news) = news {
            draft.push(Entry {
                op: "worker.seen".to_owned(),
                actor: actor.clone(),
                subject: format!("worker:{}", asked.worker),
                reason: None,
                before: None,
                effects: vec![news],
            });
        }
        return RunAnswer::Claimed(None);
    };
    let change = Change {
        op: "run.claim",
        run,
        events: vec![event],
        also: news.into_iter().collect(),
        reason: None,
        before: None,
    };
    RunAnswer::Claimed(Some(put(draft, change, actor, ctx)))
}
