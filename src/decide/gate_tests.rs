//! A gate without a store, for the tests of this room: batches are decided on a draft and applied. Each batch's changes go
//! through JSON to a second state, which must stay equal to the first, and are applied twice.

use super::{Admit, Answer, BudgetEdit, Command, Context, Envelope, HoldCommand, Limits, PolicyVerdict, Refusal};
use super::{RegistryCommand, expire_due, run};
use crate::admission::{Action, AdmissionAnswer, Judged, Kind, Request, RunRef};
use crate::budget::Account;
use crate::registry::Actor;
use crate::state::{Changes, Draft, Effect, Entry, State};
use crate::vocabulary::{Amount, HoldId, Unit};
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) struct Gate {
    pub(super) state: State,
    /// What a restart would make of the journal.
    recovered: State,
    pub(super) now: Timestamp,
    pub(super) limits: Limits,
    /// How much of what is due one batch does.
    pub(super) most_due: usize,
    /// What the last batch changed.
    pub(super) entries: Vec<Entry>,
    seq: u64,
}

impl Gate {
    /// With a policy set in force.
    pub(super) fn new(now: &str) -> Self {
        let mut gate = Self {
            state: State::default(),
            recovered: State::default(),
            now: now.parse().unwrap(),
            limits: Limits::default(),
            most_due: usize::MAX,
            entries: Vec::new(),
            seq: 0,
        };
        gate.one(Command::PublishPolicySet { digest: "sha256:1".to_owned(), reason: None }).unwrap();
        gate
    }

    /// Decides a batch as the writer does, and makes it durable in the two states.
    pub(super) fn batch(&mut self, commands: Vec<Command>) -> Vec<Result<Answer, Refusal>> {
        self.seq += 1;
        let mut draft = Draft::new(&self.state);
        let limits = self.limits.clone();
        let context = |index: usize| Context {
            now: self.now,
            writer: 7,
            seq: self.seq,
            index: u32::try_from(index).unwrap(),
            limits: &limits,
        };
        expire_due(&mut draft, &context(0), self.most_due);
        let mut answers = Vec::new();
        let count = commands.len();
        for (n, command) in commands.into_iter().enumerate() {
            assert!(n + 1 == count || !command.ends_batch(), "{command:?} ends its batch");
            let actor = Actor { key: Some("mia".parse().unwrap()), name: "Mia".to_owned() };
            let before = (draft.changes().entries.len(), draft.changes().accounts.clone());
            let answer = run(&mut draft, &Envelope { command, actor }, &context(before.0));
            if answer.is_err() {
                let after = (draft.changes().entries.len(), draft.changes().accounts.clone());
                assert_eq!(before, after, "a refusal leaves the draft as it was");
            }
            answers.push(answer);
        }
        let changes = draft.into_changes();
        self.apply(changes);
        answers
    }

    fn apply(&mut self, changes: Changes) {
        let accounts: Vec<&Account> = changes.accounts.values().collect();
        let text = serde_json::to_string(&(&changes.entries, accounts)).unwrap();
        let (entries, accounts): (Vec<Entry>, Vec<Account>) = serde_json::from_str(&text).unwrap();
        let read = Changes { entries, accounts: accounts.into_iter().map(|a| (a.key.clone(), a)).collect() };
        self.state.apply(&changes, self.now);
        self.recovered.apply(&read, self.now);
        assert!(self.recovered == self.state, "what JSON carries makes the same state");
        self.recovered.apply(&read, self.now);
        assert!(self.recovered == self.state, "applied twice, nothing changes");
        self.entries = changes.entries;
    }

    /// Has these effects happened, whatever led to them.
    pub(super) fn take(&mut self, effects: Vec<Effect>) {
        let actor = Actor { key: None, name: "test".to_owned() };
        let (op, subject) = ("test".to_owned(), "test".to_owned());
        let entry = Entry { op, actor, subject, reason: None, before: None, effects };
        self.apply(Changes { entries: vec![entry], ..Changes::default() });
    }

    pub(super) fn one(&mut self, command: Command) -> Result<Answer, Refusal> {
        self.batch(vec![command]).remove(0)
    }

    pub(super) fn at(&mut self, now: &str) {
        self.now = now.parse().unwrap();
    }

    /// Makes a budget from its fields.
    pub(super) fn budget(&mut self, fields: &Value) {
        self.one(Command::Budget(BudgetEdit::Create(serde_json::from_value(fields.clone()).unwrap()))).unwrap();
    }

    pub(super) fn registry(&mut self, command: RegistryCommand) -> Answer {
        self.one(Command::Registry(command)).unwrap()
    }

    pub(super) fn hold(&mut self, id: &HoldId, command: HoldCommand) -> Result<Answer, Refusal> {
        self.one(Command::Hold(id.clone(), command))
    }

    /// Asks, and reads the answer: of a new decision, or of a dry run.
    pub(super) fn ask(&mut self, ask: Admit) -> AdmissionAnswer {
        read(self.one(Command::Admit(Box::new(ask))).unwrap())
    }

    /// The alerts of the last batch, as budget and kind.
    pub(super) fn alerts(&self) -> Vec<Value> {
        let effects = serde_json::to_value(&self.entries).unwrap();
        let entries = effects.as_array().unwrap().iter();
        entries.flat_map(|e| e["effects"].as_array().unwrap().clone()).filter_map(|e| e.get("alert").cloned()).collect()
    }
}

pub(super) fn read(answer: Answer) -> AdmissionAnswer {
    match answer {
        Answer::Decided(record) => serde_json::from_str(record.answer.get()).unwrap(),
        Answer::DryRun(answer) => *answer,
        other => panic!("a decision expected, not {other:?}"),
    }
}

pub(super) fn codes(answer: &AdmissionAnswer) -> Vec<&str> {
    answer.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

pub(super) fn amounts(list: &[(&str, &str)]) -> BTreeMap<Unit, Amount> {
    list.iter().map(|(unit, amount)| (unit.parse().unwrap(), amount.parse().unwrap())).collect()
}

/// An admission that policy allows, of `agent` under `key`.
pub(super) fn ask(agent: &str, key: &str, estimate: &[(&str, &str)]) -> Admit {
    let request = Request {
        idempotency_key: Some(key.parse().unwrap()),
        kind: Kind::Action,
        agent: agent.parse().unwrap(),
        action: Action { name: "draft_quote".parse().unwrap(), properties: serde_json::Map::new() },
        entity: None,
        run: None,
        estimate: amounts(estimate),
        connectors: Vec::new(),
        context: serde_json::Map::new(),
        hold_ttl_s: 600,
        dry_run: false,
    };
    Admit {
        body: format!("{agent} {key} {estimate:?}"),
        request,
        judged: Judged {
            policy_set: "sha256:1".to_owned(),
            agent_revision: 0,
            entity_type_revision: 0,
            policy_profile: None,
        },
        verdict: PolicyVerdict::default(),
        input: RawValue::from_string(json!({"kind": "action"}).to_string()).unwrap(),
        replayable: true,
    }
}

/// The same in a run.
pub(super) fn in_run(mut ask: Admit, run: &str) -> Admit {
    ask.request.run = Some(RunRef { id: run.parse().unwrap(), attempt: 1, step: None, lease: None });
    ask
}

/// The same on an entity of a type.
pub(super) fn on(mut ask: Admit, kind: &str) -> Admit {
    let properties = serde_json::Map::new();
    let entity = crate::admission::Entity { kind: kind.parse().unwrap(), id: "17".parse().unwrap(), properties };
    ask.request.entity = Some(entity);
    ask
}
