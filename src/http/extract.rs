//! What handlers take: a body of JSON, the query, and the conditions of a change.

use super::bodies::{Room, collect, too_large};
use super::edge::Edge;
use super::json;
use super::problem::{FieldError, Problem, ProblemCode};
use super::read::read;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A wire type of a request's body.
pub trait RequestBody: DeserializeOwned + 'static {
    /// Whether it holds many requests, and may be as large as a batch.
    const BATCH: bool = false;
}

/// The body, read.
#[derive(Debug)]
pub struct Body<T> {
    /// As a wire type.
    pub wire: T,
    /// As the JSON that it was, for the hash behind an idempotency key.
    pub json: Value,
    /// The memory that it takes.
    _room: Room,
}

impl<T: RequestBody> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let declared = declared_json(request.headers());
        let length = declared_length(request.headers());
        let bounds = request.app_data::<web::ThinData<Arc<Edge>>>().map(|edge| {
            let config = &edge.config;
            let limit = if T::BATCH { config.max_batch_body_bytes } else { config.max_body_bytes };
            (limit, Duration::from_millis(config.body_timeout_ms), Room::new(&edge.bodies))
        });
        let bytes = web::Payload::from_request(request, payload).into_inner();
        Box::pin(async move {
            declared?;
            let (limit, timeout, mut room) =
                bounds.ok_or_else(|| Problem::new(ProblemCode::Internal, "no bounds are set"))?;
            if length.is_some_and(|length| length > limit as u64) {
                return Err(too_large(limit));
            }
            let bytes = bytes.map_err(|_| Problem::new(ProblemCode::MalformedJson, "the body cannot be read"))?;
            let bytes = tokio::time::timeout(timeout, collect(bytes, limit, &mut room))
                .await
                .map_err(|_| Problem::new(ProblemCode::RequestTimeout, "the body did not arrive in time"))??;
            let json = json::parse(&bytes)?;
            Ok(Self { wire: read(&json, "")?, json, _room: room })
        })
    }
}

/// How long the body is to be, where that is said.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Nothing: no body, or an object without fields.
#[derive(Debug)]
pub struct NoFields;

impl FromRequest for NoFields {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers();
        if declared_length(headers).unwrap_or(0) == 0 && !headers.contains_key(header::TRANSFER_ENCODING) {
            return Box::pin(ready(Ok(Self)));
        }
        let body = Body::<Nothing>::from_request(request, payload);
        Box::pin(async move { body.await.map(|_| Self) })
    }
}

#[derive(serde::Deserialize)]
struct Nothing {}

impl RequestBody for Nothing {}

/// A body must say that it is JSON: what a page of another origin can send without asking cannot say so.
fn declared_json(headers: &HeaderMap) -> Result<(), Problem> {
    let refusal = |detail: &str| Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    if text(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return refusal("the body must be sent without a content encoding");
    }
    let Some(declared) = text(header::CONTENT_TYPE) else {
        return refusal("send Content-Type: application/json");
    };
    let (essence, parameters) = declared.split_once(';').unwrap_or((&declared, ""));
    let essence = essence.trim();
    if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
        return refusal("send Content-Type: application/json");
    }
    let charset = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("charset="));
    if charset.is_some_and(|charset| !matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii")) {
        return refusal("send the body in UTF-8");
    }
    Ok(())
}

/// The query. Its wire type holds optional texts alone; unknown and repeated parameters are refused.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read_query(request.query_string()).map(Self))
    }
}

fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
        .map_err(|_| Problem::new(ProblemCode::InvalidRequest, "the query cannot be read"))?
        .into_inner();
    let mut map = Map::new();
    for (name, value) in pairs {
        let pointer = format!("?{name}");
        if map.insert(name, Value::String(value)).is_some() {
            return Err(Problem::at(ProblemCode::InvalidRequest, pointer, "is there twice"));
        }
    }
    read(&Value::Object(map), "").map_err(|problem| {
        let as_parameter = |error: FieldError| FieldError {
            pointer: error.pointer.strip_prefix('/').map_or(error.pointer.clone(), |name| format!("?{name}")),
            ..error
        };
        Problem::fields(problem.code, problem.errors.into_iter().map(as_parameter).collect())
    })
}

/// The revision that a change builds on, from `If-Match: "7"`; `None` for `*`, which is any.
pub fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Err(Problem::new(ProblemCode::PreconditionRequired, "send the ETag that you read in If-Match"));
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let revision = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|rest| rest.parse().ok());
    // any other tag is one that was never given: it cannot match
    revision
        .map(Some)
        .ok_or_else(|| Problem::new(ProblemCode::PreconditionFailed, "If-Match must be an ETag such as \"7\""))
}

/// The `ETag` of a revision.
pub fn etag(revision: u64) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{revision}\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;
    use serde::Deserialize;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn what_is_declared_as_json() {
        for (declared, good) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/cloudevents+json", true),
            ("application/json; charset=latin1", false),
            ("text/plain", false),
            ("text/json", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            assert_eq!(declared_json(&headers(&[(header::CONTENT_TYPE, declared)])).is_ok(), good, "{declared}");
        }
        assert!(declared_json(&headers(&[])).is_err());
        let gzip = headers(&[(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")]);
        assert!(declared_json(&gzip).is_err());
    }

    #[test]
    fn conditions() {
        for (sent, outcome) in [
            (Some("\"7\""), Ok(Some(7))),
            (Some(" \"7\" "), Ok(Some(7))),
            (Some("7"), Err(ProblemCode::PreconditionFailed)),
            (Some("W/\"7\""), Err(ProblemCode::PreconditionFailed)),
            (Some("*"), Ok(None)),
            (None, Err(ProblemCode::PreconditionRequired)),
        ] {
            let headers = sent.map_or_else(HeaderMap::new, |value| headers(&[(header::IF_MATCH, value)]));
            assert_eq!(if_match(&headers).map_err(|problem| problem.code), outcome, "{sent:?}");
        }
    }

    #[test]
    fn queries() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Wire {
            limit: Option<String>,
            agent: Option<String>,
        }
        let wire = |limit: Option<&str>, agent: Option<&str>| Wire {
            limit: limit.map(str::to_owned),
            agent: agent.map(str::to_owned),
        };
        for (query, outcome) in [
            ("", Ok(wire(None, None))),
            ("limit=5&agent=a%20b%2F", Ok(wire(Some("5"), Some("a b/")))),
            ("limit=1&limit=2", Err("?limit")),
            ("limits=1", Err("?limits")),
        ] {
            let read = read_query::<Wire>(query).map_err(|problem| problem.errors[0].pointer.clone());
            assert_eq!(read, outcome.map_err(str::to_owned), "{query}");
        }
    }
}
