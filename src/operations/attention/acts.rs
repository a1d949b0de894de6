//! What operators do to items: one at a time, or the same to many, by a frozen list.

use crate::attention::{Act, Item};
use crate::decide::{Answer, Command, Envelope, ItemCommand, Refusal};
use crate::operations::app::App;
use crate::operations::error::OperationError;
use crate::operations::roles::{Operation, Principal};
use crate::vocabulary::ItemId;
use std::sync::Arc;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemAct {
    /// Anything but an escalation.
    Act {
        /// What.
        act: Act,
        /// Why, where somebody says so.
        reason: Option<String>,
    },
    /// Hand it to somebody who knows more.
    Escalate {
        /// To whom, where it is not the agent's escalation contact.
        to: Option<String>,
        /// Why.
        reason: String,
    },
}

impl ItemAct {
    fn operation(&self) -> Operation {
        match self {
            Self::Escalate { .. } | Self::Act { act: Act::Escalate { .. }, .. } => Operation::EscalateItem,
            Self::Act { act: Act::Assign { .. }, .. } => Operation::AssignItem,
            Self::Act { act: Act::Snooze { .. }, .. } => Operation::SnoozeItem,
            Self::Act { act: Act::Supply(_), .. } => Operation::SupplyItem,
            Self::Act { act: Act::Resolve { .. }, .. } => Operation::ResolveItem,
        }
    }

    fn command(&self, id: ItemId, revision: Option<u64>) -> Command {
        Command::Item(match self.clone() {
            Self::Act { act, reason } => ItemCommand::Act { id, act, reason, revision },
            Self::Escalate { to, reason } => ItemCommand::Escalate { id, to, reason, revision },
        })
    }
}

/// Does it to one item. A revision that is not the item's own any more refuses it.
pub async fn act_on_item(
    app: &App,
    principal: &Principal,
    id: ItemId,
    act: &ItemAct,
    revision: Option<u64>,
) -> Result<Arc<Item>, OperationError> {
    principal.may(act.operation())?;
    match app.commit(principal, act.command(id, revision)).await? {
        Answer::Item(item) => Ok(item),
        other => Err(OperationError::Internal(format!("an act on an item answered {other:?}"))),
    }
}

/// An item of a frozen list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkItem {
    /// Which.
    pub id: ItemId,
    /// As it was seen.
    pub revision: u64,
}

/// What became of one item, or would.
#[derive(Debug)]
pub struct BulkAnswer {
    /// Which.
    pub id: ItemId,
    /// The item behind it, or why not.
    pub outcome: Result<Arc<Item>, OperationError>,
}

/// What the act would do to each of these, without doing it. The revisions freeze the list for the commit.
pub fn preview_items(
    app: &App,
    principal: &Principal,
    ids: Vec<ItemId>,
    act: &ItemAct,
) -> Result<Vec<(BulkAnswer, Option<u64>)>, OperationError> {
    principal.may(Operation::ActOnItems)?;
    principal.may(act.operation())?;
    let now = app.now();
    let preview = |id: ItemId| {
        let revision = app.read(|state| state.attention().get(&id).map(|item| item.revision));
        let envelope = Envelope { command: act.command(id.clone(), revision), actor: principal.actor() };
        let outcome = match app.store.preview(&envelope, now) {
            Ok(Answer::Item(item)) => Ok(item),
            Ok(other) => Err(OperationError::Internal(format!("an act on an item answered {other:?}"))),
            Err(refusal) => Err(refusal.into()),
        };
        (BulkAnswer { id, outcome }, revision)
    };
    Ok(ids.into_iter().map(preview).collect())
}

/// Does it to each item of a frozen list, each on its own: an item that has changed since is refused and the others go on.
pub async fn act_on_items(
    app: &App,
    principal: &Principal,
    items: Vec<BulkItem>,
    act: &ItemAct,
) -> Result<Vec<BulkAnswer>, OperationError> {
    principal.may(Operation::ActOnItems)?;
    principal.may(act.operation())?;
    let mut replies = Vec::with_capacity(items.len());
    for BulkItem { id, revision } in items {
        let command = act.command(id.clone(), Some(revision));
        replies.push((id, app.store.submit(Envelope { command, actor: principal.actor() })));
    }
    let mut answers = Vec::with_capacity(replies.len());
    for (id, reply) in replies {
        let outcome = match crate::operations::app::durable(reply.await) {
            Ok(Answer::Item(item)) => Ok(item),
            Ok(other) => Err(OperationError::Internal(format!("an act on an item answered {other:?}"))),
            Err(OperationError::Refused(Refusal::Revision { .. })) => {
                Err(OperationError::Refused(Refusal::Over("the item has changed since the preview".to_owned())))
            }
            Err(error) => Err(error),
        };
        answers.push(BulkAnswer { id, outcome });
    }
    Ok(answers)
}
