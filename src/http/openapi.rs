//! `OpenAPI` of every route, from the handlers and the wire types.

use super::closed::close_requests;
use super::metrics;
use super::problem::{PROBLEMS, ProblemDocument};
use super::routes::{self, ROUTES};
use crate::operations::Operation;
use crate::registry::Role;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tollgate",
        description = "The gate that an AI agent's runtime passes before every action and every retry: policy, budgets and the audit record in one durable answer.",
    ),
    paths(
        routes::admit, routes::admit_batch, routes::list_admissions, routes::read_admission,
        routes::read_hold, routes::settle_hold, routes::release_hold, routes::extend_hold,
        routes::list_budgets, routes::create_budget, routes::apply_budgets, routes::read_budget, routes::replace_budget,
        routes::delete_budget, routes::read_budget_usage, routes::raise_budget, routes::withdraw_raise,
        routes::list_policy_sets, routes::read_policy_set, routes::confirm_policy_set, routes::read_policy_report,
        routes::list_agents, routes::read_agent, routes::put_agent, routes::delete_agent, routes::set_agent_mode,
        routes::list_entity_types, routes::read_entity_type, routes::put_entity_type, routes::delete_entity_type,
        routes::list_pauses, routes::create_pause, routes::end_pause,
        routes::report_events, routes::list_event_types, routes::read_event_type,
        routes::list_runs, routes::read_run, routes::list_run_events, routes::read_artifact, routes::read_retry_plan,
        routes::retry_run, routes::cancel_run, routes::force_stop, routes::claim_attempt,
        routes::list_connectors, routes::read_connector, routes::put_connector,
        routes::list_schedules, routes::read_schedule, routes::put_schedule,
        routes::list_workers, routes::read_worker, routes::put_worker,
        routes::list_items, routes::read_headline, routes::list_item_groups, routes::read_item, routes::assign_item,
        routes::snooze_item, routes::supply_item, routes::escalate_item, routes::resolve_item, routes::preview_items,
        routes::act_on_items, routes::read_stream, routes::list_deliveries, routes::diff_attempts,
        routes::list_keys, routes::create_key, routes::revoke_key,
        routes::read_audit, routes::read_state, routes::confirm_clock, routes::healthz, routes::readyz, metrics::read_metrics,
    ),
    components(schemas(ProblemDocument, super::wire::admission::AdmissionBody)),
    tags(
        (name = "admissions", description = "Ask before every action and every retry"),
        (name = "holds", description = "What was set aside: settle it, release it, extend it"),
        (name = "budgets", description = "Limits of spend, and raises of them"),
        (name = "policies", description = "Policy sets and their layers"),
        (name = "registry", description = "Agents and entity types"),
        (name = "pauses", description = "The stop button"),
        (name = "runs", description = "What runtimes report, and what an operator does about it"),
        (name = "setup", description = "What runs hang on: connectors, schedules, workers"),
        (name = "attention", description = "Command Center: what needs an owner's decision"),
        (name = "keys", description = "Who may come in"),
        (name = "audit", description = "Who did what, when and why"),
        (name = "clock", description = "After a jump of the wall clock"),
        (name = "system", description = "How the daemon is"),
    ),
    modifiers(&Common)
)]
struct Api;

/// The document.
pub fn document() -> Document {
    Api::openapi()
}

/// What all operations have in common: the key, the roles, the shape of errors.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key")).build();
        document.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(key));
        for route in ROUTES {
            let Some(item) = document.paths.paths.get_mut(route.path) else { continue };
            let operation = match route.method {
                "GET" => &mut item.get,
                "POST" => &mut item.post,
                "PUT" => &mut item.put,
                _ => &mut item.delete,
            };
            let Some(operation) = operation else { continue };
            operation.responses.responses.insert("default".to_owned(), RefOr::T(problem()));
            if let Some(asked) = route.operation {
                operation.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
                let text = operation.description.get_or_insert_default();
                if !text.is_empty() {
                    text.push_str("\n\n");
                }
                text.push_str(&format!("Roles: {}.", roles(asked)));
                if asked == Operation::Admit {
                    text.push_str(&format!(" With `dry_run`: {}.", roles(Operation::DryRun)));
                }
            }
        }
        close_requests(document);
    }
}

/// The roles that may do it, in words.
fn roles(operation: Operation) -> String {
    let names: Vec<_> = operation.row().roles.iter().chain([&Role::Admin]).map(|role| role.as_str()).collect();
    names.join(", ")
}

fn problem() -> utoipa::openapi::Response {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let example = PROBLEMS.iter().find(|row| row.text == "invalid_request").map(|row| {
        let problem = super::problem::Problem::at(row.code, "/estimate/0/amount", "must be a decimal number");
        serde_json::to_value(problem.document("req_00000000000000000001")).unwrap_or_default()
    });
    ResponseBuilder::new()
        .description("A problem; /docs/problems lists the codes")
        .content("application/problem+json", ContentBuilder::new().schema(Some(schema)).example(example).build())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn openapi_is_what_clients_rely_on() {
        insta::assert_json_snapshot!(document());
    }

    /// Every route of the table is described, and nothing else is; pages for people are not part of it.
    #[test]
    fn openapi_and_the_table_of_routes_are_the_same() {
        let json = serde_json::to_value(document()).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in json["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                described.insert((method.to_uppercase(), path.clone()));
            }
        }
        let pages = ["/openapi.json", "/docs", "/docs/problems"];
        let routed: BTreeSet<_> = ROUTES
            .iter()
            .filter(|route| !pages.contains(&route.path))
            .map(|route| (route.method.to_owned(), route.path.to_owned()))
            .collect();
        assert_eq!(described, routed);
    }

    /// What the readers refuse, the document does not allow; what is the caller's own is open in both.
    #[test]
    fn requests_are_closed_and_what_is_the_callers_own_is_open() {
        let json = serde_json::to_value(document()).unwrap();
        let schemas = &json["components"]["schemas"];
        for name in ["AdmissionRequest", "BudgetRequest", "Scope", "Window", "RaiseRequest", "AssignRequest"] {
            assert_eq!(schemas[name]["additionalProperties"], false, "{name}: {}", schemas[name]);
        }
        for name in ["Budget", "Problem"] {
            assert!(schemas[name]["additionalProperties"].is_null(), "an answer may grow: {name}");
        }
        assert!(schemas["AdmissionRequest"]["properties"]["context"]["additionalProperties"].is_null());
    }

    /// What is under /api has an operation of the table of roles, so no route is open by oversight.
    #[test]
    fn every_api_route_has_an_operation() {
        for route in ROUTES {
            assert_eq!(route.operation.is_some(), route.path.starts_with("/api/"), "{route:?}");
        }
    }
}
