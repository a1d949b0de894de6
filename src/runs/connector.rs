//! Connectors: what runs need and Tollgate does not provide (an ERP, a mailbox), as somebody reports them.

use crate::registry::Actor;
use crate::vocabulary::ConnectorId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a connector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorStatus {
    /// It works.
    Up,
    /// It works badly. Nothing is denied for it.
    Degraded,
    /// It does not work: what needs it is denied.
    Down,
}

impl ConnectorStatus {
    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// One connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    /// Its id, as admissions name it.
    pub id: ConnectorId,
    /// How it is.
    pub status: ConnectorStatus,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Since when it has had this status.
    pub since: Timestamp,
    /// Who reported it last.
    pub by: Actor,
    /// When.
    pub updated_at: Timestamp,
}
