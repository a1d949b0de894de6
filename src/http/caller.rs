//! Who asks: `Authorization: Bearer <key>`, and nothing else. No cookie opens anything under `/api`.

use super::edge::Facts;
use super::problem::{Problem, ProblemCode};
use super::routes::may_enter;
use crate::operations::{App, LONGEST_SECRET, OperationError, Principal, authenticate};
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest, web};
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

/// The running Tollgate, as handlers take it.
pub type Gate = web::ThinData<Arc<App>>;

/// Whoever asks, authenticated, with a role of the route. What they may do beyond, each operation checks itself.
#[derive(Clone, Debug)]
pub struct Caller(pub Principal);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request))
    }
}

fn caller(request: &HttpRequest) -> Result<Caller, Problem> {
    let Some(sent) = request.headers().get(header::AUTHORIZATION) else {
        return Err(Problem::new(ProblemCode::Unauthorized, "send Authorization: Bearer <key>"));
    };
    let secret = sent.to_str().ok().and_then(|text| text.split_once(' ')).filter(|(scheme, secret)| {
        scheme.eq_ignore_ascii_case("bearer") && !secret.trim().is_empty() && secret.len() <= LONGEST_SECRET
    });
    let Some((_, secret)) = secret else {
        return Err(Problem::new(ProblemCode::Unauthorized, "the Authorization header is not Bearer <key>"));
    };
    let gate = request.app_data::<Gate>().ok_or_else(|| Problem::new(ProblemCode::Internal, "no gate is set"))?;
    let principal = authenticate(gate, secret.trim());
    let principal = principal.ok_or_else(|| Problem::new(ProblemCode::Unauthorized, "this key opens nothing"))?;
    gate.take_request(&principal)?;
    let patience = patience(request.headers())?.map_or(gate.deadline, |asked| asked.min(gate.deadline));
    let principal = principal.waiting_until(gate.monotonic().saturating_add(patience));
    Facts::note(request, |facts| facts.key = principal.key.as_ref().map(ToString::to_string));
    // before a body or a condition is looked at: who may not come in learns nothing of either
    if let Some(path) = request.match_pattern() {
        may_enter(&principal, request.method().as_str(), &path).map_err(OperationError::from)?;
    }
    Ok(Caller(principal))
}

/// How long the caller waits, in milliseconds from when the request arrives.
const REQUEST_TIMEOUT_MS: HeaderName = HeaderName::from_static("request-timeout-ms");
/// The same as an Envoy in front says it by itself.
const ENVOY_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// How long the caller says that it waits. What a proxy says is not the caller's fault: where it cannot be read, it says
/// nothing; 0 is Envoy's word for no limit.
fn patience(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let whole = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let read = |name| headers.get(name).map(|value| value.to_str().ok().and_then(|text| whole(text.trim())));
    let asked = match read(REQUEST_TIMEOUT_MS) {
        Some(None | Some(0)) => {
            let detail = "Request-Timeout-Ms must be a whole number of milliseconds, 1 or above";
            return Err(Problem::new(ProblemCode::InvalidRequest, detail));
        }
        asked => asked.flatten(),
    };
    let expected = read(ENVOY_TIMEOUT_MS).flatten().filter(|ms| *ms > 0);
    Ok(asked.into_iter().chain(expected).min().map(Duration::from_millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn how_long_a_caller_waits() {
        for (own, envoy, outcome) in [
            (None, None, Ok(None)),
            (Some("250"), None, Ok(Some(250))),
            (Some(" 250 "), Some("100"), Ok(Some(100))),
            (Some("250"), Some("1000"), Ok(Some(250))),
            (None, Some("15000"), Ok(Some(15_000))),
            (None, Some("0"), Ok(None)),
            (None, Some("soon"), Ok(None)),
            (Some("0"), None, Err(())),
            (Some("+5"), None, Err(())),
            (Some("1.5"), None, Err(())),
            (Some("99999999999999999999"), None, Err(())),
            (Some(""), None, Err(())),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(REQUEST_TIMEOUT_MS, own), (ENVOY_TIMEOUT_MS, envoy)] {
                value.into_iter().for_each(|value| drop(headers.insert(name.clone(), HeaderValue::from_static(value))));
            }
            let found = patience(&headers).map_err(drop);
            assert_eq!(found, outcome.map(|ms| ms.map(Duration::from_millis)), "{own:?} {envoy:?}");
        }
    }
}
