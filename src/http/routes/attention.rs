//! Command Center: items, what is done to them, groups and the headline.

use super::super::caller::{Caller, Gate};
use super::super::edge::Facts;
use super::super::extract::{Body, Query, etag, if_match};
use super::super::problem::Problem;
use super::super::wire::attention::{GroupAnswer, GroupQuery, HeadlineAnswer, ItemQuery};
use super::super::wire::attention_act::{AssignBody, EscalateBody, ResolveBody, SnoozeBody, SupplyBody};
use super::super::wire::attention_bulk::{BulkAnswers, BulkBody, BulkOutcomeAnswer, BulkPreviewBody};
use super::super::wire::delivery::{DeliveryAnswer, DeliveryQuery};
use super::super::wire::item::ItemAnswer;
use super::super::wire::record::List;
use super::admissions::off_thread;
use super::table::path_id;
use crate::operations::{self, ItemAct};
use crate::vocabulary::ItemId;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

/// List items
///
/// Those that are not resolved, newest first, unless a state, a run or an owner is named. A page may be short and still
/// have a `next`.
#[utoipa::path(get, path = "/api/v1/attention", operation_id = "list_items", tag = "attention", params(ItemQuery),
    responses((status = 200, description = "A page of items", body = List<ItemAnswer>)))]
pub async fn list_items(
    gate: Gate,
    caller: Caller,
    query: Query<ItemQuery>,
) -> Result<web::Json<List<ItemAnswer>>, Problem> {
    let (filter, cursor, limit) = query.0.filter()?;
    let page = operations::items(&gate, &caller.0, &filter, cursor.as_ref(), limit)?;
    Ok(web::Json(List { items: page.items.iter().map(ItemAnswer::from).collect(), next: page.next }))
}

/// The headline
///
/// How many items lack a decision, and what else there is.
#[utoipa::path(get, path = "/api/v1/attention/headline", operation_id = "read_headline", tag = "attention",
    responses((status = 200, description = "The headline", body = HeadlineAnswer)))]
pub async fn read_headline(gate: Gate, caller: Caller) -> Result<web::Json<HeadlineAnswer>, Problem> {
    Ok(web::Json(HeadlineAnswer::from(&operations::headline(&gate, &caller.0)?)))
}

/// Group items
///
/// By the trouble that they have in common, or by what would fix them. Groups are views: what is done is done to items.
#[utoipa::path(get, path = "/api/v1/attention/groups", operation_id = "list_item_groups", tag = "attention", params(GroupQuery),
    responses((status = 200, description = "The groups, largest first", body = List<GroupAnswer>)))]
pub async fn list_item_groups(
    gate: Gate,
    caller: Caller,
    query: Query<GroupQuery>,
) -> Result<web::Json<List<GroupAnswer>>, Problem> {
    let (filter, by) = query.0.asked()?;
    let groups = operations::item_groups(&gate, &caller.0, &filter, by)?;
    Ok(web::Json(List::whole(groups.iter().map(GroupAnswer::from).collect())))
}

/// List deliveries
///
/// What another Command Center is told by the webhook: what is still tried, and the last that was taken or given up.
#[utoipa::path(get, path = "/api/v1/attention/deliveries", operation_id = "list_deliveries", tag = "attention", params(DeliveryQuery),
    responses((status = 200, description = "The deliveries", body = List<DeliveryAnswer>)))]
pub async fn list_deliveries(
    gate: Gate,
    caller: Caller,
    query: Query<DeliveryQuery>,
) -> Result<web::Json<List<DeliveryAnswer>>, Problem> {
    let found = operations::deliveries(&gate, &caller.0, query.0.limit()?)?;
    Ok(web::Json(List::whole(found.iter().map(|delivery| DeliveryAnswer::from(&**delivery)).collect())))
}

/// Read an item
///
/// With its checklist, what is suggested and why, what was changed around the moment when it began, and why nobody has
/// picked its run up.
#[utoipa::path(get, path = "/api/v1/attention/{id}", operation_id = "read_item", tag = "attention", params(("id" = String, Path, description = "The item")),
    responses((status = 200, description = "The item", body = ItemAnswer, headers(("ETag" = String, description = "Its revision")))))]
pub async fn read_item(gate: Gate, caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let id: ItemId = path_id(&id)?;
    let page = off_thread(move || operations::item(&gate, &caller.0, &id)).await?;
    Ok(HttpResponse::Ok().insert_header(etag(page.view.item.revision)).json(ItemAnswer::from(&page)))
}

/// The act, done; an `If-Match` that is sent must be the item's revision.
async fn act(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    id: &str,
    act: Result<ItemAct, Problem>,
) -> Result<HttpResponse, Problem> {
    let revision = if request.headers().contains_key(header::IF_MATCH) { if_match(request.headers())? } else { None };
    let item = operations::act_on_item(&gate, &caller.0, path_id(id)?, &act?, revision).await?;
    let view = operations::item_view(&gate, &item);
    Ok(HttpResponse::Ok().insert_header(etag(item.revision)).json(ItemAnswer::from(&view)))
}

