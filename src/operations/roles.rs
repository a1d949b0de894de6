//! Who may do what: the one table role × operation, and the principal that is checked against it.
//!
//! Pure. Every operation calls [`Principal::may`] first, or [`Principal::may_for`] where it concerns one agent; a test
//! walks every route of the API against this table. `admin` may do everything and therefore stands in no row.

use crate::registry::{Actor, ApiKey, Role};
use crate::vocabulary::{AgentId, ApiKeyId};
use std::time::Duration;

use Role::{Auditor, BudgetAdmin, Operator, PolicyAdmin, Runtime};

macro_rules! operations {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal: [$($role:ident),*];)*) => {
        /// Everything that can be asked of Tollgate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {$( $(#[doc = $doc])* $variant, )*}

        /// The table: each operation and the roles that may do it, besides `admin`.
        pub const OPERATIONS: &[OperationRow] = &[$(OperationRow {
            operation: Operation::$variant, name: $name, roles: &[$($role),*],
        },)*];

        impl Operation {
            /// Its row of the table.
            pub const fn row(self) -> &'static OperationRow {
                match self { $(Self::$variant => &OperationRow {
                    operation: Self::$variant, name: $name, roles: &[$($role),*],
                },)* }
            }
        }
    };
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct OperationRow {
    /// The operation.
    pub operation: Operation,
    /// Its name, as `OpenAPI`'s `operationId` and the audit trail have it.
    pub name: &'static str,
    /// The roles that may do it, besides `admin`.
    pub roles: &'static [Role],
}

