//! The store's contract as a suite that any implementation is run through.

use crate::store_asks::{admit, asked, commit, decided, envelope, furnish, hold_of, settle};
use tollgate::admission::Decision;
use tollgate::audit::Digest;
use tollgate::decide::{Answer, BudgetEdit, Command, Refusal};
use tollgate::store::{AuditFilter, CommitFailure, DecisionFilter, Store, read};

/// Opens one store again and again.
pub(crate) trait Place {
    /// The store as it was left, or a new one at first.
    fn open(&self) -> Box<dyn Store>;
    /// Whatever the implementation does to push records to its slower parts.
    fn let_age(&self, store: &dyn Store);
}

/// Runs all of it; `place` makes a fresh place for each part.
pub(crate) fn suite<P: Place>(place: impl Fn() -> P) {
    answers_are_remembered(&place());
    the_hold_is_all_or_nothing(&place());
    a_batch_sees_its_own_changes(&place());
    previews_leave_nothing(&place());
    lists_are_whole_in_pages(&place());
    blobs(&place());
    closing(&place());
}

fn answers_are_remembered(place: &impl Place) {
    let store = place.open();
    furnish(&*store);
    let first = decided(&*store, admit("rfq-draft", "k1", "1"));
    assert_eq!(first.decision, Decision::Allow);
    let again = decided(&*store, admit("rfq-draft", "k1", "1"));
    assert_eq!((&again.id, again.answer.get()), (&first.id, first.answer.get()), "word for word");
    let other = commit(&*store, asked(admit("rfq-draft", "k1", "2"))).unwrap_err();
    let conflict = Refusal::IdempotencyConflict { admission: Some(first.id.clone()) };
    assert_eq!(other, CommitFailure::Refused(conflict));
    assert_ne!(decided(&*store, admit("other", "k1", "1")).id, first.id, "a key is one agent's");
    drop(store);

    let store = place.open();
    for aged in [false, true] {
        if aged {
            place.let_age(&*store);
        }
        let again = decided(&*store, admit("rfq-draft", "k1", "1"));
        assert_eq!((&again.id, again.answer.get()), (&first.id, first.answer.get()), "after a restart too");
        let run = "run-of-other".parse().unwrap();
        let step = "k1".parse().unwrap();
        let last = store.last_action(&run, Some(&step)).unwrap().unwrap();
        assert_eq!(last.agent.as_str(), "other", "the last one of the step");
        assert!(store.last_action(&run, Some(&"never".parse().unwrap())).unwrap().is_none());
        assert!(store.last_action(&run, None).unwrap().is_some());
    }
}

fn the_hold_is_all_or_nothing(place: &impl Place) {
    let store = place.open();
    furnish(&*store);
    let allowed = decided(&*store, admit("a", "k1", "4.99"));
    let denied = decided(&*store, admit("a", "k2", "0.02"));
    assert_eq!((allowed.decision, denied.decision), (Decision::Allow, Decision::Deny));
    assert_eq!(denied.codes, ["budget_exceeded"]);
    assert_eq!(read(&*store, tollgate::state::State::open_holds), 1);
    let hold = hold_of(&allowed);
    assert!(matches!(commit(&*store, settle(hold.clone(), "1")), Ok(Answer::Hold(_))));
    drop(store);
    let store = place.open();
    assert_eq!(read(&*store, tollgate::state::State::open_holds), 0);
    assert!(matches!(commit(&*store, settle(hold.clone(), "1")), Ok(Answer::Hold(_))), "settled twice, alike");
    assert!(matches!(commit(&*store, settle(hold, "2")), Err(CommitFailure::Refused(Refusal::Hold(_)))));
    assert_eq!(decided(&*store, admit("a", "k3", "4")).decision, Decision::Allow, "4 of 5 are left");
    assert_eq!(decided(&*store, admit("a", "k4", "0.01")).decision, Decision::Deny);
}

fn a_batch_sees_its_own_changes(place: &impl Place) {
    let store = place.open();
    furnish(&*store);
    // handed in before any of them is answered: whatever the batches are, the outcome is that of their order
    let replies: Vec<_> = (0..40).map(|n| store.submit(asked(admit("a", &format!("k{}", n / 2), "1")))).collect();
    let answers: Vec<_> = replies.into_iter().map(|reply| reply.blocking_recv().unwrap().unwrap()).collect();
    let (mut allowed, mut denied) = (0, 0);
    for pair in answers.chunks(2) {
        let Answer::Decided(record) = &pair[0] else { panic!("the first of a key is decided: {:?}", pair[0]) };
        assert!(matches!(&pair[1], Answer::Repeated(_)), "the second is the first answer again: {:?}", pair[1]);
        match record.decision {
            Decision::Allow => allowed += 1,
            Decision::Deny => denied += 1,
        }
        assert_eq!(store.decision(&record.id).unwrap().unwrap().id, record.id);
    }
    assert_eq!((allowed, denied), (5, 15), "5 USD are 5 times 1");
}

fn previews_leave_nothing(place: &impl Place) {
    let store = place.open();
    furnish(&*store);
    let before = store.status();
    let mut ask = admit("a", "k1", "1");
    ask.request.dry_run = true;
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let answer = store.preview(&asked(ask), now).unwrap();
    let Answer::DryRun(answer) = answer else { panic!("{answer:?}") };
    assert_eq!((answer.decision, answer.id), (Decision::Allow, None));
    assert_eq!((store.status().seq, read(&*store, tollgate::state::State::open_holds)), (before.seq, 0));
}

