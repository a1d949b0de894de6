//! Who asks: `Authorization: Bearer <key>`, and nothing else. No cookie opens anything under `/api`.

use super::edge::Facts;
use super::problem::{Problem, ProblemCode};
use crate::operations::{App, Principal, authenticate};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use std::future::{Ready, ready};
use std::sync::Arc;

/// The running Tollgate, as handlers take it.
pub type Gate = web::ThinData<Arc<App>>;

/// Whoever asks, authenticated. What they may do, each operation checks itself.
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
        scheme.eq_ignore_ascii_case("bearer") && !secret.trim().is_empty() && secret.len() <= 1_024
    });
    let Some((_, secret)) = secret else {
        return Err(Problem::new(ProblemCode::Unauthorized, "the Authorization header is not Bearer <key>"));
    };
    let gate = request.app_data::<Gate>().ok_or_else(|| Problem::new(ProblemCode::Internal, "no gate is set"))?;
    let principal = authenticate(gate, secret.trim());
    let principal = principal.ok_or_else(|| Problem::new(ProblemCode::Unauthorized, "this key opens nothing"))?;
    Facts::note(request, |facts| facts.key = principal.key.as_ref().map(ToString::to_string));
    Ok(Caller(principal))
}
