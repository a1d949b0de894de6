//! API keys: who holds them, what they may do, for which agents. The secret itself is never here, only its SHA-256.

use crate::vocabulary::{AgentId, ApiKeyId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An agent's runtime: its own agents' admissions and holds.
    Runtime,
    /// Pauses, connectors, runs.
    Operator,
    /// Agents, profiles, modes, entity types and policy sets.
    PolicyAdmin,
    /// Budgets and raises.
    BudgetAdmin,
    /// Reads everything, changes nothing.
    Auditor,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Runtime, Self::Operator, Self::PolicyAdmin, Self::BudgetAdmin, Self::Auditor, Self::Admin];

    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Operator => "operator",
            Self::PolicyAdmin => "policy_admin",
            Self::BudgetAdmin => "budget_admin",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

/// The roles of a key.
pub type Roles = Vec<Role>;

/// One key, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its name.
    pub id: ApiKeyId,
    /// The person or service that holds it: what the audit trail names.
    pub holder: String,
    /// What it may do.
    pub roles: Roles,
    /// A runtime's agents; `None` means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<AgentId>>,
    /// SHA-256 of the secret, in hex.
    pub sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Who did something, as the audit trail names them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The key used; `None` for Tollgate itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ApiKeyId>,
    /// The person or service.
    pub name: String,
}

impl Actor {
    /// Tollgate itself: expiry, reload, the first start.
    pub fn tollgate() -> Self {
        Self { key: None, name: "tollgate".to_owned() }
    }
}
