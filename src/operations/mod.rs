//! What the daemon can do, verb by verb, in one file for each thing that it is done to. The API, the console and the
//! command line call these, so nothing can be done on one face and not on another; each checks who asks by itself.

mod admit;
mod app;
mod attention;
mod budgets;
mod caps;
mod clock;
mod error;
mod holds;
mod keys;
mod policies;
mod policy_room;
mod recorded;
mod records;
mod registry;
mod roles;
mod runs;
mod schemas;
mod secret;
mod throttle;

pub use admit::{Admitted, admit, admit_batch};
pub use app::{App, RefusedSet};
pub use attention::*;
pub use budgets::{
    Applied, apply_budgets, budget, budget_usage, budgets, create_budget, delete_budget, raise_budget, replace_budget,
    withdraw_raise,
};
pub use caps::{CapUse, Caps, cap_uses};
pub use clock::confirm_clock;
pub use error::OperationError;
pub use holds::{extend_hold, hold, release_hold, settle_hold};
pub use keys::{KeyRequest, authenticate, create_key, create_key_with, keys, revoke_key};
pub use policies::{
    PolicySets, RefusedView, Taken, confirm_policy_set, note_not_taken, offer_tree, policy_report, policy_set,
    policy_sets, refused,
};
pub use policy_room::{Comparison, PolicyRoom};
pub use records::{admission, admissions, audit, explain_admission, inputs_of, newest_decisions, store_status};
pub use registry::{
    agent, agents, create_pause, delete_agent, delete_entity_type, end_pause, entity_type, entity_types, pauses,
    put_agent, put_entity_type, set_agent_mode,
};
pub use roles::{Forbidden, OPERATIONS, Operation, OperationRow, Principal};
pub use runs::{
    BudgetLeft, ClaimAsked, Claimed, Dispatching, Incoming, LARGEST_ARTIFACT, RetryAskedFor, RetryPreview, RunFilter,
    RunView, artifact_content, cancel_run, claim_attempt, connector, connectors, force_stop, list_runs, put_connector,
    put_schedule, put_worker, report_events, retry_plan, retry_run, run_events, schedule, schedules, show_run, worker,
    workers,
};
pub use schemas::Schemas;
pub use secret::{LONGEST_SECRET, SHORTEST_SECRET, Secret, SecretError, sha256};
pub use throttle::{Allowance, Place, Spent, Throttle, Throttled};
