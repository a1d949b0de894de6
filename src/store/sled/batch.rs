//! The core behind the writer: a batch decided on an overlay of the state, its record, and the merge when that is
//! durable.

use super::history::{History, HistoryError};
use super::journal::Appended;
use super::recent::RecordPlace;
use super::writer::{Core, Decided, Moment, Outcome};
use crate::admission::AdmissionAnswer;
use crate::audit::{PAYLOAD_VERSION, WriterId};
use crate::budget::{Account, Accounts as _};
use crate::decide::{
    Answer, Command, Context, DUE_AT_ONCE, Envelope, Limits, Refusal, Rehearsed, Taken, expire_due, rehearse, run,
    touched,
};
use crate::state::{Changes, Draft, Entry, Forget, Loaded, State};
use crate::store::{CommitFailure, Feed};
use jiff::Timestamp;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// So many things that are over leave memory with one batch, and two more for each of its operations.
const FORGOTTEN: usize = 512;

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
        let (loaded, unread) = self.load(commands, moment.now);
        let state = self.state.read();
        let (changes, outcomes) = decide_batch(&state, &loaded, &unread, commands, moment, &self.limits);
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
        let sealed = place.sealed.is_some();
        // one lock after the other, never both: who holds one of them may ask for the other
        let (holds_upto, keys_upto) = self.history.can_forget();
        let most = FORGOTTEN + 2 * changes.entries.len();
        let entries = {
            let mut state = self.state.write();
            let entries = state.commit(changes, moment.seq, moment.now);
            state.forget(Forget { now: moment.now, holds_upto, keys_upto, most });
            entries
        };
        let entries: Vec<Arc<Entry>> = entries.into_iter().map(Arc::new).collect();
        self.feed.tell(moment.seq, moment.now, &entries);
        let place = RecordPlace { segment: place.segment, offset: place.offset };
        self.history.add(moment.seq, moment.now, entries, Some(place));
        if sealed {
            self.history.sealed();
        }
    }
}

impl Batches {
    /// Reads what the commands name and memory does not hold any more: nearly always nothing. A command for which that
    /// fails is refused by itself.
    fn load(&self, commands: &[Envelope], now: Timestamp) -> (Loaded, Unread) {
        let (mut loaded, mut unread) = (Loaded::default(), Unread::new());
        for (index, envelope) in commands.iter().enumerate() {
            if let Err(error) = self.load_for(envelope, now, &mut loaded) {
                tracing::warn!(%error, command = name(&envelope.command), "what a command names could not be read");
                unread.insert(index, error.to_string().into());
            }
        }
        (loaded, unread)
    }

    fn load_for(&self, envelope: &Envelope, now: Timestamp, loaded: &mut Loaded) -> Result<(), HistoryError> {
        let touched = touched(envelope);
        if let Some(name) = touched.key
            && self.state.read().key(&name, now).is_none()
            && let Some(entry) = self.history.key(&name, now)?
        {
            loaded.keys.insert(name, entry);
        }
        let Some(id) = touched.hold else { return Ok(()) };
        let in_memory = self.state.read().hold(&id).cloned();
        let hold = match in_memory {
            Some(hold) => hold,
            None => match self.history.hold(&id)? {
                Some(hold) => hold,
                None => return Ok(()),
            },
        };
        for line in &hold.lines {
            if self.state.read().account(&line.account).is_none()
                && let Some(account) = self.history.account(&line.account)?
            {
                loaded.accounts.insert(line.account.clone(), account);
            }
        }
        loaded.holds.insert(id, hold);
        Ok(())
    }
}

/// What a command would get, decided on a draft that is thrown away.
pub(super) fn preview(state: &State, envelope: &Envelope, moment: &Moment, limits: &Limits) -> Result<Answer, Refusal> {
    let mut draft = Draft::new(state);
    expire_due(&mut draft, &context(moment, 0, limits), DUE_AT_ONCE);
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

/// Commands for which something could not be read, by their place in the batch, and why.
type Unread = HashMap<usize, Arc<str>>;

/// Deciding is pure, so it may be done again: a command that panics is left out, and with it all that it had changed.
fn decide_batch(
    state: &State,
    loaded: &Loaded,
    unread: &Unread,
    commands: &[Envelope],
    moment: &Moment,
    limits: &Limits,
) -> (Changes, Vec<Outcome<Answer, Refusal>>) {
    let mut left_out = LeftOut::default();
    loop {
        let mut draft = Draft::with(state, loaded);
        match decide_on(&mut draft, unread, commands, moment, limits, &left_out) {
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
    unread: &Unread,
    commands: &[Envelope],
    moment: &Moment,
    limits: &Limits,
    left_out: &LeftOut,
) -> Result<Vec<Outcome<Answer, Refusal>>, Panicked> {
    if !left_out.expiry {
        // holds that cannot expire keep counting: the safe side
        let most = DUE_AT_ONCE + 2 * commands.len();
        catch_unwind(AssertUnwindSafe(|| expire_due(draft, &context(moment, 0, limits), most))).map_err(|_| {
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
        if let Some(why) = unread.get(&index) {
            outcomes.push(Err(CommitFailure::Unread(Arc::clone(why))));
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
        Command::NoteJournal(_) => "journal",
        Command::Tick => "tick",
    }
}
