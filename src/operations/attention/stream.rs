//! What happens, as it happens, for those who watch: notices of runs, their events, items and decisions, numbered by
//! their place in the journal. The last ones are kept, so that who comes back goes on where they left.

use crate::admission::Decision;
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::state::Effect;
use crate::store::Committed;
use crate::vocabulary::{AgentId, RunId};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many notices are kept for those who come back.
const KEPT: usize = 8_192;
/// How many notices one who watches may be behind.
const BEHIND: usize = 1_024;

/// Where a notice stands in the journal: the record, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoticeId {
    /// The record.
    pub seq: u64,
    /// The place.
    pub place: u32,
}

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.seq, self.place)
    }
}

impl FromStr for NoticeId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (seq, place) = text.split_once('-')?;
            Some(Self { seq: seq.parse().ok()?, place: place.parse().ok()? })
        };
        parse().ok_or("is not an id of this stream")
    }
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// A run stands otherwise.
    Run,
    /// Something happened to a run.
    RunEvent,
    /// An item stands otherwise.
    Item,
    /// A decision was made.
    Admission,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Run, Self::RunEvent, Self::Item, Self::Admission];

    /// As it stands in JSON, and as the event's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::RunEvent => "run_event",
            Self::Item => "item",
            Self::Admission => "admission",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One notice: enough to know what to read anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Its id; ids rise.
    pub id: NoticeId,
    /// What it is about.
    pub kind: NoticeKind,
    /// Of which run.
    pub run: Option<RunId>,
    /// Of which agent.
    pub agent: Option<AgentId>,
    /// What stands now, in short.
    pub data: Value,
}

/// Which notices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeFilter {
    /// Of this run.
    pub run: Option<RunId>,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Of these kinds; empty means all.
    pub kinds: Vec<NoticeKind>,
}

impl NoticeFilter {
    /// Whether a notice fits.
    pub fn fits(&self, notice: &Notice) -> bool {
        (self.run.is_none() || self.run == notice.run)
            && (self.agent.is_none() || self.agent == notice.agent)
            && (self.kinds.is_empty() || self.kinds.contains(&notice.kind))
    }
}

/// The stream of a daemon.
#[derive(Debug)]
pub struct Notices {
    kept: Mutex<Kept>,
    live: broadcast::Sender<Arc<Notice>>,
    /// Set when the daemon stops, so that nobody waits for more.
    closed: tokio::sync::watch::Sender<bool>,
}

#[derive(Debug)]
struct Kept {
    notices: VecDeque<Arc<Notice>>,
    /// Everything behind this is among the notices.
    complete_behind: NoticeId,
}

/// One who watches: what was missed, then what comes.
#[derive(Debug)]
pub struct Watching {
    /// Some of what lies between is no longer there: read anew.
    pub missed: bool,
    /// What came since the id that was named.
    pub backlog: Vec<Arc<Notice>>,
    /// What comes.
    pub live: broadcast::Receiver<Arc<Notice>>,
    /// Turns true when the daemon stops.
    pub closed: tokio::sync::watch::Receiver<bool>,
    /// Which notices.
    pub filter: NoticeFilter,
}

impl Notices {
    /// A stream that begins behind this record.
    pub fn new(seq: u64) -> Self {
        let complete_behind = NoticeId { seq, place: u32::MAX };
        Self {
            kept: Mutex::new(Kept { notices: VecDeque::new(), complete_behind }),
            live: broadcast::Sender::new(BEHIND),
            closed: tokio::sync::watch::Sender::new(false),
        }
    }

    /// Tells what a batch did.
    pub fn tell(&self, batch: &Committed) {
        let effects = || batch.entries.iter().flat_map(|entry| &entry.effects);
        // an event names its run alone, which is changed beside it
        let agents: HashMap<&RunId, &AgentId> = effects()
            .filter_map(|effect| match effect {
                Effect::Run(run) => Some((&run.id, &run.agent)),
                _ => None,
            })
            .collect();
        let mut place = 0;
        let mut kept = self.kept.lock();
        for effect in effects() {
            let Some((kind, run, agent, data)) = told(effect, batch.time) else { continue };
            let agent = agent.or_else(|| agents.get(run.as_ref()?).copied().cloned());
            let notice = Arc::new(Notice { id: NoticeId { seq: batch.seq, place }, kind, run, agent, data });
            place += 1;
            if kept.notices.len() == KEPT
                && let Some(gone) = kept.notices.pop_front()
            {
                kept.complete_behind = gone.id;
            }
            kept.notices.push_back(Arc::clone(&notice));
            // nobody who watches is no fault
            let _ = self.live.send(notice);
        }
    }

    /// Batches were missed: what came so far is of no use to who comes back.
    pub fn lost(&self, seq: u64) {
        let mut kept = self.kept.lock();
        kept.notices.clear();
        kept.complete_behind = NoticeId { seq, place: u32::MAX };
    }

