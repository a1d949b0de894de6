//! Every answer held against the reference.

use super::asks::{Admission, Asks, Sent, What, hold_id};
use super::machine::{Machine, Outcome};
use super::reference::{Asked, Reference, Stage, Sums, is_rolling};
use crate::admission::{AdmissionAnswer, Decision, DecisionRecord};
use crate::budget::HoldState;
use crate::decide::{Answer, Command, Refusal, Reporting, RunAnswer, RunCommand};
use crate::runs::{AttemptState, EventType};
use crate::state::{FirstAnswer, State};
use crate::store::CommitFailure;
use crate::vocabulary::RunId;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a key is remembered.
const KEY_H: i64 = 24;

pub(super) struct Judge<'a> {
    pub(super) reference: &'a mut Reference,
    pub(super) machine: &'a mut Machine,
    pub(super) asks: &'a mut Asks,
    /// It was asked before, and nobody knows whether that happened.
    pub(super) in_doubt: bool,
    /// And something was edited with it: what stood when it was decided, nobody can tell any more.
    pub(super) edited: bool,
}

impl Judge<'_> {
    /// Holds one answer against the reference, which then takes it in. `now` is the batch's time.
    pub(super) fn judge(&mut self, sent: &Sent, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Err(CommitFailure::NotDurable(_)) => return,
            Err(CommitFailure::Unread(_)) => {
                // what had to be read is in the database behind, and that has to do its work first
                self.machine.round();
                return;
            }
            Err(CommitFailure::Busy | CommitFailure::Closing | CommitFailure::Internal) => {
                panic!("{outcome:?} to {:?}", sent.envelope)
            }
            _ => {}
        }
        match &sent.what {
            What::Admit(admission) => self.admission(sent, admission, outcome, now),
            What::Settle(place, actual) => self.settled(*place, actual, outcome),
            What::Release(place) => self.released(*place, outcome),
            What::Extend(place, ttl_s) => self.extended(*place, *ttl_s, outcome, now),
            What::Events => self.events(sent, outcome),
            What::Retry(run, key) => self.retried(run, key, outcome),
            What::Cancel(run) => {
                let Ok(Answer::Run(answer)) = outcome else { panic!("{outcome:?}") };
                let RunAnswer::Run(now) = &**answer else { panic!("{outcome:?}") };
                if now.is_cancelled() {
                    self.reference.cancelled.insert(run.clone());
                }
            }
            What::Edit => self.edited(outcome),
            What::Other => {
                if let Ok(Answer::Run(answer)) = outcome
                    && let RunAnswer::Claimed(Some(run)) = &**answer
                {
                    self.asks.claimed(run);
                }
            }
        }
    }

    fn admission(&mut self, sent: &Sent, admission: &Admission, outcome: &Outcome, now: Timestamp) {
        let Command::Admit(ask) = &sent.envelope.command else { return };
        let name = (admission.facts.agent.clone(), admission.key.clone());
        let known = self.reference.keys.get(&name).filter(|known| now < known.until).cloned();
        match (outcome, known) {
            (Ok(Answer::Repeated(FirstAnswer::Admission(id))), Some(known)) => {
                assert_eq!((&known.id, &known.body), (id, &ask.body), "the same key");
                let found = self.machine.read(|history| history.decision(id));
                if let Some(found) = found {
                    let found = found.unwrap_or_else(|| panic!("the answer {id} is gone"));
                    assert_eq!(found.answer.get(), known.answer, "word for word");
                }
            }
            (Ok(Answer::Repeated(FirstAnswer::Admission(id))), None) => {
                assert!(self.in_doubt, "{id}: nobody was told of this answer");
                let record = self.machine.read(|history| history.decision(id)).flatten();
                if let Some(record) = record {
                    self.decided(admission, &record, &ask.body);
                }
            }
            (Ok(Answer::Decided(record)), known) => {
                assert!(known.is_none(), "decided anew under a used key: {known:?} {record:?}");
                assert!(!admission.stale && record.decided_at == now, "{record:?}");
                self.decided(admission, record, &ask.body);
            }
            (Err(CommitFailure::Refused(Refusal::IdempotencyConflict { admission: Some(id) })), Some(known)) => {
                assert!(known.id == *id && known.body != ask.body, "{known:?} {}", ask.body);
            }
            (Err(CommitFailure::Refused(Refusal::Stale)), None) => assert!(admission.stale),
            (other, known) => panic!("{other:?} {known:?} to {:?}", sent.envelope),
        }
    }

    /// A decision that was made now, or by the batch of which nobody heard.
    fn decided(&mut self, admission: &Admission, record: &Arc<DecisionRecord>, body: &str) {
        let (facts, now) = (&admission.facts, record.decided_at);
        let answer: AdmissionAnswer = serde_json::from_str(record.answer.get()).unwrap();
        if !self.edited {
            self.is_right(admission, record, &answer);
        }
        if answer.reasons.iter().all(|reason| reason.code.as_str() != "attempt_fenced") {
            let until = now + SignedDuration::from_hours(KEY_H);
            let (id, answer) = (record.id.clone(), record.answer.get().to_owned());
            let asked = Asked { body: body.to_owned(), id, answer, until };
            self.reference.keys.insert((facts.agent.clone(), admission.key.clone()), asked);
        }
        let told = serde_json::to_value(&answer).unwrap();
        let hold = hold_id(&told);
        assert_eq!(hold.is_some(), answer.decision == Decision::Allow);
        if let Some(hold) = hold {
            let expires = now + SignedDuration::from_secs(i64::from(admission.ttl_s));
            let budgets = told["hold"]["budgets"].as_array().into_iter().flatten();
            let named: Vec<String> = budgets.filter_map(|line| Some(line["id"].as_str()?.to_owned())).collect();
            self.reference.place(hold, facts, now, expires, self.edited.then_some(named.as_slice()));
        }
    }

    /// Every budget's word is the reference's, and so is whatever else may deny.
    fn is_right(&self, admission: &Admission, record: &Arc<DecisionRecord>, answer: &AdmissionAnswer) {
        let (facts, now) = (&admission.facts, record.decided_at);
        let (mut must, mut may) = (Vec::new(), Vec::new());
        for budget in &self.reference.matching(facts) {
            let hard = serde_json::to_value(budget.spec.enforcement).unwrap() == "hard";
            let (exact, longest) = self.reference.denies(budget, facts, now);
            // what is lacking denies for a soft budget too
            let lacks = budget.spec.require_estimate && facts.tokens.is_none()
                || super::reference::account(budget, facts, now).is_none();
            must.extend((exact && (hard || lacks)).then(|| budget.id().to_string()));
            may.extend((longest && (hard || lacks)).then(|| budget.id().to_string()));
        }
        let named = |reason: &crate::vocabulary::Reason| Some(reason.details.as_ref()?["budget"].as_str()?.to_owned());
        let denying: Vec<String> = answer.reasons.iter().filter_map(named).collect();
        assert!(must.iter().all(|id| denying.contains(id)), "{must:?} must deny, and {denying:?} did: {record:?}");
        assert!(denying.iter().all(|id| may.contains(id)), "{denying:?} denied, and {may:?} may: {record:?}");

        let codes: Vec<&str> = answer.reasons.iter().map(|reason| reason.code.as_str()).collect();
        assert_eq!(answer.decision == Decision::Allow, codes.is_empty(), "{record:?}");
        assert_eq!(codes.contains(&"paused"), self.is_paused(admission, now), "{record:?}");
        let down = admission.connectors.iter().any(|id| self.reference.down.contains(id));
        assert_eq!(codes.contains(&"connector_unavailable"), down, "{record:?}");
        let denied = admission.denied && !self.reference.is_observed(&facts.agent, now);
        assert_eq!(codes.contains(&"not_permitted"), denied, "{record:?}");
        if let Some(run) = &facts.run
            && self.reference.cancelled.contains(run.as_str())
        {
            assert_eq!(answer.decision, Decision::Deny, "the run was cancelled: {record:?}");
        }
    }

    fn is_paused(&self, admission: &Admission, now: Timestamp) -> bool {
        use crate::registry::PauseTarget::{Action, Agent, EntityType, Everything, Team};
        let facts = &admission.facts;
        let in_force = self.reference.pauses.values().filter(|(_, end)| end.is_none_or(|end| now < end));
        in_force.into_iter().any(|(target, _)| match target {
            Everything => true,
            Agent(id) => id.as_str() == facts.agent,
            Team(id) => self.reference.team(&facts.agent).as_deref() == Some(id.as_str()),
            Action(name) => name.as_str() == facts.action,
            EntityType(kind) => facts.entity_type == Some(kind.as_str()),
        })
    }

    fn settled(&mut self, place: usize, actual: &BTreeMap<&'static str, i128>, outcome: &Outcome) {
        let kept = &self.reference.holds[place];
        let fits = kept.stage != Stage::Settled || kept.actual == *actual;
        match outcome {
            Ok(Answer::Hold(hold)) => {
                assert!(fits && hold.state == HoldState::Settled, "{kept:?} {hold:?}");
                self.reference.change(place, Stage::Settled, actual.clone());
            }
            Err(CommitFailure::Refused(Refusal::Hold(_))) => assert!(!fits, "{kept:?} {outcome:?}"),
            other => panic!("{other:?} for {kept:?}"),
        }
    }

    fn released(&mut self, place: usize, outcome: &Outcome) {
        let kept = &self.reference.holds[place];
        let fits = matches!(kept.stage, Stage::Pending | Stage::Released);
        match outcome {
            Ok(Answer::Hold(hold)) => {
                assert!(fits && hold.state == HoldState::Released, "{kept:?} {hold:?}");
                self.reference.change(place, Stage::Released, BTreeMap::new());
            }
            Err(CommitFailure::Refused(Refusal::Hold(_))) => assert!(!fits, "{kept:?} {outcome:?}"),
            other => panic!("{other:?} for {kept:?}"),
        }
    }

    fn extended(&mut self, place: usize, ttl_s: u32, outcome: &Outcome, now: Timestamp) {
        let kept = &self.reference.holds[place];
        let wanted = now + SignedDuration::from_secs(i64::from(ttl_s));
        let fits = kept.stage == Stage::Pending && wanted <= kept.placed + SignedDuration::from_hours(24);
        match outcome {
            Ok(Answer::Hold(hold)) => {
                let expires = kept.expires.max(wanted);
                assert!(fits && hold.expires_at == expires, "{kept:?} {hold:?}");
                self.reference.extend(place, expires);
            }
            Err(CommitFailure::Refused(Refusal::Hold(_))) => assert!(!fits, "{kept:?} {outcome:?}"),
            other => panic!("{other:?} for {kept:?}"),
        }
    }

    fn events(&mut self, sent: &Sent, outcome: &Outcome) {
        let Command::Run(RunCommand::Report(events)) = &sent.envelope.command else { return };
        let Ok(Answer::Run(answer)) = outcome else { panic!("{outcome:?}") };
        let RunAnswer::Reported(outcomes) = &**answer else { panic!("{outcome:?}") };
        for (event, outcome) in events.iter().zip(outcomes) {
            let name = (event.run.clone(), event.id.clone());
            let known = self.reference.events.get(&name);
            match outcome {
                Reporting::Taken { number, standing, .. } => {
                    // those of a run that has been over for a day are not known any longer
                    assert!(known.is_none() || self.is_long_over(&event.run), "taken twice: {event:?}");
                    self.reference.events.insert(name, *number);
                    if standing.counts() {
                        self.ended(&event.run, event.report.kind());
                    }
                }
                Reporting::Repeated { number, .. } => {
                    let known = known.copied();
                    if known == Some(*number) {
                        continue;
                    }
                    assert!(self.in_doubt, "nobody was told that it was taken: {event:?}");
                    if let Some(known) = known {
                        self.was_over_between(&event.run, known, *number);
                    }
                    self.reference.events.insert(name, *number);
                    let taken = self.machine.read(|history| history.run_events(&event.run, *number, *number));
                    for taken in taken.unwrap_or_default().iter().filter(|taken| taken.standing.counts()) {
                        self.ended(&event.run, taken.kind);
                    }
                }
                Reporting::Conflict => panic!("no event was reported with another body: {event:?}"),
                Reporting::Refused(_) => {}
            }
        }
    }

    /// An event that was known is taken again only where its run was over for a day before that.
    fn was_over_between(&mut self, run: &RunId, first: u64, again: u64) {
        let Some(events) = self.machine.read(|history| history.run_events(run, first, again)) else { return };
        let day = SignedDuration::from_hours(24);
        let rested = events.windows(2).any(|pair| pair[1].taken_at.duration_since(pair[0].taken_at) >= day);
        assert!(first < again && rested, "event {first} of {run} was taken again as {again}: {events:?}");
    }

    fn is_long_over(&self, run: &RunId) -> bool {
        let now = self.machine.now();
        self.machine.state(|state| {
            let run = state.runs().run(run).unwrap();
            matches!(run.status(), AttemptState::Completed | AttemptState::Cancelled)
                && run.updated_at + SignedDuration::from_hours(24) <= now
                || run.updated_at == now
        })
    }

    /// Its runtime proved that nothing more comes, so its holds are free; or it completed before its cancellation came to
    /// it, and may be begun again.
    fn ended(&mut self, run: &RunId, kind: EventType) {
        match kind {
            EventType::Cancelled => {}
            EventType::Completed => {
                self.reference.cancelled.remove(run);
                return;
            }
            _ => return,
        }
        for place in 0..self.reference.holds.len() {
            let kept = &self.reference.holds[place];
            if kept.run.as_deref() == Some(run.as_str()) && kept.stage == Stage::Pending {
                self.reference.change(place, Stage::Released, BTreeMap::new());
            }
        }
    }

    fn retried(&mut self, run: &RunId, key: &str, outcome: &Outcome) {
        if let Ok(Answer::Run(answer)) = outcome
            && let RunAnswer::Retried(_, attempt) = &**answer
        {
            let first = *self.reference.retries.entry((run.clone(), key.to_owned())).or_insert(*attempt);
            assert_eq!(first, *attempt, "one attempt a key");
        }
    }

    fn edited(&mut self, outcome: &Outcome) {
        match outcome {
            Ok(Answer::Budget(budget)) => self.reference.put_budget(budget),
            Ok(Answer::Raise(id, raise)) => {
                let raises = self.reference.raises.entry(id.to_string()).or_default();
                raises.push((**raise).clone());
            }
            Ok(Answer::Agent(agent)) if agent.removed => drop(self.reference.agents.remove(agent.id.as_str())),
            Ok(Answer::Agent(agent)) => drop(self.reference.agents.insert(agent.id.to_string(), Arc::clone(agent))),
            Ok(Answer::Pause(pause)) if pause.ended.is_some() => drop(self.reference.pauses.remove(pause.id.as_str())),
            Ok(Answer::Pause(pause)) => {
                self.reference.pauses.insert(pause.id.to_string(), (pause.target.clone(), pause.ends_at));
            }
            Ok(Answer::Item(item)) => drop(self.reference.items.insert(item.id.to_string(), item.revision)),
            Ok(Answer::Run(answer)) => {
                if let RunAnswer::Connector(connector) = &**answer {
                    let id = connector.id.to_string();
                    if connector.status.as_str() == "down" {
                        self.reference.down.insert(id);
                    } else {
                        self.reference.down.remove(&id);
                    }
                }
            }
            // of what had gone meanwhile, or was ended already
            _ => {}
        }
    }
}

