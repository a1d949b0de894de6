//! What operators do to items, one at a time. The same to many is in `bulk.rs`.

use crate::attention::{Act, Item};
use crate::decide::{Answer, Command, ItemCommand};
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
    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Escalate { .. } | Self::Act { act: Act::Escalate { .. }, .. } => Operation::EscalateItem,
            Self::Act { act: Act::Assign { .. }, .. } => Operation::AssignItem,
            Self::Act { act: Act::Snooze { .. }, .. } => Operation::SnoozeItem,
            Self::Act { act: Act::Supply(_), .. } => Operation::SupplyItem,
            Self::Act { act: Act::Resolve { .. }, .. } => Operation::ResolveItem,
        }
    }

    pub(super) fn command(&self, id: ItemId, revision: Option<u64>) -> Command {
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
