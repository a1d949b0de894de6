//! What happens to every request, around its handler: a request id, the check of `Host`, one structured log line, security
//! headers, and every error, whoever made it, written as a problem document.

use super::bodies::Bodies;
use super::config::HttpConfig;
use super::connections::{Busy, Connections};
use super::problem::{Problem, ProblemCode};
use crate::clock::Clock;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// `X-Request-Id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the edge needs to know.
#[derive(Debug)]
pub struct Edge {
    /// Hosts and bounds.
    pub config: HttpConfig,
    /// For how long a request took.
    pub clock: Arc<dyn Clock>,
    /// The memory that bodies share.
    pub bodies: Arc<Bodies>,
    /// What is open.
    pub connections: Arc<Connections>,
    ids: RequestIds,
}

impl Edge {
    /// An edge with ids of its own.
    pub fn new(config: HttpConfig, clock: Arc<dyn Clock>) -> Self {
        let bodies = Arc::new(Bodies::new(config.max_bodies_bytes));
        let connections = Arc::new(Connections::new(Arc::clone(&clock), config.longest_quiet()));
        Self { config, clock, bodies, connections, ids: RequestIds::new() }
    }
}

/// What is known of a request while it is answered, for its log line.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The request's id.
    pub request_id: String,
    /// The key that it came with.
    pub key: Option<String>,
    /// The decision that it is about.
    pub admission: Option<String>,
}

impl Facts {
    /// Notes something about a request.
    pub fn note(request: &HttpRequest, note: impl FnOnce(&mut Self)) {
        if let Some(facts) = request.extensions_mut().get_mut::<Self>() {
            note(facts);
        }
    }
}

/// Request ids: a random part per start and a counter.
#[derive(Debug)]
struct RequestIds {
    prefix: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        let mut bytes = [0; 8];
        // without randomness ids of two starts may repeat; they only help to find a line of a log
        let _ = getrandom::fill(&mut bytes);
        Self { prefix: u64::from_le_bytes(bytes), next: AtomicU64::new(1) }
    }

    fn next(&self) -> String {
        format!("req_{:010x}{:06x}", self.prefix & 0xff_ffff_ffff, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The caller's own id where it is harmless, else a new one.
fn request_id(edge: &Edge, headers: &HeaderMap) -> String {
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(harmless);
    sent.map_or_else(|| edge.ids.next(), str::to_owned)
}

/// The middleware.
pub async fn edge<B: MessageBody + 'static>(
    edge: Arc<Edge>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let started = edge.clock.monotonic();
    let _busy = Busy::of(request.request());
    let request_id = request_id(&edge, request.headers());
    request.extensions_mut().insert(Facts { request_id: request_id.clone(), ..Facts::default() });

    let response = match check_host(&edge.config, &request) {
        Err(problem) => request.error_response(problem).map_into_right_body(),
        // Routing wants the request to itself. What goes wrong in a route, its extractors included, comes back as a
        // response that carries its error; an `Err` is the connection's end.
        Ok(()) => next.call(request).await?.map_into_left_body(),
    };
    let mut response = as_problem(response, &request_id);
    finish_headers(response.headers_mut(), &request_id);
    log(&response, edge.clock.monotonic().saturating_sub(started));
    Ok(response)
}

fn check_host(config: &HttpConfig, request: &ServiceRequest) -> Result<(), Problem> {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // an absolute target (as sent to a proxy) names a host too, and it is the one that counts
    let host = request.uri().authority().map_or(host, |authority| authority.as_str());
    if config.allows_host(host) {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::HostNotAllowed, "the Host header names another server"))
}

/// Writes an error as a problem document, unless it is one or has a page of its own.
fn as_problem<B: MessageBody + 'static>(
    response: ServiceResponse<EitherBody<B>>,
    request_id: &str,
) -> ServiceResponse<EitherBody<B>> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.response().error() {
        Some(error) => match error.as_error::<Problem>() {
            Some(problem) => problem.clone(),
            None => of_framework(status, error),
        },
        None => Problem::new(ProblemCode::of_status(status), ProblemCode::of_status(status).row().title),
    };
    let kept: Vec<_> = [header::ALLOW, header::WWW_AUTHENTICATE]
        .into_iter()
        .filter_map(|name| response.headers().get(&name).cloned().map(|value| (name, value)))
        .collect();
    let mut answer = HttpResponse::build(problem.code.status());
    answer.content_type("application/problem+json");
    for header in kept {
        answer.insert_header(header);
    }
    if problem.code == ProblemCode::Unauthorized {
        answer.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"tollgate\""));
    }
    if let Some(seconds) = problem.retry_after_s {
        answer.insert_header((header::RETRY_AFTER, seconds));
    }
    let body = serde_json::to_vec(&problem.document(request_id)).unwrap_or_default();
    let (request, _) = response.into_parts();
    ServiceResponse::new(request, answer.body(body)).map_into_right_body()
}

/// An error of the framework's: its text is shown only where it speaks of the request.
fn of_framework(status: actix_web::http::StatusCode, error: &Error) -> Problem {
    let code = ProblemCode::of_status(status);
    if code == ProblemCode::Internal {
        tracing::error!(target: "tollgate::http", %error, "a request failed");
        return Problem::new(code, "something failed; the log has the request id");
    }
    Problem::new(code, code.row().title)
}

/// Headers of every answer. Nothing of Tollgate is to be framed, sniffed, cached or fetched from elsewhere; pages set a
/// wider policy of their own.
fn finish_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

fn log<B>(response: &ServiceResponse<B>, took: Duration) {
    let request = response.request();
    let facts = request.extensions().get::<Facts>().cloned().unwrap_or_default();
    let route = request.match_pattern();
    let status = response.status().as_u16();
    // a path that matched nothing is the sender's text: it is not logged, and makes no series of a metric
    let route = route.as_deref().unwrap_or("none");
    metrics::histogram!("tollgate_http_request_seconds", "route" => route.to_owned(), "status" => class(status))
        .record(took.as_secs_f64());
    let ms = took.as_secs_f64() * 1_000.0;
    let (request_id, method) = (facts.request_id.as_str(), request.method().as_str());
    let (key, admission) = (facts.key.as_deref(), facts.admission.as_deref());
    if status >= 500 {
        tracing::error!(target: "tollgate::http", request_id, method, route, status, ms, key, admission, "answered");
    } else if status < 400 && (is_recorded(route) || matches!(route, "/healthz" | "/readyz" | "/metrics")) {
        tracing::debug!(target: "tollgate::http", request_id, method, route, status, ms, key, admission, "answered");
    } else {
        tracing::info!(target: "tollgate::http", request_id, method, route, status, ms, key, admission, "answered");
    }
}

/// What agents ask for all day: the journal has who asked for what, and what the answer was.
fn is_recorded(route: &str) -> bool {
    ["/api/v1/admissions", "/api/v1/holds/", "/api/v1/events", "/api/v1/attempts/"]
        .iter()
        .any(|recorded| route.starts_with(recorded))
}

const fn class(status: u16) -> &'static str {
    match status {
        0..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> actix_web::http::StatusCode {
        self.code.status()
    }

    /// Only the status: [`edge`] writes the document, for it knows the request's id.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.code.status())
    }
}