fn lists_are_whole_in_pages(place: &impl Place) {
    let store = place.open();
    furnish(&*store);
    let mut ids = Vec::new();
    for n in 0..30 {
        let agent = if n % 3 == 0 { "a" } else { "b" };
        ids.push(decided(&*store, admit(agent, &format!("k{n}"), "1")).id.clone());
        if n == 10 {
            place.let_age(&*store);
        }
    }
    ids.reverse();
    let all = pages(|cursor| {
        let page = store.decisions(&DecisionFilter::default(), cursor, 7).unwrap();
        (page.items.iter().map(|record| record.id.clone()).collect(), page.next)
    });
    assert_eq!(all, ids, "newest first, nothing twice, nothing missing");
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.reverse();
    assert_eq!(ids, sorted, "ids sort by time");
    let filter = DecisionFilter { agents: Some(vec!["a".parse().unwrap()]), ..DecisionFilter::default() };
    let some = pages(|cursor| {
        let page = store.decisions(&filter, cursor, 3).unwrap();
        assert!(page.items.iter().all(|record| record.agent.as_str() == "a"));
        (page.items.iter().map(|record| record.id.clone()).collect(), page.next)
    });
    assert_eq!(some.len(), 10);
    let of_run = DecisionFilter { run: Some("run-of-a".parse().unwrap()), ..DecisionFilter::default() };
    let in_run = pages(|cursor| {
        let page = store.decisions(&of_run, cursor, 3).unwrap();
        (page.items.iter().map(|record| record.id.clone()).collect(), page.next)
    });
    assert_eq!(in_run, some, "by their run too");
    let denied_in_run = DecisionFilter { decision: Some(Decision::Deny), ..of_run };
    assert_eq!(pages(|cursor| split(store.decisions(&denied_in_run, cursor, 2).unwrap())).len(), 8);
    let no_run = DecisionFilter { run: Some("run-of-nobody".parse().unwrap()), ..DecisionFilter::default() };
    assert_eq!(pages(|cursor| split(store.decisions(&no_run, cursor, 10).unwrap())).len(), 0);
    let denied = DecisionFilter { code: Some("budget_exceeded".to_owned()), ..DecisionFilter::default() };
    assert_eq!(pages(|cursor| split(store.decisions(&denied, cursor, 100).unwrap())).len(), 25);

    let audit = |filter: &AuditFilter, limit| {
        pages(|cursor| {
            let page = store.audit(filter, cursor, limit).unwrap();
            (page.items.iter().map(|item| (item.seq, item.index, item.op.clone())).collect(), page.next)
        })
    };
    let admins = audit(&AuditFilter::default(), 1);
    assert_eq!(
        admins.iter().map(|(_, _, op)| op.as_str()).collect::<Vec<_>>(),
        ["budget.create", "policy_set.publish"]
    );
    let everything = AuditFilter { include_admissions: true, ..AuditFilter::default() };
    let all = audit(&everything, 4);
    assert_eq!(all.len(), 32);
    assert!(all.is_sorted_by(|a, b| (a.0, a.1) > (b.0, b.1)), "newest first");
    let budgets = AuditFilter { op: Some("budget.".to_owned()), ..AuditFilter::default() };
    assert_eq!(audit(&budgets, 10).len(), 1);
    let nobody = AuditFilter { actor: Some("nobody".to_owned()), ..everything };
    assert_eq!(audit(&nobody, 10), []);
    assert!(store.decisions(&DecisionFilter::default(), Some("nonsense"), 10).is_err());
}

fn split<T>(page: tollgate::store::Page<T>) -> (Vec<T>, Option<String>) {
    (page.items, page.next)
}

fn pages<T>(mut page: impl FnMut(Option<&str>) -> (Vec<T>, Option<String>)) -> Vec<T> {
    let (mut all, mut cursor) = (Vec::new(), None);
    for _ in 0..1000 {
        let (items, next) = page(cursor.as_deref());
        all.extend(items);
        match next {
            None => return all,
            next => cursor = next,
        }
    }
    panic!("a list without an end");
}

fn blobs(place: &impl Place) {
    let store = place.open();
    let address = format!("sha256:{}", Digest::of(b"package tollgate.base"));
    assert!(store.blob(&address).unwrap().is_none());
    store.put_blob(&address, b"package tollgate.base").unwrap();
    store.put_blob(&address, b"package tollgate.base").unwrap();
    assert!(store.put_blob(&address, b"something else").is_err());
    assert!(store.blob("../../etc/passwd").is_err());
    drop(store);
    assert_eq!(place.open().blob(&address).unwrap().unwrap(), b"package tollgate.base");
}

fn closing(place: &impl Place) {
    let store = place.open();
    furnish(&*store);
    let waiting: Vec<_> = (0..20).map(|n| store.submit(asked(admit("a", &format!("k{n}"), "0.01")))).collect();
    store.shut_down();
    for reply in waiting {
        assert!(matches!(reply.blocking_recv().unwrap(), Ok(Answer::Decided(_))), "what waited was decided");
    }
    let late = commit(&*store, envelope(Command::Budget(BudgetEdit::Delete("daily".parse().unwrap(), Some(1)))));
    assert_eq!(late.unwrap_err(), CommitFailure::Closing);
    drop(store);
    let store = place.open();
    assert_eq!(read(&*store, tollgate::state::State::open_holds), 20);
}
