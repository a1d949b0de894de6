//! Who asks: `Authorization: Bearer <key>`, and nothing else. No cookie opens anything under `/api`.

use super::edge::Facts;
use super::problem::{Problem, ProblemCode};
use super::routes::may_enter;
use crate::operations::{App, LONGEST_SECRET, OperationError, Principal, authenticate};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use std::future::{Ready, ready};
use std::sync::Arc;

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
    Facts::note(request, |facts| facts.key = principal.key.as_ref().map(ToString::to_string));
    // before a body or a condition is looked at: who may not come in learns nothing of either
    if let Some(path) = request.match_pattern() {
        may_enter(&principal, request.method().as_str(), &path).map_err(OperationError::from)?;
    }
    Ok(Caller(principal))
}
