//! What can be asked of runs, and what it answers.

use super::{cancel, claim, report, retry, setup};
use crate::decide::command::{Admit, Answer, Context, Refusal};
use crate::registry::Actor;
use crate::runs::{
    CancelCategory, Connector, ConnectorStatus, EventRefusal, Reported, RetryRefusal, Run, Schedule, ScheduleSpec,
    Standing, Worker,
};
use crate::state::Draft;
use crate::vocabulary::{AdmissionId, AgentId, ConnectorId, IdempotencyKey, RunId, ScheduleId, WorkerId};
use std::sync::Arc;

/// What can be asked.
#[derive(Clone, Debug)]
pub enum RunCommand {
    /// Take what runtimes report, each on its own.
    Report(Vec<Reported>),
    /// Ask for a run's end.
    Cancel {
        /// Which.
        run: RunId,
        /// Why, by category.
        category: CancelCategory,
        /// Why, in words.
        reason: String,
        /// The revision of the run's item that was seen, where somebody goes by one.
        seen: Option<u64>,
    },
    /// End its attempt without its runtime's proof.
    ForceStop {
        /// Which.
        run: RunId,
        /// Why.
        reason: String,
        /// The revision of the run's item that was seen, where somebody goes by one.
        seen: Option<u64>,
    },
    /// Make another attempt.
    Retry(Box<RetryCommand>),
    /// Hand a queued attempt to a worker.
    Claim(ClaimCommand),
    /// Note how a connector is.
    PutConnector(ConnectorId, ConnectorStatus, Option<String>),
    /// Write a schedule.
    PutSchedule(ScheduleId, ScheduleSpec),
    /// Register a worker, or note that it is there.
    PutWorker(WorkerId, WorkerSpec),
}

impl RunCommand {
    /// Whether its batch must end behind it.
    pub fn ends_batch(&self) -> bool {
        matches!(self, Self::PutConnector(..))
    }

    /// For the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Report(_) => "run.report",
            Self::Cancel { .. } => "run.cancel",
            Self::ForceStop { .. } => "run.force_stop",
            Self::Retry(_) => "run.retry",
            Self::Claim(_) => "run.claim",
            Self::PutConnector(..) => "connector.put",
            Self::PutSchedule(..) => "schedule.put",
            Self::PutWorker(..) => "worker.put",
        }
    }
}

/// A retry as asked for, judged by policy.
#[derive(Clone, Debug)]
pub struct RetryCommand {
    /// Which run.
    pub run: RunId,
    /// The plan that was seen.
    pub plan_version: String,
    /// So that asking twice makes one attempt.
    pub key: IdempotencyKey,
    /// Keyed digest of the canonical body.
    pub body: String,
    /// Why.
    pub reason: String,
    /// The side effects that are acknowledged.
    pub acknowledge: Vec<String>,
    /// An admin lets it go on although the same step failed again.
    pub overridden: bool,
    /// The revision of the run's item that was seen, where somebody goes by one.
    pub seen: Option<u64>,
    /// The question, as what it would repeat.
    pub judged: Admit,
}

/// A worker's question for an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCommand {
    /// Who.
    pub worker: WorkerId,
    /// For which agents.
    pub agents: Vec<AgentId>,
    /// SHA-256 of the token that the lease will have, in hex.
    pub sha256: String,
    /// For how long a lease holds, in seconds.
    pub lease_s: u32,
}

/// What a worker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSpec {
    /// The agents that it works for.
    pub agents: Vec<AgentId>,
    /// How many attempts it takes at once.
    pub capacity: u32,
    /// Its version.
    pub version: Option<String>,
}

/// What became of one reported event.
#[derive(Clone, Debug, PartialEq)]
pub enum Reporting {
    /// It was taken.
    Taken {
        /// Its run.
        run: RunId,
        /// Its number there.
        number: u64,
        /// Its attempt.
        attempt: u32,
        /// How it stands to the run.
        standing: Standing,
        /// The run was cancelled: its runtime should stop, and prove it.
        cancelled: bool,
    },
    /// It was taken before.
    Repeated {
        /// Its run.
        run: RunId,
        /// Its number there.
        number: u64,
    },
    /// Another event of that source and id was taken before.
    Conflict,
    /// It is not taken.
    Refused(EventRefusal),
}

/// What a command got.
#[derive(Clone, Debug)]
pub enum RunAnswer {
    /// One outcome for each event, in order.
    Reported(Vec<Reporting>),
    /// The run as it stands now.
    Run(Arc<Run>),
    /// The attempt that was made, by this command or by an earlier one under the same key.
    Retried(Arc<Run>, u32),
    /// Policy or a budget denied the retry; that decision is recorded.
    RetryDenied(RetryRefusal, AdmissionId),
    /// The run whose latest attempt the worker has now, if there was one.
    Claimed(Option<Arc<Run>>),
    /// The connector as it stands now.
    Connector(Arc<Connector>),
    /// The schedule as it stands now.
    Schedule(Arc<Schedule>),
    /// The worker as it stands now.
    Worker(Arc<Worker>),
}

/// Decides one command.
pub(in crate::decide) fn decide(
    draft: &mut Draft<'_>,
    command: &RunCommand,
    actor: &Actor,
    ctx: &Context<'_>,
) -> Result<Answer, Refusal> {
    let answer = match command {
        RunCommand::Report(events) => report::report(draft, events, actor, ctx),
        RunCommand::Cancel { run, category, reason, seen } => {
            cancel::cancel(draft, run, *category, reason, *seen, actor, ctx)?
        }
        RunCommand::ForceStop { run, reason, seen } => cancel::force_stop(draft, run, reason, *seen, actor, ctx)?,
        RunCommand::Retry(command) => retry::retry(draft, command, actor, ctx)?,
        RunCommand::Claim(command) => claim::claim(draft, command, actor, ctx),
        RunCommand::PutConnector(id, status, detail) => {
            setup::put_connector(draft, id, *status, detail.as_deref(), actor, ctx)
        }
        RunCommand::PutSchedule(id, spec) => setup::put_schedule(draft, id, spec, actor, ctx)?,
        RunCommand::PutWorker(id, spec) => setup::put_worker(draft, id, spec, actor, ctx),
    };
    Ok(Answer::Run(Box::new(answer)))
}
