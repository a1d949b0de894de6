//! Every route once: method, path and the operation behind it. Routing, `Allow`, `OpenAPI`'s roles and the test of
//! authorization go by this table.

use super::super::problem::{Problem, ProblemCode};
use super::super::{docs, metrics};
use super::{
    admissions, attempt_diff, attention, budgets, events, holds, keys, pauses, policies, registry, runs, setup, stream,
    system,
};
use crate::operations::{Forbidden, Operation, Principal};
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, Resource, guard, web};

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it does; `None` for what is open to all.
    pub operation: Option<Operation>,
}

macro_rules! routes {
    ($($path:literal: $($method:ident $handler:path = $operation:expr),+;)*) => {
        /// The table.
        pub const ROUTES: &[Route] = &[$($(Route { method: stringify!($method), path: $path, operation: $operation },)+)*];

        /// Registers every route.
        pub fn configure(config: &mut web::ServiceConfig) {
            $(
                let resource = web::resource($path);
                $( let resource = resource.route(route(stringify!($method)).to($handler)); )+
                config.service(refuse_others(resource, &[$(stringify!($method)),+]));
            )*
        }
    };
}

use Operation as Op;

routes! {
    "/api/v1/admissions": GET admissions::list_admissions = Some(Op::ReadAdmissions), POST admissions::admit = Some(Op::Admit);
    "/api/v1/admissions/batch": POST admissions::admit_batch = Some(Op::Admit);
    "/api/v1/admissions/{id}": GET admissions::read_admission = Some(Op::ReadAdmissions);
    "/api/v1/holds/{id}": GET holds::read_hold = Some(Op::ReadHold);
    "/api/v1/holds/{id}/settle": POST holds::settle_hold = Some(Op::SettleHold);
    "/api/v1/holds/{id}/release": POST holds::release_hold = Some(Op::ReleaseHold);
    "/api/v1/holds/{id}/extend": POST holds::extend_hold = Some(Op::ExtendHold);
    "/api/v1/budgets": GET budgets::list_budgets = Some(Op::ReadBudgets), POST budgets::create_budget = Some(Op::CreateBudget), PUT budgets::apply_budgets = Some(Op::ApplyBudgets);
    "/api/v1/budgets/{id}": GET budgets::read_budget = Some(Op::ReadBudgets), PUT budgets::replace_budget = Some(Op::ReplaceBudget), DELETE budgets::delete_budget = Some(Op::DeleteBudget);
    "/api/v1/budgets/{id}/usage": GET budgets::read_budget_usage = Some(Op::ReadBudgets);
    "/api/v1/budgets/{id}/raises": POST budgets::raise_budget = Some(Op::RaiseBudget);
    "/api/v1/budgets/{id}/raises/{raise}": DELETE budgets::withdraw_raise = Some(Op::WithdrawRaise);
    "/api/v1/policy-sets": GET policies::list_policy_sets = Some(Op::ReadPolicies);
    "/api/v1/policy-sets/{digest}": GET policies::read_policy_set = Some(Op::ReadPolicies);
    "/api/v1/policy-sets/{digest}/confirm": POST policies::confirm_policy_set = Some(Op::ConfirmPolicySet);
    "/api/v1/policies/report": GET policies::read_policy_report = Some(Op::ReadPolicies);
    "/api/v1/agents": GET registry::list_agents = Some(Op::ReadRegistry);
    "/api/v1/agents/{id}": GET registry::read_agent = Some(Op::ReadRegistry), PUT registry::put_agent = Some(Op::PutAgent), DELETE registry::delete_agent = Some(Op::DeleteAgent);
    "/api/v1/agents/{id}/mode": PUT registry::set_agent_mode = Some(Op::SetAgentMode);
    "/api/v1/entity-types": GET registry::list_entity_types = Some(Op::ReadRegistry);
    "/api/v1/entity-types/{type}": GET registry::read_entity_type = Some(Op::ReadRegistry), PUT registry::put_entity_type = Some(Op::PutEntityType), DELETE registry::delete_entity_type = Some(Op::DeleteEntityType);
    "/api/v1/pauses": GET pauses::list_pauses = Some(Op::ReadPauses), POST pauses::create_pause = Some(Op::CreatePause);
    "/api/v1/pauses/{id}": DELETE pauses::end_pause = Some(Op::EndPause);
    "/api/v1/events": POST events::report_events = Some(Op::ReportEvents);
    "/api/v1/event-types": GET events::list_event_types = Some(Op::ReadEventTypes);
    "/api/v1/event-types/{type}": GET events::read_event_type = Some(Op::ReadEventTypes);
    "/api/v1/runs": GET runs::list_runs = Some(Op::ReadRuns);
    "/api/v1/runs/{id}": GET runs::read_run = Some(Op::ReadRuns);
    "/api/v1/runs/{id}/events": GET runs::list_run_events = Some(Op::ReadRuns);
    "/api/v1/runs/{id}/diff": GET attempt_diff::diff_attempts = Some(Op::ReadRuns);
    "/api/v1/runs/{id}/artifacts/{digest}": GET runs::read_artifact = Some(Op::ReadRuns);
    "/api/v1/runs/{id}/retry-plan": GET runs::read_retry_plan = Some(Op::ReadRetryPlan);
    "/api/v1/runs/{id}/retry": POST runs::retry_run = Some(Op::RetryRun);
    "/api/v1/runs/{id}/cancel": POST runs::cancel_run = Some(Op::CancelRun);
    "/api/v1/runs/{id}/force-stop": POST runs::force_stop = Some(Op::ForceStop);
    "/api/v1/attempts/claim": POST runs::claim_attempt = Some(Op::ClaimAttempt);
    "/api/v1/connectors": GET setup::list_connectors = Some(Op::ReadConnectors);
    "/api/v1/connectors/{id}": GET setup::read_connector = Some(Op::ReadConnectors), PUT setup::put_connector = Some(Op::PutConnector);
    "/api/v1/schedules": GET setup::list_schedules = Some(Op::ReadSchedules);
    "/api/v1/schedules/{id}": GET setup::read_schedule = Some(Op::ReadSchedules), PUT setup::put_schedule = Some(Op::PutSchedule);
    "/api/v1/workers": GET setup::list_workers = Some(Op::ReadWorkers);
    "/api/v1/workers/{id}": GET setup::read_worker = Some(Op::ReadWorkers), PUT setup::put_worker = Some(Op::PutWorker);
    "/api/v1/attention": GET attention::list_items = Some(Op::ReadAttention);
    "/api/v1/attention/headline": GET attention::read_headline = Some(Op::ReadAttention);
    "/api/v1/attention/groups": GET attention::list_item_groups = Some(Op::ReadAttention);
    "/api/v1/attention/deliveries": GET attention::list_deliveries = Some(Op::ReadAttention);
    "/api/v1/attention/bulk": POST attention::act_on_items = Some(Op::ActOnItems);
    "/api/v1/attention/bulk/preview": POST attention::preview_items = Some(Op::ActOnItems);
    "/api/v1/attention/{id}": GET attention::read_item = Some(Op::ReadAttention);
    "/api/v1/attention/{id}/assign": POST attention::assign_item = Some(Op::AssignItem);
    "/api/v1/attention/{id}/snooze": POST attention::snooze_item = Some(Op::SnoozeItem);
    "/api/v1/attention/{id}/supply": POST attention::supply_item = Some(Op::SupplyItem);
    "/api/v1/attention/{id}/escalate": POST attention::escalate_item = Some(Op::EscalateItem);
    "/api/v1/attention/{id}/resolve": POST attention::resolve_item = Some(Op::ResolveItem);
    "/api/v1/stream": GET stream::read_stream = Some(Op::ReadStream);
    "/api/v1/keys": GET keys::list_keys = Some(Op::ReadKeys), POST keys::create_key = Some(Op::CreateKey);
    "/api/v1/keys/{id}": DELETE keys::revoke_key = Some(Op::RevokeKey);
    "/api/v1/audit": GET system::read_audit = Some(Op::ReadAudit);
    "/api/v1/state": GET system::read_state = Some(Op::ReadState);
    "/api/v1/clock/confirm": POST system::confirm_clock = Some(Op::ConfirmClock);
    "/healthz": GET system::healthz = None;
    "/readyz": GET system::readyz = None;
    "/metrics": GET metrics::read_metrics = None;
    "/openapi.json": GET docs::openapi_json = None;
    "/docs": GET docs::docs_page = None;
    "/docs/problems": GET docs::problems_page = None;
}

