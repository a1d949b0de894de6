//! Agents: who they are, which policy speaks for them, and how strictly they are held.

use crate::vocabulary::{AgentId, TeamId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How an agent's denials are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every denial denies.
    #[default]
    Enforce,
    /// A policy's denial becomes an allow that says what it would have denied. Budgets, pauses and failures deny as ever.
    Observe,
    /// Everything is denied.
    Paused,
}

/// What an admin writes to change an agent's mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeSpec {
    /// The mode.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// `observe` must have an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// What an admin writes of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSpec {
    /// The team whose budgets it spends from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
    /// Free labels, for policies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The person who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whom an escalation goes to, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation_contact: Option<String>,
    /// The layer that judges it, instead of the one of its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_profile: Option<String>,
}

/// A registered agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Who.
    pub id: AgentId,
    /// What the admin wrote.
    #[serde(flatten)]
    pub spec: AgentSpec,
    /// How its denials are enforced.
    pub mode: Mode,
    /// Why it is in that mode, where someone said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_reason: Option<String>,
    /// When `observe` ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_ends_at: Option<Timestamp>,
    /// Counts its changes, from 1.
    pub revision: u64,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// It was removed; kept so that its revisions go on counting.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

impl Agent {
    /// The mode in force at `now`: an `observe` that has ended is `enforce`.
    pub fn mode_at(&self, now: Timestamp) -> Mode {
        match (self.mode, self.mode_ends_at) {
            (Mode::Observe, Some(ends_at)) if now >= ends_at => Mode::Enforce,
            (Mode::Observe, None) => Mode::Enforce,
            (mode, _) => mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observing_ends_by_itself() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut agent = Agent {
            id: AgentId::new("a").unwrap(),
            spec: AgentSpec::default(),
            mode: Mode::Observe,
            mode_reason: None,
            mode_ends_at: Some(at("2026-01-02T00:00:00Z")),
            revision: 1,
            updated_at: at("2026-01-01T00:00:00Z"),
            removed: false,
        };
        assert_eq!(agent.mode_at(at("2026-01-01T23:59:59Z")), Mode::Observe);
        assert_eq!(agent.mode_at(at("2026-01-02T00:00:00Z")), Mode::Enforce);
        agent.mode_ends_at = None;
        assert_eq!(agent.mode_at(at("2026-01-01T00:00:00Z")), Mode::Enforce, "without an end it never observes");
    }
}