/// The books are the same.
pub(super) fn compare(reference: &mut Reference, state: &State, now: Timestamp) {
    reference.pauses.retain(|_, (_, end)| end.is_none_or(|end| now < end));
    for account in state.accounts() {
        let key = &account.key;
        let name = (key.budget.to_string(), key.window.to_string(), key.each.to_string());
        let budget = &reference.budgets[key.budget.as_str()];
        let found = account.figures(&budget.spec.window, now);
        let found = Sums { spent: found.spent.nanos(), held: found.held.nanos(), unsettled: found.unsettled.nanos() };
        if is_rolling(budget) {
            let [exact, longest] = Reference::since(now).map(|since| reference.sums(&name, Some(since)));
            let within = |a: i128, b: i128, c: i128| a <= b && b <= c;
            assert!(
                within(exact.spent, found.spent, longest.spent)
                    && within(exact.held, found.held, longest.held)
                    && within(exact.unsettled, found.unsettled, longest.unsettled),
                "{name:?}: {exact:?} {found:?} {longest:?}"
            );
        } else {
            assert_eq!(found, reference.sums(&name, None), "{name:?}");
        }
    }
    let there: BTreeSet<_> = state
        .accounts()
        .map(|account| (account.key.budget.as_str(), &*account.key.window, &*account.key.each))
        .collect();
    for name in reference.holding().filter(|name| !is_rolling(&reference.budgets[&name.0])) {
        let there = there.contains(&(&*name.0, &*name.1, &*name.2));
        assert!(there, "something is set aside in {name:?}, and it is not there");
    }
    let mut held: BTreeMap<String, i128> = BTreeMap::new();
    for effect in state.as_effects() {
        if let crate::state::Effect::Hold(hold) = effect {
            assert_eq!(hold.state, HoldState::Pending);
            for line in &hold.lines {
                *held.entry(format!("{} {}", line.account.budget, line.account)).or_default() +=
                    i128::from(line.held.nanos());
            }
        }
    }
    let rolls = |budget: &str| is_rolling(&reference.budgets[budget]);
    for account in state.accounts().filter(|account| !rolls(account.key.budget.as_str())) {
        let name = format!("{} {}", account.key.budget, account.key);
        assert_eq!(
            account.sums.held.nanos(),
            held.get(&name).copied().unwrap_or(0),
            "{name}: what its holds set aside"
        );
    }
    assert_eq!(state.open_holds(), reference.pending(), "pending holds");
    for (id, budget) in &reference.budgets {
        let stands = state.budget(&id.parse().unwrap()).unwrap_or_else(|| panic!("budget {id} is gone"));
        assert_eq!((&stands.spec, stands.deleted_at), (&budget.spec, budget.deleted_at), "budget {id}");
        let raises = reference.raises[id].iter().filter(|raise| raise.in_force(now));
        for raise in raises {
            assert!(stands.raises.contains(raise), "{raise:?} of {id} is gone: {stands:?}");
        }
    }
    for (id, agent) in &reference.agents {
        assert_eq!(state.agent(&id.parse().unwrap()), Some(agent));
    }
    for (id, revision) in &reference.items {
        let item = state.attention().get(&id.parse().unwrap()).unwrap_or_else(|| panic!("item {id} is gone"));
        assert!(item.revision >= *revision, "item {id} was at revision {revision}: {item:?}");
    }
    runs(reference, state);
}

