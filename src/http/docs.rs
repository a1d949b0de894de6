//! The pages for people: the API, rendered from its `OpenAPI` document, and the table of problems. Complete on the server,
//! without scripts, fonts or anything from elsewhere.

use super::openapi;
use super::problem::{PROBLEMS, Problem, ProblemCode, ProblemRow};
use actix_web::HttpResponse;
use actix_web::http::header;
use askama::Template;
use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

const STYLE: &str = include_str!("templates/docs.css");

static OPENAPI: OnceLock<String> = OnceLock::new();
static PAGE: OnceLock<Option<String>> = OnceLock::new();
static POLICY: OnceLock<String> = OnceLock::new();

/// `GET /openapi.json`
pub async fn openapi_json() -> HttpResponse {
    let text = OPENAPI.get_or_init(|| serde_json::to_string(&openapi::document()).unwrap_or_default());
    HttpResponse::Ok().content_type("application/json").body(text.as_str())
}

/// `GET /docs`
pub async fn docs_page() -> Result<HttpResponse, Problem> {
    let page = PAGE.get_or_init(|| {
        let document = serde_json::to_value(openapi::document()).ok()?;
        DocsPage { style: STYLE, groups: groups(&document) }.render().ok()
    });
    page.as_ref().map(|page| html(page.clone())).ok_or_else(unrendered)
}

/// `GET /docs/problems`
pub async fn problems_page() -> Result<HttpResponse, Problem> {
    let page = ProblemsPage { style: STYLE, problems: PROBLEMS };
    page.render().map(html).map_err(|_| unrendered())
}

fn unrendered() -> Problem {
    Problem::new(ProblemCode::Internal, "the page cannot be shown")
}

/// Only the page's own style, known by its hash.
fn html(page: String) -> HttpResponse {
    let policy = POLICY.get_or_init(|| {
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    });
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy.as_str()))
        .body(page)
}

#[derive(Template)]
#[template(path = "problems.html")]
struct ProblemsPage {
    style: &'static str,
    problems: &'static [ProblemRow],
}

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage {
    style: &'static str,
    groups: Vec<Group>,
}

struct Group {
    name: String,
    about: String,
    operations: Vec<OperationPart>,
}

struct OperationPart {
    id: String,
    method: String,
    path: String,
    summary: String,
    paragraphs: Vec<String>,
    parameters: Vec<Field>,
    request: Option<Shape>,
    responses: Vec<ResponsePart>,
}

struct ResponsePart {
    status: String,
    about: String,
    shape: Option<Shape>,
}

struct Shape {
    fields: Vec<Field>,
    example: Option<String>,
}

struct Field {
    name: String,
    kind: String,
    required: bool,
    about: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn groups(document: &Value) -> Vec<Group> {
    let group = |tag: &Value| {
        let name = text(&tag["name"]);
        let operations = document["paths"].as_object().into_iter().flatten().flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods
                .filter(|(_, operation)| operation["tags"][0] == tag["name"])
                .map(move |(method, operation)| operation_part(document, path, method, operation))
        });
        Group { about: text(&tag["description"]), operations: operations.collect(), name }
    };
    list(&document["tags"]).iter().map(group).collect()
}

fn operation_part(document: &Value, path: &str, method: &str, operation: &Value) -> OperationPart {
    let parameters = list(&operation["parameters"]).iter().map(|parameter| Field {
        name: text(&parameter["name"]),
        kind: format!("{}, {}", text(&parameter["in"]), kind(&parameter["schema"])),
        required: parameter["required"] == true,
        about: text(&parameter["description"]),
    });
    let request = &operation["requestBody"]["content"]["application/json"]["schema"];
    let responses = operation["responses"].as_object().into_iter().flatten();
    let responses = responses.filter(|(status, _)| *status != "default").map(|(status, response)| {
        let schema = &response["content"]["application/json"]["schema"];
        ResponsePart {
            status: status.clone(),
            about: text(&response["description"]),
            shape: (!schema.is_null()).then(|| shape(document, schema)),
        }
    });
    OperationPart {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        paragraphs: text(&operation["description"]).split("\n\n").map(str::to_owned).collect(),
        parameters: parameters.collect(),
        request: (!request.is_null()).then(|| shape(document, request)),
        responses: responses.collect(),
    }
}

/// The fields of a schema, those of its parts indented by their path.
fn shape(document: &Value, schema: &Value) -> Shape {
    let schema = resolve(document, schema);
    let mut fields = Vec::new();
    collect(document, schema, "", 0, &mut fields);
    let example = schema.get("example").and_then(|example| serde_json::to_string_pretty(example).ok());
    Shape { fields, example }
}

fn collect(document: &Value, schema: &Value, prefix: &str, depth: usize, fields: &mut Vec<Field>) {
    let required: Vec<_> = list(&schema["required"]).iter().filter_map(Value::as_str).collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let inner = resolve(document, element(property));
        let about = if property["description"].is_null() { &inner["description"] } else { &property["description"] };
        fields.push(Field {
            name: path.clone(),
            kind: kind(property),
            required: required.contains(&name.as_str()),
            about: text(about),
        });
        if depth < 3 {
            let mark = if property["type"] == "array" { "[]." } else { "." };
            collect(document, inner, &format!("{path}{mark}"), depth + 1, fields);
        }
    }
}

/// What a property is about: itself, the items of a list, the other side of `null`.
fn element(property: &Value) -> &Value {
    if !property["items"].is_null() {
        return &property["items"];
    }
    list(&property["oneOf"]).iter().find(|one| one["type"] != "null").unwrap_or(property)
}

fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str().and_then(|pointer| document.pointer(pointer.trim_start_matches('#'))) {
        Some(found) => found,
        None => schema,
    }
}

fn kind(schema: &Value) -> String {
    let name = |value: &Value| value.as_str().map(|text| text.rsplit('/').next().unwrap_or(text).to_owned());
    if let Some(name) = name(&schema["$ref"]) {
        return name;
    }
    if !schema["items"].is_null() {
        return format!("list of {}", kind(&schema["items"]));
    }
    if !schema["oneOf"].is_null() {
        return format!("{} or null", kind(element(schema)));
    }
    match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(several) => several.iter().filter_map(name).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}
