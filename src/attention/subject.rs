//! What an item is about, and the id that this gives it.

use crate::vocabulary::{ActionName, AgentId, BudgetId, EntityId, EntityType, IdError, ItemId, RunId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What an item is about: there is one item for each of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A run, with all its attempts.
    Run(RunId),
    /// What an agent was denied outside of any run.
    Denial {
        /// Who.
        agent: AgentId,
        /// What for.
        action: ActionName,
        /// On which type of entity.
        entity_type: Option<EntityType>,
        /// On which one.
        entity_id: Option<EntityId>,
    },
    /// A schedule.
    Schedule(String),
    /// A budget's account.
    Budget {
        /// The budget.
        budget: BudgetId,
        /// The account, in its text form.
        account: String,
    },
}

impl Subject {
    /// The id of the item about this: one for each subject, for ever, so that what comes back is the same item.
    pub fn item_id(&self) -> Result<ItemId, IdError> {
        const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut hash = Sha256::new();
        // a zero ends each part: none of them holds one
        let mut part = |text: &str| {
            hash.update(text.as_bytes());
            hash.update([0]);
        };
        match self {
            Self::Run(run) => ["run", run.as_str()].into_iter().for_each(&mut part),
            Self::Denial { agent, action, entity_type, entity_id } => {
                ["denial", agent.as_str(), action.as_str()].into_iter().for_each(&mut part);
                part(entity_type.as_ref().map_or("", EntityType::as_str));
                part(entity_id.as_ref().map_or("", EntityId::as_str));
            }
            Self::Schedule(schedule) => ["schedule", schedule].into_iter().for_each(&mut part),
            Self::Budget { budget, account } => {
                ["budget", budget.as_str(), account].into_iter().for_each(&mut part);
            }
        }
        let letters = hash.finalize();
        let letters = letters.iter().take(26).map(|byte| char::from(LETTERS[usize::from(byte & 31)]));
        ItemId::new(letters.fold(String::from("item_"), |mut id, letter| {
            id.push(letter);
            id
        }))
    }
}
