//! Connectors, schedules and workers on the wire.

use super::claim::agents;
use super::registry::ActorAnswer;
use crate::decide::WorkerSpec;
use crate::http::check::Check;
use crate::http::extract::RequestBody;
use crate::http::problem::Problem;
use crate::runs::{Connector, ConnectorStatus, Schedule, ScheduleSpec, Worker};
use crate::vocabulary::AgentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const USUAL_GRACE_S: u32 = 600;
const LONGEST_GRACE_S: u32 = 24 * 3600;
const MOST_CAPACITY: u32 = 10_000;

/// How a connector is.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorStatusBody {
    /// It works.
    Up,
    /// It works badly; nothing is denied for it.
    Degraded,
    /// It does not work: what needs it is denied.
    Down,
}

/// How a connector is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ConnectorRequest, example = json!({"status": "down", "detail": "The ERP is being upgraded until 18:00."}))]
pub struct ConnectorBody {
    /// How it is.
    pub status: ConnectorStatusBody,
    /// In words.
    pub detail: Option<String>,
}

impl RequestBody for ConnectorBody {}

impl ConnectorBody {
    /// Status and detail.
    pub fn asked(self) -> Result<(ConnectorStatus, Option<String>), Problem> {
        let mut check = Check::new("");
        if let Some(detail) = &self.detail {
            check.text("/detail", detail, 2_000);
        }
        let status = match self.status {
            ConnectorStatusBody::Up => ConnectorStatus::Up,
            ConnectorStatusBody::Degraded => ConnectorStatus::Degraded,
            ConnectorStatusBody::Down => ConnectorStatus::Down,
        };
        check.finish(Some((status, self.detail)))
    }
}

/// A connector.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Connector)]
pub struct ConnectorAnswer {
    /// Its id.
    #[schema(example = "erp")]
    pub id: String,
    /// `up`, `degraded` or `down`.
    #[schema(example = "down")]
    pub status: &'static str,
    /// In words.
    pub detail: Option<String>,
    /// Since when it has had this status.
    pub since: String,
    /// Who reported it last.
    pub by: ActorAnswer,
    /// When.
    pub updated_at: String,
}

impl From<&Connector> for ConnectorAnswer {
    fn from(connector: &Connector) -> Self {
        Self {
            id: connector.id.to_string(),
            status: connector.status.as_str(),
            detail: connector.detail.clone(),
            since: connector.since.to_string(),
            by: (&connector.by).into(),
            updated_at: connector.updated_at.to_string(),
        }
    }
}

/// A schedule: when somebody outside starts runs.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = ScheduleRequest, example = json!({"agent": "rfq-draft", "cron": "0 9 * * mon-fri", "time_zone": "America/New_York"}))]
pub struct ScheduleBody {
    /// Whose runs it starts.
    pub agent: String,
    /// What it is for.
    pub title: Option<String>,
    /// Minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// The IANA time zone that it is meant in; UTC where it is not said.
    pub time_zone: Option<String>,
    /// Nothing is due while it is paused.
    pub paused: Option<bool>,
    /// How late a start may be, in seconds.
    #[schema(minimum = 1, maximum = 86400, default = 600)]
    pub grace_s: Option<u32>,
}

impl RequestBody for ScheduleBody {}

impl ScheduleBody {
    /// What is written.
    pub fn spec(self) -> Result<ScheduleSpec, Problem> {
        let mut check = Check::new("");
        let agent = check.parse::<AgentId>("/agent", &self.agent);
        if let Some(title) = &self.title {
            check.text("/title", title, 500);
        }
        check.text("/cron", &self.cron, 200);
        let grace_s = self.grace_s.unwrap_or(USUAL_GRACE_S);
        if !(1..=LONGEST_GRACE_S).contains(&grace_s) {
            check.fault("/grace_s", format_args!("must be from 1 to {LONGEST_GRACE_S}"));
        }
        let spec = agent.map(|agent| ScheduleSpec {
            agent,
            title: self.title,
            cron: self.cron,
            time_zone: self.time_zone.unwrap_or_else(|| "UTC".to_owned()),
            paused: self.paused.unwrap_or(false),
            grace_s,
        });
        check.finish(spec)
    }
}

