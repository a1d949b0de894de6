//! What is asked next, drawn at random.

use super::machine::Machine;
use super::random::Random;
use super::reference::{Facts, Reference, UNIT};
use crate::admission::{Action, Entity, Judged, Kind, Request, RunRef};
use crate::attention::{Act, ResolutionCategory};
use crate::budget::{BudgetSpec, Window};
use crate::decide::{
    Admit, BudgetEdit, ClaimCommand, Command, Envelope, HoldCommand, ItemCommand, KeyCommand, NewKey, PolicyVerdict,
    RaiseCommand, RegistryCommand, RetryCommand, RunCommand, WorkerSpec, plan_of,
};
use crate::registry::{Actor, AgentSpec, EntityTypeSpec, Mode, ModeSpec, PauseTarget, Role};
use crate::runs::{
    AttemptState, CancelCategory, ConnectorStatus, Dispatch, Opening, Report, Reported, Run, RunError, ScheduleSpec,
};
use crate::state::{Draft, State};
use crate::vocabulary::{Amount, Balance, Code, HoldId, Reason, RunId, Unit};
use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// A command on its way, and what the reference has to know of it.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) envelope: Envelope,
    pub(super) what: What,
}

#[derive(Clone)]
pub(super) enum What {
    Admit(Box<Admission>),
    Settle(usize, BTreeMap<&'static str, i128>),
    Release(usize),
    Extend(usize, u32),
    Events,
    Retry(RunId, String),
    Cancel(RunId),
    /// An edit whose answer says what stands now.
    Edit,
    Other,
}

#[derive(Clone)]
pub(super) struct Admission {
    pub(super) facts: Facts,
    pub(super) key: String,
    pub(super) connectors: Vec<String>,
    /// Policy says no.
    pub(super) denied: bool,
    /// It was judged under another policy set.
    pub(super) stale: bool,
    pub(super) ttl_s: u32,
}

const AGENTS: [&str; 4] = ["a", "b", "c", "d"];
const TYPES: [&str; 2] = ["rfq", "order"];
const ACTIONS: [&str; 3] = ["draft", "send", "run_step"];
const CONNECTORS: [&str; 2] = ["erp", "mail"];
const CODES: [&str; 4] = ["timeout", "missing_data", "policy_rejected", "odd_thing"];

/// The budgets that every life begins with; their limits bind now and then.
pub(super) fn budgets() -> Vec<Value> {
    vec![
        json!({"id": "all-day", "unit": "usd", "limit": "400", "window": {"kind": "day"}, "alert_at_percent": [50, 80, 100]}),
        json!({"id": "agent-hour", "unit": "usd", "limit": "20", "window": {"kind": "hour"}, "each": ["agent"]}),
        json!({"id": "a-life", "unit": "usd", "limit": "900", "window": {"kind": "lifetime"}, "scope": {"agent": "a"}, "alert_at_percent": [90]}),
        json!({"id": "run-tokens", "unit": "tokens", "limit": "80", "window": {"kind": "lifetime"}, "each": ["run"], "scope": {"action": "run_step"}}),
        json!({"id": "roll", "unit": "usd", "limit": "45", "window": {"kind": "rolling", "length_s": 3600}}),
        json!({"id": "counted", "unit": "usd", "limit": "90", "window": {"kind": "day"}, "scope": {"agent": "b"}, "count_unsettled": true}),
        json!({"id": "calls-hour", "unit": "calls", "limit": "50", "window": {"kind": "hour"}, "scope": {"agent": "c"}}),
        json!({"id": "soft", "unit": "calls", "limit": "30", "window": {"kind": "day"}, "enforcement": "soft", "alert_at_percent": [50, 100]}),
        json!({"id": "team", "unit": "usd", "limit": "120", "window": {"kind": "day"}, "scope": {"team": "sales"}}),
        json!({"id": "estimated", "unit": "tokens", "limit": "4000", "window": {"kind": "day"}, "scope": {"entity_type": "order"}, "require_estimate": true}),
    ]
}

pub(super) fn envelope(command: Command) -> Envelope {
    Envelope { command, actor: Actor { key: Some("mia".parse().unwrap()), name: "Mia".to_owned() } }
}

fn amount(nanos: i128) -> Amount {
    let nanos = u64::try_from(nanos).unwrap();
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000).parse().unwrap()
}

/// Draws what is asked.
pub(super) struct Asks {
    pub(super) random: Random,
    asked: u64,
    /// Leases by run.
    leases: HashMap<RunId, String>,
    recent_keys: Vec<Sent>,
    recent_events: Vec<Reported>,
}

