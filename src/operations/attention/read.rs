//! Reading Command Center: lists, one item, groups, and the headline.

use super::changed::{Changed, changed_around};
use crate::attention::{Class, Fingerprint, Group, GroupBy, Item, ItemKind, ItemState, Storm, groups};
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::operations::runs::{Dispatching, dispatching};
use crate::runs::AttemptState;
use crate::state::State;
use crate::store::Page;
use crate::vocabulary::{AgentId, ItemId, RunId};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many items one call looks at: a page may be short and still have a next one.
const LOOKED_AT: usize = 20_000;

/// Which items. Without a state, a run or an owner: those that are not resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemFilter {
    /// In this state, snoozes taken into account.
    pub state: Option<ItemState>,
    /// Of this kind.
    pub kind: Option<ItemKind>,
    /// Of this class.
    pub class: Option<Class>,
    /// Of this person.
    pub owner: Option<String>,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// About this run.
    pub run: Option<RunId>,
    /// Of this fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// That this would help to free: a remedy's target, or a reason's code.
    pub fix: Option<String>,
    /// That still need a decision, or that do not.
    pub without_decision: Option<bool>,
}

impl ItemFilter {
    fn fits(&self, item: &Item, now: Timestamp) -> bool {
        let named = |fix: &String| {
            item.open_reasons().any(|reason| reason.remedy.target.as_deref() == Some(fix) || reason.code == *fix)
        };
        let state = item.state_at(now);
        self.state.map_or(state != ItemState::Resolved || self.run.is_some(), |wanted| wanted == state)
            && self.kind.is_none_or(|kind| kind == item.kind)
            && self.class.is_none_or(|class| class == item.class)
            && (self.owner.is_none() || self.owner == item.owner)
            && (self.agent.is_none() || self.agent == item.place.agent)
            && self.run.as_ref().is_none_or(|run| item.run() == Some(run))
            && self.fingerprint.as_ref().is_none_or(|fingerprint| *fingerprint == item.fingerprint)
            && self.fix.as_ref().is_none_or(named)
            && self.without_decision.is_none_or(|wanted| wanted == item.lacks_decision(now))
    }
}

/// Where a page ends: when its last item was first seen, and which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemCursor(pub Timestamp, pub ItemId);

impl std::fmt::Display for ItemCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0.as_nanosecond(), self.1)
    }
}

impl std::str::FromStr for ItemCursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (at, id) = text.split_once('.')?;
            Some(Self(Timestamp::from_nanosecond(at.parse().ok()?).ok()?, ItemId::new(id).ok()?))
        };
        parse().ok_or_else(|| "is not a cursor that a list gave".to_owned())
    }
}

/// An item, with what the registry knows of its agent.
#[derive(Clone, Debug)]
pub struct ItemView {
    /// The item.
    pub item: Arc<Item>,
    /// Whom an escalation would go to.
    pub contact: Option<String>,
    /// The moment of reading.
    pub now: Timestamp,
}

impl ItemView {
    /// At the moment of reading.
    pub(in crate::operations) fn of(state: &State, item: &Arc<Item>, now: Timestamp) -> Self {
        let agent = item.place.agent.as_ref().and_then(|agent| state.agent(agent));
        let contact = agent.and_then(|agent| agent.spec.escalation_contact.clone());
        Self { item: Arc::clone(item), contact, now }
    }
}

/// Items that fit, newest first. The work of one call is bounded: a page may be short, and still have a next one.
pub fn items(
    app: &App,
    principal: &Principal,
    filter: &ItemFilter,
    cursor: Option<&ItemCursor>,
    limit: usize,
) -> Result<Page<ItemView>, OperationError> {
    principal.may(Operation::ReadAttention)?;
    let now = app.now();
    Ok(app.read(|state| page(state, filter, cursor, limit, now)))
}

