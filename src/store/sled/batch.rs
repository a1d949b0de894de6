//! The core behind the writer: a batch decided on an overlay of the state, its record, and the merge when that is
//! durable.

use super::history::History;
use super::journal::Appended;
use super::writer::{Core, Decided, Moment, Outcome};
use crate::admission::AdmissionAnswer;
use crate::audit::{PAYLOAD_VERSION, WriterId};
use crate::budget::Account;
use crate::decide::{Answer, Command, Context, Envelope, Limits, Refusal, Rehearsed, Taken, expire_due, rehearse, run};
use crate::state::{Changes, Draft, Entry, State};
use crate::store::{CommitFailure, Feed};
use jiff::Timestamp;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A record's payload, as this daemon reads it back.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    /// The batch's time.
    pub time: Timestamp,
    /// What happened.
    pub entries: Vec<Entry>,
    /// The accounts as they stood at its end.
    pub accounts: Vec<Account>,
}

impl Record {
    /// The changes that it makes.
    pub(super) fn into_changes(self) -> Changes {
        let accounts = self.accounts.into_iter().map(|account| (account.key.clone(), account)).collect();
        Changes { entries: self.entries, accounts }
    }
}

/// The same, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    writer: WriterId,
    time: Timestamp,
    entries: &'a [Entry],
    accounts: Vec<&'a Account>,
}

/// Decides on the state, and changes it.
pub(super) struct Batches {
    /// What everybody reads.
    pub state: Arc<RwLock<State>>,
    /// What was decided and done.
    pub history: Arc<History>,
    /// Bounds that decisions keep to.
    pub limits: Limits,
    /// Where batches are told.
    pub feed: Feed,
}

impl Core for Batches {
    type Command = Envelope;
    type Answer = Answer;
    type Refusal = Refusal;
    type Changes = Changes;

    fn ends_batch(&self, envelope: &Envelope) -> bool {
        envelope.command.ends_batch()
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.state.read().next_due().is_some_and(|due| due <= now)
    }

    fn decide(
        &mut self,
        commands: &[Envelope],
        moment: &Moment,
        payload: &mut Vec<u8>,
    ) -> Decided<Changes, Answer, Refusal> {
        let state = self.state.read();
        let (changes, outcomes) = decide_batch(&state, commands, moment, &self.limits);
        drop(state);
        if changes.is_empty() {
            return Decided { changes: None, outcomes };
        }
        match encode(&changes, moment, payload) {
            Ok(()) => Decided { changes: Some(changes), outcomes },
            Err(error) => {
                tracing::error!(%error, "a batch could not be written as JSON; it was refused");
                let outcomes = commands.iter().map(|_| Err(CommitFailure::Internal)).collect();
                Decided { changes: None, outcomes }
            }
        }
    }

    fn merge(&mut self, changes: Changes, moment: &Moment, place: &Appended) {
        // one lock after the other, never both: who holds one of them may ask for the other
        self.state.write().apply(&changes, moment.now);
        self.feed.tell(moment.seq, moment.now, &changes.entries);
        self.history.add(moment.seq, moment.now, changes.entries);
        if place.sealed.is_some() {
            self.history.sealed();
        }
    }
}

/// What a command would get, decided on a draft that is thrown away.
pub(super) fn preview(state: &State, envelope: &Envelope, moment: &Moment, limits: &Limits) -> Result<Answer, Refusal> {
    let mut draft = Draft::new(state);
    expire_due(&mut draft, &context(moment, 0, limits));
    run(&mut draft, envelope, &context(moment, 1, limits))
}

/// What admissions would get one after the other, decided on a draft that is thrown away.
pub(super) fn rehearsal(
    state: &State,
    asks: &[Rehearsed],
    taken: &mut Taken,
    moment: &Moment,
    limits: &Limits,
) -> Vec<Result<AdmissionAnswer, Refusal>> {
    rehearse(state, asks, taken, &context(moment, 0, limits))
}

/// Deciding is pure, so it may be done again: a command that panics is left out, and with it all that it had changed.
fn decide_batch(
    state: &State,
    commands: &[Envelope],
    moment: &Moment,
    limits: &Limits,
) -> (Changes, Vec<Outcome<Answer, Refusal>>) {
    let mut left_out = LeftOut::default();
    loop {
        let mut draft = Draft::new(state);
        match decide_on(&mut draft, commands, moment, limits, &left_out) {
            Ok(outcomes) => return (draft.into_changes(), outcomes),
            Err(Panicked::Expiry) => left_out.expiry = true,
            Err(Panicked::Command(index)) => left_out.commands.push(index),
        }
    }
}

#[derive(Default)]
struct LeftOut {
    expiry: bool,
    commands: Vec<usize>,
}

enum Panicked {
    Expiry,
    Command(usize),
}

fn decide_on(
    draft: &mut Draft<'_>,
    commands: &[Envelope],
    moment: &Moment,
    limits: &Limits,
    left_out: &LeftOut,
) -> Result<Vec<Outcome<Answer, Refusal>>, Panicked> {
    if !left_out.expiry {
        // holds that cannot expire keep counting: the safe side
        catch_unwind(AssertUnwindSafe(|| expire_due(draft, &context(moment, 0, limits)))).map_err(|_| {
            tracing::error!(seq = moment.seq, "letting holds expire failed; they keep counting");
            Panicked::Expiry
        })?;
    }
    let mut outcomes = Vec::with_capacity(commands.len());
    for (index, envelope) in commands.iter().enumerate() {
        if left_out.commands.contains(&index) {
            outcomes.push(Err(CommitFailure::Internal));
            continue;
        }
        let context = context(moment, draft.changes().entries.len(), limits);
        let outcome = catch_unwind(AssertUnwindSafe(|| run(draft, envelope, &context))).map_err(|_| {
            tracing::error!(seq = moment.seq, command = name(&envelope.command), "deciding a command failed");
            Panicked::Command(index)
        })?;
        outcomes.push(outcome.map_err(CommitFailure::Refused));
    }
    Ok(outcomes)
}

/// The index is the entry that the command will make, so that ids made from it tell where they stand in the journal.
fn context<'a>(moment: &Moment, index: usize, limits: &'a Limits) -> Context<'a> {
    let [first, second, ..] = *moment.writer.as_bytes();
    Context {
        now: moment.now,
        writer: u16::from_be_bytes([first, second]),
        seq: moment.seq,
        index: u32::try_from(index).unwrap_or(u32::MAX),
        limits,
    }
}

fn encode(changes: &Changes, moment: &Moment, payload: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut accounts: Vec<&Account> = changes.accounts.values().collect();
    accounts.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let record =
        Written { v: PAYLOAD_VERSION, writer: moment.writer, time: moment.now, entries: &changes.entries, accounts };
    serde_json::to_writer(payload, &record)
}

/// For the log, which must not hold what was asked.
fn name(command: &Command) -> &'static str {
    match command {
        Command::Admit(_) => "admit",
        Command::Hold(..) => "hold",
        Command::Budget(_) => "budget",
        Command::Registry(_) => "registry",
        Command::Key(_) => "key",
        Command::Item(_) => "item",
        Command::Delivered { .. } => "delivery",
        Command::PublishPolicySet { .. } => "policy_set",
        Command::NoteSeed { .. } => "seed",
        Command::NoteClock { .. } => "clock",
        Command::Run(command) => command.name(),
        Command::Tick => "tick",
    }
}