/// Give an item to a person
///
/// With a due time and the fix that it waits for, that is a decision; owning alone is none.
#[utoipa::path(post, path = "/api/v1/attention/{id}/assign", operation_id = "assign_item", tag = "attention", request_body = AssignBody, params(("id" = String, Path, description = "The item")),
    responses((status = 200, description = "The item", body = ItemAnswer)))]
pub async fn assign_item(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body<AssignBody>,
) -> Result<HttpResponse, Problem> {
    act(gate, caller, request, &id, body.wire.act("")).await
}

/// Put an item off
#[utoipa::path(post, path = "/api/v1/attention/{id}/snooze", operation_id = "snooze_item", tag = "attention", request_body = SnoozeBody, params(("id" = String, Path, description = "The item")),
    responses((status = 200, description = "The item", body = ItemAnswer)))]
pub async fn snooze_item(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body<SnoozeBody>,
) -> Result<HttpResponse, Problem> {
    act(gate, caller, request, &id, body.wire.act("")).await
}

/// Supply data
///
/// Only for fields that a `missing_data` or `malformed_input` reason of the item names. It is handed to the runtime with
/// the next attempt, beside what it had, never merged into that.
#[utoipa::path(post, path = "/api/v1/attention/{id}/supply", operation_id = "supply_item", tag = "attention", request_body = SupplyBody, params(("id" = String, Path, description = "The item")),
    responses((status = 200, description = "The item", body = ItemAnswer)))]
pub async fn supply_item(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body<SupplyBody>,
) -> Result<HttpResponse, Problem> {
    act(gate, caller, request, &id, body.wire.act("")).await
}

/// Escalate an item
///
/// To the agent's escalation contact, or to whom is named.
#[utoipa::path(post, path = "/api/v1/attention/{id}/escalate", operation_id = "escalate_item", tag = "attention", request_body = EscalateBody, params(("id" = String, Path, description = "The item")),
    responses((status = 200, description = "The item", body = ItemAnswer)))]
pub async fn escalate_item(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body<EscalateBody>,
) -> Result<HttpResponse, Problem> {
    act(gate, caller, request, &id, body.wire.act("")).await
}

/// End an item by hand
///
/// A success after a retry, or a cancel, ends it by itself.
#[utoipa::path(post, path = "/api/v1/attention/{id}/resolve", operation_id = "resolve_item", tag = "attention", request_body = ResolveBody, params(("id" = String, Path, description = "The item")),
    responses((status = 200, description = "The item", body = ItemAnswer)))]
pub async fn resolve_item(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body<ResolveBody>,
) -> Result<HttpResponse, Problem> {
    act(gate, caller, request, &id, body.wire.act("")).await
}

/// Preview one act on many items
///
/// Of `ids`, or of those that fit a `query`. Says for each what the act would do, and freezes the list by what it answers:
/// revisions, and for a retry the versions of the plans.
#[utoipa::path(post, path = "/api/v1/attention/bulk/preview", operation_id = "preview_items", tag = "attention", request_body = BulkPreviewBody,
    responses((status = 200, description = "What would become of each", body = BulkAnswers)))]
pub async fn preview_items(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    body: Body<BulkPreviewBody>,
) -> Result<web::Json<BulkAnswers>, Problem> {
    let by_query = body.wire.query.is_some();
    let (act, of) = body.wire.asked()?;
    let request_id = id_of(&request);
    let preview = off_thread(move || operations::preview_items(&gate, &caller.0, of, &act)).await?;
    let items = preview.items.into_iter().map(|item| BulkOutcomeAnswer::previewed(item, &request_id)).collect();
    Ok(web::Json(BulkAnswers { items, more: by_query.then_some(preview.more) }))
}

/// Do one thing to many items
///
/// Those of a preview, as they were there: one that has changed since is refused, and the others go on. A retry or a cancel
/// handed in again changes nothing.
#[utoipa::path(post, path = "/api/v1/attention/bulk", operation_id = "act_on_items", tag = "attention", request_body = BulkBody,
    responses((status = 200, description = "What became of each", body = BulkAnswers)))]
pub async fn act_on_items(
    gate: Gate,
    caller: Caller,
    request: HttpRequest,
    body: Body<BulkBody>,
) -> Result<web::Json<BulkAnswers>, Problem> {
    let (act, items) = body.wire.asked()?;
    let request_id = id_of(&request);
    let answers = operations::act_on_items(&gate, &caller.0, items, &act).await?;
    let items = answers.into_iter().map(|answer| BulkOutcomeAnswer::of(answer, &request_id)).collect();
    Ok(web::Json(BulkAnswers { items, more: None }))
}

fn id_of(request: &HttpRequest) -> String {
    let mut id = String::new();
    Facts::note(request, |facts| id.clone_from(&facts.request_id));
    id
}