/// One living attempt at most, the last; ends that stay as they are; an item for whatever failed.
fn runs(reference: &mut Reference, state: &State) {
    for run in state.runs().back(None, None) {
        let last = run.attempts.len();
        for (n, attempt) in run.attempts.iter().enumerate() {
            assert!(n + 1 == last || !attempt.is_alive(), "an old attempt of {} lives: {:?}", run.id, run.attempts);
            assert!(n == 0 || attempt.number > run.attempts[n - 1].number, "{:?}", run.attempts);
            if attempt.state.is_terminal() {
                let end = attempt.state.as_str();
                let first = *reference.ended.entry((run.id.clone(), attempt.number)).or_insert(end);
                assert_eq!(first, end, "attempt {} of {} ended twice", attempt.number, run.id);
            }
        }
        if matches!(run.status(), AttemptState::Failed | AttemptState::Blocked) {
            assert!(state.attention().about_run(&run.id).is_some(), "run {} failed without an item", run.id);
        }
        if reference.cancelled.contains(&run.id) {
            assert!(run.cancel.is_some(), "the cancellation of {} is gone", run.id);
            if !run.is_cancelled() {
                // it completed first
                reference.cancelled.remove(&run.id);
            }
        }
    }
    for ((run, _), attempt) in &reference.retries {
        let there = state.runs().run(run).is_some_and(|run| run.attempt(*attempt).is_some());
        assert!(there, "attempt {attempt} of {run}, made by a retry, is gone");
    }
    for ((run, _), number) in &reference.events {
        let stands = state.runs().run(run).unwrap_or_else(|| panic!("run {run} is gone"));
        assert!(stands.events >= *number, "event {number} of {run} is gone");
    }
}
