//! In the `OpenAPI` document: what a request sends is closed. A field that is not described is refused, so the schemas of request
//! bodies, and all that lies in them, say `additionalProperties: false`.

use std::collections::BTreeSet;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Object};
use utoipa::openapi::{OpenApi, PathItem, RefOr, Schema};

/// Closes them.
pub(super) fn close_requests(document: &mut OpenApi) {
    let mut waiting = BTreeSet::new();
    for item in document.paths.paths.values_mut() {
        for body in bodies(item) {
            close(body, &mut waiting);
        }
    }
    let Some(components) = document.components.as_mut() else { return };
    let mut closed = BTreeSet::new();
    while let Some(name) = waiting.pop_first() {
        if let Some(schema) = components.schemas.get_mut(&name)
            && closed.insert(name)
        {
            close(schema, &mut waiting);
        }
        waiting.retain(|name| !closed.contains(name));
    }
}

fn bodies(item: &mut PathItem) -> impl Iterator<Item = &mut RefOr<Schema>> {
    let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten();
    let bodies = operations.filter_map(|operation| match operation.request_body.as_mut() {
        Some(RefOr::T(body)) => Some(body),
        _ => None,
    });
    bodies.flat_map(|body| body.content.values_mut()).filter_map(|content| match content {
        RefOr::T(content) => content.schema.as_mut(),
        RefOr::Ref(_) => None,
    })
}

/// Closes a schema; what it refers to waits.
fn close(schema: &mut RefOr<Schema>, waiting: &mut BTreeSet<String>) {
    match schema {
        RefOr::Ref(reference) => {
            waiting.extend(reference.ref_location.rsplit('/').next().map(str::to_owned));
        }
        RefOr::T(Schema::Object(object)) => close_object(object, waiting),
        RefOr::T(Schema::Array(array)) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                close(items, waiting);
            }
        }
        RefOr::T(Schema::OneOf(one)) => one.items.iter_mut().for_each(|item| close(item, waiting)),
        RefOr::T(Schema::AnyOf(any)) => any.items.iter_mut().for_each(|item| close(item, waiting)),
        // a part of a whole knows nothing of the others' fields
        RefOr::T(_) => {}
    }
}

/// One that lists no fields takes any: it is the caller's own.
fn close_object(object: &mut Object, waiting: &mut BTreeSet<String>) {
    for property in object.properties.values_mut() {
        close(property, waiting);
    }
    match object.additional_properties.as_deref_mut() {
        Some(AdditionalProperties::RefOr(values)) => close(values, waiting),
        Some(AdditionalProperties::FreeForm(_)) => {}
        None if object.properties.is_empty() => {}
        None => object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false))),
    }
}