/// Whether a principal may come in by this route at all. Which of its operations it is asked for only the body says where
/// there are two; the operation itself is checked again, with its agent, when it is carried out.
pub fn may_enter(principal: &Principal, method: &str, path: &str) -> Result<(), Forbidden> {
    let method = if method == "HEAD" { "GET" } else { method };
    let found = ROUTES.iter().find(|route| route.method == method && route.path == path);
    match found.and_then(|route| route.operation) {
        Some(Op::Admit) => principal.may(Op::DryRun).or_else(|_| principal.may(Op::Admit)),
        Some(operation) => principal.may(operation),
        None => Ok(()),
    }
}

/// What reads may also be asked with HEAD.
fn route(method: &str) -> actix_web::Route {
    if method == "GET" {
        return web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    }
    web::method(Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET))
}

/// Answers every other method with what there is.
fn refuse_others(resource: Resource, methods: &[&str]) -> Resource {
    let mut allow = methods.join(", ");
    if methods.contains(&"GET") {
        allow.push_str(", HEAD");
    }
    resource.default_service(web::to(move |request: HttpRequest| {
        let allow = (header::ALLOW, allow.clone());
        let answer = if request.method() == Method::OPTIONS {
            HttpResponse::NoContent().insert_header(allow).finish()
        } else {
            HttpResponse::MethodNotAllowed().insert_header(allow).finish()
        };
        std::future::ready(answer)
    }))
}

/// The answer to every other path.
pub async fn nothing_here() -> Result<HttpResponse, Problem> {
    Err(Problem::new(ProblemCode::NotFound, "there is no such path; /docs lists what there is"))
}

/// The id in a path. What is no id names nothing.
pub(super) fn path_id<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::new(ProblemCode::NotFound, "there is nothing under that id"))
}

/// The id in a path that something is to be made under.
pub(super) fn new_path_id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|error: T::Err| Problem::new(ProblemCode::InvalidRequest, format!("the id in the path {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Role;

    #[test]
    fn a_route_lets_in_who_may_do_one_of_its_operations() {
        let entering = |role: Role, method: &str, path: &str| {
            let principal =
                Principal { key: None, name: "x".to_owned(), roles: vec![role], agents: None, wait_until: None };
            may_enter(&principal, method, path).is_ok()
        };
        for (role, method, path, enters) in [
            (Role::Runtime, "POST", "/api/v1/admissions", true),
            (Role::Operator, "POST", "/api/v1/admissions", true),
            (Role::Auditor, "POST", "/api/v1/admissions", false),
            (Role::Runtime, "PUT", "/api/v1/budgets/{id}", false),
            (Role::Auditor, "GET", "/api/v1/budgets/{id}", true),
            (Role::Runtime, "HEAD", "/api/v1/budgets/{id}", false),
            (Role::Runtime, "GET", "/metrics", true),
        ] {
            assert_eq!(entering(role, method, path), enters, "{role:?} {method} {path}");
        }
    }
}
