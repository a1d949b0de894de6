//! Runs: what runtimes report and claim, what operators see and do.

mod act;
mod artifact;
mod claim;
mod report;
mod retry;
mod setup;
mod show;
mod version;

pub(super) use act::of_run;
pub use act::{cancel_run, force_stop};
pub use artifact::{LARGEST_ARTIFACT, artifact_content};
pub use claim::{ClaimAsked, Claimed, claim_attempt};
pub use report::{Incoming, report_events};
pub use retry::{RetryAskedFor, RetryPreview, retry_plan, retry_run};
pub(super) use retry::{judged, of_answer};
pub use setup::{connector, connectors, put_connector, put_schedule, put_worker, schedule, schedules, worker, workers};
pub use show::{BudgetLeft, Dispatching, RunFilter, RunView, list_runs, run_events, show_run};
pub(super) use show::{dispatching, visible};
pub(super) use version::versions;