    /// Ends it for everybody.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Whether the daemon stops.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Comes back when the daemon stops.
    pub async fn until_closed(&self) {
        // it cannot be gone while it is borrowed
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    fn watch(&self, filter: NoticeFilter, last: Option<NoticeId>) -> Watching {
        let kept = self.kept.lock();
        let missed = last.is_some_and(|last| last < kept.complete_behind);
        let behind = |notice: &&Arc<Notice>| last.is_some_and(|last| notice.id > last) && filter.fits(notice);
        let backlog = kept.notices.iter().filter(behind).cloned().collect();
        // under the lock, so that nothing falls between the backlog and what comes
        Watching { missed, backlog, live: self.live.subscribe(), closed: self.closed.subscribe(), filter }
    }
}

/// Watches from now on, or from behind a notice that was seen.
pub fn watch(
    app: &App,
    principal: &Principal,
    filter: NoticeFilter,
    last: Option<NoticeId>,
) -> Result<Watching, OperationError> {
    principal.may(Operation::ReadStream)?;
    Ok(app.notices.watch(filter, last))
}

/// What an effect tells; most tell nothing.
fn told(effect: &Effect, at: Timestamp) -> Option<(NoticeKind, Option<RunId>, Option<AgentId>, Value)> {
    Some(match effect {
        Effect::Run(run) => {
            let data = json!({"id": run.id, "agent": run.agent, "status": run.status(), "attempt": run.latest_number(), "at": at});
            (NoticeKind::Run, Some(run.id.clone()), Some(run.agent.clone()), data)
        }
        Effect::RunEvent(event) => {
            let data = json!({"run": event.run, "number": event.number, "type": event.kind, "attempt": event.attempt,
                "step": event.step, "standing": event.standing, "at": at});
            (NoticeKind::RunEvent, Some(event.run.clone()), None, data)
        }
        Effect::Item(item) => {
            let data = json!({"id": item.id, "kind": item.kind, "state": item.state_at(at), "run_id": item.run(),
                "agent": item.place.agent, "without_decision": item.lacks_decision(at), "revision": item.revision, "at": at});
            (NoticeKind::Item, item.run().cloned(), item.place.agent.clone(), data)
        }
        Effect::Decision(record) => {
            let decision = if record.decision == Decision::Allow { "allow" } else { "deny" };
            let data = json!({"id": record.id, "agent": record.agent, "action": record.action, "run_id": record.run,
                "decision": decision, "codes": record.codes, "at": at});
            (NoticeKind::Admission, record.run.clone(), Some(record.agent.clone()), data)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Actor;
    use crate::runs::first_admitted;
    use crate::state::Entry;

    fn batch(seq: u64, runs: usize) -> Committed {
        let time = Timestamp::from_second(1_800_000_000).unwrap();
        let effect = |n: usize| {
            let id = format!("run-{seq}-{n}").parse().unwrap();
            Effect::Run(Arc::new(first_admitted(id, format!("agent-{}", n % 2).parse().unwrap(), 1, time)))
        };
        let entry = Entry {
            op: "run.report".to_owned(),
            actor: Actor::tollgate(),
            subject: "runs".to_owned(),
            reason: None,
            before: None,
            effects: (0..runs).map(effect).collect(),
        };
        Committed { seq, time, entries: vec![Arc::new(entry)] }
    }

    fn id(text: &str) -> Option<NoticeId> {
        text.parse().ok()
    }

    #[test]
    fn who_comes_back_goes_on_where_they_left() {
        let notices = Notices::new(6);
        notices.tell(&batch(7, 2));
        notices.tell(&batch(8, 1));
        for (last, missed, backlog) in [
            (None, false, vec![]),
            (id("6-0"), true, vec!["7-0", "7-1", "8-0"]),
            (id("6-4294967295"), false, vec!["7-0", "7-1", "8-0"]),
            (id("7-0"), false, vec!["7-1", "8-0"]),
            (id("8-0"), false, vec![]),
        ] {
            let watching = notices.watch(NoticeFilter::default(), last);
            let seen: Vec<String> = watching.backlog.iter().map(|notice| notice.id.to_string()).collect();
            assert_eq!(
                (watching.missed, seen),
                (missed, backlog.iter().map(ToString::to_string).collect()),
                "{last:?}"
            );
        }
    }

    #[test]
    fn what_is_no_longer_kept_is_missed() {
        let notices = Notices::new(0);
        for seq in 1..=4 {
            notices.tell(&batch(seq, KEPT / 2));
        }
        assert!(notices.watch(NoticeFilter::default(), id("2-0")).missed);
        let last = NoticeId { seq: 2, place: u32::try_from(KEPT / 2).unwrap() - 1 };
        let watching = notices.watch(NoticeFilter::default(), Some(last));
        assert_eq!((watching.missed, watching.backlog.len()), (false, KEPT));
        notices.lost(9);
        assert!(notices.watch(NoticeFilter::default(), Some(last)).missed);
    }

    #[test]
    fn filters() {
        let notices = Notices::new(0);
        notices.tell(&batch(1, 4));
        let count = |filter: NoticeFilter| notices.watch(filter, id("0-4294967295")).backlog.len();
        assert_eq!(count(NoticeFilter::default()), 4);
        assert_eq!(count(NoticeFilter { agent: Some("agent-0".parse().unwrap()), ..NoticeFilter::default() }), 2);
        assert_eq!(count(NoticeFilter { run: Some("run-1-3".parse().unwrap()), ..NoticeFilter::default() }), 1);
        assert_eq!(count(NoticeFilter { kinds: vec![NoticeKind::Item], ..NoticeFilter::default() }), 0);
    }

    #[test]
    fn ids() {
        for text in ["", "7", "7-", "-1", "7-1-1", "x-1"] {
            assert!(text.parse::<NoticeId>().is_err(), "{text}");
        }
        assert!(id("7-9") < id("7-10") && id("7-10") < id("8-0"));
    }
}