operations! {
    /// Ask for an admission; one of a batch too.
    Admit = "admit": [Runtime];
    /// Ask what the answer would be; nothing is held or recorded.
    DryRun = "dry_run": [Runtime, Operator, PolicyAdmin, BudgetAdmin];
    /// Read recorded decisions.
    ReadAdmissions = "read_admissions": [Runtime, Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// See which rules fired, by file and line.
    ExplainAdmission = "explain_admission": [Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Read a hold.
    ReadHold = "read_hold": [Runtime, Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Book what was spent.
    SettleHold = "settle_hold": [Runtime];
    /// Free what was set aside.
    ReleaseHold = "release_hold": [Runtime];
    /// Keep it open for longer.
    ExtendHold = "extend_hold": [Runtime];
    /// Read budgets, their accounts and raises.
    ReadBudgets = "read_budgets": [Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Make a budget.
    CreateBudget = "create_budget": [BudgetAdmin];
    /// Change a budget.
    ReplaceBudget = "replace_budget": [BudgetAdmin];
    /// Remove a budget.
    DeleteBudget = "delete_budget": [BudgetAdmin];
    /// Make a file of budgets the truth.
    ApplyBudgets = "apply_budgets": [BudgetAdmin];
    /// Raise a budget's limit for a time.
    RaiseBudget = "raise_budget": [BudgetAdmin];
    /// Withdraw a raise.
    WithdrawRaise = "withdraw_raise": [BudgetAdmin];
    /// Read policy sets and the report of their layers.
    ReadPolicies = "read_policies": [Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Let a policy set serve that lost a module.
    ConfirmPolicySet = "confirm_policy_set": [PolicyAdmin];
    /// Read agents and entity types.
    ReadRegistry = "read_registry": [Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Write an agent.
    PutAgent = "put_agent": [PolicyAdmin];
    /// Remove an agent from the registry.
    DeleteAgent = "delete_agent": [PolicyAdmin];
    /// Enforce, observe or pause an agent.
    SetAgentMode = "set_agent_mode": [PolicyAdmin];
    /// Write an entity type.
    PutEntityType = "put_entity_type": [PolicyAdmin];
    /// Remove an entity type from the registry.
    DeleteEntityType = "delete_entity_type": [PolicyAdmin];
    /// Read pauses.
    ReadPauses = "read_pauses": [Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Stop an agent, a team, an action, an entity type, or everything.
    CreatePause = "create_pause": [Operator];
    /// End a pause.
    EndPause = "end_pause": [Operator];
    /// Tell what happens to a run.
    ReportEvents = "report_events": [Runtime];
    /// Read the types of events and their schemas.
    ReadEventTypes = "read_event_types": [Runtime, Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Read runs, their events and artifacts.
    ReadRuns = "read_runs": [Runtime, Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// See what a retry would do.
    ReadRetryPlan = "read_retry_plan": [Operator, Auditor];
    /// Make another attempt.
    RetryRun = "retry_run": [Operator];
    /// Make another attempt although the same step failed again.
    OverrideRetry = "override_retry": [];
    /// Ask for a run's end.
    CancelRun = "cancel_run": [Operator];
    /// End an attempt without its runtime's proof.
    ForceStop = "force_stop": [Operator];
    /// Take a queued attempt.
    ClaimAttempt = "claim_attempt": [Runtime];
    /// Read connectors.
    ReadConnectors = "read_connectors": [Runtime, Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Say how a connector is.
    PutConnector = "put_connector": [Operator];
    /// Read schedules.
    ReadSchedules = "read_schedules": [Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Write a schedule.
    PutSchedule = "put_schedule": [Operator];
    /// Read workers.
    ReadWorkers = "read_workers": [Runtime, Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Register a worker, or say that it is there.
    PutWorker = "put_worker": [Runtime];
    /// Read Command Center.
    ReadAttention = "read_attention": [Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Watch what happens.
    ReadStream = "read_stream": [Operator, PolicyAdmin, BudgetAdmin, Auditor];
    /// Give an item to a person.
    AssignItem = "assign_item": [Operator, PolicyAdmin, BudgetAdmin];
    /// Put an item off.
    SnoozeItem = "snooze_item": [Operator];
    /// Supply the data that an item waits for.
    SupplyItem = "supply_item": [Operator];
    /// Hand an item to the agent's escalation contact.
    EscalateItem = "escalate_item": [Operator];
    /// End an item by hand.
    ResolveItem = "resolve_item": [Operator];
    /// Do one thing to many items.
    ActOnItems = "act_on_items": [Operator];
    /// Read the names and roles of keys.
    ReadKeys = "read_keys": [Auditor];
    /// Make a key.
    CreateKey = "create_key": [];
    /// Revoke a key.
    RevokeKey = "revoke_key": [];
    /// Read the audit trail.
    ReadAudit = "read_audit": [Auditor];
    /// Read how the store is.
    ReadState = "read_state": [Operator, Auditor];
    /// Say that the wall clock is right after it jumped.
    ConfirmClock = "confirm_clock": [];
    /// Read the metrics, where they are not open to all.
    ReadMetrics = "read_metrics": [Operator, Auditor];
}

/// Whoever asks: a key, the person or service that holds it, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The key; `None` for Tollgate itself.
    pub key: Option<ApiKeyId>,
    /// Its holder, as the audit trail names them.
    pub name: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// A runtime's agents; `None` means all.
    pub agents: Option<Vec<AgentId>>,
    /// Until when it waits for a decision, by the monotonic clock; what is not decided by then is not decided at all.
    /// `None`: for as long as it takes.
    pub wait_until: Option<Duration>,
}

/// Why a principal may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// None of its roles does that.
    #[error("{} needs one of the roles {}", .0.row().name, roles(*.0))]
    Role(Operation),
    /// The key is bound to other agents.
    #[error("this key is not bound to agent {0}")]
    Agent(AgentId),
}

/// The roles that may do it, in words.
fn roles(operation: Operation) -> String {
    operation.row().roles.iter().chain([&Role::Admin]).map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

impl Principal {
    /// The holder of a key.
    pub fn of(key: &ApiKey) -> Self {
        Self {
            key: Some(key.id.clone()),
            name: key.holder.clone(),
            roles: key.roles.clone(),
            agents: key.agents.clone(),
            wait_until: None,
        }
    }

    /// Tollgate itself: expiry, reload, and the command line on a state directory that no daemon has open.
    pub fn tollgate() -> Self {
        let Actor { key, name } = Actor::tollgate();
        Self { key, name, roles: vec![Role::Admin], agents: None, wait_until: None }
    }

    /// The same, waiting until then.
    pub fn waiting_until(self, until: Duration) -> Self {
        Self { wait_until: Some(until), ..self }
    }

    /// As the audit trail names it.
    pub fn actor(&self) -> Actor {
        Actor { key: self.key.clone(), name: self.name.clone() }
    }

    /// Whether one of its roles does that.
    pub fn may(&self, operation: Operation) -> Result<(), Forbidden> {
        let allowed = self.roles.iter().any(|role| *role == Role::Admin || operation.row().roles.contains(role));
        if allowed { Ok(()) } else { Err(Forbidden::Role(operation)) }
    }

    /// Whether it may do that for this agent.
    pub fn may_for(&self, operation: Operation, agent: &AgentId) -> Result<(), Forbidden> {
        self.may(operation)?;
        match self.bound_agents(operation) {
            Some(agents) if !agents.contains(agent) => Err(Forbidden::Agent(agent.clone())),
            _ => Ok(()),
        }
    }

    /// The agents that it is confined to when it does that; `None` means all. A key whose only role for it is `runtime`
    /// speaks for the agents that it is bound to; any other role that does it is for all agents.
    pub fn bound_agents(&self, operation: Operation) -> Option<&[AgentId]> {
        let agents = self.agents.as_deref()?;
        let for_all = |role: &Role| *role == Role::Admin || (*role != Runtime && operation.row().roles.contains(role));
        if self.roles.iter().any(for_all) { None } else { Some(agents) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn principal(roles: &[Role], agents: Option<&[&str]>) -> Principal {
        Principal {
            key: None,
            name: "x".to_owned(),
            roles: roles.to_vec(),
            agents: agents.map(|ids| ids.iter().map(|id| AgentId::new(id).unwrap()).collect()),
            wait_until: None,
        }
    }

    #[test]
    fn the_table_is_the_contract() {
        let mut table = String::new();
        for row in OPERATIONS {
            assert_eq!(row, row.operation.row());
            write!(table, "{:<20}", row.name).unwrap();
            for role in Role::ALL {
                let may = principal(&[role], None).may(row.operation).is_ok();
                write!(table, " {}", if may { role.as_str() } else { "-" }).unwrap();
            }
            table.push('\n');
        }
        insta::assert_snapshot!(table);
    }

    /// The manual's table is this one: operations with the same roles share a row.
    #[test]
    fn the_manual_has_the_table() {
        let mut groups: Vec<(&[Role], Vec<String>)> = Vec::new();
        for row in OPERATIONS {
            let name = format!("`{}`", row.name);
            match groups.iter_mut().find(|(roles, _)| *roles == row.roles) {
                Some((_, names)) => names.push(name),
                None => groups.push((row.roles, vec![name])),
            }
        }
        let mut table = String::from("| operations | roles, besides `admin` |\n|---|---|\n");
        for (roles, names) in groups {
            let roles: Vec<String> = roles.iter().map(|role| format!("`{}`", role.as_str())).collect();
            let roles = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
            writeln!(table, "| {} | {roles} |", names.join(", ")).unwrap();
        }
        let manual = include_str!("../../docs/api.md");
        assert!(manual.contains(&table), "docs/api.md lacks this table:\n{table}");
    }

    #[test]
    fn nobody_without_roles_may_anything_and_an_auditor_changes_nothing() {
        for row in OPERATIONS {
            assert!(principal(&[], None).may(row.operation).is_err(), "{}", row.name);
            if principal(&[Auditor], None).may(row.operation).is_ok() {
                assert!(row.name.starts_with("read_") || row.name.starts_with("explain_"), "{}", row.name);
            }
        }
    }

    #[test]
    fn a_bound_key_speaks_for_its_agents_alone() {
        let (mine, other) = (AgentId::new("mine").unwrap(), AgentId::new("other").unwrap());
        let bound = principal(&[Runtime], Some(&["mine"]));
        assert!(bound.may_for(Operation::Admit, &mine).is_ok());
        assert_eq!(bound.may_for(Operation::Admit, &other), Err(Forbidden::Agent(other.clone())));
        assert_eq!(bound.may_for(Operation::EndPause, &mine), Err(Forbidden::Role(Operation::EndPause)));
        assert!(principal(&[Runtime], None).may_for(Operation::Admit, &other).is_ok());
        assert!(principal(&[Runtime], Some(&[])).may_for(Operation::Admit, &mine).is_err(), "bound to none is not all");

        let both = principal(&[Runtime, Auditor], Some(&["mine"]));
        assert!(both.may_for(Operation::ReadAdmissions, &other).is_ok(), "an auditor reads all");
        assert!(both.may_for(Operation::Admit, &other).is_err(), "and still acts for its own alone");
    }

    #[test]
    fn a_refusal_says_which_role_would_do() {
        let refusal = principal(&[Runtime], None).may(Operation::CreatePause).unwrap_err();
        assert_eq!(refusal.to_string(), "create_pause needs one of the roles operator, admin");
    }
}