impl Asks {
    pub(super) fn new(random: Random) -> Self {
        Self { random, asked: 0, leases: HashMap::new(), recent_keys: Vec::new(), recent_events: Vec::new() }
    }

    fn number(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// One batch: whatever ends one comes last.
    pub(super) fn batch(&mut self, machine: &Machine, reference: &Reference) -> Vec<Sent> {
        let count = 1 + self.random.index(8);
        let mut sent: Vec<Sent> = Vec::new();
        while sent.len() < count && sent.last().is_none_or(|last| !last.envelope.command.ends_batch()) {
            let now = machine.now();
            let trusted = machine.trusts_the_clock();
            sent.extend(machine.state(|state| self.one(state, reference, now, trusted)));
        }
        sent
    }

    fn one(&mut self, state: &State, reference: &Reference, now: Timestamp, trusted: bool) -> Option<Sent> {
        let plain = |command| Some(Sent { envelope: envelope(command), what: What::Other });
        let edit = |command| Some(Sent { envelope: envelope(command), what: What::Edit });
        match self.random.below(100) {
            0..=39 if trusted => Some(self.admission(state)),
            0..=39 => None,
            40..=57 => self.settle(reference),
            58..=60 => {
                let place = self.hold(reference)?;
                let command = Command::Hold(reference.holds[place].id.clone(), HoldCommand::Release("r".to_owned()));
                Some(Sent { envelope: envelope(command), what: What::Release(place) })
            }
            61..=63 => {
                let (place, ttl_s) = (self.hold(reference)?, self.ttl());
                let command = Command::Hold(reference.holds[place].id.clone(), HoldCommand::Extend(ttl_s));
                Some(Sent { envelope: envelope(command), what: What::Extend(place, ttl_s) })
            }
            64..=80 => Some(self.events(state)),
            81..=82 => self.retry(state),
            83 => {
                let run = self.run(state, |_| true)?.id.clone();
                let (category, reason) = (CancelCategory::Noise, "n".to_owned());
                let command = Command::Run(RunCommand::Cancel { run: run.clone(), category, reason, seen: None });
                Some(Sent { envelope: envelope(command), what: What::Cancel(run) })
            }
            84 => {
                let run = self.run(state, Run::is_alive)?.id.clone();
                plain(Command::Run(RunCommand::ForceStop { run, reason: "s".to_owned(), seen: None }))
            }
            85..=86 => {
                let n = self.number();
                let agents = AGENTS.map(|agent| agent.parse().unwrap()).to_vec();
                let worker = format!("w{}", n % 3).parse().unwrap();
                let claim = ClaimCommand { worker, agents, sha256: format!("lease-{n}"), lease_s: 300 };
                plain(Command::Run(RunCommand::Claim(claim)))
            }
            87 => {
                let spec = WorkerSpec {
                    agents: AGENTS.map(|agent| agent.parse().unwrap()).to_vec(),
                    capacity: 1 + u32::try_from(self.random.below(5)).unwrap(),
                    version: None,
                };
                let worker = format!("w{}", self.random.below(3)).parse().unwrap();
                plain(Command::Run(RunCommand::PutWorker(worker, spec)))
            }
            88..=90 => self.item(state, now),
            91..=92 => self.raise(reference, now),
            93 => self.withdraw(reference, now),
            94 => edit(self.budget(reference)?),
            95 => edit(self.pause(reference, now)?),
            96 => edit(self.registry(now)),
            97 => {
                let status = if self.random.percent(40) { ConnectorStatus::Down } else { ConnectorStatus::Up };
                let id = CONNECTORS[self.random.index(2)].parse().unwrap();
                edit(Command::Run(RunCommand::PutConnector(id, status, None)))
            }
            98 => self.delivery(state, now),
            _ => plain(self.rare(state)),
        }
    }

    fn ttl(&mut self) -> u32 {
        let most = if self.random.percent(10) { 86_400 } else { 3_600 };
        1 + u32::try_from(self.random.below(most)).unwrap()
    }

    /// Runs of an agent come and go.
    fn run_name(&mut self, agent: &str) -> String {
        format!("{agent}-{}", self.asked / 400 + self.random.below(8))
    }

    fn admission(&mut self, state: &State) -> Sent {
        if self.random.percent(14)
            && let Some(old) = self.random.pick(&self.recent_keys).cloned()
        {
            return self.again(old, state);
        }
        let agent = AGENTS[self.random.index(4)].to_owned();
        let action = ACTIONS[self.random.index(3)];
        let entity_type = self.random.percent(60).then(|| TYPES[self.random.index(2)]);
        let run = (action == "run_step" || self.random.percent(30)).then(|| self.run_name(&agent));
        let run = run.filter(|_| self.random.percent(97));
        let usd = self.random.percent(80).then(|| i128::from(self.random.below(60)) * UNIT / 100);
        let tokens = self.random.percent(60).then(|| i128::from(self.random.below(20)) * UNIT);
        let facts = Facts { agent: agent.clone(), action, entity_type, run: run.clone(), usd, tokens };
        let connectors: Vec<String> = if self.random.percent(15) { vec!["erp".to_owned()] } else { Vec::new() };
        let (denied, stale, ttl_s) = (self.random.percent(5), self.random.percent(1), self.ttl());
        let key = format!("k{}", self.number());
        let attempt = run.as_ref().map(|run| self.attempt(state, run));
        let request = Request {
            idempotency_key: Some(key.parse().unwrap()),
            kind: Kind::Action,
            agent: agent.parse().unwrap(),
            action: Action { name: action.parse().unwrap(), properties: serde_json::Map::new() },
            entity: entity_type.map(|kind| Entity {
                kind: kind.parse().unwrap(),
                id: "17".parse().unwrap(),
                properties: serde_json::Map::new(),
            }),
            run: run.map(|run| {
                let id: RunId = run.parse().unwrap();
                let lease = self.leases.get(&id).cloned();
                RunRef { id, attempt: attempt.unwrap_or(1), step: Some("s".parse().unwrap()), lease }
            }),
            estimate: [("usd", usd), ("tokens", tokens)]
                .into_iter()
                .filter_map(|(unit, nanos)| Some((unit.parse::<Unit>().unwrap(), amount(nanos?))))
                .collect(),
            connectors: connectors.clone(),
            context: serde_json::Map::new(),
            hold_ttl_s: ttl_s,
            dry_run: false,
        };
        let reasons = if denied {
            vec![Reason::of(Code::NotPermitted, "No.", format!("policy:agents/{agent}.rego"))]
        } else {
            Vec::new()
        };
        let mut ask = Admit {
            body: format!("{facts:?} {ttl_s}"),
            judged: judged(state, &request),
            request,
            verdict: PolicyVerdict { reasons, warnings: Vec::new() },
            input: RawValue::from_string(json!({"kind": "action"}).to_string()).unwrap(),
            replayable: true,
        };
        if stale {
            ask.judged.policy_set = "sha256:stale".to_owned();
        }
        let admission = Admission { facts, key, connectors, denied, stale, ttl_s };
        let sent = Sent { envelope: envelope(Command::Admit(Box::new(ask))), what: What::Admit(Box::new(admission)) };
        if self.recent_keys.len() < 400 {
            self.recent_keys.push(sent.clone());
        } else {
            let place = self.random.index(400);
            self.recent_keys[place] = sent.clone();
        }
        sent
    }

    fn attempt(&mut self, state: &State, run: &str) -> u32 {
        let latest = state.runs().run(&run.parse().unwrap()).map_or(1, |run| run.latest_number());
        latest + u32::from(self.random.percent(3))
    }

    /// An old question, mostly word for word.
    fn again(&mut self, mut old: Sent, state: &State) -> Sent {
        rejudged(&mut old, state);
        if self.random.percent(15)
            && let Command::Admit(ask) = &mut old.envelope.command
        {
            ask.body.push('!');
        }
        old
    }

    fn hold(&mut self, reference: &Reference) -> Option<usize> {
        let count = reference.holds.len();
        // mostly of the last ones, sometimes any
        let within = if self.random.percent(80) { count.min(60) } else { count };
        (count > 0).then(|| count - 1 - self.random.index(within))
    }

    fn settle(&mut self, reference: &Reference) -> Option<Sent> {
        let place = self.hold(reference)?;
        let actual = BTreeMap::from([
            ("usd", i128::from(self.random.below(70)) * UNIT / 100),
            ("tokens", i128::from(self.random.below(25)) * UNIT),
        ]);
        let kept = &reference.holds[place];
        let again = !kept.actual.is_empty() && self.random.percent(50);
        let actual = if again { kept.actual.clone() } else { actual };
        let amounts = actual.iter().map(|(unit, nanos)| (unit.parse().unwrap(), amount(*nanos))).collect();
        let command = Command::Hold(kept.id.clone(), HoldCommand::Settle(amounts));
        Some(Sent { envelope: envelope(command), what: What::Settle(place, actual) })
    }

    fn run<'a>(&mut self, state: &'a State, fits: impl Fn(&Run) -> bool) -> Option<&'a Run> {
        let runs: Vec<&Run> =
            state.runs().back(None, None).take(60).map(|run| &**run).filter(|run| fits(run)).collect();
        self.random.pick(&runs).copied()
    }

    fn events(&mut self, state: &State) -> Sent {
        let events: Vec<Reported> = (0..=self.random.index(3)).map(|_| self.event(state)).collect();
        Sent { envelope: envelope(Command::Run(RunCommand::Report(events))), what: What::Events }
    }

    fn event(&mut self, state: &State) -> Reported {
        if self.random.percent(12)
            && let Some(old) = self.random.pick(&self.recent_events).cloned()
        {
            return old;
        }
        let agent = AGENTS[self.random.index(4)];
        let run: RunId = self.run_name(agent).parse().unwrap();
        let id = format!("e{}", self.number());
        let code = CODES[self.random.index(4)].to_owned();
        let error = RunError { code, message: "It broke.".to_owned(), details: None };
        let report = match self.random.below(24) {
            0..=2 => {
                let dispatch = if self.random.percent(50) { Dispatch::Claim } else { Dispatch::External };
                Report::Queued(Box::new(Opening { dispatch, ..Opening::default() }))
            }
            3..=6 => {
                let schedule = self.random.percent(10).then(|| "hourly".parse().unwrap());
                Report::Started(Box::new(Opening { schedule, ..Opening::default() }))
            }
            7..=10 => Report::Heartbeat,
            11..=12 => Report::StepStarted,
            13..=14 => Report::StepCompleted,
            15 => Report::Acknowledged,
            16 => Report::CheckpointSaved { id: id.parse().unwrap(), note: None, has_state: false },
            17..=19 => Report::Failed(error),
            20 => Report::Blocked(error),
            21 => Report::Cancelled,
            22 => Report::StepFailed(Some(error)),
            _ => Report::Completed,
        };
        let lease = self.leases.get(&run).cloned();
        let attempt = self.random.percent(60).then(|| self.attempt(state, run.as_str()));
        let body = format!("body of {id}");
        let reported = Reported {
            source: "sim".to_owned(),
            id,
            time: None,
            run,
            agent: Some(agent.parse().unwrap()),
            attempt,
            lease,
            worker: None,
            step: Some("s".parse().unwrap()),
            report,
            data: Value::Null,
            body,
        };
        if self.recent_events.len() < 100 {
            self.recent_events.push(reported.clone());
        } else {
            let place = self.random.index(100);
            self.recent_events[place] = reported.clone();
        }
        reported
    }

    /// A worker has this run's attempt now.
    pub(super) fn claimed(&mut self, run: &Run) {
        if let Some(lease) = run.latest().and_then(|attempt| attempt.lease.as_ref()) {
            self.leases.insert(run.id.clone(), lease.sha256.clone());
        }
    }

    fn retry(&mut self, state: &State) -> Option<Sent> {
        let stopped = |run: &Run| matches!(run.status(), AttemptState::Failed | AttemptState::Blocked);
        let run = self.run(state, stopped)?;
        let plan = plan_of(&Draft::new(state), run);
        let key = format!("r{}", self.number());
        let request = Request {
            idempotency_key: Some(key.parse().unwrap()),
            kind: Kind::Retry,
            agent: run.agent.clone(),
            action: Action { name: "start_run".parse().unwrap(), properties: serde_json::Map::new() },
            entity: None,
            run: Some(RunRef { id: run.id.clone(), attempt: run.latest_number(), step: None, lease: None }),
            estimate: BTreeMap::new(),
            connectors: Vec::new(),
            context: serde_json::Map::new(),
            hold_ttl_s: 600,
            dry_run: false,
        };
        let command = RetryCommand {
            run: run.id.clone(),
            plan_version: plan.version,
            key: key.parse().unwrap(),
            body: key.clone(),
            reason: "again".to_owned(),
            acknowledge: plan.side_effects.into_iter().map(|effect| effect.id).collect(),
            overridden: self.random.percent(60),
            seen: None,
            judged: Admit {
                body: key.clone(),
                judged: judged(state, &request),
                request,
                verdict: PolicyVerdict::default(),
                input: RawValue::from_string(json!({"kind": "retry"}).to_string()).unwrap(),
                replayable: true,
            },
        };
        let what = What::Retry(run.id.clone(), key);
        Some(Sent { envelope: envelope(Command::Run(RunCommand::Retry(Box::new(command)))), what })
    }

    fn item(&mut self, state: &State, now: Timestamp) -> Option<Sent> {
        let items: Vec<_> = state.attention().unresolved(None).take(40).collect();
        let item = *self.random.pick(&items)?;
        let later = now + SignedDuration::from_hours(2);
        let act = match self.random.below(10) {
            0..=4 => {
                let due_at = self.random.percent(50).then_some(later);
                Act::Assign { owner: format!("p{}", self.random.below(5)), due_at, fix: None }
            }
            5..=6 => Act::Snooze { until: later },
            7 => Act::Escalate { to: "boss".to_owned() },
            _ => Act::Resolve { category: ResolutionCategory::Noise, reason: "n".to_owned() },
        };
        let command = ItemCommand::Act { id: item.id.clone(), act, reason: None, revision: Some(item.revision) };
        Some(Sent { envelope: envelope(Command::Item(command)), what: What::Edit })
    }

    fn delivery(&mut self, state: &State, now: Timestamp) -> Option<Sent> {
        let id = state.attention().deliveries().due(now).next()?.id.clone();
        let outcome = if self.random.percent(60) { Ok(()) } else { Err("refused".to_owned()) };
        Some(Sent { envelope: envelope(Command::Delivered { id, outcome }), what: What::Other })
    }

    fn raise(&mut self, reference: &Reference, _now: Timestamp) -> Option<Sent> {
        let alive: Vec<_> = reference.budgets.values().filter(|budget| budget.deleted_at.is_none()).collect();
        let budget = *self.random.pick(&alive)?;
        let key = format!("raise{}", self.number());
        let each = !budget.spec.each.is_empty();
        let all = each && (budget.spec.each[0].as_str() == "run" || self.random.percent(40));
        let more = i128::from(self.random.below(40)) * UNIT;
        let raise = RaiseCommand {
            budget: budget.id().clone(),
            limit: Balance::from_nanos(budget.spec.limit.nanos() + more),
            account: (each && !all).then(|| "agent=a".to_owned()),
            all,
            reason: "x".to_owned(),
            evidence: None,
            ends_at: None,
            permanent: matches!(budget.spec.window, Window::Lifetime),
            key: key.parse().unwrap(),
            body: key,
        };
        Some(Sent { envelope: envelope(Command::Budget(BudgetEdit::Raise(raise))), what: What::Edit })
    }

    fn withdraw(&mut self, reference: &Reference, now: Timestamp) -> Option<Sent> {
        let in_force =
            reference.raises.iter().flat_map(|(budget, raises)| raises.iter().map(move |raise| (budget, raise)));
        let in_force: Vec<_> = in_force.filter(|(_, raise)| raise.in_force(now)).collect();
        let (budget, raise) = *self.random.pick(&in_force)?;
        let edit = BudgetEdit::Withdraw(budget.parse().unwrap(), raise.id.clone(), "w".to_owned());
        Some(Sent { envelope: envelope(Command::Budget(edit)), what: What::Edit })
    }

    fn budget(&mut self, reference: &Reference) -> Option<Command> {
        let extra = |id: &str| id.starts_with("extra-");
        let spec = |fields: Value| -> BudgetSpec { serde_json::from_value(fields).unwrap() };
        Some(Command::Budget(match self.random.below(4) {
            0 => {
                let agent = AGENTS[self.random.index(4)];
                BudgetEdit::Create(spec(json!({"id": format!("extra-{}", self.number()), "unit": "usd",
                    "limit": self.random.below(30).to_string(), "window": {"kind": "hour"}, "scope": {"agent": agent}})))
            }
            1 => {
                let old: Vec<_> = reference.budgets.values().filter(|old| extra(old.id().as_str())).collect();
                BudgetEdit::Delete(self.random.pick(&old)?.id().clone(), None)
            }
            _ => {
                let all: Vec<_> = reference.budgets.values().collect();
                let old = *self.random.pick(&all)?;
                let part = 80 + i128::from(self.random.below(41));
                let limit = Balance::from_nanos(old.spec.limit.nanos() / 100 * part);
                BudgetEdit::Replace(BudgetSpec { limit, ..old.spec.clone() }, None)
            }
        }))
    }

    fn pause(&mut self, reference: &Reference, now: Timestamp) -> Option<Command> {
        if reference.pauses.len() > 1 || self.random.percent(50) {
            let ids: Vec<&String> = reference.pauses.keys().collect();
            let id = self.random.pick(&ids)?.parse().unwrap();
            return Some(Command::Registry(RegistryCommand::EndPause(id)));
        }
        let target = match self.random.below(4) {
            0 => PauseTarget::Agent(AGENTS[self.random.index(4)].parse().unwrap()),
            1 => PauseTarget::Action("send".parse().unwrap()),
            2 => PauseTarget::EntityType("rfq".parse().unwrap()),
            _ => PauseTarget::Team("sales".parse().unwrap()),
        };
        let ends_at = self.random.percent(60).then(|| now + SignedDuration::from_mins(10));
        Some(Command::Registry(RegistryCommand::Pause { target, reason: "p".to_owned(), ends_at }))
    }

    fn registry(&mut self, now: Timestamp) -> Command {
        let agent = AGENTS[self.random.index(4)].parse().unwrap();
        Command::Registry(match self.random.below(6) {
            0..=2 => {
                let team = self.random.percent(60).then(|| "sales".parse().unwrap());
                let owner = Some(format!("p{}", self.random.below(4)));
                RegistryCommand::PutAgent(agent, AgentSpec { team, owner, ..AgentSpec::default() })
            }
            3 => RegistryCommand::RemoveAgent(agent),
            4 => {
                let ends_at = Some(now + SignedDuration::from_hours(1));
                let (mode, ends_at) =
                    if self.random.percent(50) { (Mode::Observe, ends_at) } else { (Mode::Enforce, None) };
                RegistryCommand::SetMode(agent, ModeSpec { mode, reason: "m".to_owned(), ends_at })
            }
            _ => {
                let description = Some(format!("d{}", self.random.below(3)));
                let kind = TYPES[self.random.index(2)].parse().unwrap();
                RegistryCommand::PutEntityType(kind, EntityTypeSpec { description, ..EntityTypeSpec::default() })
            }
        })
    }

    fn rare(&mut self, state: &State) -> Command {
        let n = self.number();
        match self.random.below(5) {
            0 => Command::PublishPolicySet { digest: format!("sha256:{n}"), reason: None },
            1 => Command::NoteSeed { file: "budgets.toml".to_owned(), sha256: n.to_string() },
            2 => {
                let keys: Vec<_> = state.api_keys().filter(|key| key.revoked_at.is_none()).skip(1).collect();
                match self.random.pick(&keys) {
                    Some(key) => Command::Key(KeyCommand::Revoke(key.id.clone())),
                    None => Command::Tick,
                }
            }
            3 => Command::Key(KeyCommand::Create(NewKey {
                id: format!("key-{n}").parse().unwrap(),
                holder: "Mia".to_owned(),
                roles: vec![Role::Admin],
                agents: None,
                sha256: n.to_string(),
            })),
            _ => {
                let spec = ScheduleSpec {
                    agent: "a".parse().unwrap(),
                    title: None,
                    cron: format!("{} * * * *", n % 60),
                    time_zone: "UTC".to_owned(),
                    paused: self.random.percent(30),
                    grace_s: 60,
                };
                Command::Run(RunCommand::PutSchedule("hourly".parse().unwrap(), spec))
            }
        }
    }
}

/// The versions that it is judged under now.
fn judged(state: &State, request: &Request) -> Judged {
    Judged {
        policy_set: state.policy_set().unwrap().digest.clone(),
        agent_revision: state.agent_revision(&request.agent),
        entity_type_revision: request.entity.as_ref().map_or(0, |entity| state.entity_type_revision(&entity.kind)),
        policy_profile: None,
    }
}

/// The same question, judged again under what is in force now.
pub(super) fn rejudged(sent: &mut Sent, state: &State) {
    match &mut sent.envelope.command {
        Command::Admit(ask) => ask.judged = judged(state, &ask.request),
        Command::Run(RunCommand::Retry(retry)) => retry.judged.judged = judged(state, &retry.judged.request),
        _ => {}
    }
    if let What::Admit(admission) = &mut sent.what {
        admission.stale = false;
    }
}

/// The hold that an answer names.
pub(super) fn hold_id(answer: &Value) -> Option<HoldId> {
    answer["hold"]["id"].as_str().map(|id| id.parse().unwrap())
}
