//! The one door: from a command to its decision.

use super::command::{Answer, BudgetEdit, Command, Context, Envelope, Refusal};
use super::runs::RunCommand;
use super::{admit, attention, budgets, holds, keys, registry, runs};
use crate::state::{Draft, Effect, Entry, JournalNote, PolicySetHead, Touched};

/// What a command acts on by name, and memory may not hold any more: the store reads it before the command is decided.
pub fn touched(envelope: &Envelope) -> Touched {
    match &envelope.command {
        Command::Admit(ask) if !ask.request.dry_run => Touched { key: admit::key_name(ask), hold: None },
        Command::Budget(BudgetEdit::Raise(raise)) => {
            Touched { key: budgets::key_name(raise, &envelope.actor).ok(), hold: None }
        }
        Command::Hold(id, _) => Touched { key: None, hold: Some(id.clone()) },
        Command::Run(RunCommand::Retry(retry)) => Touched { key: Some(runs::key_name(retry)), hold: None },
        _ => Touched::default(),
    }
}

/// Decides one command on the draft, and what it makes of the items. On a refusal the draft is as it was.
pub fn run(draft: &mut Draft<'_>, envelope: &Envelope, ctx: &Context<'_>) -> Result<Answer, Refusal> {
    let first = draft.changes().entries.len();
    let answer = decide(draft, envelope, ctx)?;
    attention::follow(draft, first, ctx);
    Ok(answer)
}

fn decide(draft: &mut Draft<'_>, envelope: &Envelope, ctx: &Context<'_>) -> Result<Answer, Refusal> {
    let actor = &envelope.actor;
    match &envelope.command {
        Command::Admit(admission) => admit::admit(draft, admission, actor, ctx),
        Command::Hold(id, command) => holds::change(draft, id, command, actor, ctx),
        Command::Budget(edit) => budgets::edit(draft, edit, actor, ctx),
        Command::Registry(command) => registry::change(draft, command, actor, ctx),
        Command::Item(command) => attention::change(draft, command, actor, ctx),
        Command::Delivered { id, outcome } => attention::delivered(draft, id, outcome, ctx),
        Command::Key(command) => keys::change(draft, command, actor, ctx),
        Command::PublishPolicySet { digest, reason } => {
            let replaced = draft.state().policy_set().map(|head| head.digest.clone());
            if replaced.as_deref() == Some(digest) {
                return draft.state().policy_set().cloned().map(Answer::PolicySet).ok_or(Refusal::Stale);
            }
            let head = PolicySetHead { digest: digest.clone(), since: ctx.now, by: actor.clone(), replaced };
            draft.push(Entry {
                op: "policy_set.publish".to_owned(),
                actor: actor.clone(),
                subject: format!("policy_set:{digest}"),
                reason: reason.clone(),
                before: None,
                effects: vec![Effect::PolicySet(head.clone())],
            });
            Ok(Answer::PolicySet(head))
        }
        Command::NoteSeed { file, sha256 } => {
            draft.push(Entry {
                op: "seed.note".to_owned(),
                actor: actor.clone(),
                subject: format!("seed:{file}"),
                reason: None,
                before: None,
                effects: vec![Effect::Seed { file: file.clone(), sha256: sha256.clone() }],
            });
            Ok(Answer::Done)
        }
        Command::NoteClock { wall } => {
            draft.push(Entry {
                op: "clock.confirm".to_owned(),
                actor: actor.clone(),
                subject: format!("clock:{wall}"),
                reason: None,
                before: None,
                effects: vec![Effect::ClockConfirmed { wall: *wall }],
            });
            Ok(Answer::Done)
        }
        Command::Run(command) => runs::decide(draft, command, actor, ctx),
        Command::NoteJournal(note) => {
            let (op, subject) = match note {
                JournalNote::Checkpoint(note) => ("journal.checkpoint", format!("checkpoint:{}", note.seq)),
                JournalNote::Dropped(segments) => ("journal.drop", format!("segments:{}", segments.len())),
            };
            draft.push(Entry {
                op: op.to_owned(),
                actor: actor.clone(),
                subject,
                reason: None,
                before: None,
                effects: vec![Effect::Journal(note.clone())],
            });
            Ok(Answer::Done)
        }
        // what is due has expired before any command of the batch
        Command::Tick => Ok(Answer::Done),
    }
}