/// Starts that never came.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = MissedStarts)]
pub struct MissedAnswer {
    /// When the first of them was due.
    pub due: String,
    /// When the latest was.
    pub latest: String,
    /// How many in a row.
    pub count: u32,
    /// When the first was noticed.
    pub noticed_at: String,
}

/// A schedule.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleAnswer {
    /// Its id.
    pub id: String,
    /// Whose runs it starts.
    pub agent: String,
    /// What it is for.
    pub title: Option<String>,
    /// Minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// The zone that it is meant in.
    pub time_zone: String,
    /// Nothing is due while it is paused.
    pub paused: bool,
    /// How late a start may be, in seconds.
    pub grace_s: u32,
    /// When the next start is due.
    pub next_due: Option<String>,
    /// When it last started a run.
    pub last_fired: Option<String>,
    /// Which run that was.
    pub last_run: Option<String>,
    /// Starts that never came, since the last one that did.
    pub missed: Option<MissedAnswer>,
    /// When it was last written.
    pub updated_at: String,
}

impl From<&Schedule> for ScheduleAnswer {
    fn from(schedule: &Schedule) -> Self {
        let spec = &schedule.spec;
        Self {
            id: schedule.id.to_string(),
            agent: spec.agent.to_string(),
            title: spec.title.clone(),
            cron: spec.cron.clone(),
            time_zone: spec.time_zone.clone(),
            paused: spec.paused,
            grace_s: spec.grace_s,
            next_due: schedule.next_due.map(|at| at.to_string()),
            last_fired: schedule.last_fired.map(|at| at.to_string()),
            last_run: schedule.last_run.as_ref().map(ToString::to_string),
            missed: schedule.missed.as_ref().map(|missed| MissedAnswer {
                due: missed.due.to_string(),
                latest: missed.latest.to_string(),
                count: missed.count,
                noticed_at: missed.noticed_at.to_string(),
            }),
            updated_at: schedule.updated_at.to_string(),
        }
    }
}

/// A worker.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = WorkerRequest, example = json!({"agents": ["rfq-draft"], "capacity": 4, "version": "2.1.0"}))]
pub struct WorkerBody {
    /// The agents that it works for.
    pub agents: Vec<String>,
    /// How many attempts it takes at once.
    #[schema(minimum = 1, maximum = 10000, default = 1)]
    pub capacity: Option<u32>,
    /// Its version.
    pub version: Option<String>,
}

impl RequestBody for WorkerBody {}

impl WorkerBody {
    /// What is written.
    pub fn spec(self) -> Result<WorkerSpec, Problem> {
        let mut check = Check::new("");
        if self.agents.is_empty() {
            check.fault("/agents", "must name an agent");
        }
        let agents = agents(self.agents, &mut check);
        let capacity = self.capacity.unwrap_or(1);
        if !(1..=MOST_CAPACITY).contains(&capacity) {
            check.fault("/capacity", format_args!("must be from 1 to {MOST_CAPACITY}"));
        }
        if let Some(version) = &self.version {
            check.text("/version", version, 200);
        }
        check.finish(Some(WorkerSpec { agents, capacity, version: self.version }))
    }
}

/// A worker.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub struct WorkerAnswer {
    /// Its id.
    pub id: String,
    /// The agents that it works for.
    pub agents: Vec<String>,
    /// How many attempts it takes at once.
    pub capacity: u32,
    /// How many it holds.
    pub held: usize,
    /// Its version.
    pub version: Option<String>,
    /// When it was first seen.
    pub first_seen: String,
    /// When it was last seen; to about half a minute.
    pub last_seen: String,
    /// It has not been seen for so long that nothing is expected of it.
    pub gone: bool,
}

impl WorkerAnswer {
    /// A worker that holds so many attempts.
    pub fn of(worker: &Worker, held: usize, gone: bool) -> Self {
        Self {
            id: worker.id.to_string(),
            agents: worker.agents.iter().map(ToString::to_string).collect(),
            capacity: worker.capacity,
            held,
            version: worker.version.clone(),
            first_seen: worker.first_seen.to_string(),
            last_seen: worker.last_seen.to_string(),
            gone,
        }
    }
}
