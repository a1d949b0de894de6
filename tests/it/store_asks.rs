//! Commands for the stores' tests, with a policy set in force and one daily budget of 5 USD.

use serde_json::value::RawValue;
use std::sync::Arc;
use tollgate::admission::{Action, DecisionRecord, Judged, Kind, Request, RunRef};
use tollgate::decide::{Admit, Answer, BudgetEdit, Command, Envelope, HoldCommand, PolicyVerdict, Refusal};
use tollgate::registry::Actor;
use tollgate::state::FirstAnswer;
use tollgate::store::{CommitFailure, Store};
use tollgate::vocabulary::{Amount, HoldId, Unit};

/// A policy set without a file.
pub(crate) const POLICY_SET: &str = "sha256:aae5a71db7cd42382ef749f87ca847684d9d4a517cc8235f53ea31bd492c3577";

/// Keeps the policy set's text.
pub(crate) fn keep_policy_set(store: &dyn Store) {
    store.put_blob(POLICY_SET, br#"{"files":{}}"#).unwrap();
}

pub(crate) fn envelope(command: Command) -> Envelope {
    Envelope { command, actor: Actor { key: None, name: "mia".to_owned() } }
}

/// An admission by `agent` under this key, estimated at so many USD.
pub(crate) fn admit(agent: &str, key: &str, usd: &str) -> Admit {
    let request = Request {
        idempotency_key: Some(key.parse().unwrap()),
        kind: Kind::Action,
        agent: agent.parse().unwrap(),
        action: Action { name: "draft_quote".parse().unwrap(), properties: serde_json::Map::new() },
        entity: None,
        run: Some(RunRef {
            id: format!("run-of-{agent}").parse().unwrap(),
            attempt: 1,
            step: Some(key.parse().unwrap()),
            lease: None,
        }),
        estimate: [("usd".parse::<Unit>().unwrap(), usd.parse::<Amount>().unwrap())].into(),
        connectors: Vec::new(),
        context: serde_json::Map::new(),
        hold_ttl_s: 600,
        dry_run: false,
    };
    Admit {
        request,
        body: format!("body of {agent} {key} {usd}"),
        judged: Judged {
            policy_set: POLICY_SET.to_owned(),
            policy_profile: None,
            agent_revision: 0,
            entity_type_revision: 0,
        },
        verdict: PolicyVerdict::default(),
        input: RawValue::from_string(r#"{"kind":"action"}"#.to_owned()).unwrap(),
        replayable: true,
    }
}

pub(crate) fn asked(admit: Admit) -> Envelope {
    envelope(Command::Admit(Box::new(admit)))
}

/// Asks again while the store is busy.
pub(crate) fn commit(store: &dyn Store, envelope: Envelope) -> Result<Answer, CommitFailure<Refusal>> {
    loop {
        match store.submit(envelope.clone()).blocking_recv().unwrap_or(Err(CommitFailure::Closing)) {
            Err(CommitFailure::Busy) => std::thread::yield_now(),
            answer => return answer,
        }
    }
}

/// Puts the policy set in force and makes the budget.
pub(crate) fn furnish(store: &dyn Store) {
    keep_policy_set(store);
    commit(store, envelope(Command::PublishPolicySet { digest: POLICY_SET.to_owned(), reason: None })).unwrap();
    let spec = serde_json::json!({"id": "daily", "unit": "usd", "limit": "5.00", "window": {"kind": "day"}});
    let edit = BudgetEdit::Create(serde_json::from_value(spec).unwrap());
    commit(store, envelope(Command::Budget(edit))).unwrap();
}

/// The decision of an admission, also of one asked before.
pub(crate) fn decided(store: &dyn Store, ask: Admit) -> Arc<DecisionRecord> {
    match commit(store, asked(ask)).unwrap() {
        Answer::Decided(record) => record,
        Answer::Repeated(FirstAnswer::Admission(id)) => store.decision(&id).unwrap().unwrap(),
        other => panic!("a decision expected, not {other:?}"),
    }
}

/// The hold that an answer names.
pub(crate) fn hold_of(record: &DecisionRecord) -> HoldId {
    let answer: serde_json::Value = serde_json::from_str(record.answer.get()).unwrap();
    answer["hold"]["id"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn settle(hold: HoldId, usd: &str) -> Envelope {
    let actual = [("usd".parse().unwrap(), usd.parse().unwrap())].into();
    envelope(Command::Hold(hold, HoldCommand::Settle(actual)))
}