fn page(
    state: &State,
    filter: &ItemFilter,
    cursor: Option<&ItemCursor>,
    limit: usize,
    now: Timestamp,
) -> Page<ItemView> {
    let all = state.attention();
    let before = cursor.map(|cursor| (cursor.0, cursor.1.clone()));
    let before = before.as_ref();
    let found: Box<dyn Iterator<Item = &Arc<Item>>> = match (&filter.run, &filter.fingerprint, &filter.owner) {
        (Some(run), _, _) => {
            let own = all.about_run(run).into_iter();
            Box::new(own.filter(move |item| before.is_none_or(|before| (item.first_seen, item.id.clone()) < *before)))
        }
        (_, Some(fingerprint), _) => Box::new(all.of_fingerprint(fingerprint, before)),
        (_, _, Some(owner)) => Box::new(all.of_owner(owner, before)),
        _ => match filter.state {
            Some(ItemState::Resolved) => Box::new(all.in_state(ItemState::Resolved, before)),
            _ => Box::new(all.unresolved(before)),
        },
    };
    let mut items = Vec::new();
    let mut next = None;
    for (looked, item) in found.enumerate() {
        if items.len() == limit || looked == LOOKED_AT {
            next = items.last().map(|view: &ItemView| ItemCursor(view.item.first_seen, view.item.id.clone()));
            break;
        }
        if filter.fits(item, now) {
            items.push(ItemView::of(state, item, now));
        }
    }
    Page { items, next: next.map(|next| next.to_string()) }
}

/// One item, with what its page shows besides.
#[derive(Clone, Debug)]
pub struct ItemPage {
    /// The item.
    pub view: ItemView,
    /// What changed around the moment when its trouble began.
    pub changed: Vec<Changed>,
    /// How its run's waiting is explained, as long as nobody has picked that up.
    pub dispatching: Option<Dispatching>,
}

/// One item.
pub fn item(app: &App, principal: &Principal, id: &ItemId) -> Result<ItemPage, OperationError> {
    principal.may(Operation::ReadAttention)?;
    let now = app.now();
    let found = app.read(|state| {
        let item = state.attention().get(id)?;
        let run = item.run().and_then(|run| state.runs().run(run));
        let queued = run.filter(|run| run.status() == AttemptState::Queued);
        let dispatching = queued.map(|run| dispatching(state, run, app.clocks.worker_gone_s, now));
        Some((ItemView::of(state, item, now), dispatching))
    });
    let found = found.ok_or_else(|| OperationError::NotFound { what: "item", id: id.to_string() })?;
    let (view, dispatching) = found;
    let changed = changed_around(app, &view.item)?;
    Ok(ItemPage { view, changed, dispatching })
}

/// An item that an operation answered, as it is read now.
pub fn item_view(app: &App, item: &Arc<Item>) -> ItemView {
    let now = app.now();
    app.read(|state| ItemView::of(state, item, now))
}

/// Items that have something in common, largest group first.
pub fn item_groups(
    app: &App,
    principal: &Principal,
    filter: &ItemFilter,
    by: GroupBy,
) -> Result<Vec<Group>, OperationError> {
    principal.may(Operation::ReadAttention)?;
    let now = app.now();
    let mut groups = app.read(|state| {
        let fitting = state.attention().unresolved(None).filter(|item| filter.fits(item, now));
        groups(fitting.map(Arc::as_ref), by, now)
    });
    if by == GroupBy::Fingerprint {
        let storms = app.storms.lock().now();
        for group in &mut groups {
            group.storm = storms.iter().find(|storm| storm.fingerprint.as_str() == group.key).cloned();
        }
    }
    Ok(groups)
}

/// What stands at the top of Command Center. Its goal is zero without a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headline {
    /// Items that nobody has decided on.
    pub without_decision: usize,
    /// Items that are not resolved.
    pub open: usize,
    /// Whose due time has passed.
    pub overdue: usize,
    /// That an operator could retry now.
    pub ready_to_retry: usize,
    /// By state, snoozes taken into account.
    pub by_state: BTreeMap<ItemState, usize>,
    /// By kind.
    pub by_kind: BTreeMap<ItemKind, usize>,
    /// When the oldest trouble without a decision began.
    pub oldest: Option<Timestamp>,
    /// The storms that are under way, the worst first.
    pub storms: Vec<Storm>,
}

/// The headline.
pub fn headline(app: &App, principal: &Principal) -> Result<Headline, OperationError> {
    principal.may(Operation::ReadAttention)?;
    let now = app.now();
    let storms = app.storms.lock().now();
    Ok(app.read(|state| {
        let mut line = Headline { storms, ..Headline::default() };
        for item in state.attention().unresolved(None) {
            line.open += 1;
            line.overdue += usize::from(item.is_overdue(now));
            line.ready_to_retry += usize::from(item.state == ItemState::ReadyToRetry);
            *line.by_state.entry(item.state_at(now)).or_default() += 1;
            *line.by_kind.entry(item.kind).or_default() += 1;
            if item.lacks_decision(now) {
                line.without_decision += 1;
                line.oldest = Some(line.oldest.map_or(item.began_at, |oldest| oldest.min(item.began_at)));
            }
        }
        line
    }))
}
