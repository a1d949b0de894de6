//! Denials that may become items, within bounds: whoever asks can name as many subjects as it likes. Beyond them the
//! oldest leave, first those that wait for nothing any more. With one goes how often the same denial came, and why an
//! attempt that gives up on it later was denied; one that was still waited on becomes no item by that alone.

use crate::attention::{Denied, Subject};
use crate::vocabulary::AgentId;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How many are remembered in all.
pub const DENIALS_KEPT: usize = 200_000;

/// How many are remembered of one agent.
pub const DENIALS_OF_AGENT: usize = 20_000;

/// In which order they leave: whether something is waited for, and since when.
type Place = (bool, Timestamp, Subject);

/// Denials by subject.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Denials {
    by_subject: HashMap<Subject, Arc<Denied>>,
    due: BTreeSet<(Timestamp, Subject)>,
    places: BTreeSet<Place>,
    by_agent: HashMap<AgentId, BTreeSet<Place>>,
}

fn place(denied: &Denied) -> Place {
    (denied.due_at.is_some(), denied.at, denied.subject.clone())
}

impl Denials {
    /// Takes in a denial as it stands now.
    pub(super) fn put(&mut self, denied: &Arc<Denied>) {
        self.put_within(denied, DENIALS_KEPT, DENIALS_OF_AGENT);
    }

    fn put_within(&mut self, denied: &Arc<Denied>, most: usize, most_of_agent: usize) {
        self.remove(&denied.subject);
        if denied.over {
            return;
        }
        self.places.insert(place(denied));
        self.due.extend(denied.due_at.map(|at| (at, denied.subject.clone())));
        self.by_subject.insert(denied.subject.clone(), Arc::clone(denied));
        if let Some(agent) = &denied.place.agent {
            let own = self.by_agent.entry(agent.clone()).or_default();
            own.insert(place(denied));
            if own.len() > most_of_agent
                && let Some((.., oldest)) = own.first().cloned()
            {
                self.remove(&oldest);
            }
        }
        if self.by_subject.len() > most
            && let Some((.., oldest)) = self.places.first().cloned()
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, subject: &Subject) {
        let Some(old) = self.by_subject.remove(subject) else { return };
        if let Some(at) = old.due_at {
            self.due.remove(&(at, subject.clone()));
        }
        let place = place(&old);
        self.places.remove(&place);
        if let Some(agent) = &old.place.agent
            && let Some(own) = self.by_agent.get_mut(agent)
        {
            own.remove(&place);
            if own.is_empty() {
                self.by_agent.remove(agent);
            }
        }
    }

    pub(super) fn get(&self, subject: &Subject) -> Option<&Arc<Denied>> {
        self.by_subject.get(subject)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Denied>> {
        self.by_subject.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_subject.len()
    }

    /// By when something should have followed, earliest first.
    pub(super) fn due(&self) -> impl Iterator<Item = &(Timestamp, Subject)> {
        self.due.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Place as At;
    use crate::vocabulary::{Code, Reason};

    fn denied(agent: &str, run: &str, at: i64) -> Denied {
        let place = At { agent: Some(agent.parse().unwrap()), ..At::default() };
        let reasons = vec![Reason::of(Code::BudgetExceeded, "m", "budget:b")];
        let now = Timestamp::from_second(1_800_000_000 + at).unwrap();
        Denied::after(None, Subject::Run(run.parse().unwrap()), place, reasons, "adm_1".parse().unwrap(), now, 300)
    }

    fn left(denials: &Denials) -> String {
        let mut runs: Vec<String> = denials
            .all()
            .map(|denied| match &denied.subject {
                Subject::Run(run) => run.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        runs.sort();
        assert_eq!(denials.places.len(), runs.len());
        assert_eq!(denials.by_agent.values().map(BTreeSet::len).sum::<usize>(), runs.len());
        assert_eq!(denials.due.len(), denials.all().filter(|denied| denied.due_at.is_some()).count());
        runs.join(" ")
    }

    #[test]
    fn of_too_many_the_oldest_leave_first_those_that_wait_for_nothing() {
        let mut denials = Denials::default();
        let mut put = |denied: Denied| {
            denials.put_within(&Arc::new(denied), 4, 3);
            left(&denials)
        };
        put(denied("a", "r1", 1));
        put(denied("a", "r2", 2));
        assert_eq!(put(denied("a", "r3", 3).told()), "r1 r2 r3");
        assert_eq!(put(denied("a", "r4", 4)), "r1 r2 r4", "r3 is an item already");
        assert_eq!(put(denied("b", "s1", 5)), "r1 r2 r4 s1", "an agent pushes out its own");
        assert_eq!(put(denied("a", "r5", 6)), "r2 r4 r5 s1");
        assert_eq!(put(denied("a", "r2", 7)), "r2 r4 r5 s1", "the same once more takes no other's place");
        assert_eq!(put(denied("b", "s2", 8)), "r2 r5 s1 s2", "in all");
        assert_eq!(put(denied("b", "s1", 9).ended()), "r2 r5 s2");
        assert_eq!(put(denied("b", "s1", 9).ended()), "r2 r5 s2");
        for (agent, run) in [("a", "r2"), ("a", "r5"), ("b", "s2")] {
            put(denied(agent, run, 10).ended());
        }
        assert_eq!(denials, Denials::default(), "and nothing of it stays");
    }
}
